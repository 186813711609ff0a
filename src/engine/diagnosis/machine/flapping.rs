//! A machine that keeps starting again.
//!
//! Raised at [`BOOTS`] starts within [`WITHIN`]; a start is seen by the processors' counters, which begin at zero: the
//! boot time that a machine tells moves with its clock. After the watchdogs wished for in incident A, whose bite should
//! not stay unseen.

use std::time::Duration;

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
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
    assess,
};

const BOOTS: usize = 2;
const WITHIN: Duration = Duration::from_secs(3_600);

fn assess(view: &View<'_>, subject: &Subject, _: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let boots = view.world.windows.boots_since(node, view.now - WITHIN);
    if boots >= BOOTS {
        return Verdict::Raised(format!("it started {boots} times within {}", Human(WITHIN)));
    }
    // A machine that is down just now is not known to have stopped flapping.
    match view.machine(node) {
        Some(_) => Verdict::Clear,
        None => Verdict::Unknown(view.why(node, ProbeKind::TalosMachine)),
    }
}
