//! Who is in etcd, over time: which ids the nodes' members had, and when the list of members last changed.
//!
//! Bounded: one id a configured node, one list. A list that was read for the first time is no change. Left out: whether
//! two members tell different lists at the same time, which is for whoever compares them.

use std::collections::{BTreeMap, BTreeSet};

use crate::observation::{Facts, NodeName, Observation, Seen, Target};
use crate::time::Tick;

/// What is remembered of etcd's members.
#[derive(Clone, Debug, Default)]
pub struct Membership {
    ids: BTreeMap<NodeName, u64>,
    /// The members, and whether each votes, as they were listed last.
    listed: BTreeSet<(u64, bool)>,
    changed: Option<Tick>,
}

impl Membership {
    /// Folds one observation in.
    pub fn fold(&mut self, observation: &Observation) {
        let (Target::Node(_, node), Seen::Healthy(facts)) = (&observation.target, &observation.seen) else { return };
        match facts {
            Facts::EtcdStatus(status) if status.member_id != 0 && self.id_of(node) != Some(status.member_id) => {
                self.ids.insert(node.clone(), status.member_id);
            }
            Facts::EtcdMembers(list) if !list.members.is_empty() => {
                let listed = list.members.iter().map(|member| (member.id, member.learner)).collect();
                if !self.listed.is_empty() && self.listed != listed {
                    self.changed = Some(observation.at);
                }
                self.listed = listed;
            }
            _ => {}
        }
    }

    /// The id that a node's member had when it last said so.
    #[must_use]
    pub fn id_of(&self, node: &NodeName) -> Option<u64> {
        self.ids.get(node).copied()
    }

    /// When the list last changed, as far as was seen.
    #[must_use]
    pub fn changed(&self) -> Option<Tick> {
        self.changed
    }
}
