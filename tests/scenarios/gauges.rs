//! The figures of a node in a scenario: counters that grow with virtual time at the pace that was set last.

use std::time::Duration;

use defib_engine::observation::{CpuTimes, EtcdMetrics, Filesystem, Histogram, TalosMachine};
use defib_engine::time::Tick;

const MIB: f64 = 1024.0 * 1024.0;
const GIB: u64 = 1024 * 1024 * 1024;
/// What is written a second: syncs of the log, and commits.
const WRITES_PER_S: f64 = 10.0;

/// A counter: what it was when its pace was set, and its pace.
#[derive(Clone, Copy, Default)]
struct Counter {
    base: f64,
    per_s: f64,
    since: Tick,
}

impl Counter {
    fn at(&self, now: Tick) -> f64 {
        self.base + self.per_s * now.since(self.since).as_secs_f64()
    }

    fn set(&mut self, per_s: f64, now: Tick) {
        *self = Counter { base: self.at(now), per_s, since: now };
    }
}

/// A histogram with etcd's buckets, all of whose observations take the same at one time.
#[derive(Clone, Default)]
struct Takes([Counter; 15]);

impl Takes {
    fn bounds() -> impl Iterator<Item = f64> {
        (0..14).map(|n| 0.001 * f64::from(1 << n)).chain([f64::INFINITY])
    }

    fn set(&mut self, took: Duration, now: Tick) {
        for (counter, bound) in self.0.iter_mut().zip(Takes::bounds()) {
            counter.set(if took.as_secs_f64() <= bound { WRITES_PER_S } else { 0.0 }, now);
        }
    }

    fn at(&self, now: Tick) -> Histogram {
        let buckets: Vec<_> = Takes::bounds().zip(self.0.iter().map(|counter| counter.at(now).floor())).collect();
        Histogram { count: buckets.last().map_or(0.0, |last| last.1), buckets, sum: 0.0 }
    }
}

/// Everything that is measured of one node.
#[derive(Clone)]
pub(crate) struct Gauges {
    fsync: Takes,
    commit: Takes,
    late: Counter,
    /// Messages to its peers that failed.
    unsent: Counter,
    started: Tick,
    /// Used, size and quota of the database.
    pub(crate) db_mib: (f64, f64, f64),
    pub(crate) memory_percent: u64,
    /// Available of its disk.
    disk_percent: u64,
    watchdog: bool,
    pub(crate) clock_ms: i64,
    steal: Counter,
    busy: Counter,
    booted: Tick,
}

impl Gauges {
    /// All is well: fast disks, no steal.
    pub(crate) fn new() -> Gauges {
        let mut gauges = Gauges {
            fsync: Takes::default(),
            commit: Takes::default(),
            late: Counter::default(),
            unsent: Counter::default(),
            started: Tick(0),
            db_mib: (40.0, 60.0, 2_048.0),
            memory_percent: 50,
            disk_percent: 60,
            watchdog: true,
            clock_ms: 0,
            steal: Counter::default(),
            busy: Counter::default(),
            booted: Tick(0),
        };
        gauges.fsync.set(Duration::from_millis(2), Tick(0));
        gauges.commit.set(Duration::from_millis(4), Tick(0));
        gauges.busy.set(1.0, Tick(0));
        gauges
    }

    /// Words of etcd; false where they are none.
    pub(crate) fn set_etcd(&mut self, words: &[&str], now: Tick) -> Result<bool, String> {
        match words {
            ["fsync", took] => self.fsync.set(super::world::duration(took)?, now),
            ["commit", took] => self.commit.set(super::world::duration(took)?, now),
            ["heartbeats", "late", "1/s"] => self.late.set(1.0, now),
            ["messages", "fail", "1/s"] => self.unsent.set(1.0, now),
            ["messages", "arrive"] => self.unsent.set(0.0, now),
            ["heartbeats", "in", "time"] => self.late.set(0.0, now),
            ["restarts"] => {
                *self = Gauges { steal: self.steal, busy: self.busy, booted: self.booted, ..Gauges::new() };
                self.started = now;
                for counter in self.fsync.0.iter_mut().chain(&mut self.commit.0) {
                    counter.since = now;
                }
            }
            ["database", used, "of", size, "MiB"] => {
                (self.db_mib.0, self.db_mib.1) = (number(used)?, number(size)?);
            }
            ["quota", quota, "MiB"] => self.db_mib.2 = number(quota)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Words of the machine; false where they are none.
    pub(crate) fn set_machine(&mut self, words: &[&str], now: Tick) -> Result<bool, String> {
        match words {
            ["steal", percent, "%"] => {
                let share = number(percent)? / 100.0;
                self.steal.set(share, now);
                self.busy.set(1.0 - share, now);
            }
            ["watchdog", state @ ("off" | "on")] => self.watchdog = *state == "on",
            ["disk", percent, "%"] => self.disk_percent = number(percent)? as u64,
            ["memory", percent, "%"] => self.memory_percent = number(percent)? as u64,
            ["clock", "ahead", by] => self.clock_ms = super::world::duration(by)?.as_millis() as i64,
            ["clock", "behind", by] => self.clock_ms = -(super::world::duration(by)?.as_millis() as i64),
            ["clock", "right"] => self.clock_ms = 0,
            ["restarts"] => {
                (self.steal, self.busy, self.booted) = (Counter::default(), Counter::default(), now);
                self.steal.since = now;
                self.busy.set(1.0, now);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// One scrape.
    pub(crate) fn etcd(&self, leads: bool, sent: Tick) -> EtcdMetrics {
        EtcdMetrics {
            fsync: self.fsync.at(sent),
            commit: self.commit.at(sent),
            has_leader: Some(true),
            is_leader: Some(leads),
            heartbeat_send_failures: Some(self.late.at(sent).floor()),
            peer_sent_failures: Some(self.unsent.at(sent).floor()),
            quota_bytes: Some(self.db_mib.2 * MIB),
            db_size_bytes: Some(self.db_mib.1 * MIB),
            db_in_use_bytes: Some(self.db_mib.0 * MIB),
            process_start_s: Some(self.started.0 as f64 / 1000.0),
            ..EtcdMetrics::default()
        }
    }

    /// One sample.
    pub(crate) fn machine(&self, sent: Tick) -> TalosMachine {
        let total = 4_096 * 1024 * 1024;
        TalosMachine {
            filesystems: vec![Filesystem {
                mounted_on: "/var".to_owned(),
                size_bytes: 100 * GIB,
                available_bytes: self.disk_percent * GIB,
            }],
            watchdog: Some(self.watchdog),
            memory_total_bytes: total,
            memory_available_bytes: total / 100 * self.memory_percent,
            boot_time_s: self.booted.0 / 1000,
            cpu: CpuTimes { idle_s: self.busy.at(sent), steal_s: self.steal.at(sent), ..CpuTimes::default() },
            clock_offset_ms: Some(self.clock_ms),
            clock_uncertainty_ms: 1,
            ..TalosMachine::default()
        }
    }
}

fn number(word: &str) -> Result<f64, String> {
    word.parse().map_err(|_| format!("`{word}` is no number"))
}
