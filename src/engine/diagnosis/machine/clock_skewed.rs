//! A machine whose clock differs from ours by more than etcd bears.
//!
//! Raised from [`RAISED_FROM_MS`] beyond what the measurement may be wrong by, clear below [`CLEAR_BELOW_MS`]. One second
//! is where etcd itself begins to warn of the clock of a peer (`rafthttp: the clock difference … is too high`). Where
//! every node differs alike, it is ours that is wrong, and it is said.

use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::time::Human;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "clock-skewed",
    meaning: "the machine's clock differs from ours by at least 1 s (closes below 0.5 s) more than the measurement may err",
    layer: Layer::Machine,
    class: Class::Risk,
    scope: Scope::Node,
    reads: &[ProbeKind::TalosMachine],
    explained_by: &[],
    timing: Timing::ms(15_000, 15_000),
    assess,
};

const RAISED_FROM_MS: u64 = 1_000;
const CLEAR_BELOW_MS: u64 = 500;

fn assess(view: &View<'_>, subject: &Subject, was_open: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let Some(machine) = view.machine(node) else { return Verdict::Unknown(view.why(node, ProbeKind::TalosMachine)) };
    let Some(offset) = machine.clock_offset_ms else {
        return Verdict::Unknown("talos.machine: its time was not told".to_owned());
    };
    let sure = offset.unsigned_abs().saturating_sub(machine.clock_uncertainty_ms);
    if sure < if was_open { CLEAR_BELOW_MS } else { RAISED_FROM_MS } {
        return Verdict::Clear;
    }
    let others = || view.nodes().iter().filter(|other| *other != node);
    let offset_of = |other| view.machine(other).and_then(|machine| machine.clock_offset_ms);
    let alike = |other| offset_of(other).is_some_and(|theirs| theirs.abs_diff(offset) < RAISED_FROM_MS);
    let ours =
        if others().count() > 0 && others().all(alike) { "; every node says the same: ours is wrong" } else { "" };
    let way = if offset < 0 { "behind" } else { "ahead of" };
    let by = Human(std::time::Duration::from_millis(offset.unsigned_abs()));
    Verdict::Raised(format!("{by} {way} our clock (limit 1s){ours}"))
}
