//! `defib run`: composes the observer, the engine, the journal, the executor and the listener, and nothing else.
//!
//! The loop never waits for the disk, for a target or for the terminal: every port hands its work on. What came back is
//! drained before each turn. SIGTERM and SIGINT end it; a step in flight is then without an outcome, and the next start
//! reads it as unknown and spent.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use defib_engine::event::{Event, Step};
use defib_engine::observation::{ClusterId, ProbeKind, Target};
use defib_engine::playbook::Playbook;
use defib_engine::record::{Batch, Record, RunEnd};
use defib_engine::route::Route;
use defib_engine::status::Status;
use serde_json::json;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::compose;
use crate::config::{Cluster, Config};
use crate::driver::{Driver, Ports};
use crate::execute::Executor;
use crate::journal::{Journal, JournalError, NewRecord, WriteBatch, account};
use crate::metrics::{self, Gauges};
use crate::observe::{self, Observer};
use crate::web::{self, Health};

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
    /// The metrics' recorder is not ours to install.
    #[error("cannot install the metrics recorder")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// Signals cannot be heard.
    #[error("cannot hear signals")]
    Signals(#[source] std::io::Error),
    /// The observers cannot be made.
    #[error("cannot start the thread that prints the story")]
    Story(#[source] std::io::Error),
}

/// Runs until a signal ends it. `print` shows a line of the story; it may block, for it has a thread of its own.
///
/// # Errors
/// [`DaemonError`], before anything was asked of any cluster.
pub async fn run(
    config: Config,
    playbooks: Vec<Playbook>,
    print: impl FnMut(&NewRecord) + Send + 'static,
) -> Result<(), DaemonError> {
    let clock = Clock::start();
    let opened = Journal::open(&config.journal, clock.now().wall)?;
    let saved = account::saved(&opened);
    for intent in &opened.interrupted {
        tracing::warn!(
            step = intent.step,
            action = intent.action,
            node = intent.node,
            "interrupted: unknown, and spent"
        );
    }

    let recorder = metrics::install()?;
    let health = Arc::new(Health::new(clock, config.clusters.iter().map(|cluster| cluster.name.clone())));
    let listener =
        web::bind(config.listen).await.map_err(|source| DaemonError::Listen { address: config.listen, source })?;
    let mut terminate = signal(SignalKind::terminate()).map_err(DaemonError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DaemonError::Signals)?;
    let upkeep = recorder.clone();
    tokio::spawn(web::serve(listener, Arc::clone(&health), recorder));

    let (events, mut incoming) = mpsc::channel(EVENTS_MAX);
    let (answers, mut answered) = mpsc::channel(ANSWERS_MAX);
    let (wishes, wished) = mpsc::channel(WISHES_MAX);
    let observer = Arc::new(Observer::new(&config.clusters, &config.canaries, clock));
    tokio::spawn(observe::run::run(Arc::clone(&observer), wished, events.clone()));
    let executor = Executor::new(observer, clock, config.journal.join("evidence"), events);

    let settings = compose::settings(&config, playbooks);
    let story = story(print)?;
    let started = json!({
        "pid": std::process::id(), "version": env!("CARGO_PKG_VERSION"), "mode": config.mode.to_string(),
        "clusters": config.clusters.iter().map(cluster_words).collect::<Vec<_>>(),
        "journal": config.journal.display().to_string(), "listen": config.listen.to_string(),
        "armed": config.clusters.iter().flat_map(|cluster| cluster.arm.iter().cloned()).collect::<BTreeSet<_>>(),
        "interrupted": opened.interrupted.iter().map(|intent| intent.step.as_str()).collect::<Vec<_>>(),
    });
    let ports = Live {
        journal: opened.journal,
        answers,
        wishes,
        executor,
        story,
        health: Arc::clone(&health),
        gauges: Gauges::default(),
    };
    ports.life("start", started, clock);
    let mut driver = Driver::new(&settings, &saved, clock.now(), ports);

    let mut upkeep_every = tokio::time::interval(std::time::Duration::from_secs(5));
    let mut pending: VecDeque<Event> = VecDeque::new();
    let why = loop {
        let wake = driver.turn(pending.drain(..), clock.now());
        health.turned();
        metrics::heartbeat(clock.now().wall.0);
        let wake = clock.instant(wake.unwrap_or_else(|| clock.tick()).max(clock.tick()));
        tokio::select! {
            biased;
            _ = terminate.recv() => break "SIGTERM",
            _ = interrupt.recv() => break "SIGINT",
            Some(answer) = answered.recv() => pending.push_back(answer),
            Some(event) = incoming.recv() => pending.push_back(event),
            _ = upkeep_every.tick() => upkeep.run_upkeep(),
            () = tokio::time::sleep_until(wake.into()) => {}
        }
        while pending.len() < TURN_MAX {
            let Ok(event) = answered.try_recv().or_else(|_| incoming.try_recv()) else { break };
            pending.push_back(event);
        }
        for event in &pending {
            if let Event::Observed(observation) = event {
                metrics::observed(observation);
            }
        }
    };
    driver.ports.life("stop", json!({"text": format!("ended by {why}")}), clock);
    Ok(())
}

/// `prod (3 nodes, vip 192.0.2.100:6443)`.
fn cluster_words(cluster: &Cluster) -> String {
    let vip = cluster.vip.map_or_else(|| "no vip".to_owned(), |vip| format!("vip {vip}"));
    format!("{} ({} nodes, {vip})", cluster.name, cluster.nodes.len())
}

/// The ports of the real world.
struct Live {
    journal: Journal,
    answers: mpsc::Sender<Event>,
    wishes: mpsc::Sender<(Target, ProbeKind)>,
    executor: Executor,
    story: SyncSender<NewRecord>,
    health: Arc<Health>,
    gauges: Gauges,
}

impl Live {
    fn life(&self, kind: &str, body: serde_json::Value, clock: Clock) {
        let record = account::life(kind, body, clock.now().wall);
        self.tell(&record);
        let batch = WriteBatch { records: vec![record], ..WriteBatch::default() };
        self.journal.append(batch, |result| {
            if let Err(error) = result {
                tracing::error!(%error, "the journal did not take a record");
            }
        });
    }

    /// A line that finds no room is not printed; it is in the journal all the same.
    fn tell(&self, record: &NewRecord) {
        let _ = self.story.try_send(record.clone());
    }
}

impl Ports for Live {
    fn write(&mut self, batch: Batch) {
        metrics::written(&batch);
        for record in &batch.records {
            if let Record::Run { run, state: RunEnd::Failed, text } = record {
                // What a playbook's `otherwise: notify` comes to, until notifications leave the program.
                tracing::error!(cluster = batch.cluster, run, "{text}; a person is needed");
            }
        }
        let rows = account::rows(&batch);
        for record in &rows.records {
            self.tell(record);
        }
        let (answers, cluster, id) = (self.answers.clone(), batch.cluster, batch.id);
        self.journal.append(rows, move |result| {
            let result = result.map_err(|error| {
                tracing::error!(%error, "the journal did not take a batch");
                error.to_string()
            });
            if answers.try_send(Event::Stored { cluster, batch: id, result }).is_err() {
                tracing::error!("the loop takes no answer of the journal: it has ended or is stuck");
            }
        });
    }

    fn ask(&mut self, target: Target, kind: ProbeKind) {
        // A wish that finds no room is asked for at its own cadence, or by the next preflight.
        let _ = self.wishes.try_send((target, kind));
    }

    fn start(&mut self, step: Step) {
        self.executor.start(step);
    }

    fn route(&mut self, _: &ClusterId, _: Route) {}

    fn publish(&mut self, cluster: &ClusterId, status: &Status) {
        self.health.judged(cluster, status.store_answers);
        self.gauges.show(cluster, status);
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
