//! Requirement: no API server is ready anywhere. Where one is, service is there, and the patient returns by itself.

use super::{Case, Check, Hold, Lift};
use crate::observation::{ProbeKind, Target};
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
    case.view.nodes().iter().map(|node| (case.view.node(node), KIND)).collect()
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    let view = &case.view;
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
    }
    Ok(format!("none of {} API servers is ready", view.nodes().len()))
}
