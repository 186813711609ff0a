//! A kubelet that waits, ever longer, before it starts its API server again (KEP-4603: 10 s doubling to 300 s, kept in the
//! kubelet's memory).
//!
//! It is the state that the kubernetes-mixin's alert `KubePodCrashLooping` looks for, a container that waits with the reason
//! `CrashLoopBackOff`, in the kubelet's own words; and where the kubelet does not tell, or has forgotten its wait, it is what
//! that alert looked for before there was such a reason: starts over a window, `increase(…_restarts_total[10m])`, by the
//! container's ids. Left out: that metric itself, for it comes from the API server, which is what does not run here.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::threshold::{Threshold, Unit};
use crate::time::Human;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "apiserver-crash-looping",
    meaning: "the API server's container does not run and the kubelet's log says that it waits before the next start; or it was started at least three times within ten minutes and does not answer",
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
    thresholds: &[&STARTS, &WITHIN],
    assess,
};

pub(crate) static STARTS: Threshold = Threshold {
    finding: "apiserver-crash-looping",
    name: "starts",
    usual: 3.0,
    unit: Unit::Count,
    least: 2.0,
    most: 64.0,
    beside: None,
    source: "one is a restart, two may be a roll-out that was taken back",
};

pub(crate) static WITHIN: Threshold = Threshold {
    finding: "apiserver-crash-looping",
    name: "within",
    usual: 600.0,
    unit: Unit::Time,
    least: 60.0,
    most: 86_400.0,
    beside: None,
    source: "KEP-4603: six starts before the wait between them is the longest, 5m",
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
    let within = view.time(&WITHIN);
    let starts = view.world.windows.starts_since(node, view.now - within) as u64;
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
        (Some(_), _) if starts >= view.count(&STARTS) => {
            Verdict::Raised(format!("it was started {starts} times within {}, and does not answer", Human(within)))
        }
        (None, _) => Verdict::Unknown(view.why(node, ProbeKind::TalosContainers)),
        _ => Verdict::Clear,
    }
}
