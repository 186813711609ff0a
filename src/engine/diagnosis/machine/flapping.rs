//! A machine that keeps starting again.
//!
//! Raised at [`BOOTS`] starts within [`WITHIN`]; a start is seen by the processors' counters, which begin at zero: the
//! boot time that a machine tells moves with its clock. After the watchdogs wished for in incident A, whose bite should
//! not stay unseen.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::threshold::{Threshold, Unit};
use crate::time::Human;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "machine-flapping",
    meaning: "the machine started at least twice within an hour while it was watched",
    layer: Layer::Machine,
    class: Class::Risk,
    scope: Scope::Node,
    reads: &[ProbeKind::TalosMachine],
    explained_by: &[Because::structural("observer-isolated", Relation::Cluster)],
    timing: Timing::ms(0, 0),
    thresholds: &[&BOOTS, &WITHIN],
    assess,
};

pub(crate) static BOOTS: Threshold = Threshold {
    finding: "machine-flapping",
    name: "boots",
    usual: 2.0,
    unit: Unit::Count,
    least: 1.0,
    most: 64.0,
    beside: None,
    source: "one start is a reboot, two are a loop",
};

pub(crate) static WITHIN: Threshold = Threshold {
    finding: "machine-flapping",
    name: "within",
    usual: 3_600.0,
    unit: Unit::Time,
    least: 60.0,
    most: 86_400.0,
    beside: None,
    source: "the watchdogs that incident A wished for bite within minutes",
};

fn assess(view: &View<'_>, subject: &Subject, _: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let within = view.time(&WITHIN);
    let boots = view.world.windows.boots_since(node, view.now - within);
    if boots as u64 >= view.count(&BOOTS) {
        return Verdict::Raised(format!("it started {boots} times within {}", Human(within)));
    }
    // A machine that is down just now is not known to have stopped flapping.
    match view.machine(node) {
        Some(_) => Verdict::Clear,
        None => Verdict::Unknown(view.why(node, ProbeKind::TalosMachine)),
    }
}
