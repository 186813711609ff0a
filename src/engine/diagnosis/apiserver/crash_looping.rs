//! A kubelet that waits, ever longer, before it starts its API server again (KEP-4603: 10 s doubling to 300 s, kept in the
//! kubelet's memory).
//!
//! It is the state that the kubernetes-mixin's alert `KubePodCrashLooping` looks for, a container that waits with the reason
//! `CrashLoopBackOff`, in the kubelet's own words. Left out: a window over it. The alert smooths by 5 m and waits for 15 m,
//! and its metric comes from the API server, which is what does not run here.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::time::Human;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "apiserver-crash-looping",
    meaning: "the API server's container does not run and the kubelet's log says that it waits before the next start",
    layer: Layer::Apiserver,
    class: Class::Outage,
    scope: Scope::Node,
    reads: &[ProbeKind::Apiserver, ProbeKind::TalosContainers, ProbeKind::TalosKubeletLog],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        // The log still speaks of the wait of a kubelet that is gone.
        Because::structural("kubelet-down", Relation::SameNode),
        Because::structural("etcd-quorum-lost", Relation::Cluster),
        // It talks to its own machine's member alone, and gives up without it.
        Because::structural("etcd-member-down", Relation::SameNode),
        Because::structural("etcd-member-hung", Relation::SameNode),
        Because::structural("apiserver-oom-killed", Relation::SameNode),
        Because::earned("machine-memory-short", Relation::SameNode),
    ],
    timing: Timing::ms(0, 3_000),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, subject: &Subject, was_open: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let look = view.look_node(node, ProbeKind::Apiserver);
    if look.lives() {
        return Verdict::Clear;
    }
    if look.failure().is_none_or(|failure| !failure.proves_machine()) {
        return Verdict::Unknown("the API server cannot be asked".to_owned());
    }
    match (view.apiserver_container_runs(node), view.back_off(node)) {
        (Some(false), Some(wait)) if !wait.remaining.is_zero() => Verdict::Raised(format!(
            "the kubelet waits {} between starts, {} of it left",
            Human(wait.length),
            Human(wait.remaining)
        )),
        // Between the end of a wait and the next death it is still the same loop.
        (Some(_), Some(wait)) if was_open => {
            Verdict::Raised(format!("the wait of {} is over, not answering yet", Human(wait.length)))
        }
        (None, _) => Verdict::Unknown(view.why(node, ProbeKind::TalosContainers)),
        _ => Verdict::Clear,
    }
}
