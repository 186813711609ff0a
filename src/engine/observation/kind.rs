//! Every kind of question, with its pace, its deadline and how long its answer counts.
//!
//! Left out: to whom each kind goes, and over which way (`observe`).

use std::time::Duration;

/// What is asked. The order is the order in which `check` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeKind {
    /// Talos `ServiceList` and `Version`.
    TalosServices,
    /// Talos `Containers` of the static pods.
    TalosContainers,
    /// The tail of the kubelet's log, by Talos `Logs`.
    TalosKubeletLog,
    /// Talos `Memory`, `SystemStat`, `LoadAvg`, `DiskStats`, `Mounts` and the machine's time.
    TalosMachine,
    /// What the kernel's log says of processes killed for want of memory, by Talos `Dmesg`.
    TalosDmesg,
    /// etcd `Maintenance.Status`, answered by the member alone.
    EtcdStatus,
    /// etcd serializable `Range`: is this member's store readable.
    EtcdReadSerializable,
    /// etcd linearizable `Range`: is there quorum now, through this member.
    EtcdReadLinearizable,
    /// etcd `MemberList`, from the member's own store.
    EtcdMembers,
    /// The member's exposition, in Prometheus's text format.
    EtcdMetrics,
    /// `/livez?exclude=etcd` and `/readyz?verbose` of one API server.
    Apiserver,
    /// `/readyz` through the virtual address, over a fresh connection.
    Vip,
    /// Our own certificates, read from where they are kept.
    Credentials,
    /// The snapshots of etcd that are kept here, on a schedule.
    Snapshots,
    /// The lines that machines send us of their logs: when the last one came from each.
    Logs,
    /// A TCP connection to an address outside the clusters.
    Canary,
    /// The host beneath a node: what it has, uses and has promised.
    HypervisorHost,
    /// The virtual machine that a node is, as its host has it.
    HypervisorVm,
    /// The stage that a machine is in, by Talos's resource `MachineStatus`.
    TalosStage,
    /// What Cluster API has marked on a node's machine or its cluster.
    ClusterApi,
}

impl ProbeKind {
    /// Every kind, in order.
    pub const ALL: [ProbeKind; 20] = [
        ProbeKind::TalosServices,
        ProbeKind::TalosContainers,
        ProbeKind::TalosKubeletLog,
        ProbeKind::TalosMachine,
        ProbeKind::TalosDmesg,
        ProbeKind::EtcdStatus,
        ProbeKind::EtcdReadSerializable,
        ProbeKind::EtcdReadLinearizable,
        ProbeKind::EtcdMembers,
        ProbeKind::EtcdMetrics,
        ProbeKind::Apiserver,
        ProbeKind::Vip,
        ProbeKind::Credentials,
        ProbeKind::Snapshots,
        ProbeKind::Logs,
        ProbeKind::Canary,
        ProbeKind::HypervisorHost,
        ProbeKind::HypervisorVm,
        ProbeKind::TalosStage,
        ProbeKind::ClusterApi,
    ];

    /// What only a hypervisor tells. No configuration names one yet, so the program itself asks for neither.
    pub const HYPERVISOR: [ProbeKind; 2] = [ProbeKind::HypervisorHost, ProbeKind::HypervisorVm];

    /// What tells of others at work in words of their own. No configuration asks for it yet.
    pub const AT_WORK: [ProbeKind; 2] = [ProbeKind::TalosStage, ProbeKind::ClusterApi];

    /// What is judged only where it is set up: there is no finding about it elsewhere. Nothing listens for logs yet.
    pub const WHERE_SET_UP: [ProbeKind; 2] = [ProbeKind::Snapshots, ProbeKind::Logs];

    /// It is read here, of a cluster as a whole: nobody is reached for it.
    #[must_use]
    pub fn is_own(self) -> bool {
        matches!(self, ProbeKind::Credentials | ProbeKind::Snapshots | ProbeKind::Logs)
    }

    /// What every cluster can be asked, without a hypervisor, what tells of others at work, or what is to be set up, in order.
    pub fn common() -> impl Iterator<Item = ProbeKind> {
        let rare = [ProbeKind::HYPERVISOR, ProbeKind::AT_WORK, ProbeKind::WHERE_SET_UP].concat();
        ProbeKind::ALL.into_iter().filter(move |kind| !rare.contains(kind))
    }

    /// The public name, as in configuration, scenarios, metrics and the reference.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ProbeKind::TalosServices => "talos.services",
            ProbeKind::TalosContainers => "talos.containers",
            ProbeKind::TalosKubeletLog => "talos.kubelet-log",
            ProbeKind::TalosMachine => "talos.machine",
            ProbeKind::TalosDmesg => "talos.dmesg",
            ProbeKind::EtcdStatus => "etcd.status",
            ProbeKind::EtcdReadSerializable => "etcd.read-serializable",
            ProbeKind::EtcdReadLinearizable => "etcd.read-linearizable",
            ProbeKind::EtcdMembers => "etcd.members",
            ProbeKind::EtcdMetrics => "etcd.metrics",
            ProbeKind::Apiserver => "apiserver",
            ProbeKind::Vip => "vip",
            ProbeKind::Credentials => "credentials",
            ProbeKind::Snapshots => "snapshots",
            ProbeKind::Logs => "logs",
            ProbeKind::Canary => "canary",
            ProbeKind::HypervisorHost => "hypervisor.host",
            ProbeKind::HypervisorVm => "hypervisor.vm",
            ProbeKind::TalosStage => "talos.stage",
            ProbeKind::ClusterApi => "cluster-api",
        }
    }

    /// The kind with this public name.
    #[must_use]
    pub fn named(name: &str) -> Option<ProbeKind> {
        ProbeKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// How often the daemon asks while nothing hurries it (design §5).
    #[must_use]
    pub fn every(self) -> Duration {
        Duration::from_millis(match self {
            ProbeKind::EtcdStatus | ProbeKind::Apiserver | ProbeKind::Vip => 1_000,
            ProbeKind::EtcdReadSerializable | ProbeKind::EtcdReadLinearizable => 2_000,
            ProbeKind::TalosServices
            | ProbeKind::TalosContainers
            | ProbeKind::TalosKubeletLog
            | ProbeKind::TalosMachine
            | ProbeKind::HypervisorHost
            | ProbeKind::HypervisorVm
            | ProbeKind::TalosStage
            | ProbeKind::Canary => 5_000,
            ProbeKind::EtcdMembers | ProbeKind::EtcdMetrics | ProbeKind::ClusterApi => 10_000,
            // The whole log comes each time.
            ProbeKind::TalosDmesg | ProbeKind::Snapshots | ProbeKind::Logs => 30_000,
            ProbeKind::Credentials => 60_000,
        })
    }

    /// The deadline for the whole exchange. The API server's checks wait up to 2 s for etcd, one after the other, so its
    /// deadline is longer; an etcd read is given up long before the server's own 7 s, and is then *no answer*.
    #[must_use]
    pub fn deadline(self) -> Duration {
        Duration::from_millis(match self {
            ProbeKind::EtcdStatus | ProbeKind::EtcdReadSerializable | ProbeKind::Canary => 1_500,
            ProbeKind::EtcdReadLinearizable => 2_500,
            ProbeKind::EtcdMembers | ProbeKind::Credentials | ProbeKind::Snapshots | ProbeKind::Logs => 2_000,
            ProbeKind::Apiserver | ProbeKind::Vip => 5_000,
            ProbeKind::TalosServices
            | ProbeKind::TalosContainers
            | ProbeKind::TalosKubeletLog
            | ProbeKind::TalosMachine
            | ProbeKind::TalosDmesg
            | ProbeKind::EtcdMetrics
            | ProbeKind::HypervisorHost
            | ProbeKind::HypervisorVm
            | ProbeKind::TalosStage
            | ProbeKind::ClusterApi => 3_000,
        })
    }

    /// How old an observation of this kind may be before it counts as unknown: two intervals and a deadline.
    #[must_use]
    pub fn max_age(self) -> Duration {
        self.every() * 2 + self.deadline()
    }
}
