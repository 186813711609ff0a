//! A machine whose clock differs from ours by more than etcd bears.
//!
//! Raised from [`RAISED_FROM`] beyond what the measurement may be wrong by, clear below [`CLEAR_BELOW`]. One second
//! is where etcd itself begins to warn of the clock of a peer (`rafthttp: the clock difference … is too high`). Where
//! every node differs alike, it is ours that is wrong, and it is said.

use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::threshold::{Side, Threshold, Unit};
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
    thresholds: &[&RAISED_FROM, &CLEAR_BELOW],
    assess,
};

pub(crate) static RAISED_FROM: Threshold = Threshold {
    finding: "clock-skewed",
    name: "raised-from",
    usual: 1.0,
    unit: Unit::Time,
    least: 0.05,
    most: 3_600.0,
    beside: None,
    source: "where etcd warns of a peer's clock (rafthttp)",
};

pub(crate) static CLEAR_BELOW: Threshold = Threshold {
    finding: "clock-skewed",
    name: "clear-below",
    usual: 0.5,
    unit: Unit::Time,
    least: 0.0,
    most: 3_600.0,
    beside: Some(Side::AtMost(&RAISED_FROM)),
    source: "half of what opens it",
};

fn assess(view: &View<'_>, subject: &Subject, was_open: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let Some(machine) = view.machine(node) else { return Verdict::Unknown(view.why(node, ProbeKind::TalosMachine)) };
    let Some(offset) = machine.clock_offset_ms else {
        return Verdict::Unknown("talos.machine: its time was not told".to_owned());
    };
    let sure = offset.unsigned_abs().saturating_sub(machine.clock_uncertainty_ms);
    let ms = |threshold: &Threshold| u64::try_from(view.time(threshold).as_millis()).unwrap_or(u64::MAX);
    let limit_ms = ms(&RAISED_FROM);
    if sure < if was_open { ms(&CLEAR_BELOW) } else { limit_ms } {
        return Verdict::Clear;
    }
    let others = || view.nodes().iter().filter(|other| *other != node);
    let offset_of = |other| view.machine(other).and_then(|machine| machine.clock_offset_ms);
    let alike = |other| offset_of(other).is_some_and(|theirs| theirs.abs_diff(offset) < limit_ms);
    let ours =
        if others().count() > 0 && others().all(alike) { "; every node says the same: ours is wrong" } else { "" };
    let way = if offset < 0 { "behind" } else { "ahead of" };
    let by = Human(std::time::Duration::from_millis(offset.unsigned_abs()));
    Verdict::Raised(format!("{by} {way} our clock (limit {}){ours}", Human(view.time(&RAISED_FROM))))
}
