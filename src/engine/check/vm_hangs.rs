//! Requirement: the virtual machine runs by its hypervisor, and what runs in it is gone. Its processors do nothing, or nothing
//! but turn, its member of etcd serves nobody, and the peers that serve have lost it, too: a machine that only we do not hear
//! may well be at work. To reset what is only slow loses what it was about to finish.

use super::{Case, Check, Hold, Lift};
use crate::diagnosis::host::busy;
use crate::observation::{ProbeKind, Target, VmState};

pub(crate) static CHECK: Check = Check {
    name: "vm-hangs",
    meaning: "the patient's virtual machine runs and uses less than 1 % of its processors, or at least 98 %, on a host that is not busy, its member of etcd serves nobody, and its peers fail to send to a peer",
    takes_duration: false,
    needs,
    judge,
};

const KIND: ProbeKind = ProbeKind::HypervisorVm;

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    let own = [KIND, ProbeKind::HypervisorHost].map(|kind| (case.target(), kind)).into_iter();
    let all = [ProbeKind::EtcdReadLinearizable, ProbeKind::EtcdMetrics].into_iter();
    own.chain(all.flat_map(|kind| case.everywhere(kind))).collect()
}

/// A peer that serves and reaches all others speaks against it; what its figures do not tell holds where they are asked for.
fn peers_have_lost(case: &Case<'_>) -> Result<(), Hold> {
    let (view, kind) = (&case.view, ProbeKind::EtcdMetrics);
    let hold = |text: String, lifts: Lift| Err(Hold { check: CHECK.name, text, lifts });
    for peer in view.nodes().iter().filter(|node| *node != case.patient && view.etcd_serving(node)) {
        match view.etcd_window(peer).map(|window| window.peer_failures()) {
            Ok(Some(failures)) if failures > 0.0 => {}
            Ok(Some(_)) => return hold(format!("{peer} serves and reaches each of its peers"), Lift::Patient),
            Err(why) if view.settings.sources.contains(&kind) => return hold(why, Lift::Fresh(kind)),
            Ok(None) | Err(_) => {}
        }
    }
    Ok(())
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    let (view, patient) = (&case.view, case.patient);
    let hold = |text: String, lifts: Lift| Err(Hold { check: CHECK.name, text, lifts });
    let (vm, host) = match (view.vm(patient), view.host(patient)) {
        (Ok(vm), Ok(host)) => (vm, host),
        (Err(why), _) => return hold(format!("the machine of {patient}: {why}"), case.answer(KIND)),
        (_, Err(why)) => {
            return hold(format!("the host of {patient}: {why}"), case.answer(ProbeKind::HypervisorHost));
        }
    };
    if vm.state != VmState::Running {
        return hold(format!("{} says that {patient} is {}", vm.host, vm.state), Lift::Patient);
    }
    if view.etcd_serving(patient) {
        return hold(format!("the member of {patient} serves"), Lift::Patient);
    }
    // A guest that does little may be one that gets little.
    if host.cpu_percent >= case.view.threshold(&busy::RAISED_ABOVE) {
        let text = format!("{} is at {:.0} %: {patient} may be starved, not hung", host.name, host.cpu_percent);
        return hold(text, Lift::Patient);
    }
    peers_have_lost(case)?;
    match vm.ill() {
        Some(what) => Ok(format!("{} {what}, and its member serves nobody", patient)),
        None => hold(format!("{} says that {patient} works", vm.host), Lift::Patient),
    }
}
