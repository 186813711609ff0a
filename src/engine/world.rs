//! What is known of one cluster: the newest observation of each kind, and the little memory that cannot be read off one
//! observation (since when a pod is the same, when its container last died).
//!
//! Bounded by the configuration: one entry a target and kind, one memory a node. Left out: how old anything may be (`view`).

use std::collections::{BTreeMap, BTreeSet};

use crate::membership::Membership;
use crate::observation::{ClusterApi, Container, Facts, NodeName, Observation, ProbeKind, Seen, Target};
use crate::time::Tick;
use crate::view::APISERVER;
use crate::window::Windows;

/// The newest observations of one cluster.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// By node: what is looked up all the time is found without a target made for it.
    pub(crate) nodes: BTreeMap<NodeName, BTreeMap<ProbeKind, Observation>>,
    others: BTreeMap<Target, BTreeMap<ProbeKind, Observation>>,
    pub(crate) pods: BTreeMap<NodeName, PodMemory>,
    /// What Cluster API had marked when it was last told.
    pub(crate) marks: BTreeMap<NodeName, ClusterApi>,
    /// What takes more than one look.
    pub windows: Windows,
    /// Who is in etcd.
    pub membership: Membership,
}

/// What is remembered of a node's API server pod.
#[derive(Clone, Debug)]
pub struct PodMemory {
    /// The UIDs that its containers carry: one, and for a while the one before.
    uids: BTreeSet<String>,
    /// Since when it has been this one, as far as we saw.
    pub since: Tick,
    /// The container that was last seen running.
    pub container: Option<String>,
    /// When that container was first seen dead.
    pub died: Option<Tick>,
}

impl World {
    /// Folds one observation in. One that was sent before the newest known of its kind says nothing new and is dropped.
    pub fn fold(&mut self, observation: Observation) {
        let known = self.latest(&observation.target, observation.kind);
        if known.is_some_and(|known| known.sent > observation.sent) {
            return;
        }
        let same = known.is_some_and(|known| known.seen == observation.seen);
        if let (false, Target::Node(_, node), Seen::Healthy(Facts::TalosContainers(containers))) =
            (same, &observation.target, &observation.seen)
        {
            self.remember_pod(node, containers, observation.at);
        }
        if let (Target::Node(_, node), Seen::Healthy(Facts::ClusterApi(marks))) =
            (&observation.target, &observation.seen)
        {
            self.marks.insert(node.clone(), marks.clone());
        }
        self.windows.fold(&observation);
        if !same {
            self.membership.fold(&observation);
        }
        let kinds = match &observation.target {
            Target::Node(_, node) => match self.nodes.get_mut(node) {
                Some(kinds) => kinds,
                None => self.nodes.entry(node.clone()).or_default(),
            },
            other => match self.others.get_mut(other) {
                Some(kinds) => kinds,
                None => self.others.entry(other.clone()).or_default(),
            },
        };
        kinds.insert(observation.kind, observation);
    }

    fn remember_pod(&mut self, node: &NodeName, containers: &[Container], at: Tick) {
        let ours = || containers.iter().filter(|container| container.name == APISERVER);
        let running = ours().find(|container| container.running);
        let uids: BTreeSet<String> = ours().map(|container| container.pod_uid.clone()).collect();
        if uids.is_empty() {
            return;
        }
        let new = |since| PodMemory { uids: uids.clone(), since, container: None, died: None };
        let memory = self.pods.entry(node.clone()).or_insert_with(|| new(at));
        // A UID that was not there before is another pod, wherever in the list it stands.
        if !uids.is_subset(&memory.uids) {
            *memory = new(at);
        }
        memory.uids = uids;
        match running {
            Some(running) => memory.container = Some(running.id.clone()),
            None if memory.container.is_some() => {
                memory.container = None;
                memory.died = Some(at);
            }
            None => {}
        }
    }

    /// The newest observation of a kind, whatever its age.
    #[must_use]
    pub fn latest(&self, target: &Target, kind: ProbeKind) -> Option<&Observation> {
        match target {
            Target::Node(_, node) => self.nodes.get(node)?.get(&kind),
            other => self.others.get(other)?.get(&kind),
        }
    }

    /// Every newest observation, in order.
    pub fn all(&self) -> impl Iterator<Item = &Observation> {
        self.nodes.values().chain(self.others.values()).flat_map(BTreeMap::values)
    }
}
