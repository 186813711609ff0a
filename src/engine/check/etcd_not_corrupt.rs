//! Requirement: no member tells of corrupt data, and every one was asked. What is done to the store of a cluster whose
//! members differ may leave the wrong copy.

use super::etcd_data_sound::unless_told;
use super::{Case, Check, Hold};
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
    case.everywhere(KIND).collect()
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    unless_told(case, &CHECK, "CORRUPT", corrupt::RULE.name)?;
    match case.view.nodes().iter().find(|node| case.view.etcd_status(node).is_none()) {
        Some(mute) => {
            let text = format!("the member of {mute} says nothing of its data");
            Err(Hold { check: CHECK.name, text, lifts: case.answer(KIND) })
        }
        None => Ok(format!("none of {} members tells of corrupt data", case.view.nodes().len())),
    }
}
