//! The figures that a target gives of itself: what etcd's exposition, a machine's counters and our own certificates say.
//!
//! Everything here is one look. What needs two (a rate, a quantile over a window) is `window`'s and `quantile`'s.

use std::collections::BTreeMap;
use std::time::Duration;

use super::NodeName;
use crate::time::UnixMs;

/// Who is in an etcd cluster, as one member has it in its own store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcdMembers {
    /// Which cluster it is.
    pub cluster_id: u64,
    /// Its members, in the order in which they were said; bounded by the probe.
    pub members: Vec<EtcdMember>,
}

/// One member of an etcd cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcdMember {
    /// Its id.
    pub id: u64,
    /// Its name; empty for one that was added and never started.
    pub name: String,
    /// It does not vote.
    pub learner: bool,
    /// Where its peers reach it.
    pub peer_urls: Vec<String>,
    /// Where its clients reach it.
    pub client_urls: Vec<String>,
}

/// One scrape of a member's exposition. Counters are cumulative since its process began; a figure that it did not give
/// is none, or a histogram without buckets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EtcdMetrics {
    /// `etcd_disk_wal_fsync_duration_seconds`.
    pub fsync: Histogram,
    /// `etcd_disk_backend_commit_duration_seconds`.
    pub commit: Histogram,
    /// `etcd_server_has_leader`.
    pub has_leader: Option<bool>,
    /// `etcd_server_is_leader`.
    pub is_leader: Option<bool>,
    /// `etcd_server_leader_changes_seen_total`.
    pub leader_changes: Option<f64>,
    /// `etcd_server_heartbeat_send_failures_total`: heartbeats that the leader itself sent late.
    pub heartbeat_send_failures: Option<f64>,
    /// `etcd_network_peer_sent_failures_total`, summed over its peers.
    pub peer_sent_failures: Option<f64>,
    /// `etcd_server_proposals_failed_total`.
    pub proposals_failed: Option<f64>,
    /// `etcd_server_slow_apply_total`.
    pub slow_apply: Option<f64>,
    /// `etcd_network_peer_round_trip_time_seconds`, summed over its peers.
    pub peer_round_trip: Histogram,
    /// `etcd_server_quota_backend_bytes`.
    pub quota_bytes: Option<f64>,
    /// `etcd_mvcc_db_total_size_in_bytes`.
    pub db_size_bytes: Option<f64>,
    /// `etcd_mvcc_db_total_size_in_use_in_bytes`.
    pub db_in_use_bytes: Option<f64>,
    /// `process_start_time_seconds`, since 1970.
    pub process_start_s: Option<f64>,
}

/// A histogram as Prometheus knows it, at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Each bucket's upper bound in seconds, rising, `+inf` last; and how many observations lie at or below it, since the
    /// process began.
    pub buckets: Vec<(f64, f64)>,
    /// The sum of all observations, in seconds.
    pub sum: f64,
    /// How many there were.
    pub count: f64,
}

/// One sample of a machine's own figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TalosMachine {
    /// All its memory.
    pub memory_total_bytes: u64,
    /// What could be had without swapping (`MemAvailable`).
    pub memory_available_bytes: u64,
    /// When its kernel started, in seconds since 1970 by the machine's own clock.
    pub boot_time_s: u64,
    /// Where its processors' time went since then.
    pub cpu: CpuTimes,
    /// The load over one minute.
    pub load1: f64,
    /// The load over five.
    pub load5: f64,
    /// The load over fifteen.
    pub load15: f64,
    /// Processes that run or could.
    pub processes_running: u64,
    /// Processes that wait for a disk.
    pub processes_blocked: u64,
    /// Its disks; bounded by the probe.
    pub disks: Vec<Disk>,
    /// The filesystems on its own disks; bounded by the probe; empty where it did not say.
    pub filesystems: Vec<Filesystem>,
    /// Talos feeds a hardware watchdog; none where it did not say.
    pub watchdog: Option<bool>,
    /// Its clock minus ours; none where it was not asked.
    pub clock_offset_ms: Option<i64>,
    /// The offset may be wrong by this much: half the round trip.
    pub clock_uncertainty_ms: u64,
}

/// Where the time of all processors went, in seconds since the kernel started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CpuTimes {
    /// In programs.
    pub user_s: f64,
    /// In programs of low priority.
    pub nice_s: f64,
    /// In the kernel.
    pub system_s: f64,
    /// Nowhere.
    pub idle_s: f64,
    /// Nowhere, while a disk was waited for.
    pub iowait_s: f64,
    /// In interrupts.
    pub irq_s: f64,
    /// In deferred interrupts.
    pub softirq_s: f64,
    /// Wanted, and given to someone else by the hypervisor.
    pub steal_s: f64,
}

impl CpuTimes {
    /// All of it.
    #[must_use]
    pub fn total_s(&self) -> f64 {
        self.user_s
            + self.nice_s
            + self.system_s
            + self.idle_s
            + self.iowait_s
            + self.irq_s
            + self.softirq_s
            + self.steal_s
    }
}

/// One disk's counters since the kernel started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Its name, such as `sda`.
    pub name: String,
    /// Writes that ended.
    pub write_completed: u64,
    /// What they took, one after the other.
    pub write_time_ms: u64,
    /// Requests under way at this moment.
    pub io_in_progress: u64,
    /// Time with at least one request under way.
    pub io_time_ms: u64,
}

/// One filesystem on a machine's own disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filesystem {
    /// Where it is mounted, such as `/var`.
    pub mounted_on: String,
    /// All its room.
    pub size_bytes: u64,
    /// What may still be written.
    pub available_bytes: u64,
}

/// One of our own certificates for a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credential {
    /// For what: `kubernetes`, `etcd` or `talos`.
    pub what: String,
    /// Until when it is valid; none where it cannot be read.
    pub not_after: Option<UnixMs>,
    /// Why it cannot be used; none where it can.
    pub problem: Option<String>,
    /// The organizations that its certificate names: for Talos its roles, for Kubernetes its groups.
    pub groups: Vec<String>,
    /// Its file names the cluster's virtual address as whom to ask.
    pub names_vip: bool,
}

/// The snapshots of one cluster's etcd that are kept here, on a schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshots {
    /// One is to be taken so often.
    pub every: Duration,
    /// The newest whole one; none: none is kept.
    pub newest: Option<Snapshot>,
    /// Why the last attempt came to nothing; none: it did not.
    pub failed: Option<String>,
}

/// One that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// When it was taken, by the clock of the machine that keeps it.
    pub at: UnixMs,
    /// The size of its file.
    pub bytes: u64,
}

/// The lines that machines send us of their logs (Talos's `machine.logging`): not what they say, but that they come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logs {
    /// For how long they have been listened for, when this was asked.
    pub listening_for: Duration,
    /// How long ago the last line came from each node, when this was asked; a node that never sent one is not among them.
    pub silent_for: BTreeMap<NodeName, Duration>,
}
