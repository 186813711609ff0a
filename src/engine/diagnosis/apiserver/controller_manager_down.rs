//! Nobody runs the controllers: what is asked of the API servers is written down, and nothing comes of it.
//!
//! One of them at a time does the work, so it takes all of them to be gone, for a minute: a lease runs out after 15 s, and
//! one that died with its API server returns with the next back-off. After kubernetes-mixin's `KubeControllerManagerDown`,
//! which takes 15 minutes. A cluster in which no machine lists such a container, running or dead, runs it elsewhere: of
//! that one nothing is said.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "controller-manager-down",
    meaning: "machines list kube-controller-manager and it has run on none of them for a minute: nothing is carried out",
    layer: Layer::Apiserver,
    class: Class::Outage,
    scope: Scope::Cluster,
    reads: &[ProbeKind::TalosContainers],
    explained_by: CAUSES,
    timing: TIMING,
    thresholds: &[],
    assess: |view, _: &Subject, was_open| nobody_runs(view, "kube-controller-manager", was_open),
};

/// It exits when it cannot renew its lease in time, so whatever keeps the API servers from answering ends it, too.
pub(super) const CAUSES: &[Because] = &[
    Because::structural("observer-isolated", Relation::Cluster),
    Because::structural("etcd-quorum-lost", Relation::Cluster),
    Because::structural("etcd-no-leader", Relation::Cluster),
    Because::structural("etcd-no-space", Relation::Cluster),
    Because::earned("apiserver-down", Relation::SomeNode),
    Because::earned("apiserver-hung", Relation::SomeNode),
    Because::earned("apiserver-not-ready", Relation::SomeNode),
    Because::earned("kubelet-down", Relation::SomeNode),
    Because::earned("runtime-unhealthy", Relation::SomeNode),
    Because::earned("machine-memory-short", Relation::SomeNode),
];

pub(super) const TIMING: Timing = Timing::ms(60_000, 5_000);

/// No machine runs a container of this name, though some list one.
pub(super) fn nobody_runs(view: &View<'_>, name: &str, was_open: bool) -> Verdict {
    let (mut dead, mut unknown) = (Vec::new(), None);
    for node in view.nodes() {
        let Some(containers) = view.containers(node) else {
            unknown = unknown.or_else(|| Some(format!("{node}: {}", view.why(node, ProbeKind::TalosContainers))));
            continue;
        };
        let mut own = containers.iter().filter(|container| container.name == name);
        match own.next() {
            Some(first) if first.running || own.any(|container| container.running) => return Verdict::Clear,
            Some(_) => dead.push(node.as_str()),
            None => {}
        }
    }
    match (unknown, dead.is_empty()) {
        (Some(why), _) => Verdict::Unknown(why),
        (None, false) => Verdict::Raised(format!("{name} runs on no node, it is dead on {}", dead.join(", "))),
        (None, true) if was_open => Verdict::Raised(format!("{name} runs on no node, and is no longer listed")),
        (None, true) => Verdict::Clear,
    }
}
