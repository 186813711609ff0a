//! The alarm NOSPACE: the database has reached its quota, and etcd refuses every write until someone makes room.
//!
//! Read off the members' own `Status`, which needs no quorum; asking for alarms does. The way out: compact, defragment each
//! member, disarm the alarm (etcd's maintenance guide); a snapshot first. The playbook `reclaim-space` does that.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "etcd-no-space",
    meaning: "a member tells of the alarm NOSPACE: the database is full, every write is refused",
    layer: Layer::Etcd,
    class: Class::Outage,
    scope: Scope::Cluster,
    reads: &[ProbeKind::EtcdStatus],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::earned("etcd-near-quota", Relation::SomeNode),
    ],
    timing: Timing::ms(0, 1_000),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, _: &Subject, _: bool) -> Verdict {
    let said = view.alarmed("NOSPACE");
    match said.as_slice() {
        [] if view.nodes().iter().any(|node| view.etcd_status(node).is_some()) => Verdict::Clear,
        [] => Verdict::Unknown("no member answers".to_owned()),
        said => Verdict::Raised(format!(
            "{} say NOSPACE: the database is full, writes are refused; compact, defragment, then disarm",
            said.join(", ")
        )),
    }
}
