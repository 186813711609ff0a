//! Quorum, and no member to spare: the next one that fails takes the cluster with it.
//!
//! A voter counts when a linearizable read through it succeeds, or when it says that it follows a leader; it is missing
//! when it fails. Of one or two voters none can ever be spared: that is how such a cluster is built and no news, so it is
//! not said. After etcd's mixin, `etcdMembersDown`, which takes 20 minutes.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::{NodeName, ProbeKind};
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "etcd-quorum-thin",
    meaning: "just as many voters serve as a quorum needs, of three or more: none can be spared",
    layer: Layer::Etcd,
    class: Class::Risk,
    scope: Scope::Cluster,
    reads: &[ProbeKind::EtcdReadLinearizable, ProbeKind::EtcdStatus, ProbeKind::EtcdMembers],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::structural("machine-unreachable", Relation::SomeNode),
        Because::structural("machine-frozen", Relation::SomeNode),
        Because::structural("etcd-member-down", Relation::SomeNode),
        Because::structural("etcd-member-hung", Relation::SomeNode),
    ],
    timing: Timing::ms(5_000, 5_000),
    thresholds: &[],
    assess,
};

const VOTERS_MIN: usize = 3;

fn assess(view: &View<'_>, _: &Subject, _: bool) -> Verdict {
    let (voters, quorum) = (view.voters(), view.quorum());
    if voters < VOTERS_MIN {
        return Verdict::Clear;
    }
    let learner = |node: &&NodeName| view.etcd_status(node).is_some_and(|status| status.learner);
    let serves =
        |node: &NodeName| view.etcd_serving(node) || view.etcd_status(node).is_some_and(|status| status.leader != 0);
    let fails = |node: &NodeName| {
        view.look_node(node, ProbeKind::EtcdStatus).failure().is_some()
            || view.etcd_status(node).is_some_and(|status| status.leader == 0)
    };
    let (serving, others): (Vec<_>, Vec<_>) =
        view.nodes().iter().filter(|node| !learner(node)).partition(|node| serves(node));
    let (missing, unknown): (Vec<_>, Vec<_>) = others.into_iter().partition(|node| fails(node));
    let names = |nodes: &[&NodeName]| nodes.iter().map(|node| node.as_str()).collect::<Vec<_>>().join(", ");
    let strangers = view.strangers();
    let missed = || missing.iter().map(|node| node.as_str()).chain(strangers.iter().map(String::as_str));
    if serving.len() > quorum {
        Verdict::Clear
    } else if !unknown.is_empty() {
        Verdict::Unknown(format!("whether etcd serves is not known of {}", names(&unknown)))
    } else if serving.len() == quorum {
        Verdict::Raised(format!(
            "{quorum} of {voters} voters serve, a quorum needs {quorum}; missing {}",
            missed().collect::<Vec<_>>().join(", ")
        ))
    } else {
        // Less than a quorum has a finding of its own.
        Verdict::Clear
    }
}
