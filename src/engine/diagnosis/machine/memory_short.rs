//! A machine that has little memory left to give: the kernel will soon take it back from a process.
//!
//! Raised below [`RAISED_BELOW`] % of `MemAvailable`, clear from [`CLEAR_FROM`] %. After incident B of 2025-04: the
//! kernel kept killing the API server on a machine of 3 GiB, and nobody saw that it was short.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::threshold::{Side, Threshold, Unit};
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
    thresholds: &[&RAISED_BELOW, &CLEAR_FROM],
    assess,
};

pub(crate) static RAISED_BELOW: Threshold = Threshold {
    finding: "machine-memory-short",
    name: "raised-below-percent",
    usual: 10.0,
    unit: Unit::Percent,
    least: 1.0,
    most: 99.0,
    beside: None,
    source: "of MemAvailable; incident B: 3 GiB, all of them used",
};

pub(crate) static CLEAR_FROM: Threshold = Threshold {
    finding: "machine-memory-short",
    name: "clear-from-percent",
    usual: 15.0,
    unit: Unit::Percent,
    least: 1.0,
    most: 100.0,
    beside: Some(Side::AtLeast(&RAISED_BELOW)),
    source: "half more than what opens it",
};

const MIB: u64 = 1024 * 1024;

fn assess(view: &View<'_>, subject: &Subject, was_open: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let Some(machine) = view.machine(node) else { return Verdict::Unknown(view.why(node, ProbeKind::TalosMachine)) };
    let (available, total) = (machine.memory_available_bytes, machine.memory_total_bytes);
    let Some(percent) = available.saturating_mul(100).checked_div(total) else {
        return Verdict::Unknown("talos.machine: no memory was told".to_owned());
    };
    let limit = view.count(&RAISED_BELOW);
    if percent >= if was_open { view.count(&CLEAR_FROM) } else { limit } {
        return Verdict::Clear;
    }
    let (left, of) = (available / MIB, total / MIB);
    Verdict::Raised(format!("{left} MiB of {of} MiB are left, {percent} % (limit {limit} %)"))
}
