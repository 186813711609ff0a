//! Guard: before a machine is taken down, two views agree that it is ill, and none contradicts them.
//!
//! Views count by failure domain, for two probes over one wire are one view. Ours: what we ask the node's own processes,
//! where neither a broken quorum nor a certificate can be what fails. Its own: what Talos on that machine says of its
//! services and containers from the inside. It comes over the same wire as ours and counts all the same, for it is an answer:
//! what lies between us and the machine can keep it from us, and cannot make it say that. Its peers': its member does not serve, all others do, and one of them fails to send to a peer, which can then
//! only be this one. The hypervisor's: the virtual machine stands still, or its processors do nothing, or nothing but turn;
//! that it runs and works contradicts nobody, for a process may hang. Peers that follow its member as their leader contradict.
//!
//! Where a member is to be replaced, its peers' word that it is lost is one view. Where it answers all the same, only its
//! data is ill: the step takes the other view itself then, by comparing every store, before it changes anything.

use super::member_lost::lost;
use super::{Case, Check, Hold, Lift};
use crate::observation::{Failure, NodeName, ProbeKind, Target};
use crate::playbook::ActionClass;
use crate::view::Look;

pub(crate) static CHECK: Check = Check {
    name: "two-views",
    meaning: "before a machine is taken down: two of our own view, its own Talos's, its peers' and its hypervisor's say that it is ill, and its peers do not follow it as leader",
    takes_duration: false,
    needs,
    judge,
};

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    if case.playbook.class() < ActionClass::Disruptive {
        return Vec::new();
    }
    let own = [
        ProbeKind::Apiserver,
        ProbeKind::EtcdStatus,
        ProbeKind::TalosServices,
        ProbeKind::TalosContainers,
        ProbeKind::HypervisorVm,
    ];
    let own = own.map(|kind| (case.target(), kind));
    let peers = case.view.nodes().iter().filter(|node| *node != case.patient);
    let kinds = [ProbeKind::EtcdStatus, ProbeKind::EtcdReadLinearizable, ProbeKind::EtcdMetrics];
    own.into_iter().chain(peers.flat_map(|node| kinds.map(|kind| (case.view.node(node), kind)))).collect()
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    if case.playbook.class() < ActionClass::Disruptive {
        return Ok("no step takes a machine down".to_owned());
    }
    let (view, patient) = (&case.view, case.patient);
    let hold = |text: String| Err(Hold { check: CHECK.name, text, lifts: Lift::Patient });
    if case.playbook.only_by_hand()
        && let Ok(lost) = lost(view, patient)
    {
        return match (ours(case).or_else(|_| its_own(case)), view.etcd_status(patient)) {
            (_, Some(_)) => Ok(format!("{lost}; the step compares every store before it changes anything")),
            (Ok(ill), None) => Ok(format!("{lost}; {ill}")),
            (Err(not), None) => hold(format!("one view alone: {lost}; {not}")),
        };
    }
    let peers = || view.nodes().iter().filter(|node| *node != patient);
    let led = |peer: &&NodeName| {
        let (own, theirs) = (view.world.membership.id_of(patient), view.etcd_status(peer));
        own.is_some_and(|id| theirs.is_some_and(|status| status.leader == id))
    };
    if let Some(peer) = peers().find(|peer| view.etcd_serving(peer) && led(peer)) {
        return hold(format!("{peer} serves and follows the member of {patient} as its leader"));
    }
    let views = [ours(case), its_own(case), its_peers(case), beneath(case)];
    let ill: Vec<&str> = views.iter().filter_map(|view| view.as_ref().ok()).map(String::as_str).collect();
    let not: Vec<&str> = views.iter().filter_map(|view| view.as_ref().err()).map(String::as_str).collect();
    if ill.len() >= 2 {
        let asked = view.settings.sources.contains(&ProbeKind::HypervisorVm);
        let note = if asked { "" } else { " (hypervisor: not asked)" };
        return Ok(format!("{}{note}", ill.join("; ")));
    }
    let seen =
        if ill.is_empty() { "no view shows it ill".to_owned() } else { format!("one view alone: {}", ill.join("; ")) };
    hold(format!("{seen}; {}", not.join("; ")))
}

/// Why it is ill by this view, or why this view does not say so.
type ViewOf = Result<String, String>;

fn ours(case: &Case<'_>) -> ViewOf {
    let (view, patient) = (&case.view, case.patient);
    // A read through the quorum fails everywhere at once: it is this member's failure where another serves.
    let another_serves = || view.nodes().iter().any(|node| node != patient && view.etcd_serving(node));
    let kinds = [ProbeKind::EtcdStatus, ProbeKind::EtcdReadLinearizable, ProbeKind::Apiserver];
    for kind in kinds.into_iter().filter(|kind| *kind != ProbeKind::EtcdReadLinearizable || another_serves()) {
        match view.look_node(patient, kind).failure() {
            // A certificate that is not accepted may be ours; what speaks another protocol is not its process.
            None | Some(Failure::Tls(_) | Failure::Garbage(_) | Failure::Protocol(_) | Failure::TooLarge) => {}
            Some(failure) => return Ok(format!("we see {} {failure}", kind.name())),
        }
    }
    Err("we see none of its own processes fail".to_owned())
}

fn its_own(case: &Case<'_>) -> ViewOf {
    let (view, patient) = (&case.view, case.patient);
    let Some(services) = view.services(patient) else {
        return Err(format!("its own Talos: {}", view.why(patient, ProbeKind::TalosServices)));
    };
    for id in ["etcd", "kubelet", "cri", "containerd"] {
        match services.service(id) {
            Some(service) if !service.is_running() => {
                return Ok(format!("its own Talos says {id} is {}", service.state));
            }
            Some(service) if service.healthy == Some(false) => {
                return Ok(format!("its own Talos says {id} is unhealthy"));
            }
            _ => {}
        }
    }
    if view.apiserver_container_runs(patient) == Some(false) {
        return Ok("its own Talos says the API server's container is dead".to_owned());
    }
    Err("its own Talos finds nothing wrong".to_owned())
}

fn its_peers(case: &Case<'_>) -> ViewOf {
    let (view, patient) = (&case.view, case.patient);
    let peers = || view.nodes().iter().filter(|node| *node != patient);
    if peers().count() == 0 {
        return Err("it has no peers".to_owned());
    }
    if view.etcd_serving(patient) {
        return Err("its member serves with its peers".to_owned());
    }
    if let Some(silent) = peers().find(|peer| !view.etcd_serving(peer)) {
        return Err(format!("its peers: {silent} does not serve either"));
    }
    for peer in peers() {
        match view.etcd_window(peer).map(|window| window.peer_failures()) {
            Ok(Some(failures)) if failures > 0.0 => {
                return Ok(format!("{peer} fails to send to a peer, and all others serve"));
            }
            Ok(Some(_)) => {}
            Ok(None) => return Err(format!("its peers: {peer} does not say whether it fails to send")),
            Err(why) => return Err(format!("its peers: {why}")),
        }
    }
    Err("its peers reach it".to_owned())
}

fn beneath(case: &Case<'_>) -> ViewOf {
    let kind = ProbeKind::HypervisorVm;
    if matches!(case.view.look_node(case.patient, kind), Look::NotAsked) {
        return Err("hypervisor: not asked".to_owned());
    }
    let vm = case.view.vm(case.patient).map_err(|why| format!("its hypervisor: {why}"))?;
    vm.ill().map(|what| format!("{} says that it {what}", vm.host)).ok_or(format!("{} says that it works", vm.host))
}
