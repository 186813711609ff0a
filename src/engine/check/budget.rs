//! Guard: the limits have room, and the ledger answers.

use super::{Case, Check, Hold, Lift, nothing};

pub(crate) static CHECK: Check = Check {
    name: "budget",
    meaning: "the playbook's limits on the node and in the cluster have room, the node's cooldown is over, and the ledger answers",
    takes_duration: false,
    needs: nothing,
    judge,
};

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    if !case.store_answers {
        let text = "the journal does not answer, so nothing can be reserved".to_owned();
        return Err(Hold { check: CHECK.name, text, lifts: Lift::Journal });
    }
    let room = case.ledger.room(case.view.cluster, case.patient, &case.playbook.name, &case.playbook.limits, case.now);
    match room.over {
        None => Ok(room.text),
        Some(after) => Err(Hold { check: CHECK.name, text: room.text, lifts: Lift::At(case.now.mono + after) }),
    }
}
