//! The container runtime does not run, or Talos's own check of it fails: no pod can be started or stopped.
//!
//! Talos calls it `cri`; `containerd` is the runtime of its own services. Either is enough. From incident A, in which
//! starved machines' containerd failed its health checks.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::{ProbeKind, Service, TalosServices};
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "runtime-unhealthy",
    meaning: "Talos says that its container runtime does not run or fails its health check; no pod can be started",
    layer: Layer::Machine,
    class: Class::Outage,
    scope: Scope::Node,
    reads: &[ProbeKind::TalosServices],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::earned("host-starved", Relation::SameNode),
        Because::earned("machine-memory-short", Relation::SameNode),
        Because::earned("machine-disk-full", Relation::SameNode),
    ],
    // One missed health check of Talos is 5 s.
    timing: Timing::ms(6_000, 1_000),
    thresholds: &[],
    assess,
};

const RUNTIMES: [&str; 2] = ["cri", "containerd"];

fn assess(view: &View<'_>, subject: &Subject, _: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let Some(services) = view.services(node) else { return Verdict::Unknown(view.why(node, ProbeKind::TalosServices)) };
    if RUNTIMES.iter().all(|id| services.service(id).is_none()) {
        return Verdict::Unknown("talos lists no container runtime".to_owned());
    }
    ill(services).map_or(Verdict::Clear, |service| {
        let how = if service.is_running() { "running and not healthy" } else { service.state.as_str() };
        Verdict::Raised(format!("talos says {} is {how}", service.id))
    })
}

/// The container runtime that is not well, by Talos's word.
pub(super) fn ill(services: &TalosServices) -> Option<&Service> {
    let mut listed = RUNTIMES.iter().filter_map(|id| services.service(id));
    listed.find(|service| !service.is_running() || service.healthy == Some(false))
}
