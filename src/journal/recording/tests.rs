//! What was recorded is read again as it was; what was damaged is told with its place; what was forgotten is carried along.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use defib_engine::observation::{NodeName, ProbeKind};
use defib_engine::playbook::{Action, ActionClass};
use defib_engine::record::{Batch, FindingKey, IncidentState, Intent, Order, Record, StepId};
use defib_engine::settings::Settings;
use defib_engine::time::{Tick, UnixMs};

use super::*;
use crate::model::Model;
use crate::model::fault::{Fault, KINDS};
use crate::model::vip::Way;
use crate::model::world::{self, CLUSTER, World};

fn settings() -> Settings {
    let playbooks = crate::playbook::load(crate::playbook::SHIPPED, None).unwrap();
    world::settings(3, Mode::Act, playbooks)
}

fn now(seconds: u64) -> Now {
    Now { mono: Tick(seconds * 1_000), wall: UnixMs(1_771_286_400_000 + i64::try_from(seconds).unwrap() * 1_000) }
}

/// Everything that a modelled cluster answers while everything that can go wrong with it does.
fn events() -> Vec<Event> {
    let settings = settings();
    let mut world = World::new(&settings, Model::well(3, Way::KubeVip, 7), 7);
    let mut events = Vec::new();
    for second in 0..240_u64 {
        let place = usize::try_from(second / 8).unwrap();
        if let (Some((kind, _)), 0) = (KINDS.get(place), second % 8) {
            world.model.inflict(&Fault { kind: *kind, node: format!("cp{}", second % 3 + 1) });
        }
        events.extend(world.advance(Tick(second * 1_000), true));
    }
    events
}

/// What a hypervisor would tell: this world has none.
fn hypervisor() -> Vec<Event> {
    use defib_engine::observation::{
        ClusterApi, Facts, HypervisorHost, Observation, Path, Seen, Target, VirtualMachine, VmState,
    };
    let seen = |kind, facts| {
        let target = Target::Node(CLUSTER.to_owned(), "cp1".to_owned());
        let (sent, at) = (Tick(1_000), Tick(1_002));
        Event::Observed(Observation { target, path: Path::Hypervisor, kind, sent, at, seen: Seen::Healthy(facts) })
    };
    let host = HypervisorHost {
        name: "pve1".to_owned(),
        cpu_percent: 0.1 + 0.2,
        cpus_promised: 80,
        ..HypervisorHost::default()
    };
    let vm = |state: VmState| VirtualMachine {
        host: "pve1".to_owned(),
        state,
        stopped_by: Some("root@pam".to_owned()),
        lock: Some("backup".to_owned()),
        cpu_units: 100,
        cpu_percent: Some(1.0 / 3.0),
        ..VirtualMachine::default()
    };
    let states =
        [VmState::Running, VmState::Stopped, VmState::Paused, VmState::IoError, VmState::Other("x".to_owned())];
    let vms = states.map(|state| seen(ProbeKind::HypervisorVm, Facts::HypervisorVm(Box::new(vm(state)))));
    let stage = seen(ProbeKind::TalosStage, Facts::TalosStage("upgrading".to_owned()));
    let marks = ClusterApi { paused: Some("the cluster".to_owned()), remediated: true };
    let marks = seen(ProbeKind::ClusterApi, Facts::ClusterApi(marks));
    let host = seen(ProbeKind::HypervisorHost, Facts::HypervisorHost(Box::new(host)));
    vms.into_iter().chain([host, stage, marks]).collect()
}

/// What the folder of a schedule and a listener for logs would tell: the model has neither.
fn where_set_up() -> [Event; 2] {
    use defib_engine::observation::{Facts, Logs, Observation, Path, Seen, Snapshot, Snapshots, Target};
    let newest = Some(Snapshot { at: UnixMs(1_771_286_400_000), bytes: 40_000_000 });
    let facts =
        Snapshots { every: std::time::Duration::from_secs(3_600), newest, failed: Some("the disk is full".to_owned()) };
    let silent_for = [("cp1".to_owned(), std::time::Duration::from_millis(1_500))].into();
    let logs = Logs { listening_for: std::time::Duration::from_secs(60), silent_for };
    [(ProbeKind::Snapshots, Facts::Snapshots(facts)), (ProbeKind::Logs, Facts::Logs(logs))].map(|(kind, facts)| {
        let (target, seen) = (Target::Own(CLUSTER.to_owned()), Seen::Healthy(facts));
        Event::Observed(Observation { target, path: Path::Own, kind, sent: Tick(1_000), at: Tick(1_002), seen })
    })
}

fn read(bytes: &[u8]) -> Result<Recording, RecordingError> {
    Recording::from(BufReader::new(bytes), Path::new("prod.recording"))
}

fn recording() -> Vec<u8> {
    let settings = settings();
    let header = Header {
        program: "0.1.0".to_owned(),
        model: false,
        cluster: CLUSTER.to_owned(),
        incident: "I-1".to_owned(),
        opened: now(2),
        begins: now(0),
        from_start: true,
        mode: Mode::Act,
        settings: Cluster(settings.clusters[CLUSTER].clone()),
        canaries: settings.canaries,
        playbooks: vec![("mine".to_owned(), "name: mine\n".to_owned())],
        saved: Memory::default(),
    };
    let records = vec![Told { kind: "run".to_owned(), body: serde_json::json!({"run": "R-1"}) }];
    let lines = [
        Line::Header(Box::new(header)),
        Line::Turn(Turn { now: now(1), events: events().into_iter().take(3).collect() }),
        Line::Wrote(Wrote { now: now(1), batch: 1, records, steps: Vec::new() }),
        Line::End("it is quiet".to_owned()),
    ];
    lines.iter().flat_map(Line::write).collect()
}

#[test]
fn every_event_comes_back_as_it_was() {
    let mut events = events();
    events.extend(hypervisor().into_iter().chain(where_set_up()));
    for kind in ProbeKind::ALL {
        let has = |event: &&Event| matches!(event, Event::Observed(seen) if seen.kind == kind);
        assert!(events.iter().any(|event| has(&event)), "nothing was asked by {}", kind.name());
    }
    let turn = Turn { now: now(3), events };
    let line = Line::Turn(turn.clone()).write();
    assert_eq!(Line::read(line.trim_ascii_end()), Ok(Line::Turn(turn)));
}

#[test]
fn figures_come_back_to_the_last_bit() {
    for figure in [0.1 + 0.2, 1e300, 5e-324, -0.0, f64::INFINITY, 1.0 / 3.0] {
        assert_eq!(f64::take(&figure.put()).unwrap().to_bits(), figure.to_bits());
    }
    assert!(f64::take(&f64::NAN.put()).unwrap().is_nan());
    assert_eq!(u64::take(&u64::MAX.put()), Ok(u64::MAX));
}

#[test]
fn a_file_that_was_cut_off_is_read_up_to_there_and_one_that_was_changed_is_not() {
    let whole = recording();
    let read_whole = read(&whole).unwrap();
    assert_eq!((read_whole.lines.len(), read_whole.ended.as_deref()), (2, Some("it is quiet")));
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for length in 0..whole.len() {
        match read(&whole[..length]) {
            Ok(cut) => assert!(length >= first && cut.ended.is_none() && cut.lines.len() <= 2),
            Err(error) => {
                assert!(length < first && matches!(error, RecordingError::Foreign { .. }), "{length}: {error}")
            }
        }
    }
    // A step that is odd visits every part of the file in a moment.
    for place in (0..whole.len()).step_by(7) {
        for bit in [0, 5] {
            let mut damaged = whole.clone();
            damaged[place] ^= 1 << bit;
            if let Ok(read) = read(&damaged) {
                // Only the last line's own end can be lost without a trace: then it was not written to its end.
                assert_eq!((place, read.cut_bytes > 0), (whole.len() - 1, true), "{place}");
            }
        }
    }
}

#[test]
fn a_recording_says_whether_it_is_of_a_model_and_an_older_one_is_of_none() {
    let whole = recording();
    let end = whole.iter().position(|byte| *byte == b'\n').unwrap();
    let mut head = value(&whole[..end]).unwrap();
    for (says, expected) in [(Some(true), true), (Some(false), false), (None, false)] {
        let Value::Object(map) = &mut head else { panic!("{head}") };
        map.remove("model");
        map.extend(says.map(|model| ("model".to_owned(), Value::Bool(model))));
        let bytes = [&sealed(&head), &whole[end + 1..]].concat();
        assert_eq!(read(&bytes).unwrap().header.model, expected, "{says:?}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let told = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert_eq!(told(b""), "prod.recording is no recording of defib: it is empty");
    assert_eq!(
        told(b"SQLite format 3\n"),
        "prod.recording is no recording of defib: line 1: its checksum does not fit: the line is damaged"
    );
    let newer = sealed(&serde_json::json!({"format": 2}));
    assert_eq!(told(&newer), "prod.recording has format 2; this defib reads 1: take the one that wrote it");
    let misshapen = sealed(&serde_json::json!({"format": 1, "program": 7}));
    assert_eq!(told(&misshapen), "prod.recording:1: program: not a text");
    let mut bytes = recording();
    let end = bytes.len() - Line::End("it is quiet".to_owned()).write().len();
    bytes.truncate(end);
    let odd = serde_json::json!({"turn": {"now": {"mono": 1, "wall": 1}, "events": [{"Observer": {"health": {"late": -1}}}]}});
    bytes.extend(sealed(&odd));
    assert_eq!(told(&bytes), "prod.recording:4: events.[0].health.late: not a whole number from 0");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = format!("{} {deep}\n", checksum(deep.as_bytes()));
    assert!(told(deep.as_bytes()).contains("recursion limit"), "{}", told(deep.as_bytes()));
}

/// The one recording in a folder, when its writer has ended.
fn kept(folder: &Path) -> PathBuf {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

fn incident(at: Now, id: &str, state: IncidentState) -> Batch {
    let key = FindingKey { rule: "apiserver-down", subject: defib_engine::finding::Subject::Node("cp1".to_owned()) };
    let (root, findings) = (Some(key.clone()), vec![key]);
    let record = Record::Incident { incident: id.to_owned(), state, root, findings, text: String::new() };
    Batch { id: 1, cluster: CLUSTER.to_owned(), at: at.wall, records: vec![record], ..Batch::default() }
}

#[test]
fn the_minutes_before_an_incident_are_kept_and_what_was_spent_before_them_is_carried_along() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Keeper::start(folder.path()).unwrap();
    let mut recorder = Recorder::new(&settings(), &Saved::default(), now(0), true, keeper);
    let cluster = CLUSTER.to_owned();
    let node: NodeName = "cp1".to_owned();
    for second in 1..=3_000 {
        recorder.takes(&Event::Observer(defib_engine::event::ObserverHealth::default()));
        recorder.turns(now(second), std::iter::once(&cluster));
        if second == 600 {
            let intent = Intent {
                step: StepId("model/R-4/1".to_owned()),
                run: "R-4".to_owned(),
                incident: None,
                cluster: cluster.clone(),
                playbook: "restart-kubelet".to_owned(),
                action: Action::CollectEvidence,
                class: ActionClass::Service,
                node: node.clone(),
                at: now(second).wall,
            };
            let order = Order::Pause { reason: "at work".to_owned(), until: now(9_000).wall };
            let records = vec![Record::Command { by: "somebody".to_owned(), order }];
            let at = now(second).wall;
            recorder.wrote(&Batch {
                id: 1,
                cluster: cluster.clone(),
                at,
                intents: vec![intent],
                records,
                ..Batch::default()
            });
        }
        match second {
            2_000 => recorder.wrote(&incident(now(second), "I-9", IncidentState::Open)),
            2_100 => recorder.wrote(&incident(now(second), "I-9", IncidentState::Closed)),
            _ => {}
        }
    }
    drop(recorder);
    let read = Recording::read(&kept(folder.path())).unwrap();
    let header = &read.header;
    assert!(header.model);
    assert_eq!((header.incident.as_str(), header.opened, header.from_start), ("I-9", now(2_000), false));
    let before = header.opened.mono.since(header.begins.mono);
    assert!((420..=422).contains(&before.as_secs()), "{before:?}");
    let Saved { reservations, pauses, last_run, .. } = &header.saved.0;
    let age = header.begins.mono.since(Tick(600_000));
    assert_eq!(reservations.iter().map(|one| (one.run.as_str(), one.age)).collect::<Vec<_>>(), [("R-4", Some(age))]);
    assert_eq!((pauses[CLUSTER].age, last_run[CLUSTER]), (Some(age), 4));
    assert_eq!(read.ended.as_deref(), Some("the cluster has been quiet for a minute"));
    let Some(Line::Turn(last)) = read.lines.last() else { panic!("{:?}", read.lines.last()) };
    assert_eq!(last.now, now(2_161), "a minute after the first turn without it");
}
