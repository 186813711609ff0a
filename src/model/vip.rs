//! Who holds the virtual address, in the two ways that are in use.
//!
//! kube-vip: a Lease through the local API server, renewed every 2 s, given up by its holder after 10 s without, taken by
//! another 15 s after the last renewal; the same identity renews at once. Talos: an election in etcd; the address goes at
//! once with the quorum, with the kubelet and with the API server's pod, and after 60 s when its holder fell silent.

use std::collections::BTreeMap;
use std::time::Duration;

use defib_engine::observation::NodeName;
use defib_engine::time::Tick;

use super::etcd::Etcd;
use super::lottery::Lottery;
use super::node::{Node, Process};

/// Which way the address is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// kube-vip's Lease.
    KubeVip,
    /// Talos's own.
    Talos,
}

const RENEW_WITHIN: Duration = Duration::from_secs(10);
const LEASE: Duration = Duration::from_secs(15);
const SESSION: Duration = Duration::from_secs(60);

/// The address.
#[derive(Clone, Debug)]
pub struct Vip {
    /// Which way it is held.
    pub way: Way,
    /// On whom it lies.
    pub holder: Option<NodeName>,
    /// Whose the lease, or the election, is.
    owner: NodeName,
    renewed: Tick,
    /// Others try for it after this.
    tries_at: Tick,
}

impl Vip {
    /// Held by this node.
    #[must_use]
    pub fn held_by(node: NodeName, way: Way) -> Vip {
        Vip { way, holder: Some(node.clone()), owner: node, renewed: Tick(0), tries_at: Tick(0) }
    }

    /// Lets time pass up to `now`.
    pub fn advance(&mut self, nodes: &BTreeMap<NodeName, Node>, etcd: &Etcd, lottery: &mut Lottery, now: Tick) {
        let able = |name: &NodeName| nodes.get(name).is_some_and(|node| able(self.way, node, etcd.serves(name), now));
        let runs = |name: &NodeName| nodes.get(name).is_some_and(|node| node.executes() && node.vip_agent.runs());
        if able(&self.owner) {
            self.renewed = now;
            self.holder = Some(self.owner.clone());
            self.tries_at = now + self.patience() + Duration::from_millis(lottery.between(0, 2_000));
            return;
        }
        // An agent that runs gives the address up by itself; one that does not leaves it where it lies.
        let agent_dead = nodes.get(&self.owner).is_some_and(|node| node.executes() && !node.vip_agent.runs());
        let gives_up = match self.way {
            Way::KubeVip => now.since(self.renewed) >= RENEW_WITHIN && runs(&self.owner),
            Way::Talos => runs(&self.owner),
        };
        if gives_up || agent_dead {
            self.holder = None;
            if self.way == Way::Talos && gives_up {
                self.tries_at = self.tries_at.min(now + Duration::from_millis(lottery.between(1_000, 2_000)));
            }
        }
        if now >= self.tries_at {
            let heirs: Vec<NodeName> = nodes.keys().filter(|name| able(name)).cloned().collect();
            if let Some(heir) = lottery.pick(&heirs) {
                self.owner = heir.clone();
                self.holder = Some(heir.clone());
                self.renewed = now;
            }
        }
    }

    fn patience(&self) -> Duration {
        match self.way {
            Way::KubeVip => LEASE,
            Way::Talos => SESSION,
        }
    }
}

/// May this node hold the address.
fn able(way: Way, node: &Node, serves: bool, now: Tick) -> bool {
    let runs = node.executes() && node.vip_agent.runs();
    match way {
        Way::KubeVip => runs && node.ready(serves, now),
        Way::Talos => runs && serves && node.kubelet.runs() && !matches!(node.apiserver, Process::Dead(_)),
    }
}
