//! `defib rehearse`: the whole program against a modelled cluster: the loop, the engine, the ledger, the journal on the
//! disk, the socket and the listener; only what lies [`Outside`] is a model, and so is the clock.
//!
//! Virtual time goes from one event to the next, no faster than the speed that was asked for. The journal is waited for
//! while virtual time stands still, so the same seed, story and settings give the same rehearsal on any disk. It begins
//! with [`QUIET`], in which nothing happens and which is played at once: a pod counts as settled after five minutes. Left
//! out: lifelines, held connections and how late our own timers run, for there are none.

mod course;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use defib_engine::event::{Event, ObserverHealth, Saved, Step};
use defib_engine::finding::Class;
use defib_engine::observation::{ClusterId, ProbeKind, Target};
use defib_engine::playbook::ActionClass;
use defib_engine::record::FindingKey;
use defib_engine::route::Route;
use defib_engine::settings::Settings;
use defib_engine::time::{Tick, UnixMs};
use serde_json::json;
use tokio::sync::mpsc;

use self::course::Course;
use super::{ANSWERS_MAX, DaemonError, Live, Outside, STORY_MAX, own, serve, signalled, words};
use crate::clock::Clock;
use crate::driver::Driver;
use crate::hub::{Hub, Settled, Watched};
use crate::journal::{Journal, NewRecord};
use crate::metrics::{self, Gauges};
use crate::model::STEP;
use crate::model::story::Story;
use crate::model::world::{BEGINS, CLUSTER, World};
use crate::web::{self, Health, Listening};

/// What passes before the first cue, from the model's beginning.
pub const QUIET: Duration = Duration::from_secs(330);
/// The program begins then: everything in the model has started.
const BEGINS_AT: Tick = Tick(10_000);
/// The modelled virtual address.
const VIP: &str = "192.0.2.100:6443";
/// The journal answers after this long, by the model's clock.
const WRITTEN_WITHIN: Duration = Duration::from_millis(2);
/// How often the pause file is looked for, by the model's clock.
const PAUSE_FILE_EVERY: Duration = Duration::from_secs(1);

/// What is rehearsed, and how.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// What happens.
    pub story: Story,
    /// The program's settings: those of `model::world::settings`.
    pub settings: Settings,
    /// The journal's folder, which has no journal yet.
    pub journal: PathBuf,
    /// Where the dashboard is served; none: nowhere.
    pub listen: Option<SocketAddr>,
    /// Virtual seconds a second; none: as fast as it goes.
    pub speed: Option<f64>,
    /// Chance.
    pub seed: u64,
    /// Goes on after the story, a second a second, until a signal ends it.
    pub keep: bool,
}

/// What is told while it goes on.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// The dashboard is served here.
    Listening(SocketAddr),
    /// Something was broken or mended in the model, from outside.
    Cue(&'a str),
    /// Something was done to the model, by the program.
    Deed(&'a str),
    /// Something came of it in the model.
    Model(&'a str),
    /// The program wrote this down.
    Record(&'a NewRecord),
    /// The story is over.
    Over(&'a Played),
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Service has been there for long enough, and nothing is under way.
    Served,
    /// It was not, for very long.
    GaveUp,
    /// A signal ended it.
    Signal(&'static str),
}

/// What happened, by the model's truth and by the program's records.
#[derive(Clone, Debug)]
pub struct Played {
    /// How it ended.
    pub end: End,
    /// How long after the first cue.
    pub ended: Duration,
    /// When service was lost and came back, since the first cue, in turns; it was there before.
    pub service: Vec<(Duration, bool)>,
    /// Everything that was written down, up to a bound.
    pub records: Vec<NewRecord>,
    /// The outages that are open at the end.
    pub open: Vec<FindingKey>,
}

/// The time of a record since the first cue; none before it.
#[must_use]
pub fn since_first_cue(at: UnixMs) -> Option<Duration> {
    let first = BEGINS.after(QUIET);
    (at >= first).then(|| at.since(first))
}

/// Plays the story to its end, and for longer where it is to be kept.
///
/// # Errors
/// [`DaemonError`], before anything was played.
pub async fn rehearse(rehearsal: Rehearsal, mut tell: impl FnMut(UnixMs, Told<'_>)) -> Result<(), DaemonError> {
    let ends = signalled()?;
    let (clock, hand) = Clock::modelled(BEGINS);
    hand.set(BEGINS_AT);
    let journal = Journal::open(&rehearsal.journal, clock.now().wall)?.journal;
    let Rehearsal { story, settings, seed, .. } = &rehearsal;
    let health = Arc::new(Health::new(clock, settings.clusters.keys().cloned()));
    let (hub, mut questions) = Hub::new(clock, settled(settings));
    let hub = Arc::new(hub);
    let mut listening = None;
    if let Some(address) = rehearsal.listen {
        let recorder = metrics::install()?;
        metrics::of_a_model();
        let listener = web::bind(address).await.map_err(|source| DaemonError::Listen { address, source })?;
        let address = listener.local_addr().map_err(|source| DaemonError::Listen { address, source })?;
        tell(clock.now().wall, Told::Listening(address));
        listening = Some(Listening::new(listener, recorder, &[]).map_err(DaemonError::Token)?);
    }
    if let Err(error) = serve(&hub, &health, &rehearsal.journal, listening, true) {
        tracing::warn!(error = words(&error), "nobody can ask this rehearsal anything");
    }

    let (answers, mut answered) = mpsc::channel(ANSWERS_MAX);
    let (told, lines) = sync_channel(STORY_MAX);
    let ports = Live {
        journal: Ok(journal),
        written: 0,
        answers,
        outside: Desk::default(),
        story: told,
        health: Arc::clone(&health),
        gauges: Gauges::default(),
        hub: Arc::clone(&hub),
        owed: crate::hub::Owed::default(),
        open: std::collections::BTreeMap::new(),
        levels: std::collections::BTreeMap::new(),
        levels_written_at: None,
        recorder: super::recorder(Some(&rehearsal.journal), settings, &Saved::default(), clock.now(), true),
    };
    ports.life("start", started(&rehearsal), clock);
    let mut world = World::new(settings, story.model(*seed), *seed);
    let mut driver = Driver::new(settings, &Saved::default(), clock.now(), ports);
    let mut course = Course::new(&rehearsal);
    let (mut wake, mut taken, mut asked) = (Some(BEGINS_AT), 0, Vec::new());
    let mut pause_file_at = BEGINS_AT;
    tokio::pin!(ends);
    let why = loop {
        let next = [world.next(), wake, course.next_cue()].into_iter().flatten().min();
        let next = next.unwrap_or(clock.tick() + PAUSE_FILE_EVERY).max(clock.tick());
        tokio::select! {
            biased;
            why = &mut ends => break Some(why),
            Some(question) = questions.recv() => {
                asked.push(driver.ports.asked(question));
                hand.set(course.reached(clock.tick(), next));
            }
            () = course.wait_for(next) => hand.set(next),
        }
        let now = clock.now();
        for text in course.give(&mut world.model, now.mono) {
            tell(now.wall, Told::Cue(&text));
        }
        for text in course.follow(&mut world.model, now.mono) {
            tell(now.wall, Told::Model(&text));
        }
        let mut events = world.advance(now.mono, true);
        events.append(&mut asked);
        if now.mono >= pause_file_at {
            pause_file_at = now.mono + PAUSE_FILE_EVERY;
            let pause_file = own::pause_file(&rehearsal.journal);
            events.push(Event::Observer(ObserverHealth { late: Duration::ZERO, pause_file }));
        }
        wake = driver.turn(events, now).map(|wake| wake.max(Tick(now.mono.0 + 1)));
        health.turned();
        hub.turned();
        driver.ports.layers(clock);
        metrics::heartbeat(now.wall.0);
        while taken < driver.ports.written
            && let Some(answer) = answered.recv().await
        {
            taken += 1;
            world.tell(WRITTEN_WITHIN, answer);
        }
        let Desk { wishes, steps } = std::mem::take(&mut driver.ports.outside);
        for (target, kind) in wishes {
            world.ask(&target, kind);
        }
        for record in lines.try_iter() {
            tell(now.wall, Told::Record(&record));
            course.wrote(record);
        }
        for step in steps {
            let deed = world.start(&step);
            if deed.action.class() > ActionClass::Harmless {
                tell(now.wall, Told::Deed(&format!("DO    {} on {}, by {}", deed.action, deed.node, deed.id)));
            }
        }
        let status = driver.status(&CLUSTER.to_owned());
        if let Some(end) = course.ends(now.mono, status.is_some_and(|status| status.run.is_some())) {
            let open = status.into_iter().flat_map(|status| &status.findings);
            let open =
                open.filter(|finding| finding.class == Class::Outage).map(|finding| finding.key.clone()).collect();
            tell(now.wall, Told::Over(&course.played(end, now.mono, open)));
            if !rehearsal.keep {
                break None;
            }
        }
    };
    if let Some(why) = why.filter(|_| !course.over) {
        let now = clock.now();
        tell(now.wall, Told::Over(&course.played(End::Signal(why), now.mono, Vec::new())));
    }
    driver.ports.end(why.unwrap_or("the end of the story"), clock);
    super::leave(driver);
    Ok(())
}

/// How long the cluster alone keeps its users waiting: the same story and chance, and nobody acts. Service as in
/// [`Played`]; it ends as a rehearsal does.
#[must_use]
pub fn alone(story: &Story, seed: u64) -> (Vec<(Duration, bool)>, Duration) {
    let mut model = story.model(seed);
    let mut course = Course::of(story.clone(), None);
    let mut now = Tick(0);
    while course.ends(now, false).is_none() {
        now = now + STEP;
        course.give(&mut model, now);
        course.follow(&mut model, now);
    }
    (std::mem::take(&mut course.service), now.since(course.first))
}

fn settled(settings: &Settings) -> Settled {
    let watched = settings.clusters.iter().map(|(name, cluster)| Watched {
        name: name.clone(),
        nodes: cluster.nodes.clone(),
        addresses: cluster.nodes.clone(),
        vip: Some(VIP.to_owned()),
        armed: cluster.armed.iter().cloned().collect(),
    });
    Settled { mode: settings.mode, watched: watched.collect(), without_journal: None, model: true }
}

fn started(rehearsal: &Rehearsal) -> serde_json::Value {
    let settings = &rehearsal.settings;
    let clusters = settings.clusters.iter().map(|(name, one)| format!("{name} ({} nodes, vip {VIP})", one.nodes.len()));
    let armed: Vec<_> = settings.clusters.values().flat_map(|cluster| cluster.armed.iter()).collect();
    json!({
        "model": true, "story": rehearsal.story.name, "seed": rehearsal.seed,
        "pid": std::process::id(), "version": env!("CARGO_PKG_VERSION"), "mode": settings.mode.to_string(),
        "clusters": clusters.collect::<Vec<_>>(), "journal": rehearsal.journal.display().to_string(), "armed": armed,
    })
}

/// What the engine wishes of the world, until the turn is over.
#[derive(Default)]
struct Desk {
    wishes: Vec<(Target, ProbeKind)>,
    steps: Vec<Step>,
}

impl Outside for Desk {
    fn ask(&mut self, target: Target, kind: ProbeKind) {
        self.wishes.push((target, kind));
    }

    fn start(&mut self, step: Step) {
        self.steps.push(step);
    }

    fn lead(&mut self, _: &ClusterId, _: Route) {
        // Nobody is to be led in a model; the route is written down, and shown.
    }
}
