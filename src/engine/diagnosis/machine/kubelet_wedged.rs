//! A kubelet that says it is healthy and does not start its API server, though it waits for nothing.
//!
//! Its health check asks whether its loop turns, not whether its static pods are there. Seen where pods were missing after
//! etcd, the kubelet or the runtime had been restarted, until the machine was booted (siderolabs/talos 10511, 10980). A
//! kubelet in back-off says so at every sync; one that has said nothing for three minutes, in which the container does not
//! run, is not waiting. Three minutes are the kubelet's own limit for a look at its containers (`PLEG is not healthy`), and
//! longer than an image takes to be fetched as a rule.

use super::runtime_unhealthy::ill;
use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::{ProbeKind, Service};
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "kubelet-wedged",
    meaning: "Talos says that the kubelet runs and is healthy, and for 3 minutes it has neither run its API server nor waited to start it, on a container runtime that is well",
    layer: Layer::Machine,
    class: Class::Outage,
    scope: Scope::Node,
    reads: &[ProbeKind::TalosServices, ProbeKind::TalosContainers, ProbeKind::TalosKubeletLog, ProbeKind::Apiserver],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::earned("host-starved", Relation::SameNode),
        Because::earned("machine-memory-short", Relation::SameNode),
        Because::earned("machine-disk-full", Relation::SameNode),
    ],
    timing: Timing::ms(180_000, 0),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, subject: &Subject, _: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    if view.look_node(node, ProbeKind::Apiserver).lives() || view.apiserver_container_runs(node) == Some(true) {
        return Verdict::Clear;
    }
    for kind in [ProbeKind::TalosServices, ProbeKind::TalosContainers, ProbeKind::TalosKubeletLog] {
        if view.look_node(node, kind).facts().is_none() {
            return Verdict::Unknown(view.why(node, kind));
        }
    }
    let services = view.services(node);
    let kubelet = services.and_then(|services| services.service("kubelet"));
    // One that does not run has a finding of its own; one that Talos calls unhealthy is seen to be ill; and one whose runtime
    // starts nothing can do nothing, after a restart neither.
    let well = |kubelet: &Service| kubelet.is_running() && kubelet.healthy != Some(false);
    if !kubelet.is_some_and(well) || services.is_some_and(|all| ill(all).is_some()) || view.back_off(node).is_some() {
        return Verdict::Clear;
    }
    if view.seen_once {
        return Verdict::Unknown("its API server does not run; for how long takes more than one look".to_owned());
    }
    Verdict::Raised(
        "talos says kubelet is Running and healthy; its API server does not run and it waits for nothing".to_owned(),
    )
}
