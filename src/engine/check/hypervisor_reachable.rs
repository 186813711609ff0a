//! Requirement: the hypervisor tells of the patient's virtual machine, so that the step can be asked for there.

use super::{Case, Check, Hold};
use crate::observation::{ProbeKind, Target};

pub(crate) static CHECK: Check = Check {
    name: "hypervisor-reachable",
    meaning: "the hypervisor of the patient's machine tells of it; none can be configured yet, and not asked holds",
    takes_duration: false,
    needs,
    judge,
};

const KIND: ProbeKind = ProbeKind::HypervisorVm;

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    vec![(case.target(), KIND)]
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    match case.view.vm(case.patient) {
        Ok(vm) => Ok(format!("{} tells of {}", vm.host, case.patient)),
        Err(why) => Err(Hold {
            check: CHECK.name,
            text: format!("the hypervisor of {}: {why}", case.patient),
            lifts: case.answer(KIND),
        }),
    }
}
