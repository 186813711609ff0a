//! Leaders that do not last: each election stops every write for a second or more.
//!
//! Raised from [`ELECTIONS`] within 15 minutes, as etcd's mixin (`etcdHighNumberOfLeaderChanges`); clear below
//! [`CLEAR_BELOW`]. Counted by the rise of the raft term, which every election raises (with pre-vote, the default, a member
//! that is merely cut off raises none).

use crate::figures::ELECTIONS_OVER;
use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::time::Human;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "etcd-leader-flapping",
    meaning: "at least 4 elections within 15 minutes, as far as defib watched (closes below 2)",
    layer: Layer::Etcd,
    class: Class::Risk,
    scope: Scope::Cluster,
    reads: &[ProbeKind::EtcdStatus],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::earned("host-starved", Relation::SomeNode),
        Because::earned("machine-flapping", Relation::SomeNode),
        Because::earned("etcd-slow-disk", Relation::SomeNode),
        Because::earned("etcd-starved", Relation::SomeNode),
    ],
    timing: Timing::ms(0, 0),
    assess,
};

const ELECTIONS: u64 = 4;
const CLEAR_BELOW: u64 = 2;

fn assess(view: &View<'_>, _: &Subject, was_open: bool) -> Verdict {
    let elections = view.world.windows.elections_since(view.now - ELECTIONS_OVER);
    if elections >= if was_open { CLEAR_BELOW } else { ELECTIONS } {
        return Verdict::Raised(format!("{elections} elections within {} (limit {ELECTIONS})", Human(ELECTIONS_OVER)));
    }
    if view.nodes().iter().any(|node| view.etcd_status(node).is_some()) {
        return Verdict::Clear;
    }
    Verdict::Unknown("no member answers".to_owned())
}
