//! Who is in etcd, over time: what the nodes' members last said of themselves, and when the list of members last changed.
//!
//! Bounded: one word a configured node, one list. A list that was read for the first time is no change. Left out: whether
//! two members tell different lists at the same time, which is for whoever compares them.

use std::collections::{BTreeMap, BTreeSet};

use crate::observation::{Facts, NodeName, Observation, Seen, Target};
use crate::time::Tick;

/// What a member last said of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Its id.
    pub id: u64,
    /// The cluster that it believed to be in; 0: it was not asked directly, and Talos does not say.
    pub cluster_id: u64,
    /// Its raft index: what it knew to be committed.
    pub index: u64,
    /// It did not vote.
    pub learner: bool,
    /// It told of corrupt data.
    pub corrupt: bool,
    /// When it was first heard saying this.
    pub at: Tick,
}

/// What is remembered of etcd's members.
#[derive(Clone, Debug, Default)]
pub struct Membership {
    words: BTreeMap<NodeName, Word>,
    /// The members, and whether each votes, as they were listed last.
    listed: BTreeSet<(u64, bool)>,
    changed: Option<Tick>,
}

impl Membership {
    /// Folds one observation in.
    pub fn fold(&mut self, observation: &Observation) {
        let (Target::Node(_, node), Seen::Healthy(facts)) = (&observation.target, &observation.seen) else { return };
        match facts {
            Facts::EtcdStatus(status) if status.member_id != 0 => {
                let word = Word {
                    id: status.member_id,
                    cluster_id: status.cluster_id,
                    index: status.index,
                    learner: status.learner,
                    corrupt: status.corrupt().next().is_some(),
                    at: observation.at,
                };
                match self.words.get_mut(node) {
                    Some(known) => *known = word,
                    None => {
                        self.words.insert(node.clone(), word);
                    }
                }
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

    /// What a node's member last said.
    #[must_use]
    pub fn word_of(&self, node: &NodeName) -> Option<Word> {
        self.words.get(node).copied()
    }

    /// The id that a node's member had when it last said so.
    #[must_use]
    pub fn id_of(&self, node: &NodeName) -> Option<u64> {
        Some(self.word_of(node)?.id)
    }

    /// When the list last changed, as far as was seen.
    #[must_use]
    pub fn changed(&self) -> Option<Tick> {
        self.changed
    }
}
