//! Requirement: no API server is ready anywhere. Where one is, service is there, and the patient returns by itself.

use super::{Case, Check, Hold, Lift};
use crate::observation::{Facts, Failure, ProbeKind, Target, Vip};
use crate::time::Human;
use crate::view::Look;

pub(crate) static CHECK: Check = Check {
    name: "no-ready-apiserver",
    meaning: "no API server of the cluster is ready; where one is, a dead one may return by itself",
    takes_duration: false,
    needs,
    judge,
};

const KIND: ProbeKind = ProbeKind::Apiserver;

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    let nodes = case.everywhere(KIND);
    nodes.chain([(Target::Vip(case.view.cluster.clone()), ProbeKind::Vip)]).collect()
}

/// Somebody is there; our own certificate or the way there may be what is wrong.
fn hides_readiness(failure: &Failure) -> bool {
    match failure {
        Failure::Tls(_) | Failure::Status { .. } | Failure::TooLarge | Failure::Garbage(_) | Failure::Protocol(_) => {
            true
        }
        Failure::Refused | Failure::Reset | Failure::Unreachable | Failure::Timeout(_) => false,
    }
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    let view = &case.view;
    if let Some(Facts::Vip(Vip { ready: true, .. })) =
        view.look(&Target::Vip(view.cluster.clone()), ProbeKind::Vip).facts()
    {
        let text = "an API server answers ready at the virtual address".to_owned();
        return Err(Hold { check: CHECK.name, text, lifts: Lift::Patient });
    }
    for node in view.nodes() {
        let look = view.look_node(node, KIND);
        let ready = view.apiserver(node).is_some_and(|facts| facts.ready);
        if ready && node == case.patient {
            let lifts = Lift::Clears(case.playbook.when.finding.name);
            return Err(Hold { check: CHECK.name, text: format!("{node} is back and ready"), lifts });
        }
        if ready {
            let (back, lifts) = match view.back_off(case.patient) {
                Some(wait) => (
                    format!("{} returns by itself in {}", case.patient, Human(wait.remaining)),
                    Lift::At(view.now + wait.remaining),
                ),
                None => (format!("{} may return by itself", case.patient), Lift::Patient),
            };
            return Err(Hold { check: CHECK.name, text: format!("{node} is ready; {back}"), lifts });
        }
        if let (Some(why), false) = (look.unknown(KIND), matches!(look, Look::NotAsked)) {
            return Err(Hold { check: CHECK.name, text: format!("{node}: {why}"), lifts: Lift::Fresh(KIND) });
        }
        if let Some(failure) = look.failure().filter(|failure| hides_readiness(failure)) {
            let text = format!("{node} answers, and whether it is ready cannot be read: {failure}");
            return Err(Hold { check: CHECK.name, text, lifts: Lift::Fresh(KIND) });
        }
    }
    Ok(format!("none of {} API servers is ready", view.nodes().len()))
}
