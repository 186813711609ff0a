//! A virtual address that does not stay: every move cuts the connections of everybody who uses it.
//!
//! Raised from [`MOVES`] moves within 15 minutes, as etcd's mixin counts leaders, for the address goes with an election;
//! clear below [`CLEAR_BELOW`]. To make a node give it up once more would be one move more: `vip-settled` holds that.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::{ProbeKind, Target};
use crate::threshold::{Side, Threshold, Unit};
use crate::time::{Human, Tick};
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "vip-flapping",
    meaning: "the virtual address moved at least 4 times from node to node within 15 minutes (closes below 2)",
    layer: Layer::Vip,
    class: Class::Risk,
    scope: Scope::Cluster,
    reads: &[ProbeKind::Vip, ProbeKind::Apiserver],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::structural("vip-split", Relation::Cluster),
        Because::earned("etcd-leader-flapping", Relation::Cluster),
        Because::earned("host-starved", Relation::SomeNode),
        Because::earned("machine-flapping", Relation::SomeNode),
        Because::earned("apiserver-crash-looping", Relation::SomeNode),
    ],
    timing: Timing::ms(0, 0),
    thresholds: &[&MOVES, &CLEAR_BELOW, &WITHIN],
    assess,
};

pub(crate) static MOVES: Threshold = Threshold {
    finding: "vip-flapping",
    name: "moves",
    usual: 4.0,
    unit: Unit::Count,
    least: 1.0,
    most: 32.0,
    beside: None,
    source: "as etcd's mixin counts leaders: the address goes with an election",
};

pub(crate) static CLEAR_BELOW: Threshold = Threshold {
    finding: "vip-flapping",
    name: "clear-below",
    usual: 2.0,
    unit: Unit::Count,
    least: 1.0,
    most: 32.0,
    beside: Some(Side::AtMost(&MOVES)),
    source: "half of what opens it",
};

pub(crate) static WITHIN: Threshold = Threshold {
    finding: "vip-flapping",
    name: "within",
    usual: 900.0,
    unit: Unit::Time,
    least: 60.0,
    most: 21_600.0,
    beside: None,
    source: "as etcd's mixin, 15 minutes",
};

/// When the address moved from one node to another lately.
pub(crate) fn moves(view: &View<'_>) -> Vec<Tick> {
    view.world.windows.moves_since(view.now - view.time(&WITHIN)).collect()
}

fn assess(view: &View<'_>, _: &Subject, was_open: bool) -> Verdict {
    let moves = moves(view).len();
    let limit = view.count(&MOVES);
    if moves as u64 >= if was_open { view.count(&CLEAR_BELOW) } else { limit } {
        let within = Human(view.time(&WITHIN));
        return Verdict::Raised(format!("it moved {moves} times within {within} (limit {limit})"));
    }
    let look = view.look(&Target::Vip(view.cluster.clone()), ProbeKind::Vip);
    match (look.facts(), view.world.windows.holder()) {
        (None, _) => {
            let failed = look.failure().map(|failure| format!("vip: {failure}"));
            Verdict::Unknown(look.unknown(ProbeKind::Vip).or(failed).unwrap_or_default())
        }
        (Some(_), None) => Verdict::Unknown("the certificates do not tell who holds the address".to_owned()),
        (Some(_), Some(_)) => Verdict::Clear,
    }
}
