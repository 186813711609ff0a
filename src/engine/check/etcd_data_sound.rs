//! Requirement: no member tells of corrupt or full data, and the patient's disk is not full. A reboot cures neither, and
//! takes a copy away for a while.

use super::{Case, Check, Hold, Lift};
use crate::diagnosis::machine::{disk_full, disk_low};
use crate::observation::{ProbeKind, Target};

pub(crate) static CHECK: Check = Check {
    name: "etcd-data-sound",
    meaning: "no member of etcd tells of the alarms CORRUPT or NOSPACE, at least one was asked, and no disk of the machine is known to be full",
    takes_duration: false,
    needs,
    judge,
};

const KIND: ProbeKind = ProbeKind::EtcdStatus;
const ALARMS: [(&str, &str); 2] = [("CORRUPT", "etcd-corrupt"), ("NOSPACE", "etcd-no-space")];

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    let machine = (case.view.node(case.patient), ProbeKind::TalosMachine);
    case.everywhere(KIND).chain([machine]).collect()
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    for (alarm, finding) in ALARMS {
        unless_told(case, &CHECK, alarm, finding)?;
    }
    let filesystems = case.view.filesystems(case.patient).unwrap_or_default();
    if let Some(full) = filesystems.iter().find(|one| disk_full::is_full(&case.view, one)) {
        let text = format!("{}: {}", case.patient, disk_low::words(full));
        return Err(Hold { check: CHECK.name, text, lifts: Lift::Clears(disk_full::RULE.name) });
    }
    let asked = case.view.nodes().iter().filter(|node| case.view.etcd_status(node).is_some()).count();
    if asked == 0 {
        let text = "no member says whether its data is sound".to_owned();
        return Err(Hold { check: CHECK.name, text, lifts: case.answer(KIND) });
    }
    Ok(format!("none of {asked} members tells of an alarm"))
}

/// No member tells of this alarm.
pub(super) fn unless_told(case: &Case<'_>, check: &Check, alarm: &str, finding: &'static str) -> Result<(), Hold> {
    case.view.alarmed(alarm).first().map_or(Ok(()), |node| {
        let text = format!("{node} tells of the alarm {alarm}");
        Err(Hold { check: check.name, text, lifts: Lift::Clears(finding) })
    })
}
