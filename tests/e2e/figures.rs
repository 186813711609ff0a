//! The figures of real parts: etcd's own counters, its member list, what machined tells of a node; and faults that show
//! in them alone.

use std::net::SocketAddr;
use std::time::Duration;

use defib::clock::Clock;
use defib::config;
use defib::observe::Observer;
use defib_engine::observation::{EtcdMetrics, Facts, ProbeKind, Seen, TalosMachine, Target};
use defib_lab::Node;
use defib_lab::fault::Fault;
use defib_lab::layout::ETCD_QUOTA_BYTES;

use crate::daemon::fetch;
use crate::support::{Stage, await_that};

/// How the fault of a slow disk is told from a disk that is busy: the mean of the fsyncs since it began.
const SLOW_FSYNC_S: f64 = 0.1;

/// For a fault to show in counters, on a busy machine.
const WITHIN: Duration = Duration::from_secs(60);

/// What one probe of the lab's own configuration sees, with other figures' places for etcd where they are given.
async fn ask(stage: &Stage, node: Node, kind: ProbeKind, metrics: Option<config::EtcdMetrics>) -> Facts {
    let mut config = config::read(&stage.lab.layout().config()).unwrap();
    for cluster in &mut config.clusters {
        cluster.etcd_metrics = metrics.or(cluster.etcd_metrics);
    }
    let canaries: [SocketAddr; 0] = [];
    let observer = Observer::new(&config.clusters, &canaries, Clock::start());
    let target = match kind {
        ProbeKind::Credentials => Target::Own(config.clusters[0].name.clone()),
        _ => Target::Node(config.clusters[0].name.clone(), node.to_string()),
    };
    let observation = observer.probe(&target, kind).await;
    match observation.seen {
        Seen::Healthy(facts) => facts,
        other => panic!("{} of {node}: {other:?}", kind.name()),
    }
}

async fn metrics(stage: &Stage, node: Node) -> EtcdMetrics {
    match ask(stage, node, ProbeKind::EtcdMetrics, None).await {
        Facts::EtcdMetrics(metrics) => *metrics,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn machine(stage: &Stage, node: Node) -> TalosMachine {
    match ask(stage, node, ProbeKind::TalosMachine, None).await {
        Facts::TalosMachine(machine) => *machine,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn seen(stage: &Stage) {
    stage.in_ops(async || {
        let mut leaders = 0;
        for node in Node::ALL {
            let told = metrics(stage, node).await;
            assert_eq!(told.fsync.buckets.len(), 15, "{:?}", told.fsync);
            assert!(told.fsync.buckets.is_sorted_by(|one, other| one.0 < other.0 && one.1 <= other.1));
            assert!(told.fsync.count > 0.0 && told.commit.count > 0.0 && told.peer_round_trip.count > 0.0, "{told:?}");
            assert_eq!(told.has_leader, Some(true));
            leaders += usize::from(told.is_leader.unwrap());
            let start = told.process_start_s.unwrap();
            assert!(start > 1.7e9 && told.db_size_bytes.unwrap() > 0.0, "{told:?}");
            assert_eq!(told.quota_bytes, Some(ETCD_QUOTA_BYTES as f64));
            for figure in [told.leader_changes, told.heartbeat_send_failures, told.slow_apply, told.peer_sent_failures]
            {
                assert!(figure.is_some(), "{told:?}");
            }

            // The same in the clear, on the port of its own.
            let clear = config::EtcdMetrics { tls: false, port: 2381 };
            let Facts::EtcdMetrics(clear) = ask(stage, node, ProbeKind::EtcdMetrics, Some(clear)).await else {
                panic!("no figures")
            };
            assert_eq!((clear.process_start_s, clear.quota_bytes), (told.process_start_s, told.quota_bytes));

            let Facts::EtcdMembers(list) = ask(stage, node, ProbeKind::EtcdMembers, None).await else {
                panic!("no list")
            };
            let mut names: Vec<&str> = list.members.iter().map(|member| member.name.as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, ["cp1", "cp2", "cp3"]);
            assert!(list.cluster_id != 0 && list.members.iter().all(|member| !member.learner && member.id != 0));
            assert!(list.members.iter().all(|member| member.peer_urls[0].ends_with(":2380")), "{list:?}");

            let told = machine(stage, node).await;
            assert!(told.memory_total_bytes > 1 << 28 && told.memory_available_bytes < told.memory_total_bytes);
            assert!(told.boot_time_s > 1_700_000_000 && told.cpu.user_s > 0.0 && told.cpu.idle_s > 0.0, "{told:?}");
            assert!(!told.disks.is_empty(), "{told:?}");
            let [filesystem] = told.filesystems.as_slice() else { panic!("{told:?}") };
            assert!(filesystem.mounted_on == "/var" && filesystem.size_bytes > 1 << 30, "{told:?}");
            assert!(0 < filesystem.available_bytes && filesystem.available_bytes < filesystem.size_bytes, "{told:?}");
            assert_eq!(told.watchdog, Some(true));
            let Facts::TalosDmesg(log) = ask(stage, node, ProbeKind::TalosDmesg, None).await else {
                panic!("no kernel log")
            };
            assert!(log.oom_kills.len() <= 64, "{log:?}");
            let offset = told.clock_offset_ms.unwrap().unsigned_abs();
            assert!(offset <= told.clock_uncertainty_ms + 1, "one machine has one clock: {told:?}");
        }
        assert_eq!(leaders, 1);
        let Facts::Credentials(own) = ask(stage, Node::Cp1, ProbeKind::Credentials, None).await else {
            panic!("no credentials")
        };
        let what: Vec<&str> = own.iter().map(|one| one.what.as_str()).collect();
        assert_eq!(what, ["kubernetes", "etcd", "talos"]);
        assert!(own.iter().all(|one| one.not_after.is_some() && one.problem.is_none()), "{own:?}");
        assert_eq!(own[2].groups, ["os:operator"], "the role stands in the certificate");
        assert!(own.iter().all(|one| !one.names_vip), "{own:?}");
    });
}

pub(crate) fn slow_disk(stage: &Stage) {
    let fault = Fault::SlowDisk(Node::Cp2);
    let config = stage.config("slow-disk", &[]);
    let mut daemon = stage.daemon(&config);
    await_that("the daemon has scraped every member", WITHIN, || {
        let metrics = stage.in_ops(async || fetch("http://127.0.0.1:9870/metrics").await);
        let scraped = |line: &&str| line.starts_with("defib_probe_outcome_total") && line.contains("\"etcd.metrics\"");
        let count = |line: &str| line.rsplit(' ').next()?.parse::<u32>().ok();
        let (_, text) = metrics.unwrap_or_default();
        text.lines().filter(scraped).filter_map(count).sum::<u32>() >= 3
    });
    stage.in_ops(async || {
        let before = metrics(stage, Node::Cp2).await.fsync;
        let other = metrics(stage, Node::Cp3).await.fsync;
        stage.lab.break_(fault).unwrap();
        assert!(stage.lab.faults().unwrap().contains(&fault));
        let until = std::time::Instant::now() + WITHIN;
        let mean_s = loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let now = metrics(stage, Node::Cp2).await.fsync;
            let mean_s = (now.sum - before.sum) / (now.count - before.count).max(1.0);
            if mean_s > SLOW_FSYNC_S || std::time::Instant::now() > until {
                break mean_s;
            }
        };
        let neighbour = metrics(stage, Node::Cp3).await.fsync;
        let neighbour_s = (neighbour.sum - other.sum) / (neighbour.count - other.count).max(1.0);
        assert!(mean_s > SLOW_FSYNC_S, "fsyncs of the slow disk took {mean_s} s");
        assert!(neighbour_s < mean_s / 2.0, "its neighbour's took {neighbour_s} s beside {mean_s} s");
    });
    // The rule's window is a minute, so what was slow is told of although it is over, and then no more.
    stage.lab.mend(fault).unwrap();
    assert!(stage.lab.faults().unwrap().is_empty());
    for (change, within) in [("raised", WITHIN), ("cleared", 4 * WITHIN)] {
        await_that(&format!("etcd-slow-disk of cp2 is {change}"), within, || {
            let rows = daemon.records("finding").into_iter().map(|row| row.body);
            rows.filter(|body| body["finding"] == "etcd-slow-disk" && body["scope"] == "cp2")
                .any(|body| body["change"] == change)
        });
    }
    assert!(daemon.terminate().success());
}

pub(crate) fn starved(stage: &Stage) {
    let fault = Fault::Starve(Node::Cp3);
    stage.in_ops(async || {
        let before = machine(stage, Node::Cp3).await.cpu;
        stage.lab.break_(fault).unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        // Read without its help: what is starved answers late.
        stage.lab.mend(fault).unwrap();
        let after = machine(stage, Node::Cp3).await.cpu;
        assert!(after.steal_s > before.steal_s + 0.5, "{before:?} {after:?}");
    });
    assert!(stage.lab.faults().unwrap().is_empty());
}

pub(crate) fn clock(stage: &Stage) {
    let fault = Fault::Clock(Node::Cp1, -7_000);
    stage.lab.break_(fault).unwrap();
    stage.in_ops(async || {
        let told = machine(stage, Node::Cp1).await;
        let off_ms = told.clock_offset_ms.unwrap() + 7_000;
        assert!(off_ms.unsigned_abs() <= told.clock_uncertainty_ms + 1, "{told:?}");
        assert!(machine(stage, Node::Cp2).await.clock_offset_ms.unwrap().abs() < 3_500);
    });
    stage.lab.mend(fault).unwrap();
    assert!(stage.lab.faults().unwrap().is_empty());
}
