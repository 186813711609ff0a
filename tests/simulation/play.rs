//! The program's own loop played against the model in virtual time: the real driver and engine, a journal on paper, a
//! modelled world ([`World`]).
//!
//! Nothing waits: time jumps to whatever comes next. The same seed, faults and settings give the same play. It promises the
//! contracts of the real ports, an answer for every batch that the journal takes among them. Left out: whatever the real
//! ports do beyond that.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use defib_engine::command::{Ask, Command, Reply};
use defib_engine::event::{Event, Saved, Step};
use defib_engine::observation::{ClusterId, ProbeKind, Target};
use defib_engine::playbook::ActionClass;
use defib_engine::record::Batch;
use defib_engine::route::Route;
use defib_engine::settings::Settings;
use defib_engine::status::Status;
use defib_engine::time::{Now, Tick, UnixMs};

use defib::driver::{Driver, Ports};
use defib::journal::account;
use defib::journal::recording::{Keeper, Recorder};
use defib::model::Model;
use defib::model::lottery::Lottery;
use defib::model::world::{BEGINS, Deed, World};

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
    /// At a write.
    Write(Which, Side),
    /// A step was carried out, and its end not told.
    AfterStep,
}

/// At which write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The next with an intent.
    Intent,
    /// The one after so many others, whatever it holds.
    Any(u64),
}

/// On which side of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The batch was handed over and is not on the paper.
    Before,
    /// It is on the paper, and the program was not told.
    After,
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
    /// A person's pause is durable, or its end is.
    Paused(Option<Tick>),
    /// The program was killed.
    Killed,
    /// It was started again.
    Began,
}

/// What the program hands out in one turn.
#[derive(Default)]
struct Desk {
    batches: Vec<Batch>,
    wishes: Vec<(Target, ProbeKind)>,
    steps: Vec<Step>,
    route: Option<Route>,
    replies: Vec<(u64, Reply)>,
    recorder: Option<Recorder>,
}

impl Ports for Desk {
    fn takes(&mut self, event: &Event) {
        self.recorder.iter_mut().for_each(|recorder| recorder.takes(event));
    }

    fn turns<'a>(&mut self, now: Now, due: impl Iterator<Item = &'a ClusterId>) {
        if let Some(recorder) = &mut self.recorder {
            recorder.turns(now, due);
        }
    }

    fn write(&mut self, batch: Batch) {
        self.recorder.iter_mut().for_each(|recorder| recorder.wrote(&batch));
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

    fn reply(&mut self, command: u64, reply: Reply) {
        self.replies.push((command, reply));
    }
}

/// One play.
pub(crate) struct Play {
    /// What is around it.
    pub(crate) world: World,
    /// How the journal behaves.
    pub(crate) journal: Journal,
    /// When the program is killed next.
    pub(crate) crash: Option<Crash>,
    /// Batches handed over so far.
    pub(crate) writes: u64,
    /// What happened, the newest last; bounded.
    pub(crate) story: Vec<(Tick, Entry)>,
    cluster: ClusterId,
    settings: Settings,
    driver: Option<Driver<Desk>>,
    now: Tick,
    wall_jump_ms: i64,
    paper: Vec<(Tick, Batch)>,
    /// The journal has answered by then whatever it was given; it has one writer, and answers in order.
    answered_at: Tick,
    wake: Option<Tick>,
    /// What a person asked and has no answer to, and when.
    asked: BTreeMap<u64, (Tick, Ask)>,
    last_command: u64,
    lottery: Lottery,
    /// Where flight recordings are kept; none: nowhere.
    pub(crate) recordings: Option<PathBuf>,
}

impl Play {
    /// The program with these settings, which know one cluster, beside this model. It has not begun.
    #[must_use]
    pub(crate) fn new(settings: Settings, model: Model, seed: u64) -> Play {
        let cluster = settings.clusters.keys().next().cloned().unwrap_or_default();
        Play {
            world: World::new(&settings, model, seed),
            journal: Journal::default(),
            crash: None,
            writes: 0,
            story: Vec::new(),
            cluster,
            settings,
            driver: None,
            now: Tick(0),
            wall_jump_ms: 0,
            paper: Vec::new(),
            answered_at: Tick(0),
            wake: None,
            asked: BTreeMap::new(),
            last_command: 0,
            lottery: Lottery::new(seed ^ 0x5851_f42d_4c95_7f2d),
            recordings: None,
        }
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
        self.world.hang_up();
        self.answered_at = Tick(0);
        self.asked.clear();
        self.wake = None;
    }

    /// A person asks for something, if the program runs.
    pub(crate) fn ask(&mut self, ask: Ask) {
        if !self.runs() {
            return;
        }
        self.last_command += 1;
        let id = self.last_command;
        self.asked.insert(id, (self.now, ask.clone()));
        let command = Command { id, by: "somebody".to_owned(), ask };
        self.world.tell(Duration::from_millis(1), Event::Asked(command));
    }

    /// Approves what is proposed, if anything is.
    pub(crate) fn approve(&mut self) {
        let Some(run) = self.status().and_then(|status| status.proposal.as_ref()).map(|one| one.run.clone()) else {
            return;
        };
        self.ask(Ask::Approve { cluster: self.cluster.clone(), run });
    }

    /// Starts it with what is on the paper; nothing happens while it runs.
    pub(crate) fn begin(&mut self) {
        if self.runs() {
            return;
        }
        let saved = saved(&self.paper, self.now);
        let recorder = self.recordings.as_ref().and_then(|folder| Keeper::start(folder).ok());
        let recorder = recorder.map(|keeper| Recorder::new(&self.settings, &saved, self.now(), true, keeper));
        let desk = Desk { recorder, ..Desk::default() };
        let driver = Driver::new(&self.settings, &saved, self.now(), desk);
        self.driver = Some(driver);
        self.note(Entry::Began);
        self.wake = Some(self.now);
    }

    /// When something comes next.
    pub(crate) fn next(&self) -> Option<Tick> {
        [self.world.next(), self.wake].into_iter().flatten().min().map(|at| at.max(self.now))
    }

    /// Plays what comes next, at most up to `end`; false when `end` is reached.
    pub(crate) fn turn(&mut self, end: Tick) -> bool {
        let at = self.next().unwrap_or(end);
        if at > end {
            self.now = end;
            self.world.model.advance(end);
            return false;
        }
        self.now = at;
        let events = self.world.advance(at, self.runs());
        let now = self.now();
        let Some(driver) = &mut self.driver else {
            // Nobody listens.
            self.wake = None;
            return at < end;
        };
        self.wake = driver.turn(events, now).map(|wake| wake.max(Tick(at.0 + 1)));
        let mut desk = std::mem::take(&mut driver.ports);
        driver.ports.recorder = desk.recorder.take();
        self.carry_out(desk);
        true
    }

    fn carry_out(&mut self, desk: Desk) {
        if let Some(route) = desk.route {
            self.note(Entry::Routed(route));
        }
        for (id, reply) in desk.replies {
            self.heard(id, &reply);
        }
        for (target, kind) in desk.wishes {
            self.world.ask(&target, kind);
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

    /// What a person was told is what that person may count on.
    fn heard(&mut self, id: u64, reply: &Reply) {
        match (self.asked.remove(&id), reply) {
            // It counts from the word, however late the journal's answer is.
            (Some((at, Ask::Pause { for_, .. })), Reply::Done(_)) => self.note(Entry::Paused(Some(at + for_))),
            (Some((_, Ask::Resume { .. })), _) => self.note(Entry::Paused(None)),
            _ => {}
        }
    }

    /// Hands a batch to the journal; true when the program died over it.
    fn write(&mut self, batch: Batch) -> bool {
        let crash = self.crash_here(!batch.intents.is_empty());
        self.writes += 1;
        self.note(Entry::Wrote(batch.clone()));
        if crash == Some(Side::Before) {
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
        if crash == Some(Side::After) {
            self.kill();
            return true;
        }
        let result = match self.journal {
            Journal::Silent => return false,
            Journal::Refuses => Err("database or disk is full".to_owned()),
            _ => Ok(()),
        };
        self.answered_at = self.answered_at.max(self.now + after);
        let after = self.answered_at.since(self.now);
        self.world.tell(after, Event::Stored { cluster, batch: id, result });
        false
    }

    /// On which side of this write the program is killed; none: it is not.
    fn crash_here(&mut self, has_intent: bool) -> Option<Side> {
        let Some(Crash::Write(which, side)) = &mut self.crash else { return None };
        let side = *side;
        let here = match which {
            Which::Intent => has_intent,
            Which::Any(0) => true,
            Which::Any(others) => {
                *others -= 1;
                false
            }
        };
        if here {
            self.crash = None;
        }
        here.then_some(side)
    }

    /// Starts a step; true when the program died over it.
    fn start(&mut self, step: &Step) -> bool {
        let deed = self.world.start(step);
        let hurts = deed.action.class() > ActionClass::Harmless;
        self.note(Entry::Started(deed));
        if hurts && self.crash == Some(Crash::AfterStep) {
            self.crash = None;
            self.kill();
            return true;
        }
        false
    }

    fn note(&mut self, entry: Entry) {
        if self.story.len() < STORY_MAX {
            self.story.push((self.now, entry));
        }
    }
}

/// What a start reads from the paper: the same as from the journal's file.
fn saved(paper: &[(Tick, Batch)], now: Tick) -> Saved {
    let (mut saved, mut until) = (Saved::default(), Tick(0));
    for (written, batch) in paper {
        account::follow(&mut saved, batch, written.since(until));
        until = *written;
    }
    account::age_by(&mut saved, now.since(until));
    // What is suspected is not written down, and neither is a route that changes nothing.
    saved.routes.clear();
    saved
}
