//! Guard: the limits have room, and the ledger answers.

use super::{Case, Check, Hold, Lift, nothing};
use crate::ledger::Wanted;

pub(crate) static CHECK: Check = Check {
    name: "budget",
    meaning: "the playbook's limits on the node and in the cluster have room, the node's cooldown is over, disruptive steps in the cluster are ten minutes apart, no more machines are taken down than a node and all clusters together may have, it is not exhausted (five runs in a day on the node, until a person acknowledges it), and the ledger answers",
    takes_duration: false,
    needs: nothing,
    judge,
};

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    if !case.store_answers {
        let text = "the journal does not answer, so nothing can be reserved".to_owned();
        return Err(Hold { check: CHECK.name, text, lifts: Lift::Journal });
    }
    if case.playbook.only_tells() {
        return Ok("it changes nothing, and is free of limits".to_owned());
    }
    let wanted = Wanted {
        cluster: case.view.cluster,
        node: case.patient,
        playbook: case.playbook,
        disruptive: &case.view.settings.disruptive,
        fleet: case.view.elsewhere.disruptions,
    };
    let room = case.ledger.room(&wanted, case.now);
    if room.exhausted {
        return Err(Hold { check: CHECK.name, text: room.text, lifts: Lift::Ack });
    }
    match (room.over, case.person) {
        (None, _) => Ok(room.text),
        (Some(_), Some(person)) if person.pass_limits => Ok(format!("{}; passed by {}", room.text, person.by)),
        (Some(after), _) => Err(Hold { check: CHECK.name, text: room.text, lifts: Lift::At(case.now.mono + after) }),
    }
}
