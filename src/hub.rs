//! Where the loop meets those who read or ask: the newest status of every cluster, the newest records, and commands on
//! their way in.
//!
//! The loop writes and never waits: what nobody reads is forgotten. Readers are the TCP listener and the Unix socket, both
//! over the same handlers. A command is answered once, after what it changed is durable. Bounded: [`TOLD_MAX`] records,
//! [`ASKS_MAX`] commands on their way. Left out: who may ask (the listeners), and what an answer means (the engine).

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use defib_engine::command::{Ask, Command, Reply};
use defib_engine::settings::Mode;
use defib_engine::status::Status;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::Clock;
use crate::journal::NewRecord;

/// Records that are kept for those who follow; whoever wants more reads the journal.
const TOLD_MAX: usize = 500;
/// Commands that wait for the loop.
const ASKS_MAX: usize = 64;
/// An answer waits for the journal at most: longer than the engine waits for it before it says so itself.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Why a command was not answered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HubError {
    /// Too many wait already.
    #[error("{ASKS_MAX} commands wait already; try again in a second")]
    Full,
    /// The loop took it and did not answer in time: it may have been done.
    #[error("no answer came within {} s: whether it was done is unknown, see `defib status`", ANSWER_WITHIN.as_secs())]
    Silent,
    /// The loop took it and ended before it answered: it may have been done.
    #[error("the daemon ended before it answered: whether it was done is unknown, see `defib history`")]
    Cut,
    /// The loop has ended and did not take it.
    #[error("the daemon is ending; nothing was done")]
    Ended,
}

/// What is settled about a cluster that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Its name.
    pub name: String,
    /// Its nodes, in the configuration's order.
    pub nodes: Vec<String>,
    /// Their addresses, in the same order.
    pub addresses: Vec<String>,
    /// Its virtual address; none where there is none.
    pub vip: Option<String>,
    /// The playbooks that may run in mode act.
    pub armed: Vec<String>,
}

/// What is settled about the whole program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// May it act.
    pub mode: Mode,
    /// What it watches.
    pub watched: Vec<Watched>,
    /// Why it keeps no journal, and so never acts; none: it keeps one.
    pub without_journal: Option<String>,
    /// What it watches is a model: everybody who reads is told so.
    pub model: bool,
}

/// A command with the place for its answer.
#[derive(Debug)]
pub struct Question {
    /// What is asked.
    pub command: Command,
    /// Where the answer goes. Whoever asked may be gone.
    pub answer: oneshot::Sender<Reply>,
}

/// The meeting place. The loop holds one end, the listeners share the other.
#[derive(Debug)]
pub struct Hub {
    /// Unlike that of every other process: its id and when it started.
    process: String,
    clock: Clock,
    settled: Settled,
    board: Mutex<Board>,
    /// Grows with every status and every record.
    changes: watch::Sender<u64>,
    asks: mpsc::Sender<Question>,
    last_command: AtomicU64,
    turned_at_ms: AtomicU64,
}

#[derive(Debug, Default)]
struct Board {
    shown: BTreeMap<String, (u64, Arc<Status>)>,
    told: VecDeque<(u64, Arc<NewRecord>)>,
}

impl Hub {
    /// A hub, and the commands that come in through it.
    #[must_use]
    pub fn new(clock: Clock, settled: Settled) -> (Hub, mpsc::Receiver<Question>) {
        let (asks, questions) = mpsc::channel(ASKS_MAX);
        let hub = Hub {
            process: format!("{}-{}", std::process::id(), clock.now().wall.0),
            clock,
            settled,
            board: Mutex::default(),
            changes: watch::Sender::new(0),
            asks,
            last_command: AtomicU64::new(0),
            turned_at_ms: AtomicU64::new(clock.tick().0),
        };
        (hub, questions)
    }

    /// A word that no other process has: who asks twice sees whether it spoke with the same.
    #[must_use]
    pub fn process(&self) -> &str {
        &self.process
    }

    /// What is settled about the program.
    #[must_use]
    pub fn settled(&self) -> &Settled {
        &self.settled
    }

    /// The process's clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The loop went round.
    pub fn turned(&self) {
        self.turned_at_ms.store(self.clock.tick().0, Ordering::Relaxed);
    }

    /// How long ago the loop last went round.
    #[must_use]
    pub fn late(&self) -> Duration {
        let turned = self.turned_at_ms.load(Ordering::Relaxed);
        Duration::from_millis(self.clock.tick().0.saturating_sub(turned))
    }

    /// A cluster's status changed.
    pub fn publish(&self, cluster: &str, status: &Status) {
        self.change(|board, revision| {
            board.shown.insert(cluster.to_owned(), (revision, Arc::new(status.clone())));
        });
    }

    /// Something was written down, or would be.
    pub fn tell(&self, record: &NewRecord) {
        self.change(|board, revision| {
            board.told.push_back((revision, Arc::new(record.clone())));
            if board.told.len() > TOLD_MAX {
                board.told.pop_front();
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Board, u64)) {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        let revision = *self.changes.borrow() + 1;
        change(&mut board, revision);
        self.changes.send_replace(revision);
    }

    /// The newest status with its revision; revision 0 where there is none yet.
    #[must_use]
    pub fn latest(&self, cluster: &str) -> (u64, Option<Arc<Status>>) {
        let board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.shown.get(cluster).map_or((0, None), |(revision, status)| (*revision, Some(Arc::clone(status))))
    }

    /// The newest revision of a cluster's status; of everything where none is named.
    #[must_use]
    pub fn revision(&self, cluster: &str) -> u64 {
        if cluster.is_empty() { *self.changes.borrow() } else { self.latest(cluster).0 }
    }

    /// The records that were told after this revision, each with its own, the oldest first.
    #[must_use]
    pub fn told_after(&self, revision: u64) -> Vec<(u64, Arc<NewRecord>)> {
        let board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.told.iter().filter(|(told, _)| *told > revision).cloned().collect()
    }

    /// Tells of every change from now on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Asks the loop, and waits for its answer: after what was asked is durable.
    ///
    /// # Errors
    /// [`HubError`]. Where the answer did not come in time, what was asked may have been done.
    pub async fn ask(&self, by: String, ask: Ask) -> Result<Reply, HubError> {
        let id = self.last_command.fetch_add(1, Ordering::Relaxed) + 1;
        let (answer, answered) = oneshot::channel();
        let question = Question { command: Command { id, by, ask }, answer };
        self.asks.try_send(question).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => HubError::Full,
            mpsc::error::TrySendError::Closed(_) => HubError::Ended,
        })?;
        match tokio::time::timeout(ANSWER_WITHIN, answered).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) => Err(HubError::Cut),
            Err(_) => Err(HubError::Silent),
        }
    }
}

/// The loop's side: answers that are owed, by the command's number.
#[derive(Debug, Default)]
pub struct Owed(BTreeMap<u64, oneshot::Sender<Reply>>);

impl Owed {
    /// Takes the place for an answer; gives the command for the engine.
    pub fn take(&mut self, question: Question) -> Command {
        self.0.retain(|_, answer| !answer.is_closed());
        self.0.insert(question.command.id, question.answer);
        question.command
    }

    /// Answers. Whoever asked may be gone.
    pub fn answer(&mut self, command: u64, reply: Reply) {
        if let Some(answer) = self.0.remove(&command) {
            let _ = answer.send(reply);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::journal::account;

    fn hub() -> (Hub, mpsc::Receiver<Question>) {
        let settled = Settled { mode: Mode::Observe, watched: Vec::new(), without_journal: None, model: false };
        Hub::new(Clock::start(), settled)
    }

    fn resume() -> Ask {
        Ask::Resume { cluster: None }
    }

    #[test]
    fn readers_see_the_newest_and_follow_from_where_they_were() {
        let (hub, _questions) = hub();
        assert_eq!((hub.revision(""), hub.latest("prod").0), (0, 0));
        hub.publish("prod", &Status::default());
        let seen = hub.revision("");
        for number in 0..TOLD_MAX + 5 {
            hub.tell(&account::life("start", json!({"number": number}), defib_engine::time::UnixMs(1)));
        }
        let told = hub.told_after(seen);
        assert_eq!(told.len(), TOLD_MAX, "what nobody reads is forgotten");
        assert_eq!(told.last().unwrap().1.body["number"], TOLD_MAX + 4);
        assert!(hub.told_after(told.last().unwrap().0).is_empty());
        assert_eq!(hub.latest("prod").0, seen, "a record is no change of a status");
    }

    #[tokio::test]
    async fn an_answer_reaches_the_one_who_asked() {
        let (hub, mut questions) = hub();
        let answering = async {
            let mut owed = Owed::default();
            let first = owed.take(questions.recv().await.unwrap());
            let second = owed.take(questions.recv().await.unwrap());
            owed.answer(second.id, Reply::Done(second.by));
            owed.answer(first.id, Reply::Done(first.by));
        };
        let (a, b, ()) = tokio::join!(hub.ask("a".into(), resume()), hub.ask("b".into(), resume()), answering);
        assert_eq!((a, b), (Ok(Reply::Done("a".into())), Ok(Reply::Done("b".into()))));
    }

    #[tokio::test]
    async fn a_loop_that_is_gone_or_full_is_told_apart() {
        let (hub, mut questions) = hub();
        let mut waiting = tokio::task::JoinSet::new();
        let hub = Arc::new(hub);
        for _ in 0..ASKS_MAX {
            let hub = Arc::clone(&hub);
            waiting.spawn(async move { hub.ask("a".into(), resume()).await });
        }
        while questions.len() < ASKS_MAX {
            tokio::task::yield_now().await;
        }
        assert_eq!(hub.ask("a".into(), resume()).await, Err(HubError::Full));
        questions.close();
        while questions.recv().await.is_some() {}
        assert_eq!(waiting.join_next().await.unwrap().unwrap(), Err(HubError::Cut), "it was taken");
        assert_eq!(hub.ask("a".into(), resume()).await, Err(HubError::Ended));
    }
}
