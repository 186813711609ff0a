//! Requirement: the virtual machine runs by its hypervisor, and what runs in it is gone. Its processors do nothing, or nothing
//! but turn, and its member of etcd serves nobody. To reset what is only slow loses what it was about to finish.

use super::{Case, Check, Hold, Lift};
use crate::diagnosis::host::busy;
use crate::observation::{ProbeKind, Target, VmState};

pub(crate) static CHECK: Check = Check {
    name: "vm-hangs",
    meaning: "the patient's virtual machine runs and uses less than 1 % of its processors, or at least 98 %, on a host that is not busy, and its member of etcd serves nobody",
    takes_duration: false,
    needs,
    judge,
};

const KIND: ProbeKind = ProbeKind::HypervisorVm;

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    [KIND, ProbeKind::HypervisorHost, ProbeKind::EtcdReadLinearizable].map(|kind| (case.target(), kind)).to_vec()
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
    match vm.ill() {
        Some(what) => Ok(format!("{} {what}, and its member serves nobody", patient)),
        None => hold(format!("{} says that {patient} works", vm.host), Lift::Patient),
    }
}
