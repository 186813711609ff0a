//! What was measured of a node, as it leaves the program: milliseconds, percents, bytes; null is unknown, never zero.

use std::collections::BTreeMap;
use std::time::Duration;

use defib_engine::status::Status;
use serde::{Deserialize, Serialize};

/// The figures of one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// etcd's syncs of its log, over its window of up to a minute.
    pub fsync_p50_ms: Option<f64>,
    /// The same.
    pub fsync_p99_ms: Option<f64>,
    /// etcd's commits of its database.
    pub commit_p50_ms: Option<f64>,
    /// The same.
    pub commit_p99_ms: Option<f64>,
    /// Round trips to its peers.
    pub peer_round_trip_p99_ms: Option<f64>,
    /// Elections of the last 15 minutes, as far as was watched.
    pub elections: Option<u64>,
    /// Bytes of etcd's database file.
    pub db_size_bytes: Option<f64>,
    /// Bytes that it may have.
    pub db_quota_bytes: Option<f64>,
    /// Of its processors' time, given to others by the hypervisor.
    pub steal_percent: Option<f64>,
    /// Of its memory, what can still be had.
    pub memory_available_percent: Option<f64>,
    /// Its load over one minute.
    pub load1: Option<f64>,
    /// Its clock minus ours.
    pub clock_offset_ms: Option<i64>,
    /// How long `/readyz` took the last time.
    pub apiserver_took_ms: Option<f64>,
    /// Until when its API server's certificate is valid, Unix milliseconds.
    pub certificate_not_after_ms: Option<i64>,
}

/// Of every node.
pub(super) fn of(status: &Status) -> BTreeMap<String, Figures> {
    let ms = |duration: Option<Duration>| duration.map(|duration| duration.as_secs_f64() * 1000.0);
    let figures = status.figures.iter().map(|(node, one)| {
        let figures = Figures {
            fsync_p50_ms: ms(one.fsync_p50),
            fsync_p99_ms: ms(one.fsync_p99),
            commit_p50_ms: ms(one.commit_p50),
            commit_p99_ms: ms(one.commit_p99),
            peer_round_trip_p99_ms: ms(one.peer_round_trip_p99),
            elections: one.elections,
            db_size_bytes: one.db_size_bytes,
            db_quota_bytes: one.db_quota_bytes,
            steal_percent: one.steal_percent,
            memory_available_percent: one.memory_available_percent,
            load1: one.load1,
            clock_offset_ms: one.clock_offset_ms,
            apiserver_took_ms: ms(one.apiserver_took),
            certificate_not_after_ms: one.certificate_not_after.map(|until| until.0),
        };
        (node.clone(), figures)
    });
    figures.collect()
}
