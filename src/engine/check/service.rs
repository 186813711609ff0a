//! Guard: no step takes service away that is there.
//!
//! A reboot takes the node's API server down; on Talos a kubelet's restart, too, makes the node give up the virtual
//! address. Where that serves, another ready API server must be able to take over. What does not serve has nothing to
//! lose: that is the patient. The holder is known by its certificate; where it is not known, the patient may be it.

use super::{Case, Check, Hold, Lift};
use crate::observation::{Facts, ProbeKind, Target, Vip};
use crate::playbook::{Action, ActionClass};
use crate::view::Look;

pub(crate) static CHECK: Check = Check {
    name: "service",
    meaning: "the step takes down neither the only ready API server nor a virtual address that serves and that no other node could take",
    takes_duration: false,
    needs,
    judge,
};

fn touches(case: &Case<'_>) -> bool {
    case.playbook.steps.iter().any(|step| step.takes_apiserver_down() || step.takes_vip_down())
}

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    if case.playbook.class() == ActionClass::Harmless || !touches(case) {
        return Vec::new();
    }
    let nodes = case.everywhere(ProbeKind::Apiserver);
    nodes.chain([(Target::Vip(case.view.cluster.clone()), ProbeKind::Vip)]).collect()
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    if !touches(case) {
        return Ok("no step takes service away".to_owned());
    }
    let view = &case.view;
    let hold = |text: String, lifts: Lift| Err(Hold { check: CHECK.name, text, lifts });
    let ready = |node: &&crate::observation::NodeName| view.apiserver(node).is_some_and(|facts| facts.ready);
    let other = view.nodes().iter().filter(|node| *node != case.patient).find(ready);
    if let Some(other) = other {
        return Ok(format!("{other}'s API server is ready and can take over"));
    }
    let look = view.look_node(case.patient, ProbeKind::Apiserver);
    if case.playbook.steps.iter().any(Action::takes_apiserver_down) {
        if view.apiserver(case.patient).is_some_and(|facts| facts.ready) {
            return hold(format!("{} has the only ready API server", case.patient), Lift::Patient);
        }
        if let (Some(why), false) = (look.unknown(ProbeKind::Apiserver), matches!(look, Look::NotAsked)) {
            return hold(
                format!("whether {} serves is not known: {why}", case.patient),
                Lift::Fresh(ProbeKind::Apiserver),
            );
        }
    }
    let look = view.look(&Target::Vip(view.cluster.clone()), ProbeKind::Vip);
    if let Some(Facts::Vip(Vip { ready: true, certificate_sha256: shown, .. })) = look.facts() {
        let shows = |node: &&crate::observation::NodeName| {
            view.apiserver(node).is_some_and(|own| !shown.is_empty() && own.certificate_sha256 == *shown)
        };
        return match view.nodes().iter().find(shows) {
            Some(holder) if holder != case.patient => Ok(format!("{holder} holds the virtual address")),
            Some(_) => {
                let text = format!(
                    "{} holds the virtual address, which serves, and no other node could take it",
                    case.patient
                );
                hold(text, Lift::Patient)
            }
            None => {
                let text = format!(
                    "the virtual address serves, {} may hold it, and no other node could take it",
                    case.patient
                );
                hold(text, Lift::Patient)
            }
        };
    }
    match (look, look.unknown(ProbeKind::Vip)) {
        (Look::NotAsked, _) => Ok("no API server is ready, so none is lost (vip: not asked)".to_owned()),
        (_, Some(why)) => {
            hold(format!("whether the virtual address serves is not known: {why}"), Lift::Fresh(ProbeKind::Vip))
        }
        (_, None) => Ok("neither an API server nor the virtual address serves, so nothing is lost".to_owned()),
    }
}
