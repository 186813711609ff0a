//! Requirement: so much of the kubelet's wait is left that a restart is worth it.

use super::{Case, Check, Hold, Lift};
use crate::observation::{ProbeKind, Target};
use crate::time::Human;

pub(crate) static CHECK: Check = Check {
    name: "back-off-remaining",
    meaning: "by the kubelet's own log at least this much of the wait before the next start is left",
    takes_duration: true,
    needs,
    judge,
};

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    let kinds = [ProbeKind::TalosServices, ProbeKind::TalosContainers, ProbeKind::TalosKubeletLog];
    kinds.map(|kind| (case.target(), kind)).to_vec()
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    let hold = |text: String, lifts: Lift| Err(Hold { check: CHECK.name, text, lifts });
    // A log outlives its kubelet; and a kubelet that somebody stopped is not for us to start.
    match case.view.services(case.patient).and_then(|services| services.service("kubelet")) {
        Some(kubelet) if kubelet.is_running() => {}
        Some(kubelet) => {
            let text = format!("Talos says the kubelet of {} is {}, so nothing waits", case.patient, kubelet.state);
            return hold(text, Lift::Clears("kubelet-down"));
        }
        None => {
            let text = format!("whether the kubelet of {} runs is not known", case.patient);
            return hold(text, case.answer(ProbeKind::TalosServices));
        }
    }
    if case.view.apiserver_container_runs(case.patient) != Some(false) {
        return hold(format!("{}'s container is not known to be dead", case.patient), Lift::Patient);
    }
    let Some(wait) = case.view.back_off(case.patient) else {
        let look = case.view.look_node(case.patient, ProbeKind::TalosKubeletLog);
        let why = look.failure().map(ToString::to_string).or(look.unknown(ProbeKind::TalosKubeletLog));
        let why = why.unwrap_or_else(|| "the kubelet's log speaks of none".to_owned());
        return hold(format!("no evidence of a back-off: {why}"), case.answer(ProbeKind::TalosKubeletLog));
    };
    if wait.remaining >= case.duration {
        return Ok(format!("{} of {} are left", Human(wait.remaining), Human(wait.length)));
    }
    hold(
        format!(
            "{} of {} are left, a restart is worth it from {}",
            Human(wait.remaining),
            Human(wait.length),
            Human(case.duration)
        ),
        Lift::Patient,
    )
}
