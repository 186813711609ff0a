//! Every voter that speaks says that it follows nobody.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "etcd-no-leader",
    meaning: "every voter that answers says that it has no leader",
    layer: Layer::Etcd,
    class: Class::Outage,
    scope: Scope::Cluster,
    reads: &[ProbeKind::EtcdStatus],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::structural("machine-unreachable", Relation::SomeNode),
        Because::structural("etcd-member-down", Relation::SomeNode),
        Because::structural("etcd-member-hung", Relation::SomeNode),
        Because::structural("machine-frozen", Relation::SomeNode),
        Because::structural("etcd-corrupt", Relation::Cluster),
        Because::earned("host-starved", Relation::SomeNode),
        Because::earned("etcd-starved", Relation::SomeNode),
    ],
    // An election takes one to two election timeouts of 1 s.
    timing: Timing::ms(2_500, 1_000),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, _: &Subject, _: bool) -> Verdict {
    let voters = || view.nodes().iter().filter_map(|node| view.etcd_status(node)).filter(|status| !status.learner);
    let speaking = voters().count();
    if speaking == 0 {
        return Verdict::Unknown("no voter answers".to_owned());
    }
    if voters().any(|status| status.leader != 0) {
        return Verdict::Clear;
    }
    let term = voters().map(|status| status.term).max().unwrap_or(0);
    Verdict::Raised(format!("{speaking} of {} voters answer, none has a leader; term {term}", view.voters()))
}
