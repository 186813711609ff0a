//! Requirement: the patient's member is of no more use, by the word of all others: they list it no more, or the alarm CORRUPT
//! names it, and it alone. What is not configured, not heard or not agreed upon among them is for a person to look at.

use std::collections::BTreeSet;

use super::{Case, Check, Hold, Lift};
use crate::observation::{EtcdMembers, EtcdStatus, NodeName, ProbeKind, Target};
use crate::view::View;

pub(crate) static CHECK: Check = Check {
    name: "member-lost",
    meaning: "every other member answers, all agree on who is in etcd, and either the patient's member is not, or it is the one member that the alarm CORRUPT names",
    takes_duration: false,
    needs,
    judge,
};

const KINDS: [ProbeKind; 2] = [ProbeKind::EtcdStatus, ProbeKind::EtcdMembers];

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    KINDS.into_iter().flat_map(|kind| case.everywhere(kind)).collect()
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    lost(&case.view, case.patient).map_err(|text| {
        let sources = &case.view.settings.sources;
        let asked = KINDS.iter().all(|kind| sources.contains(kind));
        Hold { check: CHECK.name, text, lifts: if asked { Lift::Patient } else { Lift::Person } }
    })
}

/// Why the patient's member is lost to the others, in words.
///
/// # Errors
/// Why that cannot be said.
pub(super) fn lost(view: &View<'_>, patient: &NodeName) -> Result<String, String> {
    let peers: Vec<&NodeName> = view.nodes().iter().filter(|node| *node != patient).collect();
    let mut known: Vec<(&EtcdStatus, &EtcdMembers)> = Vec::new();
    for peer in &peers {
        let status = view.etcd_status(peer).ok_or_else(|| view.why(peer, ProbeKind::EtcdStatus))?;
        let list = view.etcd_members(peer).ok_or_else(|| view.why(peer, ProbeKind::EtcdMembers))?;
        known.push((status, list));
    }
    let ids = |list: &EtcdMembers| list.members.iter().map(|member| member.id).collect::<BTreeSet<u64>>();
    let listed = known.first().map(|(_, list)| ids(list)).ok_or("it has no peers")?;
    if known.iter().any(|(_, list)| ids(list) != listed) {
        return Err("its peers disagree about who is in etcd".to_owned());
    }
    let own: BTreeSet<u64> = known.iter().map(|(status, _)| status.member_id).collect();
    if own.len() != peers.len() || !own.is_subset(&listed) {
        return Err("its peers are not the members that they list".to_owned());
    }
    let answers = view.etcd_status(patient).map(|status| status.member_id);
    let others: Vec<u64> = listed.difference(&own).copied().collect();
    match (others.as_slice(), answers) {
        ([], None) => Ok(format!("{} list {} members, and it is none of them", named(&peers), listed.len())),
        ([], Some(id)) => Err(format!("it answers as member {id:x}, which none of its peers lists")),
        ([id], Some(other)) if other != *id => {
            Err(format!("it answers as member {other:x}, and its peers list {id:x}"))
        }
        ([id], _) => {
            let alarmed: BTreeSet<u64> =
                known.iter().flat_map(|(status, _)| status.corrupt()).map(Option::unwrap_or_default).collect();
            match alarmed.into_iter().collect::<Vec<u64>>().as_slice() {
                [] => Err("its peers list it, and none says that its data is corrupt".to_owned()),
                [one] if one == id => Ok(format!("the alarm CORRUPT names its member {id:x}, and no other")),
                named => Err(format!("the alarm CORRUPT names {}, and not its member {id:x} alone", hex(named))),
            }
        }
        (several, _) => Err(format!("etcd has {} members that are not configured", several.len() - 1)),
    }
}

fn named(nodes: &[&NodeName]) -> String {
    nodes.iter().map(|node| node.as_str()).collect::<Vec<_>>().join(", ")
}

fn hex(ids: &[u64]) -> String {
    ids.iter().map(|id| format!("{id:x}")).collect::<Vec<_>>().join(", ")
}
