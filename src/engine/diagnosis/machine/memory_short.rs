//! A machine that has little memory left to give: the kernel will soon take it back from a process.
//!
//! Raised below [`RAISED_BELOW`] % of `MemAvailable`, clear from [`CLEAR_FROM`] %. After incident B of 2025-04: the
//! kernel kept killing the API server on a machine of 3 GiB, and nobody saw that it was short.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "machine-memory-short",
    meaning: "less than 10 % of the machine's memory can still be had (closes from 15 %): the kernel may kill a process for it",
    layer: Layer::Machine,
    class: Class::Risk,
    scope: Scope::Node,
    reads: &[ProbeKind::TalosMachine],
    explained_by: &[Because::structural("observer-isolated", Relation::Cluster)],
    timing: Timing::ms(15_000, 30_000),
    assess,
};

/// Percent of all memory.
const RAISED_BELOW: u64 = 10;
/// Percent of all memory.
const CLEAR_FROM: u64 = 15;
const MIB: u64 = 1024 * 1024;

fn assess(view: &View<'_>, subject: &Subject, was_open: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let Some(machine) = view.machine(node) else { return Verdict::Unknown(view.why(node, ProbeKind::TalosMachine)) };
    let (available, total) = (machine.memory_available_bytes, machine.memory_total_bytes);
    let Some(percent) = available.saturating_mul(100).checked_div(total) else {
        return Verdict::Unknown("talos.machine: no memory was told".to_owned());
    };
    if percent >= if was_open { CLEAR_FROM } else { RAISED_BELOW } {
        return Verdict::Clear;
    }
    let (left, of) = (available / MIB, total / MIB);
    Verdict::Raised(format!("{left} MiB of {of} MiB are left, {percent} % (limit {RAISED_BELOW} %)"))
}
