//! Requirement: no member tells of corrupt data, and every one was asked. What is done to the store of a cluster whose
//! members differ may leave the wrong copy.

use super::{Case, Check, Hold, Lift};
use crate::diagnosis::etcd::corrupt;
use crate::observation::{ProbeKind, Target};

pub(crate) static CHECK: Check = Check {
    name: "etcd-not-corrupt",
    meaning: "every member of etcd answers, and none tells of the alarm CORRUPT",
    takes_duration: false,
    needs,
    judge,
};

const KIND: ProbeKind = ProbeKind::EtcdStatus;

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    case.view.nodes().iter().map(|node| (case.view.node(node), KIND)).collect()
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    let hold = |text: String, lifts: Lift| Err(Hold { check: CHECK.name, text, lifts });
    if let Some(node) = case.view.alarmed("CORRUPT").first() {
        return hold(format!("{node} tells of the alarm CORRUPT"), Lift::Clears(corrupt::RULE.name));
    }
    match case.view.nodes().iter().find(|node| case.view.etcd_status(node).is_none()) {
        Some(mute) => hold(format!("the member of {mute} says nothing of its data"), case.answer(KIND)),
        None => Ok(format!("none of {} members tells of corrupt data", case.view.nodes().len())),
    }
}
