//! An API server whose process is proven absent.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "apiserver-down",
    meaning: "an API server's port is closed, or its container does not run, while the machine answers",
    layer: Layer::Apiserver,
    class: Class::Outage,
    scope: Scope::Node,
    reads: &[ProbeKind::Apiserver, ProbeKind::TalosContainers],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::structural("apiserver-crash-looping", Relation::SameNode),
        Because::structural("kubelet-down", Relation::SameNode),
        Because::structural("kubelet-wedged", Relation::SameNode),
        Because::structural("etcd-quorum-lost", Relation::Cluster),
        // It talks to its own machine's member alone, and gives up without it.
        Because::structural("etcd-member-down", Relation::SameNode),
        Because::structural("etcd-member-hung", Relation::SameNode),
        // What does not run is not started by it, whichever was seen first.
        Because::structural("runtime-unhealthy", Relation::SameNode),
        // The machine's own word for why it is gone, whichever was seen first.
        Because::structural("apiserver-oom-killed", Relation::SameNode),
        // The kernel kills the largest process.
        Because::earned("machine-memory-short", Relation::SameNode),
        Because::earned("machine-disk-full", Relation::SameNode),
    ],
    // A crash-looping one is up for moments; it counts as down until it stayed for 3 s.
    timing: Timing::ms(300, 3_000),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, subject: &Subject, was_open: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let look = view.look_node(node, ProbeKind::Apiserver);
    if look.lives() {
        return Verdict::Clear;
    }
    let runs = view.apiserver_container_runs(node);
    match look.failure() {
        Some(failure) if failure.proves_absent() => Verdict::Raised(match runs {
            Some(false) => "its port is closed and its container does not run".to_owned(),
            _ => "its port is closed".to_owned(),
        }),
        Some(failure) if failure.proves_machine() && (runs == Some(false) || was_open && runs != Some(true)) => {
            Verdict::Raised(format!("{failure}, and its container does not run"))
        }
        Some(failure) => Verdict::Unknown(format!("apiserver: {failure}")),
        None => Verdict::Unknown(look.unknown(ProbeKind::Apiserver).unwrap_or_default()),
    }
}
