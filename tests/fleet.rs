//! Two clusters under one program, against two modelled ones in virtual time: one machine of all is taken down at a time,
//! and two outages at once stay two.
//!
//! The loop, the engine, the shipped playbooks and the limits are the program's own. Left out: a journal, kills, chance in
//! what happens (`tests/simulation`).

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use defib::driver::{Driver, Ports};
use defib::model::Model;
use defib::model::fault::{Fault, Kind};
use defib::model::vip::Way;
use defib::model::world::{self, BEGINS, World};
use defib_engine::event::{Event, Saved, Step};
use defib_engine::observation::{ClusterId, ProbeKind, Target};
use defib_engine::playbook::{ActionClass, Limit};
use defib_engine::record::{Batch, Record, RunEnd};
use defib_engine::route::Route;
use defib_engine::settings::{Disruptive, Mode, Settings};
use defib_engine::status::Status;
use defib_engine::time::{Now, Tick, UnixMs};

const EAST: &str = "east";
const WEST: &str = "west";

/// What the program hands out in one turn.
#[derive(Default)]
struct Desk {
    batches: Vec<Batch>,
    wishes: Vec<(Target, ProbeKind)>,
    steps: Vec<Step>,
}

impl Ports for Desk {
    fn write(&mut self, batch: Batch) {
        self.batches.push(batch);
    }

    fn ask(&mut self, target: Target, kind: ProbeKind) {
        self.wishes.push((target, kind));
    }

    fn start(&mut self, step: Step) {
        self.steps.push(step);
    }

    fn route(&mut self, _: &ClusterId, _: Route) {}

    fn publish(&mut self, _: &ClusterId, _: &Status) {}
}

/// Two clusters, and what was written of them.
struct Stage {
    worlds: BTreeMap<ClusterId, World>,
    driver: Driver<Desk>,
    now: Tick,
    wake: Option<Tick>,
    written: Vec<(Tick, ClusterId, Record)>,
    /// Steps that can hurt: when, and where.
    started: Vec<(Tick, ClusterId, ActionClass)>,
}

fn now(mono: Tick) -> Now {
    Now { mono, wall: UnixMs(BEGINS.0.saturating_add_unsigned(mono.0)) }
}

impl Stage {
    fn new() -> Stage {
        Stage::with(Disruptive::default().per_fleet)
    }

    /// With this limit on machines taken down in both together.
    fn with(per_fleet: Limit) -> Stage {
        let playbooks = defib::playbook::load(defib::playbook::SHIPPED, None).unwrap();
        let mut settings = world::settings(3, Mode::Act, playbooks);
        let mut cluster = settings.clusters.values().next().cloned().unwrap();
        cluster.disruptive.per_fleet = per_fleet;
        settings.clusters = [EAST, WEST].map(|id| (id.to_owned(), cluster.clone())).into();
        let world = |(seed, id): (u64, &str)| {
            let alone = Settings { clusters: [(id.to_owned(), cluster.clone())].into(), ..settings.clone() };
            (id.to_owned(), World::new(&alone, Model::well(3, Way::KubeVip, seed), seed))
        };
        let mut worlds: BTreeMap<ClusterId, World> = [(1, EAST), (2, WEST)].map(world).into();
        // The clusters have started before the program does.
        let began = Tick(7_000);
        worlds.values_mut().for_each(|world| drop(world.advance(began, false)));
        let driver = Driver::new(&settings, &Saved::default(), now(began), Desk::default());
        let (written, started) = (Vec::new(), Vec::new());
        let mut stage = Stage { worlds, driver, now: began, wake: Some(began), written, started };
        stage.play(Duration::from_secs(400));
        stage
    }

    fn break_(&mut self, cluster: &str, kind: Kind, node: &str) {
        self.worlds.get_mut(cluster).unwrap().model.inflict(&Fault { kind, node: node.to_owned() });
    }

    fn mend(&mut self, cluster: &str, kind: Kind, node: &str) {
        self.worlds.get_mut(cluster).unwrap().model.mend(&Fault { kind, node: node.to_owned() });
    }

    fn play(&mut self, for_: Duration) {
        let end = self.now + for_;
        loop {
            let next = self.worlds.values().filter_map(World::next).chain(self.wake).min().unwrap_or(end);
            let at = next.max(self.now);
            if at > end {
                self.now = end;
                return;
            }
            self.now = at;
            let events: Vec<Event> = self.worlds.values_mut().flat_map(|world| world.advance(at, true)).collect();
            self.wake = self.driver.turn(events, now(at)).map(|wake| wake.max(Tick(at.0 + 1)));
            let desk = std::mem::take(&mut self.driver.ports);
            self.carry_out(desk);
        }
    }

    fn carry_out(&mut self, desk: Desk) {
        for batch in desk.batches {
            let (cluster, id) = (batch.cluster.clone(), batch.id);
            self.written.extend(batch.records.into_iter().map(|record| (self.now, cluster.clone(), record)));
            let stored = Event::Stored { cluster: cluster.clone(), batch: id, result: Ok(()) };
            self.worlds.get_mut(&cluster).unwrap().tell(Duration::from_millis(2), stored);
        }
        for (target, kind) in desk.wishes {
            // Both ask the same canary.
            let of = target.cluster().cloned().unwrap_or_else(|| EAST.to_owned());
            self.worlds.get_mut(&of).unwrap().ask(&target, kind);
        }
        for step in desk.steps {
            let (cluster, class) = (step.cluster().clone(), step.action().class());
            if class > ActionClass::Harmless {
                self.started.push((self.now, cluster.clone(), class));
            }
            self.worlds.get_mut(&cluster).unwrap().start(&step);
        }
    }

    /// When a run of this cluster ended so.
    fn ended(&self, cluster: &str, how: RunEnd) -> Option<Tick> {
        let it = |(_, of, record): &&(Tick, ClusterId, Record)| {
            of == cluster && matches!(record, Record::Run { state, .. } if *state == how)
        };
        self.written.iter().find(it).map(|(at, ..)| *at)
    }
}

#[test]
fn one_machine_of_all_clusters_is_taken_down_at_a_time() {
    let mut stage = Stage::new();
    stage.break_(EAST, Kind::HangEtcd, "cp2");
    stage.break_(WEST, Kind::HangEtcd, "cp3");
    stage.play(Duration::from_secs(1_200));

    let [(first, one, ActionClass::Disruptive), (second, other, ActionClass::Disruptive)] = stage.started.as_slice()
    else {
        panic!("{:?}", stage.started)
    };
    assert_ne!(one, other);
    let over = stage.ended(one, RunEnd::Recovered).unwrap();
    assert!(first < &over && &over <= second, "{first:?} {over:?} {second:?}");
    assert!(stage.ended(other, RunEnd::Recovered).is_some());

    let mut holds = stage.written.iter().filter_map(|(at, of, record)| match record {
        Record::Hold { check: "one-at-a-time", raised, text, .. } if of == other => Some((at, *raised, text.as_str())),
        _ => None,
    });
    let elsewhere = |(_, raised, text): &(&Tick, bool, &str)| {
        *raised && *text == "a disruptive run is under way in another cluster"
    };
    assert!(holds.any(|hold| elsewhere(&hold)), "{:?}", stage.written);
    let (lifted, ..) = holds.find(|(_, raised, _)| !raised).unwrap();
    assert!(lifted >= &over && lifted <= second, "{lifted:?}");
}

#[test]
fn all_clusters_together_have_one_limit_on_machines_taken_down() {
    let mut stage = Stage::with(Limit { count: 1, window: Duration::from_secs(3_600) });
    stage.break_(EAST, Kind::HangEtcd, "cp2");
    stage.play(Duration::from_secs(600));
    stage.break_(WEST, Kind::HangEtcd, "cp3");
    stage.play(Duration::from_secs(4_800));
    let [(first, one, ActionClass::Disruptive), (second, other, ActionClass::Disruptive)] = stage.started.as_slice()
    else {
        panic!("{:?}", stage.started)
    };
    assert_eq!((one.as_str(), other.as_str()), (EAST, WEST));
    let apart = second.since(*first);
    // A reboot is announced for a minute, once there is room.
    assert!(apart >= Duration::from_secs(3_600) && apart < Duration::from_secs(3_720), "{apart:?}");
    let told = stage.written.iter().any(|(_, of, record)| match record {
        Record::Hold { check: "budget", raised: true, text, .. } => {
            of == WEST && text.contains("all clusters 1 of 1 per 1h used")
        }
        _ => false,
    });
    assert!(told, "{:?}", stage.written);
}

#[test]
fn gentle_steps_in_two_clusters_do_not_wait_for_each_other() {
    let mut stage = Stage::new();
    stage.break_(EAST, Kind::HangApiserver, "cp2");
    stage.break_(WEST, Kind::HangApiserver, "cp3");
    stage.play(Duration::from_secs(70));
    let [(first, one, ActionClass::Service), (second, other, ActionClass::Service)] = stage.started.as_slice() else {
        panic!("{:?}", stage.started)
    };
    assert!(one != other && second.since(*first) < Duration::from_secs(10), "{:?}", stage.started);
    assert_eq!((stage.ended(one, RunEnd::Recovered), stage.ended(other, RunEnd::Recovered)), (None, None));
    stage.play(Duration::from_secs(60));
    assert!(stage.ended(EAST, RunEnd::Recovered).is_some() && stage.ended(WEST, RunEnd::Recovered).is_some());
}

#[test]
fn two_outages_in_one_cluster_are_two_incidents_and_the_neighbour_has_none() {
    let mut stage = Stage::new();
    stage.break_(EAST, Kind::StopKubelet, "cp1");
    stage.break_(EAST, Kind::EtcdCannotStart, "cp3");
    stage.play(Duration::from_secs(60));
    let mut east = roots(&stage, EAST);
    east.sort();
    assert_eq!(east, ["etcd-member-down cp3", "kubelet-down cp1"]);
    assert_eq!(roots(&stage, WEST), Vec::<String>::new());
    stage.mend(EAST, Kind::EtcdCannotStart, "cp3");
    stage.play(Duration::from_secs(500));
    let left = roots(&stage, EAST);
    assert!(left.is_empty(), "{left:?} {:#?}", stage.written);
    let neighbour =
        stage.written.iter().find(|(_, of, record)| of == WEST && matches!(record, Record::Incident { .. }));
    assert!(neighbour.is_none(), "{neighbour:?}");
}

fn roots(stage: &Stage, cluster: &str) -> Vec<String> {
    let status = stage.driver.status(&cluster.to_owned()).unwrap();
    status.incidents.iter().map(|incident| incident.root.to_string()).collect()
}
