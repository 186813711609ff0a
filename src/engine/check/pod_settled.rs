//! Requirement: the static pod is the one that it was a while ago. A kubelet that restarts while its static pod changes
//! can wedge that pod (kubernetes 105543, 116880).

use super::{Case, Check, Hold, Lift};
use crate::observation::{ProbeKind, Target};
use crate::time::Human;

pub(crate) static CHECK: Check = Check {
    name: "pod-settled",
    meaning: "the UID of the patient's API server pod, a hash of its manifest, has been the same for this long",
    takes_duration: true,
    needs,
    judge,
};

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    vec![(case.target(), ProbeKind::TalosContainers)]
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    let Some(pod) = case.view.pod(case.patient) else {
        let text = format!("no API server pod was seen on {}", case.patient);
        return Err(Hold { check: CHECK.name, text, lifts: case.answer(ProbeKind::TalosContainers) });
    };
    let age = case.view.now.since(pod.since);
    if age >= case.duration {
        return Ok(format!("the pod has been the same for {}", Human(age)));
    }
    Err(Hold {
        check: CHECK.name,
        text: format!("the pod was first seen {} ago, {} are asked", Human(age), Human(case.duration)),
        lifts: Lift::At(pod.since + case.duration),
    })
}
