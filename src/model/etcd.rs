//! Voters, terms, elections and quorum: not raft's messages, but what a client can see of them.
//!
//! A leader is lost when it no longer reaches a majority; a new one follows one to two election timeouts later, in a new
//! term. Two leaders in one term are impossible here, as they are in raft.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use defib_engine::observation::NodeName;
use defib_engine::record::Outcome;
use defib_engine::time::Tick;

use super::lottery::Lottery;
use super::node::Node;

/// The state that the members share.
#[derive(Clone, Debug)]
pub struct Etcd {
    /// The leader, while it has a majority.
    pub leader: Option<NodeName>,
    /// The term.
    pub term: u64,
    /// The index of the last entry that a majority took: one entry a millisecond, and none without a leader.
    pub index: u64,
    /// How many elections there were.
    pub elections: u64,
    /// The majority that hears each other.
    pub majority: BTreeSet<NodeName>,
    election_ends: Option<Tick>,
    next_flap: Tick,
}

impl Etcd {
    /// A cluster that has a leader.
    #[must_use]
    pub fn led_by(leader: NodeName) -> Etcd {
        Etcd {
            leader: Some(leader),
            term: 2,
            index: 0,
            elections: 1,
            majority: BTreeSet::new(),
            election_ends: None,
            next_flap: Tick(0),
        }
    }

    /// A linearizable read through this member succeeds.
    #[must_use]
    pub fn serves(&self, node: &NodeName) -> bool {
        self.leader.is_some() && self.majority.contains(node)
    }

    /// The leader hands over.
    pub fn hand_over(&mut self, from: &NodeName, to: Option<&NodeName>) -> (Duration, Outcome) {
        match to {
            Some(to) if self.leader.as_ref() == Some(from) && self.serves(to) => {
                self.leader = Some(to.clone());
                self.term += 1;
                self.elections += 1;
                (Duration::from_millis(50), Outcome::Done(format!("{to} leads")))
            }
            _ => (Duration::from_millis(5), Outcome::Failed(format!("{from} no longer leads"))),
        }
    }

    /// Lets time pass up to `now`; `cut` are the pairs of nodes that do not hear each other.
    pub fn advance(
        &mut self,
        nodes: &BTreeMap<NodeName, Node>,
        cut: &BTreeSet<(NodeName, NodeName)>,
        lottery: &mut Lottery,
        now: Tick,
    ) {
        // One that misses every heartbeat neither leads nor follows.
        let lives = |node: &Node| node.executes() && node.etcd.runs() && !node.ills.overcommitted;
        let hears = |a: &NodeName, b: &NodeName| {
            let pair = |(from, to): &(NodeName, NodeName)| (from, to) == (a, b) || (from, to) == (b, a);
            !cut.iter().any(pair)
        };
        let group = |of: &NodeName| -> BTreeSet<NodeName> { heard(nodes, of, lives, hears).cloned().collect() };
        let quorum = nodes.len() / 2 + 1;
        let may_lead =
            |name: &NodeName| nodes.get(name).is_some_and(lives) && heard(nodes, name, lives, hears).count() >= quorum;
        // A leader whose disk or CPU is too slow loses its followers every few seconds.
        let weak = |name: &NodeName| nodes.get(name).is_some_and(|node| node.ills.starved || node.ills.slow_disk);
        let flaps = self.leader.as_ref().is_some_and(weak) && now >= self.next_flap;
        if self.leader.as_ref().is_some_and(|leader| !may_lead(leader)) || flaps {
            self.leader = None;
            self.next_flap = now + Duration::from_millis(lottery.between(4_000, 9_000));
        }
        if let Some(leader) = &self.leader {
            if !heard(nodes, leader, lives, hears).eq(&self.majority) {
                self.majority = group(leader);
            }
            self.index = now.0;
            return;
        }
        let candidates: Vec<NodeName> = nodes.keys().filter(|name| may_lead(name)).cloned().collect();
        match self.election_ends {
            _ if candidates.is_empty() => {
                self.majority.clear();
                self.election_ends = None;
            }
            None => self.election_ends = Some(now + Duration::from_millis(lottery.between(1_000, 2_000))),
            Some(ends) if now >= ends => {
                self.leader = lottery.pick(&candidates).cloned();
                self.majority = self.leader.as_ref().map(group).unwrap_or_default();
                self.term += 1;
                self.elections += 1;
                self.election_ends = None;
            }
            Some(_) => {}
        }
    }
}

/// Whom a node hears of those that live, itself among them.
fn heard<'a>(
    nodes: &'a BTreeMap<NodeName, Node>,
    of: &'a NodeName,
    lives: impl Fn(&Node) -> bool + 'a,
    hears: impl Fn(&NodeName, &NodeName) -> bool + 'a,
) -> impl Iterator<Item = &'a NodeName> {
    nodes.iter().filter(move |(name, node)| lives(node) && (*name == of || hears(of, name))).map(|(name, _)| name)
}
