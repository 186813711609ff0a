//! The world of a scenario: a table of who answers how, set by an operator's words, read by probes.
//!
//! Nothing in it follows from anything else: a scenario says each thing that an observer would see. What an answer would
//! take is modelled (2 ms; a failure by timeout takes its deadline), what it would mean is not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use defib_engine::observation::{
    Apiserver, BackOff, ClusterApi, Container, Credential, EtcdMember, EtcdMembers, EtcdStatus, Facts, Failure,
    KernelLog, KubeletLog, Logs, NodeName, OomKill, ProbeKind, Seen, Service, Snapshot, Snapshots, Stage,
    TalosServices, Target, Vip, Why,
};
use defib_engine::time::{Tick, UnixMs};

use super::gauges::Gauges;
use super::hypervisor::Hypervisors;

/// The wall clock at 00:00.0: the first of January 2026.
pub(crate) const WALL_START_MS: i64 = 1_767_225_600_000;
/// Certificates last so long.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);
/// What an answer takes.
const ANSWER: Duration = Duration::from_millis(2);
/// What a connection attempt without any answer takes.
const CONNECT: Duration = Duration::from_millis(1_500);

const TALOS: &[ProbeKind] = &[
    ProbeKind::TalosServices,
    ProbeKind::TalosContainers,
    ProbeKind::TalosKubeletLog,
    ProbeKind::TalosMachine,
    ProbeKind::TalosDmesg,
];
const ETCD: &[ProbeKind] = &[
    ProbeKind::EtcdStatus,
    ProbeKind::EtcdReadSerializable,
    ProbeKind::EtcdReadLinearizable,
    ProbeKind::EtcdMembers,
    ProbeKind::EtcdMetrics,
];

/// Everything that a probe could see.
pub(crate) struct World {
    nodes: BTreeMap<NodeName, Node>,
    hypervisors: Hypervisors,
    vip: Answer,
    canaries: Answer,
    quorum_lost: bool,
    cut_off: bool,
    /// Who holds the virtual address, and whether it is ready behind it.
    holder: (NodeName, bool),
    credentials: Vec<Credential>,
    snapshots: Snapshots,
}

/// How something answers a probe.
#[derive(Clone)]
pub(crate) enum Answer {
    Well,
    Fails(Failure),
    Unauthorized,
    /// The probe itself is stuck: nothing is seen, not even a failure.
    Never,
}

struct Node {
    /// From 1, in the configuration's order; also the member's id.
    number: u64,
    unreachable: bool,
    /// Kinds that do not answer well.
    answers: BTreeMap<ProbeKind, Answer>,
    /// Talos's word for each service.
    services: BTreeMap<&'static str, String>,
    name: NodeName,
    /// What its member is called, and by which id: the node's own name and number unless a scenario says otherwise.
    member_name: String,
    member_id: u64,
    gauges: Gauges,
    /// Talos's word for what the machine does, and what Cluster API has marked.
    stage: String,
    marks: ClusterApi,
    leader: bool,
    /// The member that it follows while there is a leader.
    follows: u64,
    term: u64,
    /// The alarms that it tells of, and of which member.
    alarm: Option<(String, u64)>,
    /// Whom it lists no more, by number.
    unlisted: BTreeSet<u64>,
    /// How many voters it lists beside the configured ones; members that never started.
    strangers: u64,
    takes: Duration,
    certificate: UnixMs,
    learner: bool,
    cluster_id: u64,
    /// The raft index.
    index: u64,
    failing: Vec<String>,
    container_runs: bool,
    containers: u64,
    pods: u64,
    back_off: Option<(Duration, Tick)>,
    /// When its API server was killed for want of memory.
    kills: Vec<Tick>,
    /// kube-vip's container: runs, is dead, or there is none.
    kube_vip: Option<bool>,
    /// Of the other static pods.
    controller_manager: Option<bool>,
    scheduler: Option<bool>,
    /// When the last line of its logs came, where they do not come any more; at the beginning: none ever did.
    last_line: Option<Tick>,
}

impl World {
    /// Everything is well.
    pub(crate) fn new(nodes: &[NodeName]) -> World {
        let node = |(index, name): (usize, &NodeName)| (name.clone(), Node::new(index as u64 + 1, name));
        World {
            nodes: nodes.iter().enumerate().map(node).collect(),
            hypervisors: Hypervisors::new(nodes),
            vip: Answer::Well,
            canaries: Answer::Well,
            quorum_lost: false,
            cut_off: false,
            holder: (nodes.first().cloned().unwrap_or_default(), true),
            credentials: credentials(),
            snapshots: snapshots(Tick(0)),
        }
    }

    /// Heals everything.
    pub(crate) fn heal(&mut self) {
        (self.vip, self.canaries, self.quorum_lost, self.cut_off) = (Answer::Well, Answer::Well, false, false);
        (self.holder.1, self.credentials) = (true, credentials());
        let nodes: Vec<NodeName> = self.nodes.keys().cloned().collect();
        self.hypervisors = Hypervisors::new(&nodes);
        self.nodes.values_mut().for_each(Node::heal);
    }

    /// `SUBJECT: clause, clause`: the world as it is from `now` on.
    pub(crate) fn set(&mut self, subject: &str, clauses: &str, now: Tick) -> Result<(), String> {
        for clause in clauses.split(',').map(str::trim) {
            let known = match subject.split_once(' ') {
                None => self.set_whole(subject, clause)?,
                Some(("our", "snapshots")) => self.set_snapshots(clause, now)?,
                Some(("our", what)) => self.set_credential(what, clause, now)?,
                Some((host, "host")) => self.hypervisors.set_host(host, clause)?,
                Some((node, "vm")) => self.hypervisors.set_vm(node, clause)?,
                Some((node, part)) => {
                    let node = self.nodes.get_mut(node).ok_or_else(|| format!("there is no node {node}"))?;
                    node.set(part, clause, now)?
                }
            };
            if !known {
                return Err(format!("{subject} does not know the words `{clause}`"));
            }
        }
        Ok(())
    }

    fn set_whole(&mut self, subject: &str, clause: &str) -> Result<bool, String> {
        match (subject, clause) {
            ("vip", _) if clause.starts_with("held by ") => {
                self.holder.0 = clause["held by ".len()..].to_owned();
            }
            ("vip", "not ready" | "ready") => self.holder.1 = clause == "ready",
            ("vip", _) => self.vip = answer(clause)?,
            ("canaries", _) => self.canaries = answer(clause)?,
            ("quorum", "lost" | "well") => self.quorum_lost = clause == "lost",
            ("observer", "cut off" | "connected") => self.cut_off = clause == "cut off",
            ("quorum" | "observer", _) => return Ok(false),
            _ => return Err(format!("nothing is called {subject}")),
        }
        Ok(true)
    }

    fn set_snapshots(&mut self, clause: &str, now: Tick) -> Result<bool, String> {
        match clause.split(' ').collect::<Vec<_>>().as_slice() {
            ["none"] => self.snapshots.newest = None,
            ["taken"] => self.snapshots.newest = Some(Snapshot { at: wall(now), bytes: 40_000_000 }),
            ["every", time] => self.snapshots.every = duration(time)?,
            ["succeed"] => self.snapshots.failed = None,
            ["fail", why @ ..] => self.snapshots.failed = Some(why.join(" ")),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// They are listened for from the beginning.
    fn logs(&self, sent: Tick) -> Logs {
        let last = |(name, node): (&NodeName, &Node)| {
            let last = node.last_line.unwrap_or(sent);
            (last > Tick(0)).then(|| (name.clone(), sent.since(last)))
        };
        Logs { listening_for: sent.since(Tick(0)), silent_for: self.nodes.iter().filter_map(last).collect() }
    }

    fn set_credential(&mut self, what: &str, clause: &str, now: Tick) -> Result<bool, String> {
        let known = self.credentials.iter_mut().find(|credential| credential.what == what);
        let credential = known.ok_or_else(|| format!("we have no credential for {what}"))?;
        match clause.split(' ').collect::<Vec<_>>().as_slice() {
            ["ends", "in", time] => credential.not_after = Some(wall(now).after(duration(time)?)),
            ["unreadable"] => credential.problem = Some("cannot be read".to_owned()),
            ["names", "the", "vip"] => credential.names_vip = true,
            ["has", roles @ ..] => credential.groups = roles.iter().map(|role| (*role).to_owned()).collect(),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What a probe that leaves at `sent` will have seen, and how long that takes; none where it never comes back.
    pub(crate) fn look(&self, target: &Target, kind: ProbeKind, sent: Tick) -> Option<(Seen, Duration)> {
        let mute = self.cut_off || target.node().is_some_and(|node| self.nodes.get(node).is_none_or(|n| n.unreachable));
        let answer = match target {
            Target::Own(_) => Answer::Well,
            Target::Node(_, node) if ProbeKind::HYPERVISOR.contains(&kind) && !self.cut_off => {
                self.hypervisors.answer(node)
            }
            _ if mute => Answer::Fails(Failure::Timeout(Stage::Connect)),
            Target::Vip(_) => self.vip.clone(),
            Target::Canary(_) => self.canaries.clone(),
            Target::Node(_, node) => self.answer(node, kind),
        };
        Some(match answer {
            Answer::Never => return None,
            Answer::Well => (Seen::Healthy(self.facts(target, kind, sent)), ANSWER),
            Answer::Unauthorized => (Seen::Unknown(Why::Unauthorized("401".to_owned())), ANSWER),
            Answer::Fails(failure) => {
                let took = match failure {
                    Failure::Timeout(Stage::Connect) => CONNECT.min(kind.deadline()),
                    Failure::Timeout(_) => kind.deadline(),
                    _ => ANSWER,
                };
                (Seen::Unhealthy(failure), took)
            }
        })
    }

    fn answer(&self, node: &NodeName, kind: ProbeKind) -> Answer {
        let own = self.nodes.get(node).and_then(|node| node.answers.get(&kind)).cloned();
        match own {
            Some(answer) => answer,
            None if self.quorum_lost && kind == ProbeKind::EtcdReadLinearizable => {
                Answer::Fails(Failure::Timeout(Stage::Response))
            }
            None => Answer::Well,
        }
    }

    fn facts(&self, target: &Target, kind: ProbeKind, sent: Tick) -> Facts {
        let node = target.node().and_then(|node| self.nodes.get(node));
        if let (Target::Node(_, name), true) = (target, ProbeKind::HYPERVISOR.contains(&kind)) {
            return self.hypervisors.facts(name, kind);
        }
        match (target, node) {
            (Target::Vip(_), _) => Facts::Vip(Vip {
                ready: self.holder.1,
                certificate_sha256: format!("certificate of {}", self.holder.0),
                ..Vip::default()
            }),
            (Target::Own(_), _) if kind == ProbeKind::Logs => Facts::Logs(self.logs(sent)),
            (Target::Own(_), _) if kind == ProbeKind::Snapshots => Facts::Snapshots(self.snapshots.clone()),
            (Target::Own(_), _) => Facts::Credentials(self.credentials.clone()),
            (_, Some(node)) => node.facts(kind, self, sent),
            (_, None) => Facts::Canary,
        }
    }
}

impl Node {
    fn new(number: u64, name: &NodeName) -> Node {
        let running = |id: &'static str| (id, "Running".to_owned());
        Node {
            number,
            unreachable: false,
            answers: BTreeMap::new(),
            services: ["containerd", "etcd", "kubelet"].into_iter().map(running).collect(),
            name: name.clone(),
            member_name: name.clone(),
            member_id: number,
            gauges: Gauges::new(),
            stage: "running".to_owned(),
            marks: ClusterApi::default(),
            leader: true,
            follows: 1,
            term: 7,
            alarm: None,
            unlisted: BTreeSet::new(),
            strangers: 0,
            takes: ANSWER,
            certificate: UnixMs(WALL_START_MS).after(YEAR),
            learner: false,
            cluster_id: 42,
            index: 1_000,
            failing: Vec::new(),
            container_runs: true,
            containers: 1,
            pods: 1,
            back_off: None,
            kills: Vec::new(),
            kube_vip: None,
            controller_manager: Some(true),
            scheduler: Some(true),
            last_line: None,
        }
    }

    /// All but what happened: the containers and pods that there were, and what the log says.
    fn heal(&mut self) {
        self.set_container(true);
        let (containers, pods, back_off, term) = (self.containers, self.pods, self.back_off, self.term);
        let (gauges, name, kills) = (self.gauges.clone(), self.name.clone(), std::mem::take(&mut self.kills));
        *self = Node { kills, containers, pods, back_off, term, gauges, ..Node::new(self.number, &name) };
    }

    fn set_container(&mut self, runs: bool) {
        if runs && !self.container_runs {
            self.containers += 1;
        }
        self.container_runs = runs;
    }

    /// False: these words mean nothing here.
    fn set(&mut self, part: &str, clause: &str, now: Tick) -> Result<bool, String> {
        match (part, clause) {
            ("machine", _) if clause.starts_with("stage ") => self.stage = clause["stage ".len()..].to_owned(),
            ("cluster-api", "unmarked") => self.marks = ClusterApi::default(),
            ("cluster-api", "about to replace it") => self.marks.remediated = true,
            ("cluster-api", _) if clause.ends_with(" paused") => {
                self.marks.paused = clause.strip_suffix(" paused").map(str::to_owned);
            }
            ("logs", "come") => self.last_line = None,
            ("logs", "end") => self.last_line = Some(now),
            ("logs", "never came") => self.last_line = Some(Tick(0)),
            ("machine", "unreachable" | "well") => self.unreachable = clause == "unreachable",
            ("machine", _) => return self.gauges.set_machine(&clause.split(' ').collect::<Vec<_>>(), now),
            ("containerd", state) => drop(self.services.insert("containerd", talos_word(state)?)),
            ("kubelet", state) => drop(self.services.insert("kubelet", talos_word(state)?)),
            ("talos", _) => self.set_answer(TALOS, clause)?,
            ("etcd", "no leader") => self.leader = false,
            ("etcd", "learner") => self.learner = true,
            ("etcd", "of another cluster") => self.cluster_id = 43,
            ("etcd", "leads") => self.follows = self.number,
            ("etcd", _) if clause.starts_with("follows cp") => {
                self.follows = clause["follows cp".len()..].parse().map_err(|_| format!("{clause} names no node"))?;
            }
            ("etcd", "another election") => self.term += 1,
            ("etcd", "alarm NOSPACE" | "alarm CORRUPT") => self.alarm = Some((clause["alarm ".len()..].to_owned(), 1)),
            ("etcd", _) if clause.starts_with("alarm CORRUPT of cp") => {
                let of = clause["alarm CORRUPT of cp".len()..].parse();
                self.alarm = Some(("CORRUPT".to_owned(), of.map_err(|_| format!("{clause} names no node"))?));
            }
            ("etcd", _) if clause.starts_with("lists no cp") => {
                let whom = clause["lists no cp".len()..].parse();
                self.unlisted.insert(whom.map_err(|_| format!("{clause} names no node"))?);
            }
            ("etcd", _) if clause.starts_with("index ") => {
                self.index = clause["index ".len()..].parse().map_err(|_| format!("{clause} is no index"))?;
            }
            ("etcd", "one more voter") => self.strangers += 1,
            ("etcd", _) if clause.starts_with("named ") => self.member_name = clause["named ".len()..].to_owned(),
            ("etcd", _) if clause.starts_with("added again as ") => {
                self.member_name = clause["added again as ".len()..].to_owned();
                self.member_id += 200;
            }
            ("etcd", _) if self.gauges.set_etcd(&clause.split(' ').collect::<Vec<_>>(), now)? => {}
            ("etcd", _) if clause.starts_with("service ") => {
                self.services.insert("etcd", talos_word(&clause["service ".len()..])?);
            }
            ("etcd", "well") => {
                self.set_answer(ETCD, clause)?;
                (self.leader, self.learner, self.cluster_id) = (true, false, 42);
                (self.follows, self.alarm, self.strangers) = (1, None, 0);
                self.unlisted.clear();
                self.services.insert("etcd", "Running".to_owned());
            }
            ("etcd", _) => self.set_answer(ETCD, clause)?,
            ("kube-vip", "runs" | "dead") => self.kube_vip = Some(clause == "runs"),
            ("controller-manager", "runs" | "dead") => self.controller_manager = Some(clause == "runs"),
            ("scheduler", "runs" | "dead") => self.scheduler = Some(clause == "runs"),
            ("controller-manager", "is not here") => self.controller_manager = None,
            ("scheduler", "is not here") => self.scheduler = None,
            ("apiserver", "container dead") => self.set_container(false),
            ("apiserver", "container runs") => self.set_container(true),
            ("apiserver", "pod changed") => self.pods += 1,
            ("apiserver", _) if clause.starts_with("takes ") => self.takes = duration(&clause["takes ".len()..])?,
            ("apiserver", _) if clause.starts_with("certificate ends in ") => {
                self.certificate = wall(now).after(duration(&clause["certificate ends in ".len()..])?);
            }
            ("apiserver", "killed") => self.kills.push(now),
            ("apiserver", "no back-off") => self.back_off = None,
            ("apiserver", _) if clause.starts_with("back-off ") => self.back_off = Some(back_off(clause, now)?),
            ("apiserver", _) if clause.starts_with("failing ") => {
                self.failing.push(clause["failing ".len()..].to_owned());
            }
            ("apiserver", "well") => {
                self.set_answer(&[ProbeKind::Apiserver], clause)?;
                self.failing.clear();
                (self.takes, self.certificate) = (ANSWER, UnixMs(WALL_START_MS).after(YEAR));
                self.set_container(true);
            }
            ("apiserver", _) => self.set_answer(&[ProbeKind::Apiserver], clause)?,
            (kind, _) => {
                let kind = ProbeKind::named(kind).ok_or_else(|| format!("no part and no probe is called {part}"))?;
                self.set_answer(&[kind], clause)?;
            }
        }
        Ok(true)
    }

    fn members(&self, world: &World) -> EtcdMembers {
        let listed = world.nodes.values().filter(|node| !self.unlisted.contains(&node.number));
        let own = listed.map(|node| EtcdMember {
            id: node.member_id,
            name: node.member_name.clone(),
            learner: node.learner,
            ..EtcdMember::default()
        });
        let strangers = (0..self.strangers).map(|number| EtcdMember { id: 100 + number, ..EtcdMember::default() });
        EtcdMembers { cluster_id: self.cluster_id, members: own.chain(strangers).collect() }
    }

    fn set_answer(&mut self, kinds: &[ProbeKind], clause: &str) -> Result<(), String> {
        let answer = answer(clause)?;
        for &kind in kinds {
            match answer {
                Answer::Well => drop(self.answers.remove(&kind)),
                _ => drop(self.answers.insert(kind, answer.clone())),
            }
        }
        Ok(())
    }

    fn facts(&self, kind: ProbeKind, world: &World, sent: Tick) -> Facts {
        match kind {
            ProbeKind::TalosServices => {
                let service = |(id, state): (&&str, &String)| Service {
                    id: (*id).to_owned(),
                    state: state.clone(),
                    healthy: Some(state == "Running"),
                };
                let services = self.services.iter().map(service).collect();
                Facts::TalosServices(TalosServices { version: "v1.13.2".to_owned(), services })
            }
            ProbeKind::TalosContainers => {
                let apiserver = Container {
                    name: "kube-apiserver".to_owned(),
                    pod: "kube-system/kube-apiserver".to_owned(),
                    pod_uid: format!("pod-{}", self.pods),
                    id: format!("container-{}", self.containers),
                    running: self.container_runs,
                };
                let others = [
                    ("kube-vip", self.kube_vip),
                    ("kube-controller-manager", self.controller_manager),
                    ("kube-scheduler", self.scheduler),
                ];
                let other = |(name, running): (&str, Option<bool>)| {
                    let (name, pod_uid, id) = (name.to_owned(), name.to_owned(), format!("{name}-1"));
                    Some(Container { pod: format!("kube-system/{name}"), name, pod_uid, id, running: running? })
                };
                Facts::TalosContainers(std::iter::once(apiserver).chain(others.into_iter().filter_map(other)).collect())
            }
            ProbeKind::TalosKubeletLog => Facts::TalosKubeletLog(KubeletLog {
                back_off: self.back_off.map(|(length, said)| BackOff {
                    length,
                    first_said_ago: sent.since(said),
                    last_said_ago: Duration::from_secs(sent.since(said).as_secs() % 10),
                }),
            }),
            ProbeKind::TalosDmesg => {
                let kill = |at: &Tick| OomKill {
                    process: "kube-apiserver".to_owned(),
                    rss_bytes: 1_470 * 1_048_576,
                    ago: sent.since(*at),
                };
                Facts::TalosDmesg(KernelLog { oom_kills: self.kills.iter().map(kill).collect() })
            }
            ProbeKind::EtcdStatus => Facts::EtcdStatus(EtcdStatus {
                cluster_id: self.cluster_id,
                member_id: self.member_id,
                leader: u64::from(self.leader && !world.quorum_lost) * self.follows,
                term: self.term,
                index: self.index,
                applied_index: self.index,
                db_size_bytes: (self.gauges.db_mib.1 * 1_048_576.0) as u64,
                db_in_use_bytes: (self.gauges.db_mib.0 * 1_048_576.0) as u64,
                errors: self.alarm.iter().map(|(alarm, of)| format!("memberID:{of} alarm:{alarm} ")).collect(),
                learner: self.learner,
                ..EtcdStatus::default()
            }),
            ProbeKind::EtcdReadSerializable | ProbeKind::EtcdReadLinearizable => Facts::EtcdRead { took: ANSWER },
            ProbeKind::Apiserver => {
                let mut failing = self.failing.clone();
                if world.quorum_lost {
                    failing.push("etcd".to_owned());
                }
                Facts::Apiserver(Apiserver {
                    ready: failing.is_empty(),
                    live: true,
                    failing,
                    took: self.takes,
                    certificate_sha256: format!("certificate of {}", self.name),
                    certificate_not_after: Some(self.certificate),
                })
            }
            ProbeKind::Vip => Facts::Vip(Vip { ready: true, ..Vip::default() }),
            ProbeKind::EtcdMembers => Facts::EtcdMembers(self.members(world)),
            ProbeKind::EtcdMetrics => Facts::EtcdMetrics(Box::new(self.gauges.etcd(self.number == 1, sent))),
            ProbeKind::TalosMachine => Facts::TalosMachine(Box::new(self.gauges.machine(sent))),
            ProbeKind::TalosStage => Facts::TalosStage(self.stage.clone()),
            ProbeKind::ClusterApi => Facts::ClusterApi(self.marks.clone()),
            ProbeKind::Credentials
            | ProbeKind::Snapshots
            | ProbeKind::Logs
            | ProbeKind::Canary
            | ProbeKind::HypervisorHost
            | ProbeKind::HypervisorVm => Facts::Canary,
        }
    }
}

fn wall(now: Tick) -> UnixMs {
    UnixMs(WALL_START_MS).after(now.since(Tick(0)))
}

fn snapshots(now: Tick) -> Snapshots {
    let newest = Some(Snapshot { at: wall(now), bytes: 40_000_000 });
    Snapshots { every: Duration::from_secs(6 * 3_600), newest, failed: None }
}

fn credentials() -> Vec<Credential> {
    let one = |what: &str| Credential {
        what: what.to_owned(),
        not_after: Some(UnixMs(WALL_START_MS).after(YEAR)),
        groups: if what == "talos" { vec!["os:operator".to_owned()] } else { Vec::new() },
        ..Credential::default()
    };
    ["kubernetes", "etcd", "talos"].into_iter().map(one).collect()
}

/// The words for how something answers.
pub(crate) fn answer(words: &str) -> Result<Answer, String> {
    let fails = |failure: Failure| Ok(Answer::Fails(failure));
    match words {
        "well" => Ok(Answer::Well),
        "unauthorized" => Ok(Answer::Unauthorized),
        "stuck" => Ok(Answer::Never),
        "refused" => fails(Failure::Refused),
        "reset" => fails(Failure::Reset),
        "unreachable" => fails(Failure::Unreachable),
        "connect-timeout" => fails(Failure::Timeout(Stage::Connect)),
        "handshake-timeout" => fails(Failure::Timeout(Stage::Handshake)),
        "silent" => fails(Failure::Timeout(Stage::Response)),
        "tls" => fails(Failure::Tls("the certificate has expired".to_owned())),
        "garbage" => fails(Failure::Garbage("not the protocol".to_owned())),
        _ => {
            let code = words.strip_prefix("status ").and_then(|code| code.parse().ok());
            let code = code.ok_or_else(|| format!("nothing answers with the words `{words}`"))?;
            fails(Failure::Status { code, detail: String::new() })
        }
    }
}

/// Talos's word for a service's state.
fn talos_word(word: &str) -> Result<String, String> {
    let known = ["Initialized", "Preparing", "Waiting", "Pre", "Running", "Stopping", "Finished", "Failed", "Skipped"];
    match known.into_iter().find(|state| *state == word) {
        Some(state) => Ok(state.to_owned()),
        None => Err(format!("Talos has no state {word}")),
    }
}

/// `back-off 2m40s just begun`, `back-off 2m40s begun 1m ago`.
fn back_off(clause: &str, now: Tick) -> Result<(Duration, Tick), String> {
    match clause.split(' ').collect::<Vec<_>>().as_slice() {
        [_, length, "just", "begun"] => Ok((duration(length)?, now)),
        [_, length, "begun", ago, "ago"] => Ok((duration(length)?, now - duration(ago)?)),
        _ => Err(format!("a back-off is `back-off 40s just begun` or `back-off 40s begun 10s ago`, not `{clause}`")),
    }
}

/// `30s`, `2m40s`.
pub(crate) fn duration(word: &str) -> Result<Duration, String> {
    humantime::parse_duration(word).map_err(|error| format!("`{word}` is no duration: {error}"))
}
