//! What is seen: the only way in which the world enters the engine.
//!
//! A probe asks one target over one path with one deadline and hands in one [`Observation`]. A remote failure is an
//! observation like any other, never an error. [`Seen::Unknown`] is neither healthy nor failed: it opens nothing and
//! closes nothing. Left out: how any of it was asked (that is `observe`).

use std::fmt;
use std::time::Duration;

use crate::time::{Tick, UnixMs};

mod figures;
mod hypervisor;
mod kind;

pub use figures::{
    CpuTimes, Credential, Disk, EtcdMember, EtcdMembers, EtcdMetrics, Filesystem, Histogram, Logs, Snapshot, Snapshots,
    TalosMachine,
};
pub use hypervisor::{HypervisorHost, VirtualMachine, VmState};
pub use kind::ProbeKind;

/// A cluster's name, as configured.
pub type ClusterId = String;

/// A node's name, as configured; the names of Kubernetes, Talos and etcd are expected to agree with it.
pub type NodeName = String;

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// One control-plane node of one cluster.
    Node(ClusterId, NodeName),
    /// A cluster's virtual address.
    Vip(ClusterId),
    /// Our own credentials for a cluster.
    Own(ClusterId),
    /// Something outside every cluster that only tells whether we ourselves are connected; by its address.
    Canary(String),
}

impl Target {
    /// The cluster that this target belongs to; none for a canary, which concerns them all.
    #[must_use]
    pub fn cluster(&self) -> Option<&ClusterId> {
        match self {
            Target::Node(cluster, _) | Target::Vip(cluster) | Target::Own(cluster) => Some(cluster),
            Target::Canary(_) => None,
        }
    }

    /// The node's name, where the target is a node.
    #[must_use]
    pub fn node(&self) -> Option<&NodeName> {
        match self {
            Target::Node(_, node) => Some(node),
            Target::Vip(_) | Target::Own(_) | Target::Canary(_) => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Node(_, node) => f.write_str(node),
            Target::Vip(_) => f.write_str("vip"),
            Target::Own(_) => f.write_str("own"),
            Target::Canary(address) => write!(f, "canary {address}"),
        }
    }
}

/// How a target is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// At the node's own address.
    Direct,
    /// At the cluster's virtual address.
    Vip,
    /// Through the machine's Talos API, at the node's own address.
    Talos,
    /// Through the hypervisor beneath the node, which answers when the node does not.
    Hypervisor,
    /// On our own disk: nobody is reached.
    Own,
    /// To an address outside the clusters.
    Outside,
}

/// What Cluster API has marked: somebody, or its own remediation, is at work there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterApi {
    /// What is paused, the cluster or the node's machine (`spec.paused`, `cluster.x-k8s.io/paused`).
    pub paused: Option<String>,
    /// The node's machine is to be remediated (condition `OwnerRemediated` that is false).
    pub remediated: bool,
}

/// What one probe saw at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Who was asked.
    pub target: Target,
    /// How it was reached.
    pub path: Path,
    /// What was asked.
    pub kind: ProbeKind,
    /// When the question left.
    pub sent: Tick,
    /// When the answer, or the deadline, came.
    pub at: Tick,
    /// What was seen.
    pub seen: Seen,
}

/// The three things that a probe can see.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// The target answered; the facts may still be bad news.
    Healthy(Facts),
    /// The target failed in a typed way.
    Unhealthy(Failure),
    /// Nothing can be said about the target, and why.
    Unknown(Why),
}

/// Why nothing can be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Our own credential was refused: the target lives, its state stays hidden.
    Unauthorized(String),
    /// Our own side failed before the question left (a certificate that cannot be read, no file descriptor).
    OwnSide(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Unauthorized(detail) => write!(f, "our credential was refused: {detail}"),
            Why::OwnSide(detail) => write!(f, "our own side: {detail}"),
        }
    }
}

/// The stage in which a deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// No TCP connection: the machine itself is silent.
    Connect,
    /// TCP is accepted by the kernel, TLS is not answered by the process.
    Handshake,
    /// Connected, asked, no reply.
    Response,
}

/// How a target failed. Each value carries a short detail for people; decisions read the variant alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The port is closed: the machine answers, the process is not there.
    Refused,
    /// The connection was cut while in use.
    Reset,
    /// The network says that there is no way (ICMP unreachable, no route).
    Unreachable,
    /// The deadline passed.
    Timeout(Stage),
    /// TLS failed: an expired certificate, an unknown authority, a wrong name.
    Tls(String),
    /// An HTTP or gRPC status that says failure.
    Status {
        /// The HTTP status, or the gRPC code.
        code: u16,
        /// The first words of what was said, bounded by the probe.
        detail: String,
    },
    /// More bytes than the probe reads.
    TooLarge,
    /// Bytes that are not the protocol.
    Garbage(String),
    /// The protocol was broken in the middle.
    Protocol(String),
}

impl Failure {
    /// A stable short name: a metric's label, a scenario's word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Failure::Refused => "refused",
            Failure::Reset => "reset",
            Failure::Unreachable => "unreachable",
            Failure::Timeout(Stage::Connect) => "connect-timeout",
            Failure::Timeout(Stage::Handshake) => "handshake-timeout",
            Failure::Timeout(Stage::Response) => "response-timeout",
            Failure::Tls(_) => "tls",
            Failure::Status { .. } => "status",
            Failure::TooLarge => "too-large",
            Failure::Garbage(_) => "garbage",
            Failure::Protocol(_) => "protocol",
        }
    }

    /// The machine's kernel answered, even if no process did.
    #[must_use]
    pub fn proves_machine(&self) -> bool {
        !matches!(self, Failure::Unreachable | Failure::Timeout(Stage::Connect))
    }

    /// The process is proven absent: nothing listens where it should.
    #[must_use]
    pub fn proves_absent(&self) -> bool {
        matches!(self, Failure::Refused)
    }

    /// The kernel accepted and the process said nothing.
    #[must_use]
    pub fn is_silence(&self) -> bool {
        matches!(self, Failure::Timeout(Stage::Handshake | Stage::Response))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Tls(detail) | Failure::Garbage(detail) | Failure::Protocol(detail) => {
                write!(f, "{}: {detail}", self.name())
            }
            Failure::Status { code, detail } if detail.is_empty() => write!(f, "status {code}"),
            Failure::Status { code, detail } => write!(f, "status {code}: {detail}"),
            _ => f.write_str(self.name()),
        }
    }
}

/// What a target said of itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Facts {
    /// The services of the machine and its version.
    TalosServices(TalosServices),
    /// The containers of the static pods.
    TalosContainers(Vec<Container>),
    /// What the kubelet's log says of the API server's back-off.
    TalosKubeletLog(KubeletLog),
    /// Whom the kernel's log says was killed.
    TalosDmesg(KernelLog),
    /// One member's own view of its cluster.
    EtcdStatus(EtcdStatus),
    /// A read succeeded.
    EtcdRead {
        /// How long it took.
        took: Duration,
    },
    /// Who is in the cluster, as one member has it.
    EtcdMembers(EtcdMembers),
    /// One scrape of a member's figures.
    EtcdMetrics(Box<EtcdMetrics>),
    /// One sample of a machine's figures.
    TalosMachine(Box<TalosMachine>),
    /// What an API server says of itself.
    Apiserver(Apiserver),
    /// What answered at the virtual address.
    Vip(Vip),
    /// Our own certificates for a cluster.
    Credentials(Vec<Credential>),
    /// The snapshots of etcd that are kept here.
    Snapshots(Snapshots),
    /// The lines that machines send us of their logs.
    Logs(Logs),
    /// Something answered.
    Canary,
    /// The host beneath a node.
    HypervisorHost(Box<HypervisorHost>),
    /// The virtual machine that a node is.
    HypervisorVm(Box<VirtualMachine>),
    /// Of [`ProbeKind::TalosStage`]: the stage, in Talos's own word, such as `running` or `upgrading`.
    TalosStage(String),
    /// Of [`ProbeKind::ClusterApi`].
    ClusterApi(ClusterApi),
}

/// `ServiceList` and `Version` of one machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TalosServices {
    /// Talos's version tag, such as `v1.13.2`.
    pub version: String,
    /// The services, by their id.
    pub services: Vec<Service>,
}

impl TalosServices {
    /// The service with this id.
    #[must_use]
    pub fn service(&self, id: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.id == id)
    }
}

/// One service of Talos.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// `kubelet`, `etcd`, `containerd`, …
    pub id: String,
    /// Talos's word: `Running`, `Preparing`, `Waiting`, `Finished`, `Failed`, …
    pub state: String,
    /// Healthy by Talos's own check; none when Talos does not know.
    pub healthy: Option<bool>,
}

impl Service {
    /// Talos runs it.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == "Running"
    }
}

/// One container, or sandbox, of a pod in `kube-system`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// The container's name, such as `kube-apiserver`.
    pub name: String,
    /// The pod as `namespace/name`.
    pub pod: String,
    /// The pod's UID; for a static pod a hash of its manifest.
    pub pod_uid: String,
    /// The container's own id.
    pub id: String,
    /// It runs.
    pub running: bool,
}

/// What the tail of a kubelet's log says about the static API server pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubeletLog {
    /// The newest line that names a back-off of the API server's container; none when the tail holds no such line.
    pub back_off: Option<BackOff>,
}

/// A kubelet's crash-loop back-off for one container, as its log says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackOff {
    /// The whole wait between two starts: 10 s doubling to 300 s.
    pub length: Duration,
    /// How long before the observation's `sent` the *first* line with this length was written: the wait began then or a
    /// little earlier.
    pub first_said_ago: Duration,
    /// How long before the observation's `sent` the newest such line was written. The kubelet repeats it at every sync,
    /// some ten seconds apart, for as long as it waits.
    pub last_said_ago: Duration,
}

/// What a kernel's log says of processes that were killed for want of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelLog {
    /// The kills, the oldest first; bounded by the probe, and by what the kernel still keeps.
    pub oom_kills: Vec<OomKill>,
}

/// One process that was killed for want of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OomKill {
    /// Its name, such as `kube-apiserver`.
    pub process: String,
    /// What it held in memory; 0 where that is not told.
    pub rss_bytes: u64,
    /// How long before the observation's `sent` it was killed, by the machine's clock.
    pub ago: Duration,
}

/// `Maintenance.Status` of one member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcdStatus {
    /// Which cluster the member believes to be in; 0 where it was asked through Talos, which does not say.
    pub cluster_id: u64,
    /// The member's own id.
    pub member_id: u64,
    /// The leader that it follows; 0 for none.
    pub leader: u64,
    /// Its raft term.
    pub term: u64,
    /// Its raft index.
    pub index: u64,
    /// Its applied raft index.
    pub applied_index: u64,
    /// Bytes of its database file.
    pub db_size_bytes: u64,
    /// Bytes of it in use.
    pub db_in_use_bytes: u64,
    /// It does not vote.
    pub learner: bool,
    /// What it complains of: a missing leader, alarms.
    pub errors: Vec<String>,
    /// Its version.
    pub version: String,
}

impl EtcdStatus {
    /// The members that the alarm CORRUPT names, by this member's word; none for an alarm whose member cannot be read.
    pub fn corrupt(&self) -> impl Iterator<Item = Option<u64>> {
        // As etcd writes it: `memberID:NUMBER alarm:CORRUPT `.
        self.errors.iter().filter(|error| error.contains("CORRUPT")).map(|error| {
            let (_, rest) = error.split_once("memberID:")?;
            rest.split(' ').next()?.parse().ok()
        })
    }
}

/// `/livez?exclude=etcd` and `/readyz?verbose` of one API server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Apiserver {
    /// `/readyz` answered 200.
    pub ready: bool,
    /// `/livez?exclude=etcd` answered 200: the process is well, whatever its store does.
    pub live: bool,
    /// The checks that `/readyz` names as failing; bounded by the probe.
    pub failing: Vec<String>,
    /// From the question to the answer of `/readyz`; its whole deadline where none came.
    pub took: Duration,
    /// The SHA-256 of the serving certificate, in hex; each node has its own.
    pub certificate_sha256: String,
    /// Until when the serving certificate is valid; none where it cannot be read.
    pub certificate_not_after: Option<UnixMs>,
}

/// What answered at the virtual address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vip {
    /// `/readyz` answered 200.
    pub ready: bool,
    /// The SHA-256 of the serving certificate, in hex: whose it is tells who holds the address.
    pub certificate_sha256: String,
    /// Until when the serving certificate is valid; none where it cannot be read.
    pub certificate_not_after: Option<UnixMs>,
    /// Until TCP was connected.
    pub connect: Duration,
    /// Until TLS was agreed.
    pub handshake: Duration,
    /// Until `/readyz` was answered.
    pub response: Duration,
}
