//! A virtual address that does not stay: every move cuts the connections of everybody who uses it.
//!
//! Raised from [`MOVES`] moves within 15 minutes, as etcd's mixin counts leaders, for the address goes with an election;
//! clear below [`CLEAR_BELOW`]. To make a node give it up once more would be one move more: `vip-settled` holds that.

use std::time::Duration;

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::{ProbeKind, Target};
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
    assess,
};

/// From so many on it is said.
pub(crate) const MOVES: usize = 4;
const CLEAR_BELOW: usize = 2;
/// Within which they are counted.
pub(crate) const WITHIN: Duration = Duration::from_secs(15 * 60);

/// When the address moved from one node to another lately.
pub(crate) fn moves(view: &View<'_>) -> Vec<Tick> {
    view.world.windows.moves_since(view.now - WITHIN).collect()
}

fn assess(view: &View<'_>, _: &Subject, was_open: bool) -> Verdict {
    let moves = moves(view).len();
    if moves >= if was_open { CLEAR_BELOW } else { MOVES } {
        return Verdict::Raised(format!("it moved {moves} times within {} (limit {MOVES})", Human(WITHIN)));
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
