//! The world around the program's loop, in virtual time: probes and steps that the model answers, by the contracts of the
//! real ones.
//!
//! Nothing waits: whoever drives it jumps to [`World::next`]. At most one probe of a target and kind is under way, a wish for
//! one that has left is kept as one, and every step that was started ends once. The same seed, faults and steps give the
//! same answers. Left out: the loop, the journal and how fast time passes, which are the caller's.

use std::collections::BTreeMap;
use std::time::Duration;

use defib_engine::check::Guards;
use defib_engine::event::{Event, Step};
use defib_engine::observation::{ClusterId, NodeName, Observation, Path, ProbeKind, Target};
use defib_engine::playbook::{Action, Playbook, RestartableContainer, RestartableService};
use defib_engine::record::{Outcome, StepId};
use defib_engine::settings::{ClusterSettings, Mode, Settings};
use defib_engine::time::{Tick, UnixMs};

use super::Model;
use super::node::Process;
use super::vip::Way;
use crate::observe::schedule::Schedule;

/// What a modelled cluster is called.
pub const CLUSTER: &str = "model";
/// The wall clock at tick 0: 2026-02-17, the day of incident A.
pub const BEGINS: UnixMs = UnixMs(1_771_286_400_000);
/// The address outside of it that always answers, unless the observer is isolated.
const CANARY: &str = "192.0.2.254:53";

/// Whether a stalled answer is taken now is looked at so often.
const STALLED_FOR: Duration = Duration::from_millis(500);

/// A step as the world sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Deed {
    /// Its id.
    pub id: StepId,
    /// On which node.
    pub node: NodeName,
    /// What.
    pub action: Action,
}

/// The model with everything that is on its way to the program.
#[derive(Debug)]
pub struct World {
    /// The cluster.
    pub model: Model,
    now: Tick,
    probes: Vec<(Target, ProbeKind)>,
    /// Probes that have left, by their place; true: wished for again since.
    under_way: BTreeMap<usize, bool>,
    schedule: Schedule,
    agenda: BTreeMap<(Tick, u64), Item>,
    numbered: u64,
}

#[derive(Debug)]
enum Item {
    Seen(usize, Observation),
    Told(Event),
}

/// Settings that know one modelled cluster of so many nodes, asked for everything that can be asked, with every playbook
/// armed that can be.
#[must_use]
pub fn settings(nodes: u64, mode: Mode, playbooks: Vec<Playbook>) -> Settings {
    // Not every model has a hypervisor: see `ask_hypervisor`.
    let sources = ProbeKind::common().filter(|kind| *kind != ProbeKind::Canary);
    let cluster = ClusterSettings {
        nodes: (1..=nodes).map(|number| format!("cp{number}")).collect(),
        sources: sources.collect(),
        armed: playbooks.iter().filter(|one| !one.only_by_hand()).map(|one| one.name.clone()).collect(),
        ..ClusterSettings::default()
    };
    Settings {
        mode,
        clusters: BTreeMap::from([(CLUSTER.to_owned(), cluster)]),
        canaries: vec![CANARY.to_owned()],
        playbooks,
        seen_once: false,
        guards: Guards::default(),
    }
}

/// Has the hypervisor beneath these clusters asked, too: for models that have one.
pub fn ask_hypervisor(settings: &mut Settings) {
    settings.clusters.values_mut().for_each(|cluster| cluster.sources.extend(ProbeKind::HYPERVISOR));
}

impl World {
    /// This model, asked for everything that the settings, which know one cluster, allow.
    #[must_use]
    pub fn new(settings: &Settings, model: Model, seed: u64) -> World {
        let cluster = settings.clusters.keys().next().cloned().unwrap_or_default();
        let probes = probes(&cluster, settings);
        let every = probes.iter().map(|(_, kind)| kind.every()).collect();
        World {
            model,
            now: Tick(0),
            schedule: Schedule::new(every, seed, Tick(0)),
            probes,
            under_way: BTreeMap::new(),
            agenda: BTreeMap::new(),
            numbered: 0,
        }
    }

    /// When something happens next, if the program does nothing.
    #[must_use]
    pub fn next(&self) -> Option<Tick> {
        let told = self.agenda.keys().next().map(|(at, _)| *at);
        [told, self.schedule.next_due()].into_iter().flatten().min()
    }

    /// Lets time pass, and gives what the program is told by then. While nobody `listens`, nothing is asked.
    pub fn advance(&mut self, to: Tick, listens: bool) -> Vec<Event> {
        self.now = to.max(self.now);
        self.model.advance(self.now);
        while let Some(at) = self.schedule.take_due(self.now) {
            if listens && !self.under_way.contains_key(&at) {
                self.send(at);
            }
        }
        let mut events = Vec::new();
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= self.now) {
            match entry.remove() {
                Item::Told(event) => events.push(event),
                Item::Seen(at, observation) if self.stalls(&observation) => {
                    self.put(self.now + STALLED_FOR, Item::Seen(at, observation));
                }
                Item::Seen(at, observation) => {
                    events.push(Event::Observed(observation));
                    if self.under_way.remove(&at) == Some(true) {
                        self.send(at);
                    }
                }
            }
        }
        events
    }

    /// Asks at once, or right after the same question that is under way.
    pub fn ask(&mut self, target: &Target, kind: ProbeKind) {
        let Some(at) = self.probes.iter().position(|probe| (&probe.0, probe.1) == (target, kind)) else { return };
        match self.under_way.get_mut(&at) {
            Some(again) => *again = true,
            None => self.send(at),
        }
    }

    /// Carries a step out; its end is told later.
    pub fn start(&mut self, step: &Step) -> Deed {
        let deed = Deed { id: step.id().clone(), node: step.node().clone(), action: step.action().clone() };
        let (after, outcome) = self.perform(&deed);
        self.tell(after, Event::Ended { cluster: step.cluster().clone(), step: step.id().clone(), outcome });
        deed
    }

    /// Tells the program something after a while.
    pub fn tell(&mut self, after: Duration, event: Event) {
        self.put(self.now + after, Item::Told(event));
    }

    /// The program is gone: what was on its way to it is lost.
    pub fn hang_up(&mut self) {
        self.agenda.clear();
        self.under_way.clear();
    }

    fn send(&mut self, at: usize) {
        let Some((target, kind)) = self.probes.get(at).cloned() else { return };
        self.under_way.insert(at, false);
        let sent = self.now;
        let (after, seen) = self.model.answer(&target, kind);
        let path = match (&target, kind) {
            (Target::Vip(_), _) => Path::Vip,
            (Target::Canary(_), _) => Path::Outside,
            (Target::Own(_), _) => Path::Own,
            (_, ProbeKind::HypervisorHost | ProbeKind::HypervisorVm) => Path::Hypervisor,
            (_, kind) if kind.name().starts_with("talos.") => Path::Talos,
            _ => Path::Direct,
        };
        let answered = sent + after;
        self.put(answered, Item::Seen(at, Observation { target, path, kind, sent, at: answered, seen }));
    }

    /// The answer has come, and our own side does not take it.
    fn stalls(&self, observation: &Observation) -> bool {
        let own = matches!(
            observation.kind,
            ProbeKind::TalosServices
                | ProbeKind::TalosContainers
                | ProbeKind::TalosMachine
                | ProbeKind::TalosDmesg
                | ProbeKind::TalosKubeletLog
                | ProbeKind::TalosStage
                | ProbeKind::HypervisorHost
                | ProbeKind::HypervisorVm
        );
        !own && observation.target.node().is_some_and(|node| self.model.stalled.contains(node))
    }

    fn perform(&mut self, deed: &Deed) -> (Duration, Outcome) {
        let now = self.now;
        let hidden = self.model.isolated || self.model.hidden.contains(&deed.node);
        if let Action::Vm { deed: what, .. } = &deed.action {
            return self.model.order_beneath(&deed.node, *what);
        }
        let Some(node) = self.model.nodes.get_mut(&deed.node).filter(|node| node.executes() && !hidden) else {
            let why = format!("cannot dial {}: connect-timeout", deed.node);
            return (Duration::from_secs(1), Outcome::Failed(why));
        };
        let refuses_us = node.ills.refuses_us;
        let refused = || (Duration::from_millis(5), Outcome::Failed("PermissionDenied: not authorized".to_owned()));
        match &deed.action {
            Action::CollectEvidence => (Duration::from_millis(200), Outcome::Done("collected".to_owned())),
            // Each member is asked directly, with a credential of its own.
            Action::ReclaimSpace { .. } => self.reclaim_space(),
            Action::MoveLeader { to, .. } => self.model.etcd.hand_over(&deed.node, to.as_ref()),
            Action::ReplaceMember { .. } => {
                let why = "the model's members lose no data and are never removed";
                (Duration::from_millis(5), Outcome::Failed(why.to_owned()))
            }
            _ if refuses_us => refused(),
            // A kubelet is a container, too.
            Action::RestartService { .. } | Action::StartService { .. } | Action::RestartContainer { .. }
                if node.ills.runtime_hangs =>
            {
                (Duration::from_secs(15), Outcome::Failed("the container runtime does not answer".to_owned()))
            }
            Action::RestartService { service: RestartableService::Kubelet, .. } => {
                node.restart_kubelet(now);
                (Duration::from_millis(700), Outcome::Done("restarted".to_owned()))
            }
            Action::StartService { service: RestartableService::Kubelet, .. } => {
                if !node.kubelet.runs() {
                    node.restart_kubelet(now);
                }
                (Duration::from_millis(300), Outcome::Done("started".to_owned()))
            }
            Action::RestartContainer { container, .. } => {
                let (process, listed) = match container {
                    RestartableContainer::KubeApiserver => (node.apiserver, true),
                    // Talos's own address is kept by no container.
                    RestartableContainer::KubeVip => (node.vip_agent, self.model.vip.way == Way::KubeVip),
                };
                if !listed || matches!(process, Process::Dead(_)) {
                    let why = format!("no container {} runs", container.name());
                    return (Duration::from_millis(200), Outcome::Failed(why));
                }
                match container {
                    RestartableContainer::KubeApiserver => node.kill_apiserver(now),
                    RestartableContainer::KubeVip => node.kill_vip_agent(now),
                }
                (Duration::from_secs(1), Outcome::Done("stopped".to_owned()))
            }
            Action::Vm { deed: what, .. } => self.model.order_beneath(&deed.node, *what),
            Action::RebootNode { .. } => {
                node.reboot(now);
                (Duration::from_millis(300), Outcome::Done("boots".to_owned()))
            }
        }
    }

    /// Every member has to answer us and to follow a leader; then nothing is full any more.
    fn reclaim_space(&mut self) -> (Duration, Outcome) {
        let mute = |name: &&NodeName| self.model.hidden.contains(*name) || !self.model.etcd.serves(name);
        if let Some(name) = self.model.nodes.keys().find(mute) {
            let why = format!("{name} does not answer: response-timeout; so far: nothing was changed");
            return (Duration::from_secs(5), Outcome::Failed(why));
        }
        self.model.nodes.values_mut().for_each(|node| node.ills.no_space = false);
        (Duration::from_secs(20), Outcome::Done("compacted, defragmented, disarmed".to_owned()))
    }

    fn put(&mut self, at: Tick, item: Item) {
        self.numbered += 1;
        self.agenda.insert((at, self.numbered), item);
    }
}

/// Everything that the settings allow to be asked.
fn probes(cluster: &ClusterId, settings: &Settings) -> Vec<(Target, ProbeKind)> {
    let Some(known) = settings.clusters.get(cluster) else { return Vec::new() };
    let mut probes = Vec::new();
    for &kind in &known.sources {
        match kind {
            ProbeKind::Vip => probes.push((Target::Vip(cluster.clone()), kind)),
            kind if kind.is_own() => {
                probes.push((Target::Own(cluster.clone()), kind));
            }
            _ => probes.extend(known.nodes.iter().map(|node| (Target::Node(cluster.clone(), node.clone()), kind))),
        }
    }
    probes.extend(settings.canaries.iter().map(|address| (Target::Canary(address.clone()), ProbeKind::Canary)));
    probes
}
