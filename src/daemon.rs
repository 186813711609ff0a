//! `defib run`: composes the observer, the engine, the journal, the executor and the listener, and nothing else.
//!
//! The loop never waits for the disk, for a target or for the terminal: every port hands its work on. What came back is
//! drained before each turn. SIGTERM and SIGINT end it within [`END_WITHIN`]; a step in flight is then written down as
//! unknown, hence spent. A journal that cannot be used costs the right to act, not the sight: then defib observes only, and
//! says so everywhere, until the journal can be used again: then it leaves, to be started anew with what that remembers.
//! Only a journal that another defib holds ends it. `defib recover` without a daemon runs the same loop ([`once`]) for as
//! long as its run takes, without the listener.

mod backup;
mod own;
pub mod rehearsal;
pub mod replay;
mod serve;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use defib_engine::command::Reply;
use defib_engine::event::{Event, Saved, Step};
use defib_engine::observation::{ClusterId, ProbeKind, Target};
use defib_engine::playbook::Playbook;
use defib_engine::record::{Batch, Record, RunEnd};
use defib_engine::route::Route;
use defib_engine::settings::Settings;
use defib_engine::status::Status;
use defib_engine::time::{Now, Tick};
use serde_json::json;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::compose;
use crate::config::{Cluster, Config};
use crate::driver::{Driver, Ports};
use crate::execute::Executor;
use crate::hub::{Hub, Owed, Question, Settled, Watched};
use crate::journal::recording::{self, Keeper, Recorder};
use crate::journal::{Ended, Journal, JournalError, NewRecord, Outcome, Reader, WriteBatch, account, alive};
use crate::lifeline::Lifelines;
use crate::metrics::{self, Gauges};
use crate::observe::{self, Observer};
use crate::report::layers;
use crate::web::{self, Health, Listening};
use serve::serve;

/// Observations and outcomes that wait for the loop; a full queue makes the observers wait.
const EVENTS_MAX: usize = 1024;
/// The journal's answers that wait for the loop: more than the journal takes batches, so an answer always finds room.
const ANSWERS_MAX: usize = 1024;
/// Wishes that wait for the observers.
const WISHES_MAX: usize = 256;
/// Lines of the story that wait for the terminal; more are dropped, the journal has them all.
const STORY_MAX: usize = 1024;
/// Events that one turn folds in.
const TURN_MAX: usize = 256;
/// How the layers are is written down at most this often.
const LAYERS_EVERY: Duration = Duration::from_secs(5);
/// How long the journal is waited for at the end.
const END_WITHIN: Duration = Duration::from_millis(1_500);

/// Why the daemon does not run.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The listener's address is taken, or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The journal tells of a model: its reservations and its times are no real cluster's.
    #[error("the journal in {} is a rehearsal's; name another folder", .0.display())]
    Model(PathBuf),
    /// The metrics' recorder is not ours to install.
    #[error("cannot install the metrics recorder")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// The lifelines have no thread.
    #[error("cannot start the lifelines")]
    Lifelines(#[source] std::io::Error),
    /// The dashboard has no token.
    #[error("cannot make the dashboard's token")]
    Token(#[source] std::io::Error),
    /// Signals cannot be heard.
    #[error("cannot hear signals")]
    Signals(#[source] std::io::Error),
    /// Who cannot be spoken with is of no use for one command.
    #[error("cannot make the socket {}", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The story has no thread.
    #[error("cannot start the thread that prints the story")]
    Story(#[source] std::io::Error),
}

/// Why a daemon left that nothing was wrong with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It was told to.
    Ended,
    /// Its journal can be used again. Only a start reads what that remembers, and without that nothing may be done.
    JournalReturned,
}

/// Runs until a signal ends it. `print` shows a line of the story; it may block, for it has a thread of its own.
///
/// # Errors
/// [`DaemonError`], before anything was asked of any cluster.
pub async fn run(
    config: Config,
    playbooks: Vec<Playbook>,
    print: impl FnMut(&NewRecord) + Send + 'static,
) -> Result<Left, DaemonError> {
    let clock = Clock::start();
    let ends = signalled()?;
    let kept = Kept::open(&config, clock)?;
    let recorder = metrics::install()?;
    // Before anything else is asked: who comes back after a crash is led where it was led.
    let lifelines = Lifelines::start(&config.clusters, &kept.saved.routes).map_err(DaemonError::Lifelines)?;
    let health = Arc::new(Health::new(clock, config.clusters.iter().map(|cluster| cluster.name.clone())));
    let listener =
        web::bind(config.listen).await.map_err(|source| DaemonError::Listen { address: config.listen, source })?;
    let upkeep = recorder.clone();
    tokio::spawn(async move {
        let mut every = tokio::time::interval(Duration::from_secs(5));
        loop {
            every.tick().await;
            upkeep.run_upkeep();
        }
    });
    let listening = Listening::new(listener, recorder, &config.names).map_err(DaemonError::Token)?;
    round(config, playbooks, print, kept, (health, lifelines, Some(listening)), ends).await
}

/// Runs without the listener until `ends` is ready: what `defib recover` needs where no daemon runs. Its caller speaks with
/// it over the journal's socket, as with a daemon.
///
/// # Errors
/// [`DaemonError`], before anything was asked of any cluster. Here a journal that cannot be used is one, too.
pub async fn once(
    config: Config,
    playbooks: Vec<Playbook>,
    print: impl FnMut(&NewRecord) + Send + 'static,
    ends: impl Future<Output = &'static str>,
) -> Result<(), DaemonError> {
    let clock = Clock::start();
    let kept = Kept::open(&config, clock)?;
    if let Err(error) = &kept.journal {
        return Err(error.clone().into());
    }
    let health = Arc::new(Health::new(clock, config.clusters.iter().map(|cluster| cluster.name.clone())));
    round(config, playbooks, print, kept, (health, Lifelines::default(), None), ends).await.map(drop)
}

/// The signal that ends the program, when it comes.
fn signalled() -> Result<impl Future<Output = &'static str>, DaemonError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(DaemonError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DaemonError::Signals)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

/// What is kept between processes: the journal, or why there is none, and what it says of earlier ones.
struct Kept {
    clock: Clock,
    journal: Result<Journal, JournalError>,
    saved: defib_engine::event::Saved,
    /// The steps that were under way when an earlier process ended.
    interrupted: Vec<String>,
    /// The runs that it began and whose end it did not write, as `cluster/run`.
    unended: Vec<String>,
    /// When the process before last gave a sign of life, Unix milliseconds.
    lived_until_ms: Option<i64>,
}

impl Kept {
    fn open(config: &Config, clock: Clock) -> Result<Kept, DaemonError> {
        if Reader::open(&config.journal).is_ok_and(|reader| reader.is_model()) {
            return Err(DaemonError::Model(config.journal.clone()));
        }
        let lived_until_ms = alive::lived_until(&config.journal);
        match Journal::open(&config.journal, clock.now().wall) {
            Ok(opened) => {
                let saved = account::saved(&opened, crate::clock::boot().as_ref());
                for intent in &opened.interrupted {
                    let (step, action, node) = (&intent.step, &intent.action, &intent.node);
                    tracing::warn!(step, action, node, "interrupted: unknown, and spent");
                }
                let interrupted = opened.interrupted.into_iter().map(|intent| intent.step).collect();
                let unended = opened.unended.iter().map(|(cluster, run)| format!("{cluster}/{run}")).collect();
                Ok(Kept { clock, journal: Ok(opened.journal), saved, interrupted, unended, lived_until_ms })
            }
            Err(error @ JournalError::Held { .. }) => Err(error.into()),
            Err(error) => {
                let saved = defib_engine::event::Saved::default();
                let (interrupted, unended) = (Vec::new(), Vec::new());
                Ok(Kept { clock, journal: Err(error), saved, interrupted, unended, lived_until_ms: None })
            }
        }
    }
}

/// The loop, with everything around it.
async fn round(
    config: Config,
    playbooks: Vec<Playbook>,
    print: impl FnMut(&NewRecord) + Send + 'static,
    kept: Kept,
    (health, lifelines, listening): (Arc<Health>, Lifelines, Option<Listening>),
    ends: impl Future<Output = &'static str>,
) -> Result<Left, DaemonError> {
    let Kept { clock, journal, saved, interrupted, unended, lived_until_ms } = kept;
    let without_journal = journal.as_ref().err().map(|error| words(error));
    if let Some(why) = &without_journal {
        tracing::error!("observing only, nothing will be started: {why}");
        health.cannot_act(why);
    }
    let lasts = listening.is_some();
    let returned = own::journal_returns(without_journal.as_ref().map(|_| config.journal.clone()), clock);
    let (hub, mut questions) = Hub::new(clock, settled(&config, without_journal.clone()));
    let hub = Arc::new(hub);
    serve(&hub, &health, &config.journal, listening, without_journal.is_none())?;
    if journal.is_ok() {
        tokio::spawn(own::live(config.journal.clone()));
    }

    let (events, mut incoming) = mpsc::channel(EVENTS_MAX);
    let (answers, mut answered) = mpsc::channel(ANSWERS_MAX);
    let (wishes, wished) = mpsc::channel(WISHES_MAX);
    let observer = Arc::new(Observer::new(&config.clusters, &config.canaries, clock));
    tokio::spawn(observe::run::run(Arc::clone(&observer), wished, events.clone()));
    tokio::spawn(own::watch(config.journal.clone(), clock, events.clone()));
    if lasts && journal.is_ok() {
        backup::start(&observer, &hub, clock);
    }
    let executor = Executor::new(observer, clock, config.journal.join("evidence"), events);

    let settings = compose::settings(&config, playbooks);
    let begins = clock.now();
    let recorder = recorder(journal.is_ok().then_some(&config.journal), &settings, &saved, begins, false);
    let story = story(print)?;
    let started = json!({
        "pid": std::process::id(), "version": env!("CARGO_PKG_VERSION"), "mode": config.mode.to_string(),
        "clusters": config.clusters.iter().map(cluster_words).collect::<Vec<_>>(),
        "journal": config.journal.display().to_string(), "listen": config.listen.to_string(),
        "armed": config.clusters.iter().flat_map(|cluster| cluster.arm.iter().cloned()).collect::<BTreeSet<_>>(),
        "lived_until_ms": lived_until_ms,
        "interrupted": interrupted,
        "unended": unended,
        "without_journal": without_journal,
    });
    let ports = Live {
        journal: journal.map_err(|error| words(&error)),
        written: 0,
        answers,
        outside: Real { wishes, executor, lifelines },
        story,
        health: Arc::clone(&health),
        gauges: Gauges::default(),
        hub: Arc::clone(&hub),
        owed: Owed::default(),
        open: BTreeMap::new(),
        levels: BTreeMap::new(),
        levels_written_at: None,
        recorder,
    };
    ports.life("start", started, clock);
    let mut driver = Driver::new(&settings, &saved, begins, ports);

    let mut pending: VecDeque<Event> = VecDeque::new();
    tokio::pin!(ends, returned);
    let (why, left) = loop {
        let wake = driver.turn(pending.drain(..), clock.now());
        health.turned();
        hub.turned();
        driver.ports.layers(clock);
        metrics::heartbeat(clock.now().wall.0);
        let wake = clock.instant(wake.unwrap_or_else(|| clock.tick()).max(clock.tick()));
        tokio::select! {
            biased;
            why = &mut ends => break (why, Left::Ended),
            () = &mut returned => break ("its journal, which can be used again", Left::JournalReturned),
            Some(answer) = answered.recv() => pending.push_back(answer),
            Some(question) = questions.recv() => pending.push_back(driver.ports.asked(question)),
            Some(event) = incoming.recv() => pending.push_back(event),
            () = tokio::time::sleep_until(wake.into()) => {}
        }
        while pending.len() < TURN_MAX {
            let Ok(event) = answered.try_recv().or_else(|_| incoming.try_recv()) else { break };
            pending.push_back(event);
        }
        for event in &pending {
            metrics::taken(event);
        }
    };
    driver.ports.end(why, clock);
    leave(driver);
    Ok(left)
}

/// The flight recorder beside the journal. One that cannot be had costs the recordings, nothing else.
fn recorder(journal: Option<&PathBuf>, settings: &Settings, saved: &Saved, now: Now, model: bool) -> Option<Recorder> {
    let keeper = Keeper::start(&journal?.join(recording::FOLDER));
    match keeper {
        Ok(keeper) => Some(Recorder::new(settings, saved, now, model, keeper)),
        Err(error) => {
            tracing::warn!(%error, "no flight recorder");
            None
        }
    }
}

/// Lets go of the journal after what was handed to it is written; a disk that hangs is not waited for.
fn leave<O: Outside + Send + 'static>(driver: Driver<Live<O>>) {
    let (done, ended) = sync_channel::<()>(1);
    let leaving = std::thread::Builder::new().name("end".to_owned()).spawn(move || {
        drop(driver);
        let _ = done.send(());
    });
    if leaving.is_ok() && ended.recv_timeout(END_WITHIN).is_err() {
        tracing::error!("the journal does not take the end of the story in time");
    }
}

/// An error with its causes, on one line.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

fn settled(config: &Config, without_journal: Option<String>) -> Settled {
    let watched = |cluster: &Cluster| Watched {
        name: cluster.name.clone(),
        nodes: cluster.nodes.iter().map(|node| node.name.clone()).collect(),
        addresses: cluster.nodes.iter().map(|node| node.address.to_string()).collect(),
        vip: cluster.vip.map(|vip| vip.to_string()),
        armed: cluster.arm.clone(),
    };
    Settled { mode: config.mode, watched: config.clusters.iter().map(watched).collect(), without_journal, model: false }
}

/// `prod (3 nodes, vip 192.0.2.100:6443)`.
fn cluster_words(cluster: &Cluster) -> String {
    let vip = cluster.vip.map_or_else(|| "no vip".to_owned(), |vip| format!("vip {vip}"));
    format!("{} ({} nodes, {vip})", cluster.name, cluster.nodes.len())
}

/// What the ports reach beyond this program: the real world, or a modelled one.
trait Outside {
    /// Asks at once.
    fn ask(&mut self, target: Target, kind: ProbeKind);
    /// Starts a step.
    fn start(&mut self, step: Step);
    /// Leads those who want an API server this way.
    fn lead(&mut self, cluster: &ClusterId, route: Route);
}

/// The real world.
struct Real {
    wishes: mpsc::Sender<(Target, ProbeKind)>,
    executor: Executor,
    lifelines: Lifelines,
}

impl Outside for Real {
    fn ask(&mut self, target: Target, kind: ProbeKind) {
        // A wish that finds no room is asked for at its own cadence, or by the next preflight.
        let _ = self.wishes.try_send((target, kind));
    }

    fn start(&mut self, step: Step) {
        self.executor.start(step);
    }

    fn lead(&mut self, cluster: &ClusterId, route: Route) {
        self.lifelines.lead(cluster, route);
    }
}

/// The ports of a program that keeps a journal and shows what it does.
struct Live<O> {
    /// The journal, or why there is none.
    journal: Result<Journal, String>,
    /// Batches that were handed over; each is answered once.
    written: u64,
    answers: mpsc::Sender<Event>,
    outside: O,
    story: SyncSender<NewRecord>,
    health: Arc<Health>,
    gauges: Gauges,
    hub: Arc<Hub>,
    owed: Owed,
    /// Intents that were handed to the journal and have no outcome yet, with what they do and their run.
    open: BTreeMap<String, Open>,
    /// Every cluster's layers as they are, and as they were last written down.
    levels: BTreeMap<ClusterId, (serde_json::Value, serde_json::Value)>,
    levels_written_at: Option<Tick>,
    /// None where there is no journal to record beside.
    recorder: Option<Recorder>,
}

/// An intent without an outcome.
struct Open {
    cluster: ClusterId,
    run: String,
    action: String,
}

impl<O> Live<O> {
    fn asked(&mut self, question: Question) -> Event {
        Event::Asked(self.owed.take(question))
    }

    fn life(&self, kind: &str, body: serde_json::Value, clock: Clock) {
        let record = account::life(kind, body, clock.now().wall);
        self.tell(&record);
        self.append(WriteBatch { records: vec![record], ..WriteBatch::default() });
    }

    /// Writes down how the layers of every cluster are, where that changed; never sooner than [`LAYERS_EVERY`] after the
    /// last time, so that a cluster that flaps cannot fill the journal.
    fn layers(&mut self, clock: Clock) {
        let now = clock.now();
        if self.levels_written_at.is_some_and(|at| now.mono.since(at) < LAYERS_EVERY) {
            return;
        }
        let mut batch = WriteBatch::default();
        for (cluster, (levels, written)) in self.levels.iter_mut().filter(|(_, (levels, written))| levels != written) {
            written.clone_from(levels);
            let record = account::life("layers", levels.clone(), now.wall);
            batch.records.push(NewRecord { cluster: cluster.clone(), ..record });
        }
        if !batch.records.is_empty() {
            self.levels_written_at = Some(now.mono);
            self.append(batch);
        }
    }

    /// For what nobody waits for.
    fn append(&self, batch: WriteBatch) {
        let Ok(journal) = &self.journal else { return };
        journal.append(batch, |result| {
            if let Err(error) = result {
                tracing::error!(%error, "the journal did not take a record");
            }
        });
    }

    /// A line that finds no room is not printed; it is in the journal all the same.
    fn tell(&self, record: &NewRecord) {
        self.hub.tell(record);
        let _ = self.story.try_send(record.clone());
    }

    /// The end of the story. What is in flight is unknown: it may have been done.
    fn end(&mut self, why: &str, clock: Clock) {
        let at = clock.now().wall;
        let detail = format!("defib was ended by {why} before this step's end was known");
        let mut batch = WriteBatch::default();
        for (step, Open { cluster, run, action }) in std::mem::take(&mut self.open) {
            let unknown = defib_engine::record::Outcome::Unknown(detail.clone());
            let id = defib_engine::record::StepId(step.clone());
            let record = account::row(&Record::Outcome { run, step: id, action, outcome: unknown }, &cluster, at, None);
            self.tell(&record);
            batch.records.push(record);
            let detail = detail.clone();
            batch.outcomes.push(Ended { step, outcome: Outcome::Unknown, detail, ended_at_ms: at.0 });
        }
        if !batch.outcomes.is_empty() {
            self.append(batch);
        }
        self.life("stop", json!({"text": format!("ended by {why}")}), clock);
    }
}

impl<O: Outside> Ports for Live<O> {
    fn write(&mut self, batch: Batch) {
        self.written += 1;
        if let Some(recorder) = &mut self.recorder {
            recorder.wrote(&batch);
        }
        metrics::written(&batch);
        for record in &batch.records {
            if let Record::Run { run, state: RunEnd::Failed, text, .. } = record {
                // What a playbook's `otherwise: notify` comes to, until notifications leave the program.
                tracing::error!(cluster = batch.cluster, run, "{text}; a person is needed");
            }
        }
        for intent in &batch.intents {
            let action = format!("{} on {}", intent.action, intent.node);
            let open = Open { cluster: intent.cluster.clone(), run: intent.run.clone(), action };
            self.open.insert(intent.step.0.clone(), open);
        }
        for (step, _) in &batch.outcomes {
            self.open.remove(&step.0);
        }
        let rows = account::rows(&batch, crate::clock::boot().as_ref());
        for record in &rows.records {
            self.tell(record);
        }
        let (answers, cluster, id) = (self.answers.clone(), batch.cluster, batch.id);
        let answer = move |result: Result<(), String>| {
            if answers.try_send(Event::Stored { cluster, batch: id, result }).is_err() {
                tracing::error!("the loop takes no answer of the journal: it has ended or is stuck");
            }
        };
        match &self.journal {
            // Refused: so nothing is ever started.
            Err(why) => answer(Err(why.clone())),
            Ok(journal) => journal.append(rows, move |result| {
                answer(result.map_err(|error| {
                    tracing::error!(%error, "the journal did not take a batch");
                    error.to_string()
                }));
            }),
        }
    }

    fn ask(&mut self, target: Target, kind: ProbeKind) {
        self.outside.ask(target, kind);
    }

    fn start(&mut self, step: Step) {
        self.outside.start(step);
    }

    fn route(&mut self, cluster: &ClusterId, route: Route) {
        self.outside.lead(cluster, route);
    }

    fn publish(&mut self, cluster: &ClusterId, status: &Status) {
        self.health.judged(cluster, status.store_answers);
        self.gauges.show(cluster, status);
        self.hub.publish(cluster, status);
        self.levels.entry(cluster.clone()).or_default().0 = layers::body(status);
    }

    fn takes(&mut self, event: &Event) {
        if let Some(recorder) = &mut self.recorder {
            recorder.takes(event);
        }
    }

    fn turns<'a>(&mut self, now: Now, due: impl Iterator<Item = &'a ClusterId>) {
        if let Some(recorder) = &mut self.recorder {
            recorder.turns(now, due);
        }
    }

    fn reply(&mut self, command: u64, reply: Reply) {
        self.owed.answer(command, reply);
    }
}

/// A thread that prints, so that a terminal that is held up holds up nothing else.
fn story(mut print: impl FnMut(&NewRecord) + Send + 'static) -> Result<SyncSender<NewRecord>, DaemonError> {
    let (sender, lines) = sync_channel::<NewRecord>(STORY_MAX);
    std::thread::Builder::new()
        .name("story".to_owned())
        .spawn(move || lines.into_iter().for_each(|record| print(&record)))
        .map_err(DaemonError::Story)?;
    Ok(sender)
}
