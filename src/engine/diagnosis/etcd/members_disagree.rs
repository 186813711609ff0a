//! Members that do not belong together: other cluster ids, other lists of members, two leaders in one term.
//!
//! Two leaders at *different* terms are one stale view and no news; at the same term they are impossible in one raft
//! group. Lists may differ for a moment while a member is added, so it takes [`RULE`]'s 30 s. Never acted upon; the guard
//! `quorum` holds everything besides.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "etcd-members-disagree",
    meaning: "members tell of different clusters, of different lists of members, or of two leaders in one term",
    layer: Layer::Etcd,
    class: Class::Outage,
    scope: Scope::Cluster,
    reads: &[ProbeKind::EtcdStatus, ProbeKind::EtcdMembers],
    explained_by: &[Because::structural("observer-isolated", Relation::Cluster)],
    timing: Timing::ms(30_000, 5_000),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, _: &Subject, _: bool) -> Verdict {
    let statuses: Vec<_> =
        view.nodes().iter().filter_map(|node| Some((node.as_str(), view.etcd_status(node)?))).collect();
    let mut clusters: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    let mut leaders: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for (node, status) in &statuses {
        // Asked through Talos a member does not say which cluster it is in.
        if status.cluster_id != 0 {
            clusters.entry(status.cluster_id).or_default().push(node);
        }
        if status.leader != 0 {
            leaders.entry(status.term).or_default().insert(status.leader);
        }
    }
    if clusters.len() > 1 {
        let each: Vec<_> = clusters.iter().map(|(id, nodes)| format!("{} in {id:x}", nodes.join(", "))).collect();
        return Verdict::Raised(format!("they are in different clusters: {}", each.join("; ")));
    }
    if let Some((term, two)) = leaders.iter().find(|(_, leaders)| leaders.len() > 1) {
        return Verdict::Raised(format!("{} leaders in term {term}", two.len()));
    }
    let mut lists: BTreeMap<Vec<u64>, Vec<&str>> = BTreeMap::new();
    for node in view.nodes() {
        if let Some(members) = view.etcd_members(node) {
            let mut ids: Vec<_> = members.members.iter().map(|member| member.id).collect();
            ids.sort_unstable();
            lists.entry(ids).or_default().push(node);
        }
    }
    if lists.len() > 1 {
        let each: Vec<_> =
            lists.iter().map(|(ids, nodes)| format!("{} list {}", nodes.join(", "), ids.len())).collect();
        return Verdict::Raised(format!("their lists of members differ: {}", each.join("; ")));
    }
    if statuses.is_empty() { Verdict::Unknown("no member answers".to_owned()) } else { Verdict::Clear }
}
