//! Requirement: another voter can lead. Leadership that moves to a member that is slow, too, comes back, and each move stops
//! every write for a moment.

use super::{Case, Check, Hold, Lift};
use crate::diagnosis;
use crate::diagnosis::etcd::corrupt;
use crate::finding::{Subject, Verdict};
use crate::observation::{EtcdStatus, NodeName, ProbeKind, Target};
use crate::view::View;

pub(crate) static CHECK: Check = Check {
    name: "another-voter-fit",
    meaning: "the patient's member leads, and another voter follows it, serves, has applied all but 1000 entries of it, and its machine is neither starved nor short of memory and its disk not slow",
    takes_duration: false,
    needs,
    judge,
};

/// A member that has applied so many entries fewer would not answer for a while.
const BEHIND_MAX: u64 = 1_000;

/// What speaks against a member that would lead.
const AGAINST: [&str; 4] = ["etcd-slow-disk", "etcd-starved", "host-starved", "machine-memory-short"];

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    let kinds =
        [ProbeKind::EtcdStatus, ProbeKind::EtcdReadLinearizable, ProbeKind::EtcdMetrics, ProbeKind::TalosMachine];
    case.view.nodes().iter().flat_map(|node| kinds.map(|kind| (case.view.node(node), kind))).collect()
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    match heir(&case.view, case.patient) {
        Ok(heir) => Ok(format!("{} leads, and {heir} can", case.patient)),
        Err(text) => {
            let known = case.view.etcd_status(case.patient).is_some();
            let lifts = if known { Lift::Patient } else { case.answer(ProbeKind::EtcdStatus) };
            Err(Hold { check: CHECK.name, text, lifts })
        }
    }
}

/// Who can lead in the patient's place: the one that has applied most.
///
/// # Errors
/// Why nobody can, or need not, in words.
pub(crate) fn heir<'a>(view: &View<'a>, patient: &NodeName) -> Result<&'a NodeName, String> {
    let own = view.etcd_status(patient).ok_or_else(|| view.why(patient, ProbeKind::EtcdStatus))?;
    if own.leader != own.member_id || own.member_id == 0 {
        return Err(format!("the member of {patient} does not lead"));
    }
    let mut fit: Option<(u64, &NodeName)> = None;
    let mut unfit = Vec::new();
    for node in view.nodes().iter().filter(|node| *node != patient) {
        match stands_against(view, node, own) {
            Ok(status) if fit.is_none_or(|(applied, _)| status.applied_index > applied) => {
                fit = Some((status.applied_index, node));
            }
            Ok(_) => {}
            Err(why) => unfit.push(format!("{node}: {why}")),
        }
    }
    match fit {
        Some((_, node)) => Ok(node),
        None if unfit.is_empty() => Err(format!("there is no voter but that of {patient}")),
        None => Err(format!("no other voter can lead: {}", unfit.join("; "))),
    }
}

fn stands_against<'a>(view: &View<'a>, node: &NodeName, leader: &EtcdStatus) -> Result<&'a EtcdStatus, String> {
    let status = view.etcd_status(node).ok_or_else(|| view.why(node, ProbeKind::EtcdStatus))?;
    if status.learner {
        return Err("a learner".to_owned());
    }
    if status.leader != leader.member_id || status.cluster_id != leader.cluster_id {
        return Err("it does not follow the same leader".to_owned());
    }
    if status.corrupt().next().is_some() {
        return Err(corrupt::RULE.name.to_owned());
    }
    if !view.etcd_serving(node) {
        return Err("it does not serve".to_owned());
    }
    if status.applied_index.saturating_add(BEHIND_MAX) < leader.applied_index {
        return Err(format!("{} entries behind", leader.applied_index - status.applied_index));
    }
    for rule in AGAINST.iter().filter_map(|name| diagnosis::rule(name)) {
        if let Verdict::Raised(text) = (rule.assess)(view, &Subject::Node(node.clone()), true) {
            return Err(format!("{}: {text}", rule.name));
        }
    }
    Ok(status)
}
