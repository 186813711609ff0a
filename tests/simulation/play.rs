//! The program's own loop played against the model in virtual time: the real driver and engine, a journal on paper, probes
//! and steps that the model answers.
//!
//! Nothing waits: time jumps to whatever comes next. The same seed, faults and settings give the same play. It promises the
//! contracts of the real ports: at most one probe of a target and kind under way, an answer for every batch that the journal
//! takes, an end for every step that was started. Left out: whatever the real ports do beyond that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use defib_engine::event::{Event, Saved, Step};
use defib_engine::ledger::Reservation;
use defib_engine::observation::{ClusterId, NodeName, Observation, Path, ProbeKind, Target};
use defib_engine::playbook::{Action, RestartableService};
use defib_engine::record::{Batch, Outcome, Record, StepId};
use defib_engine::route::Route;
use defib_engine::settings::Settings;
use defib_engine::status::Status;
use defib_engine::time::{Now, Tick, UnixMs};

use defib::driver::{Driver, Ports};
use defib::model::Model;
use defib::model::lottery::Lottery;
use defib::observe::schedule::Schedule;

/// The wall clock at the play's beginning: 2026-02-17, the day of the first incident.
const BEGINS: UnixMs = UnixMs(1_771_286_400_000);
/// The story keeps so many entries.
const STORY_MAX: usize = 100_000;

/// How the journal behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Journal {
    /// It takes everything within milliseconds.
    #[default]
    Well,
    /// It takes everything, after this long.
    Slow(Duration),
    /// It takes nothing, and says so.
    Refuses,
    /// It takes what it is given and says nothing.
    Silent,
}

/// When the program is killed without warning, next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// A batch with an intent was handed over and is not on the paper.
    BeforeWrite,
    /// It is on the paper, and the program was not told.
    AfterWrite,
    /// A step was carried out, and its end not told.
    AfterStep,
}

/// Something that happened at the border between the program and the world.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    /// The program handed over what is to be written.
    Wrote(Batch),
    /// A step was started.
    Started(Deed),
    /// The way to a living API server changed.
    Routed(Route),
    /// The program was killed.
    Killed,
    /// It was started again.
    Began,
}

/// A step as the world sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Deed {
    /// Its id.
    pub(crate) id: StepId,
    /// On which node.
    pub(crate) node: NodeName,
    /// What.
    pub(crate) action: Action,
}

enum Item {
    Seen(usize, Observation),
    Stored { batch: u64, cluster: ClusterId, result: Result<(), String> },
    Ended { cluster: ClusterId, step: StepId, outcome: Outcome },
}

/// What the program hands out in one turn.
#[derive(Default)]
struct Desk {
    batches: Vec<Batch>,
    wishes: Vec<(Target, ProbeKind)>,
    steps: Vec<Step>,
    route: Option<Route>,
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

    fn route(&mut self, _: &ClusterId, route: Route) {
        self.route = Some(route);
    }

    fn publish(&mut self, _: &ClusterId, _: &Status) {}
}

/// One play.
pub(crate) struct Play {
    /// The cluster.
    pub(crate) model: Model,
    /// How the journal behaves.
    pub(crate) journal: Journal,
    /// When the program is killed next.
    pub(crate) crash: Option<Crash>,
    /// What happened, the newest last; bounded.
    pub(crate) story: Vec<(Tick, Entry)>,
    cluster: ClusterId,
    settings: Settings,
    driver: Option<Driver<Desk>>,
    now: Tick,
    wall_jump_ms: i64,
    probes: Vec<(Target, ProbeKind)>,
    under_way: BTreeMap<usize, bool>,
    schedule: Schedule,
    agenda: BTreeMap<(Tick, u64), Item>,
    numbered: u64,
    paper: Vec<(Tick, Batch)>,
    wake: Option<Tick>,
    lottery: Lottery,
}

impl Play {
    /// The program with these settings, which know one cluster, beside this model. The program begins at once.
    #[must_use]
    pub(crate) fn new(settings: Settings, model: Model, seed: u64) -> Play {
        let cluster = settings.clusters.keys().next().cloned().unwrap_or_default();
        let probes = probes(&cluster, &settings);
        let every = probes.iter().map(|(_, kind)| kind.every()).collect();
        let mut play = Play {
            schedule: Schedule::new(every, seed, Tick(0)),
            model,
            journal: Journal::default(),
            crash: None,
            story: Vec::new(),
            cluster,
            settings,
            driver: None,
            now: Tick(0),
            wall_jump_ms: 0,
            probes,
            under_way: BTreeMap::new(),
            agenda: BTreeMap::new(),
            numbered: 0,
            paper: Vec::new(),
            wake: None,
            lottery: Lottery::new(seed ^ 0x5851_f42d_4c95_7f2d),
        };
        play.begin();
        play
    }

    /// Both clocks.
    #[must_use]
    pub(crate) fn now(&self) -> Now {
        let wall = BEGINS.0.saturating_add_unsigned(self.now.0).saturating_add(self.wall_jump_ms);
        Now { mono: self.now, wall: UnixMs(wall) }
    }

    /// Puts the wall clock ahead, or back.
    pub(crate) fn jump(&mut self, by_ms: i64) {
        self.wall_jump_ms = self.wall_jump_ms.saturating_add(by_ms);
    }

    /// What the program makes of the cluster; none while it does not run.
    #[must_use]
    pub(crate) fn status(&self) -> Option<&Status> {
        self.driver.as_ref()?.status(&self.cluster)
    }

    /// It runs.
    #[must_use]
    pub(crate) fn runs(&self) -> bool {
        self.driver.is_some()
    }

    /// Kills the program without warning.
    pub(crate) fn kill(&mut self) {
        if self.driver.take().is_some() {
            self.note(Entry::Killed);
        }
        self.agenda.clear();
        self.under_way.clear();
        self.wake = None;
    }

    /// Starts it with what is on the paper; nothing happens while it runs.
    pub(crate) fn begin(&mut self) {
        if self.runs() {
            return;
        }
        let saved = saved(&self.cluster, &self.paper, self.now);
        let driver = Driver::new(&self.settings, &saved, self.now(), Desk::default());
        self.driver = Some(driver);
        self.note(Entry::Began);
        self.wake = Some(self.now);
    }

    /// Plays what comes next, at most up to `end`; false when `end` is reached.
    pub(crate) fn turn(&mut self, end: Tick) -> bool {
        let next = self.agenda.keys().next().map(|(at, _)| *at);
        let at = [next, self.wake, self.schedule.next_due()].into_iter().flatten().min().unwrap_or(end).max(self.now);
        if at > end {
            self.now = end;
            self.model.advance(end);
            return false;
        }
        self.now = at;
        self.model.advance(at);
        self.ask_what_is_due();
        let mut events = Vec::new();
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= at) {
            let item = entry.remove();
            self.happen(item, &mut events);
        }
        let now = self.now();
        let Some(driver) = &mut self.driver else {
            // Nobody listens.
            self.wake = None;
            return at < end;
        };
        self.wake = driver.turn(events, now).map(|wake| wake.max(Tick(at.0 + 1)));
        let desk = std::mem::take(&mut driver.ports);
        self.carry_out(desk);
        true
    }

    fn ask_what_is_due(&mut self) {
        while let Some(at) = self.schedule.take_due(self.now) {
            if self.runs() && !self.under_way.contains_key(&at) {
                self.send(at);
            }
        }
    }

    fn send(&mut self, at: usize) {
        let Some((target, kind)) = self.probes.get(at).cloned() else { return };
        self.under_way.insert(at, false);
        let sent = self.now;
        let (after, seen) = self.model.answer(&target, kind);
        let path = match (&target, kind) {
            (Target::Vip(_), _) => Path::Vip,
            (Target::Canary(_), _) => Path::Outside,
            (Target::Own(_), _) => Path::Own,
            (_, ProbeKind::TalosServices | ProbeKind::TalosContainers | ProbeKind::TalosKubeletLog) => Path::Talos,
            _ => Path::Direct,
        };
        let answered = sent + after;
        self.put(answered, Item::Seen(at, Observation { target, path, kind, sent, at: answered, seen }));
    }

    fn happen(&mut self, item: Item, events: &mut Vec<Event>) {
        match item {
            Item::Seen(at, observation) => {
                events.push(Event::Observed(observation));
                if self.under_way.remove(&at) == Some(true) {
                    self.send(at);
                }
            }
            Item::Stored { batch, cluster, result } => events.push(Event::Stored { cluster, batch, result }),
            Item::Ended { cluster, step, outcome } => events.push(Event::Ended { cluster, step, outcome }),
        }
    }

    fn carry_out(&mut self, desk: Desk) {
        if let Some(route) = desk.route {
            self.note(Entry::Routed(route));
        }
        for (target, kind) in desk.wishes {
            let Some(at) = self.probes.iter().position(|probe| *probe == (target.clone(), kind)) else { continue };
            match self.under_way.get_mut(&at) {
                Some(again) => *again = true,
                None => self.send(at),
            }
        }
        for batch in desk.batches {
            if self.write(batch) {
                return;
            }
        }
        for step in desk.steps {
            if self.start(&step) {
                return;
            }
        }
    }

    /// Hands a batch to the journal; true when the program died over it.
    fn write(&mut self, batch: Batch) -> bool {
        let has_intent = !batch.intents.is_empty();
        let crash = self.crash.filter(|_| has_intent);
        self.note(Entry::Wrote(batch.clone()));
        if crash == Some(Crash::BeforeWrite) {
            self.crash = None;
            self.kill();
            return true;
        }
        let (id, cluster) = (batch.id, batch.cluster.clone());
        let after = match self.journal {
            Journal::Well => Duration::from_millis(self.lottery.between(1, 4)),
            Journal::Slow(by) => by,
            Journal::Refuses | Journal::Silent => Duration::from_millis(2),
        };
        if self.journal != Journal::Refuses {
            self.paper.push((self.now, batch));
        }
        if crash == Some(Crash::AfterWrite) {
            self.crash = None;
            self.kill();
            return true;
        }
        let result = match self.journal {
            Journal::Silent => return false,
            Journal::Refuses => Err("database or disk is full".to_owned()),
            _ => Ok(()),
        };
        self.put(self.now + after, Item::Stored { batch: id, cluster, result });
        false
    }

    /// Starts a step; true when the program died over it.
    fn start(&mut self, step: &Step) -> bool {
        let deed = Deed { id: step.id().clone(), node: step.node().clone(), action: step.action().clone() };
        let (after, outcome) = self.perform(&deed);
        let hurts = deed.action.class() > defib_engine::playbook::ActionClass::Harmless;
        self.note(Entry::Started(deed));
        if hurts && self.crash == Some(Crash::AfterStep) {
            self.crash = None;
            self.kill();
            return true;
        }
        let ended = Item::Ended { cluster: step.cluster().clone(), step: step.id().clone(), outcome };
        self.put(self.now + after, ended);
        false
    }

    fn perform(&mut self, deed: &Deed) -> (Duration, Outcome) {
        let now = self.now;
        let hidden = self.model.isolated || self.model.hidden.contains(&deed.node);
        let Some(node) = self.model.nodes.get_mut(&deed.node).filter(|node| node.executes() && !hidden) else {
            let why = format!("cannot dial {}: connect-timeout", deed.node);
            return (Duration::from_secs(1), Outcome::Failed(why));
        };
        match &deed.action {
            Action::CollectEvidence => (Duration::from_millis(200), Outcome::Done("collected".to_owned())),
            Action::RestartService { service: RestartableService::Kubelet, .. } => {
                if node.ills.refuses_us {
                    return (Duration::from_millis(5), Outcome::Failed("PermissionDenied: not authorized".to_owned()));
                }
                node.restart_kubelet(now);
                (Duration::from_millis(700), Outcome::Done("restarted".to_owned()))
            }
            Action::RebootNode { .. } => {
                if node.ills.refuses_us {
                    return (Duration::from_millis(5), Outcome::Failed("PermissionDenied: not authorized".to_owned()));
                }
                node.reboot(now);
                (Duration::from_millis(300), Outcome::Done("boots".to_owned()))
            }
        }
    }

    fn put(&mut self, at: Tick, item: Item) {
        self.numbered += 1;
        self.agenda.insert((at, self.numbered), item);
    }

    fn note(&mut self, entry: Entry) {
        if self.story.len() < STORY_MAX {
            self.story.push((self.now, entry));
        }
    }
}

/// Everything that the settings allow to be asked.
fn probes(cluster: &ClusterId, settings: &Settings) -> Vec<(Target, ProbeKind)> {
    let Some(known) = settings.clusters.get(cluster) else { return Vec::new() };
    let mut probes = Vec::new();
    for &kind in &known.sources {
        match kind {
            ProbeKind::Vip => probes.push((Target::Vip(cluster.clone()), kind)),
            ProbeKind::Credentials => probes.push((Target::Own(cluster.clone()), kind)),
            _ => probes.extend(known.nodes.iter().map(|node| (Target::Node(cluster.clone(), node.clone()), kind))),
        }
    }
    probes.extend(settings.canaries.iter().map(|address| (Target::Canary(address.clone()), ProbeKind::Canary)));
    probes
}

/// What a start reads from the paper: the same as from the journal's file.
fn saved(cluster: &ClusterId, paper: &[(Tick, Batch)], now: Tick) -> Saved {
    let number = |id: &str| id.split_once('-').and_then(|(_, number)| number.parse::<u64>().ok());
    let mut saved = Saved::default();
    let (mut incidents, mut runs) = (BTreeSet::new(), BTreeSet::new());
    for (written, batch) in paper {
        for intent in &batch.intents {
            runs.extend(number(&intent.run));
            saved.reservations.push(Reservation {
                cluster: intent.cluster.clone(),
                node: intent.node.clone(),
                playbook: intent.playbook.clone(),
                run: intent.run.clone(),
                at: intent.at,
                class: intent.class,
                age: Some(now.since(*written)),
            });
        }
        for record in &batch.records {
            match record {
                Record::Incident { incident, .. } => incidents.extend(number(incident)),
                Record::Decision { run, .. } | Record::Run { run, .. } => runs.extend(number(run)),
                _ => {}
            }
        }
    }
    saved.last_incident.extend(incidents.last().map(|last| (cluster.clone(), *last)));
    saved.last_run.extend(runs.last().map(|last| (cluster.clone(), *last)));
    saved
}
