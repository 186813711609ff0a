//! One cluster at one time, as rules and checks read it: what is known of it (`world`), how old that may be, and what is
//! settled about it.
//!
//! Left out: any judgement of what it means.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::finding::{Rule, Scope};
use crate::ledger::Used;
use crate::observation::{
    Apiserver, ClusterApi, ClusterId, Container, Credential, EtcdMember, EtcdMembers, EtcdMetrics, EtcdStatus, Facts,
    Failure, Filesystem, HypervisorHost, KubeletLog, NodeName, Observation, OomKill, ProbeKind, Seen, Snapshots,
    TalosMachine, TalosServices, Target, VirtualMachine, Why,
};
use crate::settings::ClusterSettings;
use crate::threshold::Threshold;
use crate::time::{Human, Tick, UnixMs};
use crate::window::EtcdWindow;
use crate::world::{PodMemory, World};

/// The static pod that every rule about API servers speaks of.
pub const APISERVER: &str = "kube-apiserver";

/// A kubelet that waits says so at every sync, 14 s apart as measured; one that has been silent for this long does not.
const SAID_WITHIN: Duration = Duration::from_secs(60);

/// A dead container is seen this much later than it died: the pace of its probe, twice.
const SEEN_DEAD_WITHIN: Duration = Duration::from_secs(15);

/// kube-vip's lease runs out after 5 s, 15 s where it is set as Kubernetes sets its own; whoever is ready then takes it.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(20);

/// What can be said about one kind of probe of one target.
#[derive(Clone, Copy, Debug)]
pub enum Look<'a> {
    /// No configured source gives it.
    NotAsked,
    /// It is configured and has not been seen yet.
    Missing,
    /// The newest observation is too old.
    Stale(Duration),
    /// The newest observation, within its kind's `max_age`.
    Fresh(&'a Observation),
}

impl<'a> Look<'a> {
    /// The facts, where the target answered.
    #[must_use]
    pub fn facts(self) -> Option<&'a Facts> {
        match self {
            Look::Fresh(Observation { seen: Seen::Healthy(facts), .. }) => Some(facts),
            _ => None,
        }
    }

    /// The target answered: with facts, or by refusing our credential, which proves that it is there.
    #[must_use]
    pub fn lives(self) -> bool {
        matches!(self, Look::Fresh(Observation { seen: Seen::Healthy(_) | Seen::Unknown(Why::Unauthorized(_)), .. }))
    }

    /// The failure, where the target failed.
    #[must_use]
    pub fn failure(self) -> Option<&'a Failure> {
        match self {
            Look::Fresh(Observation { seen: Seen::Unhealthy(failure), .. }) => Some(failure),
            _ => None,
        }
    }

    /// Why nothing is known, in words; none where something is.
    #[must_use]
    pub fn unknown(self, kind: ProbeKind) -> Option<String> {
        match self {
            Look::NotAsked => Some(format!("{}: not asked", kind.name())),
            Look::Missing => Some(format!("{}: not seen yet", kind.name())),
            Look::Stale(age) => Some(format!("{}: {} old, limit {}", kind.name(), Human(age), Human(kind.max_age()))),
            Look::Fresh(Observation { seen: Seen::Unknown(why), .. }) => Some(format!("{}: {why}", kind.name())),
            Look::Fresh(_) => None,
        }
    }
}

/// What every canary, and every cluster but this one, says about ourselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Elsewhere {
    /// Canaries are configured.
    pub canaries: usize,
    /// Canaries that failed, freshly.
    pub canaries_mute: usize,
    /// A canary or another cluster's target answered, freshly.
    pub answers: bool,
    /// How late our own timers ran lately.
    pub late: Duration,
    /// A disruptive run is under way in another cluster.
    pub disrupted: bool,
    /// What was used of the fleet's limit on disruptive runs, this cluster's own among them.
    pub disruptions: Used,
}

/// One cluster at one time, for rules and checks to read.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The cluster's name.
    pub cluster: &'a ClusterId,
    /// What is settled about it.
    pub settings: &'a ClusterSettings,
    /// What has been seen of it.
    pub world: &'a World,
    /// What has been seen beside it.
    pub elsewhere: Elsewhere,
    /// The time of the judgement.
    pub now: Tick,
    /// The same by the wall clock, for what is valid until a date.
    pub wall: UnixMs,
    /// A single look: everything was asked at once and is judged when the last answer came, so nothing is stale.
    pub seen_once: bool,
    /// What is old counts as old; not where the guard *fresh* is left out.
    pub ages: bool,
}

impl<'a> View<'a> {
    /// The control-plane nodes. Each is taken for a voter unless its own status says that it is a learner.
    #[must_use]
    pub fn nodes(&self) -> &'a [NodeName] {
        &self.settings.nodes
    }

    /// This node as a target.
    #[must_use]
    pub fn node(&self, node: &NodeName) -> Target {
        Target::Node(self.cluster.clone(), node.clone())
    }

    /// What can be said about one kind of probe of one target.
    #[must_use]
    pub fn look(&self, target: &Target, kind: ProbeKind) -> Look<'a> {
        self.judge(self.world.latest(target, kind), kind)
    }

    /// [`Self::look`] at a node.
    #[must_use]
    pub fn look_node(&self, node: &NodeName, kind: ProbeKind) -> Look<'a> {
        self.judge(self.world.nodes.get(node).and_then(|kinds| kinds.get(&kind)), kind)
    }

    fn judge(&self, newest: Option<&'a Observation>, kind: ProbeKind) -> Look<'a> {
        if !self.settings.sources.contains(&kind) {
            return Look::NotAsked;
        }
        match newest {
            None => Look::Missing,
            Some(observation) => {
                let age = self.now.since(observation.at);
                if age > kind.max_age() && !self.seen_once && self.ages {
                    Look::Stale(age)
                } else {
                    Look::Fresh(observation)
                }
            }
        }
    }

    /// What counts for a figure of a finding, in its own unit.
    #[must_use]
    pub fn threshold(&self, threshold: &Threshold) -> f64 {
        self.settings.thresholds.of(threshold)
    }

    /// The same as a whole number.
    #[must_use]
    pub fn count(&self, threshold: &Threshold) -> u64 {
        self.settings.thresholds.count(threshold)
    }

    /// The same as a time.
    #[must_use]
    pub fn time(&self, threshold: &Threshold) -> Duration {
        self.settings.thresholds.time(threshold)
    }

    /// What a rule reads where its finding concerns this node: of the node, of the cluster, or of every node of it.
    #[must_use]
    pub fn reads(&self, rule: &Rule, node: &NodeName) -> Vec<(Target, ProbeKind)> {
        let of = |&kind: &ProbeKind| match (kind, rule.scope) {
            (ProbeKind::Vip, _) => vec![(Target::Vip(self.cluster.clone()), kind)],
            (kind, _) if kind.is_own() => {
                vec![(Target::Own(self.cluster.clone()), kind)]
            }
            // The canaries are nobody's patients; `not-isolated` judges them.
            (ProbeKind::Canary, _) => Vec::new(),
            (_, Scope::Node) => vec![(self.node(node), kind)],
            (_, Scope::Cluster) => self.nodes().iter().map(|node| (self.node(node), kind)).collect(),
        };
        rule.reads.iter().flat_map(of).collect()
    }

    /// What the API server of a node said of itself.
    #[must_use]
    pub fn apiserver(&self, node: &NodeName) -> Option<&'a Apiserver> {
        match self.look_node(node, ProbeKind::Apiserver).facts() {
            Some(Facts::Apiserver(facts)) => Some(facts),
            _ => None,
        }
    }

    /// What the member of etcd on a node said of itself.
    #[must_use]
    pub fn etcd_status(&self, node: &NodeName) -> Option<&'a EtcdStatus> {
        match self.look_node(node, ProbeKind::EtcdStatus).facts() {
            Some(Facts::EtcdStatus(facts)) => Some(facts),
            _ => None,
        }
    }

    /// A linearizable read through this node's member succeeded: there is quorum, and this member takes part in it.
    #[must_use]
    pub fn etcd_serving(&self, node: &NodeName) -> bool {
        self.look_node(node, ProbeKind::EtcdReadLinearizable).facts().is_some()
    }

    /// The nodes whose members tell of this alarm.
    #[must_use]
    pub fn alarmed(&self, alarm: &str) -> Vec<&'a str> {
        let says = |node: &&NodeName| {
            self.etcd_status(node).is_some_and(|status| status.errors.iter().any(|error| error.contains(alarm)))
        };
        self.nodes().iter().filter(says).map(NodeName::as_str).collect()
    }

    /// Who is in the etcd cluster, as a node's member has it.
    #[must_use]
    pub fn etcd_members(&self, node: &NodeName) -> Option<&'a EtcdMembers> {
        match self.look_node(node, ProbeKind::EtcdMembers).facts() {
            Some(Facts::EtcdMembers(facts)) => Some(facts),
            _ => None,
        }
    }

    /// The last scrape of a node's member.
    #[must_use]
    pub fn etcd_metrics(&self, node: &NodeName) -> Option<&'a EtcdMetrics> {
        match self.look_node(node, ProbeKind::EtcdMetrics).facts() {
            Some(Facts::EtcdMetrics(facts)) => Some(facts),
            _ => None,
        }
    }

    /// What a node's member did over its window, while its last scrape is fresh.
    ///
    /// # Errors
    /// Why it cannot be told, in words.
    pub fn etcd_window(&self, node: &NodeName) -> Result<EtcdWindow<'a>, String> {
        self.etcd_metrics(node).ok_or_else(|| self.why(node, ProbeKind::EtcdMetrics))?;
        self.world.windows.etcd(node).ok_or_else(|| two_looks(ProbeKind::EtcdMetrics))
    }

    /// The processes that were killed for want of memory on a node, each with how long ago, the oldest first.
    #[must_use]
    pub fn oom_kills(&self, node: &NodeName) -> Option<Vec<(&'a OomKill, Duration)>> {
        let Look::Fresh(Observation { seen: Seen::Healthy(Facts::TalosDmesg(log)), sent, .. }) =
            self.look_node(node, ProbeKind::TalosDmesg)
        else {
            return None;
        };
        let since = self.now.since(*sent);
        Some(log.oom_kills.iter().map(|kill| (kill, kill.ago + since)).collect())
    }

    /// The last sample of a node's machine.
    #[must_use]
    pub fn machine(&self, node: &NodeName) -> Option<&'a TalosMachine> {
        match self.look_node(node, ProbeKind::TalosMachine).facts() {
            Some(Facts::TalosMachine(facts)) => Some(facts),
            _ => None,
        }
    }

    /// The filesystems on a node's own disks; one at least.
    ///
    /// # Errors
    /// Why nothing is known of them, in words.
    pub fn filesystems(&self, node: &NodeName) -> Result<&'a [Filesystem], String> {
        match self.machine(node) {
            None => Err(self.why(node, ProbeKind::TalosMachine)),
            Some(machine) if machine.filesystems.is_empty() => Err("talos.machine: no filesystem was told".to_owned()),
            Some(machine) => Ok(&machine.filesystems),
        }
    }

    /// The host beneath a node.
    ///
    /// # Errors
    /// Why nothing is known of it, in words.
    pub fn host(&self, node: &NodeName) -> Result<&'a HypervisorHost, String> {
        match self.look_node(node, ProbeKind::HypervisorHost).facts() {
            Some(Facts::HypervisorHost(facts)) => Ok(facts),
            _ => Err(self.why(node, ProbeKind::HypervisorHost)),
        }
    }

    /// The virtual machine that a node is.
    ///
    /// # Errors
    /// Why nothing is known of it, in words.
    pub fn vm(&self, node: &NodeName) -> Result<&'a VirtualMachine, String> {
        match self.look_node(node, ProbeKind::HypervisorVm).facts() {
            Some(Facts::HypervisorVm(facts)) => Ok(facts),
            _ => Err(self.why(node, ProbeKind::HypervisorVm)),
        }
    }

    /// The stage that a node's machine is in, in Talos's word.
    ///
    /// # Errors
    /// Why it cannot be told, in words.
    pub fn stage(&self, node: &NodeName) -> Result<&'a str, String> {
        match self.look_node(node, ProbeKind::TalosStage).facts() {
            Some(Facts::TalosStage(stage)) => Ok(stage),
            _ => Err(self.why(node, ProbeKind::TalosStage)),
        }
    }

    /// What Cluster API had marked on a node when it was last told, whatever the age: who is asked for it is an API server,
    /// and a mark does not go away with the server.
    #[must_use]
    pub fn cluster_api(&self, node: &NodeName) -> Option<&'a ClusterApi> {
        self.world.marks.get(node)
    }

    /// The share of a node's processor time, in percent, that its hypervisor gave to others.
    ///
    /// # Errors
    /// Why it cannot be told, in words.
    pub fn steal_percent(&self, node: &NodeName) -> Result<f64, String> {
        self.machine(node).ok_or_else(|| self.why(node, ProbeKind::TalosMachine))?;
        self.world.windows.steal_percent(node).ok_or_else(|| two_looks(ProbeKind::TalosMachine))
    }

    /// Why no facts of this kind are at hand, in words: unknown, or failed.
    #[must_use]
    pub fn why(&self, node: &NodeName, kind: ProbeKind) -> String {
        let look = self.look_node(node, kind);
        let failed = || look.failure().map(|failure| format!("{}: {failure}", kind.name()));
        look.unknown(kind).or_else(failed).unwrap_or_else(|| format!("{}: answered with something else", kind.name()))
    }

    /// Who is to blame for a lost virtual address if an API server is: the one that held it last, once another has been
    /// ready for so long that it would have taken the address over. The only one there is held it, too. None: any of them,
    /// or it is not known.
    #[must_use]
    pub fn vip_waits_for(&self) -> Option<&'a NodeName> {
        if let [only] = self.nodes() {
            return Some(only);
        }
        let long = |node: &&NodeName| {
            let since = self.world.windows.ready_since(node);
            since.is_some_and(|since| self.now.since(since) > TAKEN_OVER_WITHIN)
        };
        self.nodes().iter().find(long).and(self.world.windows.holder())
    }

    /// Who answers at the virtual address at present, where its certificate tells.
    #[must_use]
    pub fn vip_holder(&self) -> Option<&'a NodeName> {
        self.look(&Target::Vip(self.cluster.clone()), ProbeKind::Vip).facts().and(self.world.windows.holder())
    }

    /// Our own certificates for this cluster.
    ///
    /// # Errors
    /// Why they are not known, in words.
    pub fn credentials(&self) -> Result<&'a [Credential], String> {
        let look = self.look(&Target::Own(self.cluster.clone()), ProbeKind::Credentials);
        match look.facts() {
            Some(Facts::Credentials(credentials)) => Ok(credentials),
            _ => {
                let failed = look.failure().map(|failure| format!("credentials: {failure}"));
                Err(look.unknown(ProbeKind::Credentials).or(failed).unwrap_or_default())
            }
        }
    }

    /// The snapshots of this cluster's etcd that are kept here.
    ///
    /// # Errors
    /// Why they are not known, in words.
    pub fn snapshots(&self) -> Result<&'a Snapshots, String> {
        let look = self.look(&Target::Own(self.cluster.clone()), ProbeKind::Snapshots);
        match look.facts() {
            Some(Facts::Snapshots(snapshots)) => Ok(snapshots),
            _ => Err(look.unknown(ProbeKind::Snapshots).unwrap_or_default()),
        }
    }

    /// For how long no line of a node's logs has come, and whether one ever did.
    ///
    /// # Errors
    /// Why it is not known, in words.
    pub fn logs_silent_for(&self, node: &NodeName) -> Result<(Duration, bool), String> {
        let look = self.look(&Target::Own(self.cluster.clone()), ProbeKind::Logs);
        match look {
            Look::Fresh(Observation { seen: Seen::Healthy(Facts::Logs(logs)), sent, .. }) => {
                let last = logs.silent_for.get(node);
                Ok((*last.unwrap_or(&logs.listening_for) + self.now.since(*sent), last.is_some()))
            }
            _ => Err(look.unknown(ProbeKind::Logs).unwrap_or_default()),
        }
    }

    /// The services of a node.
    #[must_use]
    pub fn services(&self, node: &NodeName) -> Option<&'a TalosServices> {
        match self.look_node(node, ProbeKind::TalosServices).facts() {
            Some(Facts::TalosServices(facts)) => Some(facts),
            _ => None,
        }
    }

    /// The containers of a node's static pods.
    #[must_use]
    pub fn containers(&self, node: &NodeName) -> Option<&'a [Container]> {
        match self.look_node(node, ProbeKind::TalosContainers).facts() {
            Some(Facts::TalosContainers(containers)) => Some(containers),
            _ => None,
        }
    }

    /// The API server's container on a node: runs, does not run, or not known.
    #[must_use]
    pub fn apiserver_container_runs(&self, node: &NodeName) -> Option<bool> {
        self.containers(node).map(apiserver_runs)
    }

    /// What is remembered of a node's API server pod.
    #[must_use]
    pub fn pod(&self, node: &NodeName) -> Option<&'a PodMemory> {
        self.world.pods.get(node)
    }

    /// How long the kubelet of a node will still wait before it starts the API server again: by its own log, and by the
    /// newest death that we saw, since a wait never begins before one. None without evidence.
    #[must_use]
    pub fn back_off(&self, node: &NodeName) -> Option<Wait> {
        let look = self.look_node(node, ProbeKind::TalosKubeletLog);
        let (Look::Fresh(observation), Some(Facts::TalosKubeletLog(KubeletLog { back_off: Some(back_off) }))) =
            (look, look.facts())
        else {
            return None;
        };
        let since_asked = self.now.since(observation.sent);
        if back_off.last_said_ago + since_asked > SAID_WITHIN {
            return None;
        }
        // Ages, not ticks: what was said may be older than the clock that counts the ticks.
        let said_ago = back_off.first_said_ago + since_asked;
        let age = match self.pod(node).and_then(|pod| pod.died).map(|died| self.now.since(died)) {
            // Said before the newest death: it speaks of an earlier wait.
            Some(died_ago) if back_off.last_said_ago + since_asked > died_ago + SEEN_DEAD_WITHIN => return None,
            Some(died_ago) => said_ago.min(died_ago),
            None => said_ago,
        };
        Some(Wait { length: back_off.length, remaining: back_off.length.saturating_sub(age) })
    }

    /// ⌊voters / 2⌋ + 1, dead voters counted.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.voters() / 2 + 1
    }

    /// How many vote: by the first list of members that a node's member gives, dead and unconfigured ones counted; where
    /// nobody lists them, every configured node but those that say they are learners.
    #[must_use]
    pub fn voters(&self) -> usize {
        let listed = self.listed_voters().count();
        if listed > 0 {
            return listed;
        }
        self.nodes().iter().filter(|node| !self.etcd_status(node).is_some_and(|status| status.learner)).count()
    }

    /// The voters that the first list of members holds; none where nobody lists any. What a member says of itself is newer
    /// than any list.
    fn listed_voters(&self) -> impl Iterator<Item = &'a EtcdMember> {
        let says = self.nodes().iter().filter_map(|node| self.etcd_status(node));
        let learners: BTreeSet<u64> = says.filter(|says| says.learner).map(|says| says.member_id).collect();
        let list = self.nodes().iter().find_map(|node| self.etcd_members(node));
        let members = list.into_iter().flat_map(|list| &list.members);
        members.filter(move |member| !member.learner && !learners.contains(&member.id))
    }

    /// Listed voters that are the member of no configured node, by what they are called; one that was added and never
    /// started has no name. Only where every configured node's member is known by its id.
    #[must_use]
    pub fn strangers(&self) -> Vec<String> {
        let own = self.nodes().iter().map(|node| self.world.membership.id_of(node));
        let Some(own) = own.collect::<Option<BTreeSet<u64>>>() else { return Vec::new() };
        let called = |member: &EtcdMember| match member.name.as_str() {
            "" => format!("member {:x}, never started", member.id),
            name => format!("{name}, not configured"),
        };
        self.listed_voters().filter(|member| !own.contains(&member.id)).map(called).collect()
    }
}

fn two_looks(kind: ProbeKind) -> String {
    format!("{}: needs two scrapes", kind.name())
}

/// Some container of the API server runs.
#[must_use]
pub fn apiserver_runs(containers: &[Container]) -> bool {
    containers.iter().any(|container| container.name == APISERVER && container.running)
}

/// A kubelet's wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The whole wait.
    pub length: Duration,
    /// What is left of it; zero when it is over.
    pub remaining: Duration,
}
