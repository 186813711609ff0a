//! Leaders that do not last: each election stops every write for a second or more.
//!
//! Raised from [`ELECTIONS`] within 15 minutes, as etcd's mixin (`etcdHighNumberOfLeaderChanges`); clear below
//! [`CLEAR_BELOW`]. Counted by the rise of the raft term, which every election raises (with pre-vote, the default, a member
//! that is merely cut off raises none).

use crate::figures::ELECTIONS_OVER;
use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::threshold::{Side, Threshold, Unit};
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
    thresholds: &[&ELECTIONS, &CLEAR_BELOW],
    assess,
};

pub(crate) static ELECTIONS: Threshold = Threshold {
    finding: "etcd-leader-flapping",
    name: "elections",
    usual: 4.0,
    unit: Unit::Count,
    least: 1.0,
    most: 64.0,
    beside: None,
    source: "etcd's mixin, etcdHighNumberOfLeaderChanges: 4 within 15 minutes",
};

pub(crate) static CLEAR_BELOW: Threshold = Threshold {
    finding: "etcd-leader-flapping",
    name: "clear-below",
    usual: 2.0,
    unit: Unit::Count,
    least: 1.0,
    most: 64.0,
    beside: Some(Side::AtMost(&ELECTIONS)),
    source: "half of what opens it",
};

fn assess(view: &View<'_>, _: &Subject, was_open: bool) -> Verdict {
    let elections = view.world.windows.elections_since(view.now - ELECTIONS_OVER);
    let limit = view.count(&ELECTIONS);
    if elections >= if was_open { view.count(&CLEAR_BELOW) } else { limit } {
        return Verdict::Raised(format!("{elections} elections within {} (limit {limit})", Human(ELECTIONS_OVER)));
    }
    if view.nodes().iter().any(|node| view.etcd_status(node).is_some()) {
        return Verdict::Clear;
    }
    Verdict::Unknown("no member answers".to_owned())
}
