//! A modelled control plane in virtual time, for the simulation (`tests/simulation`).
//!
//! It promises to break and to mend itself the way real parts were seen to, slowly enough to be watched and a thousand
//! times faster than they could, and to do the same again for the same seed. It leaves out everything that cannot be seen
//! through a probe. It is a model: no figure of it is a measurement.

pub mod answer;
pub mod bystander;
pub mod etcd;
pub mod fault;
pub mod figures;
pub mod hypervisor;
pub mod lottery;
pub mod node;
pub mod story;
pub mod vip;
pub mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use defib_engine::observation::NodeName;
use defib_engine::time::Tick;

use etcd::Etcd;
use hypervisor::Hypervisor;
use lottery::Lottery;
use node::{Node, Process};
use vip::{Vip, Way};

/// The model moves in steps of this length.
pub const STEP: Duration = Duration::from_millis(100);

/// One cluster.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its nodes.
    pub nodes: BTreeMap<NodeName, Node>,
    /// What the members of etcd share.
    pub etcd: Etcd,
    /// The virtual address.
    pub vip: Vip,
    /// What the nodes stand on, where there is a hypervisor that can be asked.
    pub hypervisor: Option<Hypervisor>,
    /// Nodes that the observer does not reach.
    pub hidden: BTreeSet<NodeName>,
    /// Nodes whose API server's answers are swallowed on their way to us.
    pub swallowed: BTreeSet<NodeName>,
    /// Nodes about which our own probes hang.
    pub stalled: BTreeSet<NodeName>,
    /// Pairs of nodes that do not reach each other.
    pub cut: BTreeSet<(NodeName, NodeName)>,
    /// The observer reaches nothing at all, not even a canary.
    pub isolated: bool,
    /// Kubelets probe their API servers, as kubeadm's and Talos 1.14's do.
    pub liveness_probes: bool,
    /// Chance in what happens.
    pub lottery: Lottery,
    /// Chance in how long answers take: apart, so that the cluster fares the same whoever asks it, and how often.
    delays: Lottery,
    now: Tick,
}

impl Model {
    /// A cluster of `nodes` nodes, all well.
    #[must_use]
    pub fn well(nodes: u64, way: Way, seed: u64) -> Model {
        let named = |number| (format!("cp{number}"), Node::well(number, Tick(0)));
        Model {
            nodes: (1..=nodes.max(1)).map(named).collect(),
            etcd: Etcd::led_by("cp1".to_owned()),
            vip: Vip::held_by("cp1".to_owned(), way),
            hypervisor: None,
            hidden: BTreeSet::new(),
            swallowed: BTreeSet::new(),
            stalled: BTreeSet::new(),
            cut: BTreeSet::new(),
            isolated: false,
            liveness_probes: true,
            lottery: Lottery::new(seed),
            delays: Lottery::new(!seed),
            now: Tick(0),
        }
    }

    /// The same on a hypervisor: three hosts, or, if `shared`, one beneath the first two nodes.
    #[must_use]
    pub fn on_hypervisor(self, shared: bool) -> Model {
        let hypervisor = Some(Hypervisor::of(self.nodes.keys(), shared));
        Model { hypervisor, ..self }
    }

    /// The time up to which it has moved.
    #[must_use]
    pub fn now(&self) -> Tick {
        self.now
    }

    /// Lets time pass.
    pub fn advance(&mut self, to: Tick) {
        while self.now + STEP <= to {
            self.now = self.now + STEP;
            let now = self.now;
            self.etcd.advance(&self.nodes, &self.cut, &mut self.lottery, now);
            let one_is_lost = self.etcd.majority.len() < self.nodes.len();
            for (name, node) in &mut self.nodes {
                let serves = self.etcd.serves(name);
                if serves && one_is_lost {
                    node.counters.unsent += 1.0;
                }
                node.advance(serves, now);
                if self.liveness_probes {
                    node.probe_liveness(node.apiserver != Process::Hung && serves, now);
                }
            }
            self.vip.advance(&self.nodes, &self.etcd, &mut self.lottery, now);
        }
    }

    /// The API server of this node is ready.
    #[must_use]
    pub fn ready(&self, name: &NodeName) -> bool {
        self.nodes.get(name).is_some_and(|node| node.ready(self.etcd.serves(name), self.now))
    }

    /// Users reach the cluster at its usual address.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.vip.holder.as_ref().is_some_and(|holder| self.ready(holder))
    }

    /// Nothing is wrong that a person would have to know of.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.serves()
            && self.nodes.keys().all(|name| self.ready(name))
            && self.nodes.values().all(|node| node.kubelet.runs() && !node.ills.no_space && !node.ills.runtime_hangs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_well_by_itself() {
        for way in [Way::KubeVip, Way::Talos] {
            let mut model = Model::well(3, way, 7);
            for second in 1..600 {
                model.advance(Tick(second * 1_000));
                assert!(second < 4 || model.is_well(), "{way:?} at {second} s: {model:?}");
            }
            assert_eq!(model.etcd.term, 2);
        }
    }

    #[test]
    fn the_shape_of_incident_a_takes_minutes_by_itself() {
        let mut model = Model::well(3, Way::KubeVip, 1);
        model.advance(Tick(10_000));
        let freeze = |model: &mut Model, name: &str, machine| {
            if let Some(node) = model.nodes.get_mut(name) {
                node.machine = machine;
            }
        };
        freeze(&mut model, "cp3", node::Machine::Frozen);
        if let Some(node) = model.nodes.get_mut("cp2") {
            node.etcd = Process::Hung;
        }
        model.advance(Tick(500_000));
        assert!(!model.serves());
        if let Some(node) = model.nodes.get_mut("cp2") {
            node.etcd = Process::Running(Tick(500_000));
        }
        let back = (500..1_200).find(|second| {
            model.advance(Tick(second * 1_000));
            model.serves()
        });
        assert!(back.is_some_and(|second| second > 520), "{back:?}");
    }
}
