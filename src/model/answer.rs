//! What a probe of the model sees: the same observations that a real one would hand in, failures and deadlines included.

use std::time::Duration;

use defib_engine::observation::{
    Apiserver, BackOff, Container, EtcdStatus, Facts, Failure, KernelLog, KubeletLog, NodeName, ProbeKind, Seen,
    Service, Stage, TalosServices, Target, Vip, Why,
};
use defib_engine::playbook::RestartableContainer;
use defib_engine::time::UnixMs;
use defib_engine::view::APISERVER;

use super::Model;
use super::node::{Node, Process};
use super::vip::Way;

/// The kubelet repeats its line about a wait this often.
const SAID_EVERY: Duration = Duration::from_secs(14);
/// How long a dial waits for a silent machine.
const DIAL: Duration = Duration::from_millis(1_000);
/// Every API server's certificate ends in 2036.
const EXPIRES: UnixMs = UnixMs(2_086_819_200_000);
/// A slow disk holds a read up for this long.
const SLOW: Duration = Duration::from_millis(600);

impl Model {
    /// What a question that leaves now will see, and after how long.
    pub fn answer(&mut self, target: &Target, kind: ProbeKind) -> (Duration, Seen) {
        let soon = Duration::from_millis(self.delays.between(1, 5));
        let (slow, seen) = self.seen(target, kind);
        (soon + slow, seen)
    }

    fn seen(&self, target: &Target, kind: ProbeKind) -> (Duration, Seen) {
        let silent = |stage| {
            let after = if stage == Stage::Connect { DIAL.min(kind.deadline()) } else { kind.deadline() };
            (after, Seen::Unhealthy(Failure::Timeout(stage)))
        };
        if self.isolated {
            return silent(Stage::Connect);
        }
        match target {
            Target::Canary(_) => (Duration::ZERO, Seen::Healthy(Facts::Canary)),
            Target::Vip(_) => match self.vip.holder.as_ref().and_then(|name| Some((name, self.nodes.get(name)?))) {
                Some((name, _)) if self.hidden.contains(name) => silent(Stage::Connect),
                Some((name, node)) if node.answers() => self.apiserver(name, node, kind),
                _ => silent(Stage::Connect),
            },
            Target::Node(_, name) if ProbeKind::HYPERVISOR.contains(&kind) => self.beneath(name, kind),
            Target::Node(_, name) => match self.nodes.get(name) {
                Some(node) if node.answers() && !self.hidden.contains(name) => {
                    if !node.executes() {
                        return silent(Stage::Response);
                    }
                    self.asked(name, node, kind)
                }
                _ => silent(Stage::Connect),
            },
            Target::Own(_) => (Duration::ZERO, Seen::Healthy(Facts::Credentials(Vec::new()))),
        }
    }

    fn asked(&self, name: &NodeName, node: &Node, kind: ProbeKind) -> (Duration, Seen) {
        if node.ills.refuses_us {
            return (Duration::ZERO, Seen::Unknown(Why::Unauthorized("status 401".to_owned())));
        }
        let slow = if node.ills.lacks_cpu() { Duration::from_millis(400) } else { Duration::ZERO };
        match kind {
            ProbeKind::TalosServices => (slow, Seen::Healthy(Facts::TalosServices(services(node)))),
            ProbeKind::TalosContainers => {
                (slow, Seen::Healthy(Facts::TalosContainers(containers(name, node, self.vip.way))))
            }
            ProbeKind::TalosKubeletLog => (slow, Seen::Healthy(Facts::TalosKubeletLog(self.kubelet_log(node)))),
            // The model tells of no kill: its machines show short memory by their figures alone.
            ProbeKind::TalosDmesg => (slow, Seen::Healthy(Facts::TalosDmesg(KernelLog::default()))),
            ProbeKind::EtcdStatus | ProbeKind::EtcdReadSerializable | ProbeKind::EtcdReadLinearizable => {
                let (after, seen) = self.etcd(name, node, kind);
                (slow + after, seen)
            }
            ProbeKind::Apiserver => self.apiserver(name, node, kind),
            ProbeKind::TalosMachine => (slow, Seen::Healthy(Facts::TalosMachine(Box::new(self.machine(node))))),
            ProbeKind::EtcdMembers if self.etcd.serves(name) => {
                (slow, Seen::Healthy(Facts::EtcdMembers(self.members())))
            }
            ProbeKind::EtcdMembers | ProbeKind::EtcdMetrics if !node.etcd.runs() => self.etcd(name, node, kind),
            ProbeKind::EtcdMembers => (kind.deadline(), Seen::Unhealthy(Failure::Timeout(Stage::Response))),
            ProbeKind::EtcdMetrics => (slow, Seen::Healthy(Facts::EtcdMetrics(Box::new(self.metrics(name, node))))),
            ProbeKind::TalosStage => {
                let stage = if node.ills.upgrading { "upgrading" } else { "running" };
                (slow, Seen::Healthy(Facts::TalosStage(stage.to_owned())))
            }
            ProbeKind::Vip
            | ProbeKind::Canary
            | ProbeKind::Credentials
            | ProbeKind::Snapshots
            | ProbeKind::Logs
            | ProbeKind::HypervisorHost
            | ProbeKind::HypervisorVm
            | ProbeKind::ClusterApi => {
                (slow, Seen::Unknown(Why::OwnSide(format!("a node is not asked for {}", kind.name()))))
            }
        }
    }

    fn etcd(&self, name: &NodeName, node: &Node, kind: ProbeKind) -> (Duration, Seen) {
        match node.etcd {
            Process::Dead(_) => return (Duration::ZERO, Seen::Unhealthy(Failure::Refused)),
            Process::Hung => return (kind.deadline(), Seen::Unhealthy(Failure::Timeout(Stage::Response))),
            Process::Running(_) => {}
        }
        let took = if node.ills.slow_disk { SLOW } else { Duration::from_millis(1) };
        match kind {
            ProbeKind::EtcdReadLinearizable if !self.etcd.serves(name) => {
                (kind.deadline(), Seen::Unhealthy(Failure::Timeout(Stage::Response)))
            }
            ProbeKind::EtcdReadLinearizable => (took, Seen::Healthy(Facts::EtcdRead { took })),
            ProbeKind::EtcdReadSerializable => {
                (Duration::ZERO, Seen::Healthy(Facts::EtcdRead { took: Duration::ZERO }))
            }
            _ => (Duration::ZERO, Seen::Healthy(Facts::EtcdStatus(self.etcd_status(name, node)))),
        }
    }

    fn etcd_status(&self, name: &NodeName, node: &Node) -> EtcdStatus {
        let leader = if self.etcd.serves(name) { self.etcd.leader.as_ref() } else { None };
        let leader = leader.and_then(|leader| self.nodes.get(leader)).map_or(0, |node| node.number);
        let mut errors = Vec::new();
        if leader == 0 {
            errors.push("etcdserver: no leader".to_owned());
        }
        if node.ills.no_space {
            errors.push("memberID:1 alarm:NOSPACE".to_owned());
        }
        EtcdStatus {
            cluster_id: 1,
            member_id: node.number,
            leader,
            term: self.etcd.term,
            index: self.etcd.index,
            applied_index: self.etcd.index,
            db_size_bytes: 40_000_000,
            db_in_use_bytes: 30_000_000,
            errors,
            version: "3.6.16".to_owned(),
            ..EtcdStatus::default()
        }
    }

    fn apiserver(&self, name: &NodeName, node: &Node, kind: ProbeKind) -> (Duration, Seen) {
        if node.ills.refuses_us {
            return (Duration::ZERO, Seen::Unknown(Why::Unauthorized("status 401".to_owned())));
        }
        if !node.executes() || node.apiserver == Process::Hung || self.swallowed.contains(name) {
            return (kind.deadline(), Seen::Unhealthy(Failure::Timeout(Stage::Response)));
        }
        if !node.listens(self.now) {
            return (Duration::ZERO, Seen::Unhealthy(Failure::Refused));
        }
        let ready = node.ready(self.etcd.serves(name), self.now);
        let certificate_sha256 = format!("{:064x}", node.number);
        if kind == ProbeKind::Vip {
            let certificate_not_after = Some(EXPIRES);
            let facts = Vip { ready, certificate_sha256, certificate_not_after, ..Vip::default() };
            return (Duration::ZERO, Seen::Healthy(Facts::Vip(facts)));
        }
        let failing = match (ready, self.etcd.serves(name)) {
            (true, _) => Vec::new(),
            (false, true) => vec!["poststarthook/start-apiextensions-controllers".to_owned()],
            (false, false) => vec!["etcd".to_owned(), "etcd-readiness".to_owned()],
        };
        let after = if ready { Duration::ZERO } else { Duration::from_secs(2) };
        let certificate_not_after = Some(EXPIRES);
        let facts = Apiserver { ready, live: true, failing, took: after, certificate_sha256, certificate_not_after };
        (after, Seen::Healthy(Facts::Apiserver(facts)))
    }

    fn kubelet_log(&self, node: &Node) -> KubeletLog {
        // A kubelet that hangs says nothing, of its wait neither.
        let wait = node.wait.filter(|(length, _)| *length >= Duration::from_secs(10) && node.kubelet.runs());
        let back_off = wait.map(|(length, begun)| {
            let said = self.now.since(begun);
            let last_ms = said.as_millis() % SAID_EVERY.as_millis();
            BackOff {
                length,
                first_said_ago: said,
                last_said_ago: Duration::from_millis(u64::try_from(last_ms).unwrap_or(0)),
            }
        });
        KubeletLog { back_off }
    }
}

fn services(node: &Node) -> TalosServices {
    let service = |id: &str, process: Process, healthy: bool| Service {
        id: id.to_owned(),
        state: if matches!(process, Process::Dead(_)) { "Finished" } else { "Running" }.to_owned(),
        healthy: Some(healthy),
    };
    TalosServices {
        version: "v1.13.2".to_owned(),
        services: vec![
            if node.ills.upgrading {
                Service { id: "kubelet".to_owned(), state: "Stopping".to_owned(), healthy: None }
            } else {
                // Its health check asks whether its loop turns, and in one that is wedged it does.
                service("kubelet", node.kubelet, !matches!(node.kubelet, Process::Dead(_)))
            },
            service("etcd", node.etcd, node.etcd.runs()),
            Service { id: "cri".to_owned(), state: "Running".to_owned(), healthy: Some(!node.ills.runtime_hangs) },
        ],
    }
}

/// The static pods' containers: an agent that does nothing has one that runs, and Talos's own has none.
fn containers(name: &NodeName, node: &Node, way: Way) -> Vec<Container> {
    let container = |what: &str, pod_uid: String, number: u64, process: Process| Container {
        name: what.to_owned(),
        pod: format!("kube-system/{what}-{name}"),
        pod_uid,
        id: format!("{what}-{number}"),
        running: !matches!(process, Process::Dead(_)),
    };
    let apiserver = container(APISERVER, format!("uid-{}", node.number), node.containers, node.apiserver);
    let kube_vip = (way == Way::KubeVip).then(|| {
        let name = RestartableContainer::KubeVip.name();
        container(name, format!("uid-{name}-{}", node.number), node.vip_agents, node.vip_agent)
    });
    std::iter::once(apiserver).chain(kube_vip).collect()
}
