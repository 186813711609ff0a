//! The observer and its rounds, against servers on loopback.

use std::time::Instant;

use defib_engine::event::Event;
use defib_engine::observation::Facts;
use tokio::sync::mpsc;

use super::*;
use crate::client::kubernetes::tests::{World, listen};
use crate::config::{EtcdMetrics, Ports, Talos as TalosFile};

const LONG: Duration = Duration::from_secs(10);

fn cluster(world: &World, apiserver: u16) -> Cluster {
    Cluster {
        name: "home".to_owned(),
        vip: Some(SocketAddr::from(([127, 0, 0, 1], apiserver))),
        nodes: vec![Node { name: "cp1".to_owned(), address: [127, 0, 0, 1].into() }],
        ports: Ports { apiserver, etcd: apiserver, talos: apiserver },
        kubernetes: Some(world.credential()),
        etcd: Some(world.credential()),
        etcd_metrics: Some(EtcdMetrics { tls: true, port: apiserver }),
        talos: Some(TalosFile { talosconfig: world.folder.path().join("talosconfig"), context: None }),
        arm: Vec::new(),
        snapshots: None,
        maintenance: Vec::new(),
        thresholds: defib_engine::threshold::Thresholds::default(),
        lifeline: None,
    }
}

fn node() -> Target {
    Target::Node("home".to_owned(), "cp1".to_owned())
}

fn names(observer: &Observer) -> Vec<String> {
    let name = |(target, path, kind): (Target, Path, ProbeKind)| format!("{target} {path:?} {}", kind.name());
    observer.wishes().into_iter().map(name).collect()
}

#[test]
fn wishes_for_all_that_the_configuration_allows() {
    let world = World::new();
    let canary = SocketAddr::from(([127, 0, 0, 1], 9));
    let mut cluster = cluster(&world, 1);
    let observer = Observer::new(std::slice::from_ref(&cluster), &[canary], Clock::start());
    let all = [
        "cp1 Talos talos.services",
        "cp1 Talos talos.containers",
        "cp1 Talos talos.kubelet-log",
        "cp1 Talos talos.machine",
        "cp1 Talos talos.dmesg",
        "cp1 Direct etcd.status",
        "cp1 Direct etcd.read-serializable",
        "cp1 Direct etcd.read-linearizable",
        "cp1 Direct etcd.members",
        "cp1 Direct etcd.metrics",
        "cp1 Direct apiserver",
        "vip Vip vip",
        "own Own credentials",
        "canary 127.0.0.1:9 Outside canary",
    ];
    assert_eq!(names(&observer), all);
    assert!(observer.talos("home", "cp1").is_some() && observer.talos("home", "cp2").is_none());

    cluster.etcd = None;
    cluster.etcd_metrics = None;
    cluster.kubernetes = None;
    let observer = Observer::new(std::slice::from_ref(&cluster), &[], Clock::start());
    let through_talos = [
        "cp1 Talos talos.services",
        "cp1 Talos talos.containers",
        "cp1 Talos talos.kubelet-log",
        "cp1 Talos talos.machine",
        "cp1 Talos talos.dmesg",
        "cp1 Talos etcd.status",
        "cp1 Talos etcd.members",
        "own Own credentials",
    ];
    assert_eq!(names(&observer), through_talos);

    cluster.talos = None;
    let observer = Observer::new(&[cluster], &[], Clock::start());
    assert!(observer.wishes().is_empty() && observer.talos("home", "cp1").is_none());
}

#[tokio::test]
async fn what_is_not_configured_or_cannot_be_read_is_unknown_by_our_own_side() {
    let world = World::new();
    let observer = Observer::new(&[cluster(&world, 1)], &[], Clock::start());
    let elsewhere = Target::Vip("elsewhere".to_owned());
    for (target, kind) in [(elsewhere, ProbeKind::Vip), (node(), ProbeKind::TalosServices)] {
        let observation = observer.probe(&target, kind).await;
        assert!(matches!(observation.seen, Seen::Unknown(Why::OwnSide(_))), "{observation:?}");
    }
}

#[tokio::test]
async fn two_callers_ask_one_after_the_other() {
    let world = World::new();
    // Nothing answers: each question lasts until its deadline.
    let (_listener, address) = listen().await;
    let observer = Observer::new(&[cluster(&world, address.port())], &[], Clock::start());
    let target = node();
    let kind = ProbeKind::EtcdStatus;
    let (first, second) = tokio::join!(observer.probe(&target, kind), observer.probe(&target, kind));
    assert_eq!(first.seen, Seen::Unhealthy(Failure::Timeout(Stage::Handshake)));
    assert!(second.sent >= first.at);
    assert!(first.at.since(first.sent) < kind.deadline() + GRACE * 2);
}

#[test]
fn a_silence_that_was_noticed_late_proves_nothing_and_one_long_after_the_question_does() {
    let silence: Result<(), Trouble> = Err(Failure::Timeout(Stage::Response).into());
    let now = tokio::time::Instant::now();
    assert_eq!(in_time(silence.clone(), now), silence);
    let late = in_time(silence, now.checked_sub(NOTICED_WITHIN * 2).unwrap());
    assert!(matches!(&late, Err(Trouble::Unknown(Why::OwnSide(why))) if why.contains("our own timers")), "{late:?}");
    let refused: Result<(), Trouble> = Err(Failure::Refused.into());
    assert_eq!(in_time(refused.clone(), now.checked_sub(NOTICED_WITHIN * 2).unwrap()), refused);
}

struct Running {
    wishes: mpsc::Sender<(Target, ProbeKind)>,
    seen: mpsc::Receiver<Event>,
    task: tokio::task::JoinHandle<()>,
}

fn start(observer: Observer) -> Running {
    let (wishes, wished) = mpsc::channel(4);
    let (out, seen) = mpsc::channel(1);
    Running { wishes, seen, task: tokio::spawn(run::run(Arc::new(observer), wished, out)) }
}

impl Running {
    async fn next(&mut self, kind: ProbeKind) -> Observation {
        let next = async {
            loop {
                match self.seen.recv().await {
                    Some(Event::Observed(observation)) if observation.kind == kind => return observation,
                    Some(_) => {}
                    None => panic!("the rounds ended"),
                }
            }
        };
        tokio::time::timeout(LONG, next).await.unwrap()
    }
}

#[tokio::test]
async fn a_silent_target_delays_no_other_and_a_wish_is_asked_at_once() {
    let world = World::new();
    let (_silent, address) = listen().await;
    let (_canary, canary) = listen().await;
    let observer = Observer::new(&[cluster(&world, address.port())], &[canary], Clock::start());
    let target = Target::Canary(canary.to_string());
    let mut running = start(observer);
    // By its cadence, within a fifth of its 5 s; the silent ones have not ended by then.
    let first = running.next(ProbeKind::Canary).await;
    assert_eq!(first.seen, Seen::Healthy(Facts::Canary));
    for _ in 0..3 {
        let wished = Instant::now();
        running.wishes.send((target.clone(), ProbeKind::Canary)).await.unwrap();
        running.next(ProbeKind::Canary).await;
        assert!(wished.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_wish_for_what_is_under_way_is_asked_right_after() {
    let world = World::new();
    let (_silent, address) = listen().await;
    let observer = Observer::new(&[cluster(&world, address.port())], &[], Clock::start());
    let clock = observer.clock();
    let mut running = start(observer);
    let kind = ProbeKind::EtcdReadSerializable;
    // Its first round comes within 400 ms and lasts 1.5 s: it is under way at the second wish, if not at the first.
    running.wishes.send((node(), kind)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let wished = clock.tick();
    running.wishes.send((node(), kind)).await.unwrap();
    let first = running.next(kind).await;
    let second = running.next(kind).await;
    assert!(first.sent < wished && second.sent >= wished, "{first:?} {second:?}");
    assert!(second.sent.since(first.at) < Duration::from_millis(500));
}

#[tokio::test]
async fn the_log_is_asked_on_a_wish_alone_while_no_container_is_known_to_be_dead() {
    let world = World::new();
    let (_silent, address) = listen().await;
    let observer = Observer::new(&[cluster(&world, address.port())], &[], Clock::start());
    let mut running = start(observer);
    let kind = ProbeKind::TalosKubeletLog;
    let none = tokio::time::timeout(Duration::from_millis(1_500), running.next(kind)).await;
    assert!(none.is_err(), "{none:?}");
    running.wishes.send((node(), kind)).await.unwrap();
    running.next(kind).await;
}

#[tokio::test]
async fn the_rounds_end_with_their_listener() {
    let running = start(Observer::new(&[], &[], Clock::start()));
    drop(running.seen);
    tokio::time::timeout(LONG, running.task).await.unwrap().unwrap();
    let running = start(Observer::new(&[], &[], Clock::start()));
    drop(running.wishes);
    tokio::time::timeout(LONG, running.task).await.unwrap().unwrap();
}
