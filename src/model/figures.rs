//! The figures that the model's members and machines give of themselves, counted up as time passes.

use std::time::Duration;

use defib_engine::observation::{
    CpuTimes, EtcdMember, EtcdMembers, EtcdMetrics, Filesystem, Histogram, NodeName, TalosMachine,
};
use defib_engine::time::Tick;

use super::node::Node;
use super::world::BEGINS;
use super::{Model, STEP};

/// A member writes its log so often in a step.
const WRITES: f64 = 2.0;
/// A machine that has not booted since the beginning has been up for this long.
const UP_FOR_S: u64 = 3 * 24 * 3_600;
const GIB: u64 = 1 << 30;
/// What a machine of 3 GiB has left while its API server does not run.
const SMALL_FREE: u64 = GIB;

/// What is counted on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    /// Writes that took about a millisecond.
    fast_writes: f64,
    /// Writes that took about half a second.
    slow_writes: f64,
    steal_s: f64,
    busy_s: f64,
    idle_s: f64,
    heartbeat_failures: f64,
    /// Messages of its member that a peer did not take.
    pub(super) unsent: f64,
}

impl Counters {
    /// Counts one step.
    pub fn advance(&mut self, slow_disk: bool, starved: bool) {
        let step_s = STEP.as_secs_f64();
        if slow_disk || starved {
            self.slow_writes += WRITES;
            self.heartbeat_failures += 0.2;
        } else {
            self.fast_writes += WRITES;
        }
        let (steal, busy) = if starved { (0.7, 0.3) } else { (0.0, 0.2) };
        self.steal_s += steal * step_s;
        self.busy_s += busy * step_s;
        self.idle_s += (1.0 - steal - busy) * step_s;
    }
}

impl Model {
    pub(super) fn members(&self) -> EtcdMembers {
        let member = |(name, node): (&NodeName, &Node)| EtcdMember {
            id: node.number,
            name: name.clone(),
            learner: false,
            peer_urls: vec![format!("https://{name}:2380")],
            client_urls: vec![format!("https://{name}:2379")],
        };
        EtcdMembers { cluster_id: 1, members: self.nodes.iter().map(member).collect() }
    }

    pub(super) fn metrics(&self, name: &NodeName, node: &Node) -> EtcdMetrics {
        let (fast, slow) = (node.counters.fast_writes, node.counters.slow_writes);
        // etcd's own bounds: 1 ms, doubling.
        let bounds = (0..14).map(|n| 0.001 * f64::from(1 << n)).chain([f64::INFINITY]);
        let buckets = bounds.map(|bound| (bound, fast + if bound > 0.5 { slow } else { 0.0 })).collect();
        let writes = Histogram { buckets, sum: fast * 0.001 + slow * 0.5, count: fast + slow };
        EtcdMetrics {
            fsync: writes.clone(),
            commit: writes,
            has_leader: Some(self.etcd.serves(name)),
            is_leader: Some(self.etcd.leader.as_ref() == Some(name)),
            leader_changes: Some(count(self.etcd.elections)),
            heartbeat_send_failures: Some(node.counters.heartbeat_failures.floor()),
            peer_sent_failures: Some(node.counters.unsent),
            proposals_failed: Some(0.0),
            slow_apply: Some(0.0),
            peer_round_trip: Histogram::default(),
            quota_bytes: Some(2.0e9),
            db_size_bytes: Some(if node.ills.no_space { 2.0e9 } else { 4.0e7 }),
            db_in_use_bytes: Some(if node.ills.no_space { 1.99e9 } else { 3.0e7 }),
            process_start_s: Some(count(node.booted.0) / 1_000.0),
        }
    }

    fn memory_available_bytes(&self, node: &Node) -> u64 {
        match (node.ills.small_since, node.outgrows_at()) {
            _ if node.ills.memory_short => GIB / 10,
            (None, _) => 5 * GIB,
            (Some(_), None) => SMALL_FREE,
            (Some(_), Some(at)) => {
                // Evenly down to nothing, at which the kernel kills the largest process.
                let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1);
                let (left, whole) = (millis(at.since(self.now)), millis(node.outgrows_within()));
                SMALL_FREE / whole * left.min(whole)
            }
        }
    }

    fn boot_time_s(&self, node: &Node) -> u64 {
        let begins_s = u64::try_from(BEGINS.0 / 1_000).unwrap_or(0);
        if node.booted == Tick(0) { begins_s - UP_FOR_S } else { begins_s + node.booted.0 / 1_000 }
    }

    pub(super) fn machine(&self, node: &Node) -> TalosMachine {
        let counters = &node.counters;
        TalosMachine {
            memory_total_bytes: if node.ills.small_since.is_some() { 3 * GIB } else { 8 * GIB },
            memory_available_bytes: self.memory_available_bytes(node),
            boot_time_s: self.boot_time_s(node),
            cpu: CpuTimes {
                user_s: counters.busy_s,
                idle_s: counters.idle_s,
                steal_s: counters.steal_s,
                ..CpuTimes::default()
            },
            load1: if node.ills.lacks_cpu() { 12.0 } else { 0.4 },
            load5: 0.4,
            load15: 0.4,
            processes_running: 1,
            processes_blocked: 0,
            disks: Vec::new(),
            filesystems: vec![Filesystem {
                mounted_on: "/var".to_owned(),
                size_bytes: 100 * GIB,
                available_bytes: 60 * GIB,
            }],
            watchdog: Some(true),
            clock_offset_ms: Some(node.ills.clock_offset_ms),
            clock_uncertainty_ms: 2,
        }
    }
}

/// Figures of the model are far below 2⁵³.
fn count(of: u64) -> f64 {
    u32::try_from(of).map_or(f64::from(u32::MAX), f64::from)
}
