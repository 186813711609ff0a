//! kill −9 on a real journal: at the two borders that matter most, between a reservation and its step and between a step and
//! its outcome, and (`boundaries`) before and after every batch. Whatever the program was doing, the next start repeats
//! nothing and refills nothing.
//!
//! Each case runs this test program again as a child with the real driver, engine and journal, in virtual time, and lets
//! the child kill itself. A call is one line in a file, written to the disk before anything else happens.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

#[path = "crash/boundaries.rs"]
mod boundaries;

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use defib::driver::{Driver, Ports};
use defib::journal::{Journal, Outcome as Row, Reader, account};
use defib_engine::command::{Ask, Command as Asked, Reply};
use defib_engine::event::{Event, Step};
use defib_engine::observation::{
    Apiserver, BackOff, ClusterApi, ClusterId, Container, EtcdMembers, EtcdStatus, Facts, Failure, KernelLog,
    KubeletLog, Logs, Observation, Path as Way, ProbeKind, Seen, Service, Snapshots, TalosServices, Target,
};
use defib_engine::playbook::ActionClass;
use defib_engine::record::{Batch, Outcome};
use defib_engine::route::Route;
use defib_engine::settings::{ClusterSettings, Mode, Settings};
use defib_engine::status::Status;
use defib_engine::time::{Now, Tick, UnixMs};

const CLUSTER: &str = "prod";
const NODES: [&str; 3] = ["cp1", "cp2", "cp3"];
const BASE_MS: i64 = 1_700_000_000_000;

#[derive(Clone, Copy, PartialEq)]
enum CrashAt {
    Nowhere,
    /// The reservation is on the disk, the engine has not been told.
    Durable,
    /// The step was carried out, its outcome is not written.
    Started,
    /// The batch of this number, from 1, is about to be handed to the journal.
    Before(u64),
    /// It is on the disk, the engine has not been told.
    After(u64),
}

impl CrashAt {
    fn named(name: &str) -> CrashAt {
        let number = |digits: &str| digits.parse().unwrap();
        match name.split_once(':') {
            Some(("before", batch)) => CrashAt::Before(number(batch)),
            Some(("after", batch)) => CrashAt::After(number(batch)),
            _ if name == "durable" => CrashAt::Durable,
            _ if name == "started" => CrashAt::Started,
            _ => CrashAt::Nowhere,
        }
    }
}

/// What the environment says to a child; none in the parent.
struct Orders {
    folder: PathBuf,
    crash: CrashAt,
    starts_at_s: u64,
    runs_s: u64,
    /// When a person pauses the cluster for an hour.
    pauses_at_s: Option<u64>,
}

fn orders() -> Option<Orders> {
    let text = |name: &str| std::env::var(name).ok();
    Some(Orders {
        folder: text("CRASH_FOLDER")?.into(),
        crash: CrashAt::named(&text("CRASH_AT")?),
        starts_at_s: text("CRASH_START_S")?.parse().unwrap(),
        runs_s: text("CRASH_RUN_S")?.parse().unwrap(),
        pauses_at_s: text("CRASH_PAUSE_S").map(|text| text.parse().unwrap()),
    })
}

fn die() -> ! {
    nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL).unwrap();
    unreachable!("SIGKILL cannot be survived")
}

struct Child {
    journal: Journal,
    crash: CrashAt,
    folder: PathBuf,
    batches: u64,
    calls: std::fs::File,
    stored: (Sender<Event>, Receiver<Event>),
    ended: Vec<Event>,
}

impl Ports for Child {
    fn write(&mut self, batch: Batch) {
        self.batches += 1;
        if self.crash == CrashAt::Before(self.batches) {
            die();
        }
        let last = self.crash == CrashAt::After(self.batches);
        let (crash, intents) = (self.crash, !batch.intents.is_empty());
        let (sender, cluster, id) = (self.stored.0.clone(), batch.cluster.clone(), batch.id);
        self.journal.append(account::rows(&batch, None), move |result| {
            if (last || crash == CrashAt::Durable && intents) && result.is_ok() {
                die();
            }
            let result = result.map_err(|error| error.to_string());
            sender.send(Event::Stored { cluster, batch: id, result }).unwrap();
        });
        // The journal's thread answers; the child waits for it, so that virtual time stands still for the disk.
        let answer = self.stored.1.recv().unwrap();
        self.ended.push(answer);
    }

    fn ask(&mut self, _: Target, _: ProbeKind) {}

    fn start(&mut self, step: Step) {
        if step.action().class() > ActionClass::Harmless {
            writeln!(self.calls, "{} {}", step.id(), step.action()).unwrap();
            self.calls.sync_all().unwrap();
            if self.crash == CrashAt::Started {
                die();
            }
        }
        let outcome = Outcome::Done("restarted".to_owned());
        self.ended.push(Event::Ended { cluster: step.cluster().clone(), step: step.id().clone(), outcome });
    }

    fn route(&mut self, _: &ClusterId, _: Route) {}
    fn publish(&mut self, _: &ClusterId, _: &Status) {}

    fn reply(&mut self, _: u64, reply: Reply) {
        std::fs::write(self.folder.join("reply"), format!("{reply:?}")).unwrap();
    }
}

/// cp1's API server is dead and waits; the others run and are not ready. etcd serves. Nothing that is done helps.
fn seen(node: &str, kind: ProbeKind, ill: bool) -> Seen {
    let dead = ill && node == "cp1";
    Seen::Healthy(match kind {
        ProbeKind::TalosServices => Facts::TalosServices(TalosServices {
            version: "v1.13.0".to_owned(),
            services: ["kubelet", "etcd"]
                .map(|id| Service { id: id.to_owned(), state: "Running".to_owned(), healthy: Some(true) })
                .to_vec(),
        }),
        ProbeKind::TalosContainers => Facts::TalosContainers(vec![Container {
            name: "kube-apiserver".to_owned(),
            pod: format!("kube-system/kube-apiserver-{node}"),
            pod_uid: "1".to_owned(),
            id: "a".to_owned(),
            running: !dead,
        }]),
        ProbeKind::TalosKubeletLog => {
            let wait = Duration::from_secs(160);
            let back_off = BackOff { length: wait, first_said_ago: Duration::ZERO, last_said_ago: Duration::ZERO };
            Facts::TalosKubeletLog(KubeletLog { back_off: dead.then_some(back_off) })
        }
        ProbeKind::TalosDmesg => Facts::TalosDmesg(KernelLog::default()),
        ProbeKind::EtcdStatus => {
            Facts::EtcdStatus(EtcdStatus { cluster_id: 1, leader: 1, term: 2, ..EtcdStatus::default() })
        }
        ProbeKind::EtcdReadSerializable | ProbeKind::EtcdReadLinearizable => {
            Facts::EtcdRead { took: Duration::from_millis(1) }
        }
        ProbeKind::Apiserver if dead => return Seen::Unhealthy(Failure::Refused),
        ProbeKind::Apiserver => Facts::Apiserver(Apiserver { ready: !ill, live: true, ..Apiserver::default() }),
        ProbeKind::TalosMachine => Facts::TalosMachine(Box::default()),
        ProbeKind::EtcdMembers => Facts::EtcdMembers(EtcdMembers::default()),
        ProbeKind::EtcdMetrics => Facts::EtcdMetrics(Box::default()),
        ProbeKind::Credentials => Facts::Credentials(Vec::new()),
        ProbeKind::Snapshots => Facts::Snapshots(Snapshots::default()),
        ProbeKind::Logs => Facts::Logs(Logs::default()),
        ProbeKind::Vip | ProbeKind::Canary | ProbeKind::HypervisorHost | ProbeKind::HypervisorVm => Facts::Canary,
        ProbeKind::TalosStage => Facts::TalosStage("running".to_owned()),
        ProbeKind::ClusterApi => Facts::ClusterApi(ClusterApi::default()),
    })
}

fn child(orders: &Orders) {
    let now = |s: u64| Now {
        mono: Tick((s - orders.starts_at_s) * 1_000),
        wall: UnixMs(BASE_MS + i64::try_from(s * 1_000).unwrap()),
    };
    let opened = Journal::open(&orders.folder, now(orders.starts_at_s).wall).unwrap();
    let saved = account::saved(&opened, None);
    let calls = std::fs::OpenOptions::new().append(true).create(true).open(orders.folder.join("calls")).unwrap();
    let kinds: Vec<_> =
        ProbeKind::ALL.into_iter().filter(|k| !matches!(k, ProbeKind::Vip | ProbeKind::Canary)).collect();
    let settings = Settings {
        mode: Mode::Act,
        clusters: [(
            CLUSTER.to_owned(),
            ClusterSettings {
                nodes: NODES.map(str::to_owned).to_vec(),
                sources: kinds.iter().copied().collect(),
                armed: ["restart-kubelet".to_owned()].into(),
                ..ClusterSettings::default()
            },
        )]
        .into(),
        playbooks: defib::playbook::load(defib::playbook::SHIPPED, None).unwrap(),
        ..Settings::default()
    };
    let ports = Child {
        journal: opened.journal,
        crash: orders.crash,
        folder: orders.folder.clone(),
        batches: 0,
        calls,
        stored: channel(),
        ended: Vec::new(),
    };
    let mut driver = Driver::new(&settings, &saved, now(orders.starts_at_s), ports);
    for s in orders.starts_at_s..orders.starts_at_s + orders.runs_s {
        let ill = s - orders.starts_at_s > 310;
        let mut events = std::mem::take(&mut driver.ports.ended);
        for node in NODES {
            for &kind in &kinds {
                events.push(Event::Observed(Observation {
                    target: Target::Node(CLUSTER.to_owned(), node.to_owned()),
                    path: Way::Direct,
                    kind,
                    sent: now(s).mono,
                    at: now(s).mono,
                    seen: seen(node, kind, ill),
                }));
            }
        }
        if orders.pauses_at_s == Some(s) {
            let (cluster, reason) = (Some(CLUSTER.to_owned()), "maintenance".to_owned());
            let ask = Ask::Pause { cluster, reason, for_: Duration::from_secs(3_600) };
            events.push(Event::Asked(Asked { id: 1, by: "somebody@here".to_owned(), ask }));
        }
        driver.turn(events, now(s));
    }
}

#[test]
fn as_child() {
    if let Some(orders) = orders() {
        child(&orders);
    }
}

fn run_child(folder: &Path, crash: &str, start_s: u64, run_s: u64) -> Option<i32> {
    run_paused_child(folder, crash, start_s, run_s, None)
}

/// The same, with a person who pauses the cluster at some second.
fn run_paused_child(folder: &Path, crash: &str, start_s: u64, run_s: u64, pause_s: Option<u64>) -> Option<i32> {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "as_child", "--nocapture"])
        .env("CRASH_FOLDER", folder)
        .env("CRASH_AT", crash)
        .env("CRASH_START_S", start_s.to_string())
        .env("CRASH_RUN_S", run_s.to_string())
        .envs(pause_s.map(|s| ("CRASH_PAUSE_S", s.to_string())))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&status.stdout);
    assert!(status.status.signal().is_some() || status.status.success(), "the child failed by itself:\n{said}");
    status.status.signal()
}

fn calls(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("calls")).map_or(0, |text| text.lines().count())
}

fn outcomes(folder: &Path) -> Vec<Option<Row>> {
    let intents = Reader::open(folder).unwrap().intents(100).unwrap();
    intents.rows.into_iter().rev().map(|intent| intent.outcome).collect()
}

const KILLED: Option<i32> = Some(9);
/// Long enough to settle, to fall ill and to act once.
const FIRST_S: u64 = 400;
/// Within the hour of the limit (2 per node), behind the cooldown and a settled pod.
const SECOND_S: u64 = 2_400;

#[test]
fn uncrashed_it_acts_twice_in_an_hour_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run_child(folder.path(), "nowhere", 0, 3_500), None);
    assert_eq!(calls(folder.path()), 2);
    assert_eq!(outcomes(folder.path()), [Some(Row::Done), Some(Row::Done)]);
}

#[test]
fn killed_between_reservation_and_step_it_repeats_nothing_and_refills_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run_child(folder.path(), "durable", 0, FIRST_S), KILLED);
    assert_eq!(calls(folder.path()), 0, "nothing was started");
    assert_eq!(outcomes(folder.path()), [None], "the reservation is on the disk");

    assert_eq!(run_child(folder.path(), "nowhere", FIRST_S, SECOND_S), None);
    assert_eq!(calls(folder.path()), 1, "one of two is left in the hour");
    assert_eq!(outcomes(folder.path()), [Some(Row::Unknown), Some(Row::Done)]);
}

#[test]
fn killed_between_step_and_outcome_it_repeats_nothing_and_refills_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run_child(folder.path(), "started", 0, FIRST_S), KILLED);
    assert_eq!(calls(folder.path()), 1);
    assert_eq!(outcomes(folder.path()), [None]);

    assert_eq!(run_child(folder.path(), "nowhere", FIRST_S, SECOND_S), None);
    assert_eq!(calls(folder.path()), 2, "one of two is left in the hour, and the first is not repeated at once");
    assert_eq!(outcomes(folder.path()), [Some(Row::Unknown), Some(Row::Done)]);
}

#[test]
fn killed_twice_the_hour_is_spent() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run_child(folder.path(), "durable", 0, FIRST_S), KILLED);
    assert_eq!(run_child(folder.path(), "durable", 800, FIRST_S), KILLED);
    assert_eq!(run_child(folder.path(), "nowhere", 1_300, 2_200), None);
    assert_eq!(calls(folder.path()), 0, "both of the hour are spent, though nothing was ever started");
    assert_eq!(outcomes(folder.path()), [Some(Row::Unknown), Some(Row::Unknown)]);
}
