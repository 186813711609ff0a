//! Guard: the operator allowed it.

use super::{Case, Check, Hold, Lift, nothing};
use crate::settings::Mode;

pub(crate) static CHECK: Check = Check {
    name: "authority",
    meaning: "the mode is act, the playbook is armed for the cluster, and neither a pause nor a maintenance window holds it; or a person asks for it, or approves it in mode ask; what erases is started only where a person names it and the node",
    takes_duration: false,
    needs: nothing,
    judge,
};

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    let hold = |text: String| Err(Hold { check: CHECK.name, text, lifts: Lift::Person });
    if let Some((pause, lifts)) = case.pauses.iter().find(|(pause, _)| pause.holds <= case.playbook.class()) {
        let text = format!("paused by {}: {}", pause.by, pause.reason);
        return Err(Hold { check: CHECK.name, text, lifts: lifts.clone() });
    }
    if case.playbook.only_by_hand() && !case.person.is_some_and(|person| person.by_name) {
        let (playbook, node) = (&case.playbook.name, case.patient);
        let text =
            format!("it erases what {node} keeps: defib recover --playbook {playbook} --node {node} asks for it");
        return hold(text);
    }
    if let Some(person) = case.person {
        return Ok(format!("{} asks for it", person.by));
    }
    if case.mode == Mode::Observe {
        return hold("mode is observe".to_owned());
    }
    if !case.view.settings.armed.contains(&case.playbook.name) {
        return hold(format!("{} is not armed for {}", case.playbook.name, case.view.cluster));
    }
    if case.mode == Mode::Ask {
        let text = "mode is ask: a person must approve it".to_owned();
        return Err(Hold { check: CHECK.name, text, lifts: Lift::Approval });
    }
    Ok("mode act, armed".to_owned())
}
