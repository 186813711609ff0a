//! etcd.metrics of one member: one scrape, summed over its peers where etcd counts by peer.
//!
//! What the member does not show is none, and a number that no counter can have is passed over. Left out: what two scrapes
//! say together (the engine).

use std::time::Duration;

use defib_engine::observation::{EtcdMetrics, Facts, Failure, Histogram, ProbeKind, Seen};
use tokio::time::Instant;

use crate::client::exposition::Exposition;
use crate::promtext::Sample;

/// A histogram may have so many buckets; etcd's have 14 to 16.
const BUCKETS_MAX: usize = 64;

/// Every sample that is read; the benchmark of the scanner looks for the same.
pub const NAMES: [&str; 20] = [
    "etcd_disk_wal_fsync_duration_seconds_bucket",
    "etcd_disk_wal_fsync_duration_seconds_sum",
    "etcd_disk_wal_fsync_duration_seconds_count",
    "etcd_disk_backend_commit_duration_seconds_bucket",
    "etcd_disk_backend_commit_duration_seconds_sum",
    "etcd_disk_backend_commit_duration_seconds_count",
    "etcd_network_peer_round_trip_time_seconds_bucket",
    "etcd_network_peer_round_trip_time_seconds_sum",
    "etcd_network_peer_round_trip_time_seconds_count",
    "etcd_network_peer_sent_failures_total",
    "etcd_server_has_leader",
    "etcd_server_is_leader",
    "etcd_server_leader_changes_seen_total",
    "etcd_server_heartbeat_send_failures_total",
    "etcd_server_proposals_failed_total",
    "etcd_server_slow_apply_total",
    "etcd_server_quota_backend_bytes",
    "etcd_mvcc_db_total_size_in_bytes",
    "etcd_mvcc_db_total_size_in_use_in_bytes",
    "process_start_time_seconds",
];

/// Scrapes once. What answers 200 and shows nothing of etcd's is something else.
pub async fn poll(client: &Exposition, _: ProbeKind, deadline: Duration) -> Seen {
    let mut metrics = EtcdMetrics::default();
    let scraped = client.scrape(&NAMES, Instant::now() + deadline, |sample| note(&mut metrics, &sample)).await;
    match scraped {
        Err(trouble) => trouble.into(),
        Ok(()) if metrics.has_leader.is_none() && metrics.fsync.buckets.is_empty() => {
            Seen::Unhealthy(Failure::Garbage("these are no figures of etcd's".to_owned()))
        }
        Ok(()) => {
            // Go shows a counter by peer only once one of them counted: not shown is zero.
            metrics.peer_sent_failures.get_or_insert(0.0);
            for histogram in [&mut metrics.fsync, &mut metrics.commit, &mut metrics.peer_round_trip] {
                histogram.buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            }
            Seen::Healthy(Facts::EtcdMetrics(Box::new(metrics)))
        }
    }
}

fn note(metrics: &mut EtcdMetrics, sample: &Sample<'_>) {
    // Everything here is a count, a size or a time since 1970.
    if !sample.value.is_finite() || sample.value < 0.0 {
        return;
    }
    let histograms = [
        ("etcd_disk_wal_fsync_duration_seconds", &mut metrics.fsync),
        ("etcd_disk_backend_commit_duration_seconds", &mut metrics.commit),
        ("etcd_network_peer_round_trip_time_seconds", &mut metrics.peer_round_trip),
    ];
    for (name, histogram) in histograms {
        if let Some(part) = sample.name.strip_prefix(name) {
            return add(histogram, part, sample);
        }
    }
    let value = sample.value;
    let figure = match sample.name {
        "etcd_server_has_leader" => {
            metrics.has_leader = Some(value != 0.0);
            return;
        }
        "etcd_server_is_leader" => {
            metrics.is_leader = Some(value != 0.0);
            return;
        }
        "etcd_network_peer_sent_failures_total" => {
            metrics.peer_sent_failures = Some(metrics.peer_sent_failures.unwrap_or(0.0) + value);
            return;
        }
        "etcd_server_leader_changes_seen_total" => &mut metrics.leader_changes,
        "etcd_server_heartbeat_send_failures_total" => &mut metrics.heartbeat_send_failures,
        "etcd_server_proposals_failed_total" => &mut metrics.proposals_failed,
        "etcd_server_slow_apply_total" => &mut metrics.slow_apply,
        "etcd_server_quota_backend_bytes" => &mut metrics.quota_bytes,
        "etcd_mvcc_db_total_size_in_bytes" => &mut metrics.db_size_bytes,
        "etcd_mvcc_db_total_size_in_use_in_bytes" => &mut metrics.db_in_use_bytes,
        "process_start_time_seconds" => &mut metrics.process_start_s,
        _ => return,
    };
    *figure = Some(value);
}

/// Adds one sample of a histogram, of which there may be one a peer.
fn add(histogram: &mut Histogram, part: &str, sample: &Sample<'_>) {
    match part {
        "_sum" => histogram.sum += sample.value,
        "_count" => histogram.count += sample.value,
        _ => {
            let Some(bound) = sample.label("le").and_then(|le| le.parse::<f64>().ok()).filter(|le| !le.is_nan()) else {
                return;
            };
            let room = histogram.buckets.len() < BUCKETS_MAX;
            match histogram.buckets.iter_mut().find(|(other, _)| *other == bound) {
                Some((_, count)) => *count += sample.value,
                None if room => histogram.buckets.push((bound, sample.value)),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promtext::Scanner;

    fn read(text: &str) -> EtcdMetrics {
        let mut metrics = EtcdMetrics::default();
        let mut scanner = Scanner::new(&NAMES);
        scanner.feed(text.as_bytes(), |sample| note(&mut metrics, &sample));
        scanner.end(|sample| note(&mut metrics, &sample));
        metrics
    }

    #[test]
    fn figures_of_several_peers_are_summed() {
        let metrics = read(
            r#"etcd_network_peer_round_trip_time_seconds_bucket{To="a",le="0.1"} 2
etcd_network_peer_round_trip_time_seconds_bucket{To="a",le="+Inf"} 3
etcd_network_peer_round_trip_time_seconds_sum{To="a"} 0.5
etcd_network_peer_round_trip_time_seconds_count{To="a"} 3
etcd_network_peer_round_trip_time_seconds_bucket{To="b",le="0.1"} 10
etcd_network_peer_round_trip_time_seconds_bucket{To="b",le="+Inf"} 10
etcd_network_peer_round_trip_time_seconds_sum{To="b"} 0.25
etcd_network_peer_round_trip_time_seconds_count{To="b"} 10
etcd_network_peer_sent_failures_total{To="a"} 4
etcd_network_peer_sent_failures_total{To="b"} 5
"#,
        );
        let expected = Histogram { buckets: vec![(0.1, 12.0), (f64::INFINITY, 13.0)], sum: 0.75, count: 13.0 };
        assert_eq!(metrics.peer_round_trip, expected);
        assert_eq!(metrics.peer_sent_failures, Some(9.0));
        assert_eq!((metrics.has_leader, metrics.quota_bytes), (None, None));
    }

    #[test]
    fn every_figure_is_read() {
        let text: String = NAMES
            .iter()
            .enumerate()
            .map(|(at, name)| {
                let labels = if name.ends_with("_bucket") { r#"{le="+Inf"}"# } else { "" };
                format!("# TYPE {name} untyped\n{name}{labels} {}\n", at + 1)
            })
            .collect();
        let histogram = |at: f64| Histogram { buckets: vec![(f64::INFINITY, at)], sum: at + 1.0, count: at + 2.0 };
        let expected = EtcdMetrics {
            fsync: histogram(1.0),
            commit: histogram(4.0),
            peer_round_trip: histogram(7.0),
            peer_sent_failures: Some(10.0),
            has_leader: Some(true),
            is_leader: Some(true),
            leader_changes: Some(13.0),
            heartbeat_send_failures: Some(14.0),
            proposals_failed: Some(15.0),
            slow_apply: Some(16.0),
            quota_bytes: Some(17.0),
            db_size_bytes: Some(18.0),
            db_in_use_bytes: Some(19.0),
            process_start_s: Some(20.0),
        };
        assert_eq!(read(&text), expected);
    }

    #[test]
    fn numbers_that_no_counter_has_are_passed_over_and_buckets_are_bounded() {
        assert_eq!(
            read("etcd_server_quota_backend_bytes NaN\netcd_server_slow_apply_total -1\n"),
            EtcdMetrics::default()
        );
        let many: String = (0..1_000)
            .map(|at| format!("etcd_disk_wal_fsync_duration_seconds_bucket{{le=\"{at}\"}} 1\n"))
            .chain(["etcd_disk_wal_fsync_duration_seconds_bucket{le=\"NaN\"} 1\n".to_owned()])
            .collect();
        assert_eq!(read(&many).fsync.buckets.len(), BUCKETS_MAX);
    }
}
