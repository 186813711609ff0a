//! Requirements: who keeps the virtual address on the patient. kube-vip does it from a container of its own; without one
//! it is Talos's, which goes and comes with the kubelet.

use super::{Case, Check, Hold, Lift};
use crate::observation::{Container, ProbeKind, Target};
use crate::playbook::RestartableContainer;

pub(crate) static RUNS: Check = Check {
    name: "kube-vip-runs",
    meaning: "a container of kube-vip runs on the patient",
    takes_duration: false,
    needs,
    judge: judge_runs,
};

pub(crate) static ABSENT: Check = Check {
    name: "no-kube-vip",
    meaning: "the patient has no container of kube-vip, running or dead: the virtual address is Talos's own",
    takes_duration: false,
    needs,
    judge: judge_absent,
};

const KIND: ProbeKind = ProbeKind::TalosContainers;

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    vec![(case.target(), KIND)]
}

fn is_kube_vip(container: &&Container) -> bool {
    container.name == RestartableContainer::KubeVip.name()
}

fn containers<'a>(case: &Case<'a>, check: &'static str) -> Result<&'a [Container], Hold> {
    case.view.containers(case.patient).ok_or_else(|| {
        let text = format!("what runs on {} is not known: {}", case.patient, case.view.why(case.patient, KIND));
        Hold { check, text, lifts: case.answer(KIND) }
    })
}

fn judge_runs(case: &Case<'_>) -> Result<String, Hold> {
    match containers(case, RUNS.name)?.iter().filter(is_kube_vip).find(|one| one.running) {
        Some(_) => Ok(format!("kube-vip runs on {}", case.patient)),
        None => {
            let text = format!("no container of kube-vip runs on {}", case.patient);
            Err(Hold { check: RUNS.name, text, lifts: Lift::Patient })
        }
    }
}

fn judge_absent(case: &Case<'_>) -> Result<String, Hold> {
    match containers(case, ABSENT.name)?.iter().find(is_kube_vip) {
        None => Ok(format!("{} has no kube-vip", case.patient)),
        Some(_) => {
            let text = format!("kube-vip keeps the virtual address on {}, not Talos", case.patient);
            Err(Hold { check: ABSENT.name, text, lifts: Lift::Patient })
        }
    }
}
