//! The lab's own eyes: from the ops host it asks every API server, and the VIP, for `/readyz`.
//!
//! They judge a drill, so they share nothing with defib: a thread of their own in the ops host's network namespace, a
//! fresh connection for every question, four questions a second to each target. What they see is kept as the latest
//! sight and the unbroken run of good answers that it belongs to. That a target turns ready, or ceases to be, is told in
//! the story. Left out: history.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hyper::Method;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::clock::{Late, UnixMs, now_ms};
use super::story::{Story, Voice};
use crate::https::{HttpsClient, HttpsError};

/// Between the beginnings of two questions to one target.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// For a whole question: connection, TLS, answer.
const ASK_DEADLINE: Duration = Duration::from_secs(1);
/// Service is back when this many answers in a row are good …
const STEADY_ANSWERS: u32 = 5;
/// … and the first and the last of them are this far apart.
const STEADY_MS: u64 = 10_000;

/// Why there are no eyes.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The probes' thread could not be made.
    #[error("cannot start the lab's own probes")]
    Start(#[source] std::io::Error),
    /// It could not enter the ops host's namespace.
    #[error("the lab's own probes cannot enter the ops host's namespace")]
    Enter(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What one question came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// 200.
    Ready,
    /// Another status.
    Status(u16),
    /// Nobody took the connection.
    Refused,
    /// Nothing within 1 s.
    Silent,
    /// TLS or HTTP broke.
    Broken,
}

impl Sight {
    fn of(answer: Result<u16, &HttpsError>) -> Self {
        match answer {
            Ok(200) => Self::Ready,
            Ok(status) => Self::Status(status),
            Err(HttpsError::Connect { .. }) => Self::Refused,
            Err(HttpsError::Silent { .. }) => Self::Silent,
            Err(_) => Self::Broken,
        }
    }

    fn is_ready(&self) -> bool {
        *self == Self::Ready
    }

    fn text(&self) -> String {
        match self {
            Self::Ready => "ready (200)".to_owned(),
            Self::Status(status) => format!("answers {status}"),
            Self::Refused => "takes no connection".to_owned(),
            Self::Silent => "is silent".to_owned(),
            Self::Broken => "breaks off".to_owned(),
        }
    }
}

/// An unbroken run of good answers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Steady {
    first: Option<UnixMs>,
    last: UnixMs,
    answers: u32,
}

impl Steady {
    fn feed(&mut self, at: UnixMs, good: bool) {
        if !good {
            *self = Self::default();
            return;
        }
        self.first.get_or_insert(at);
        self.last = at;
        self.answers = self.answers.saturating_add(1);
    }

    /// When the present run began.
    pub(super) fn began(&self) -> Option<UnixMs> {
        self.first
    }

    /// When the present run began, once it is long enough to count as service.
    pub(super) fn restored(&self) -> Option<UnixMs> {
        let first = self.first?;
        (self.answers >= STEADY_ANSWERS && self.last - first >= STEADY_MS).then_some(first)
    }
}

/// One target as seen last.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    /// The latest sight; none before the first answer.
    pub(super) sight: Option<Sight>,
    /// The run of good answers that it belongs to.
    pub(super) steady: Steady,
    /// The first good answer since [`Probes::forget`].
    pub(super) first_good: Option<UnixMs>,
}

/// All targets as seen last, by name.
pub(super) type Tracks = BTreeMap<String, Track>;

#[derive(Default)]
struct Board {
    tracks: Mutex<Tracks>,
    changed: Condvar,
}

/// The running probes; they end when this is dropped.
pub(super) struct Probes {
    board: Arc<Board>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Probes {
    /// Begins to ask `targets` (name, address) with `client`, on a thread that has called `enter` to join the ops host.
    pub(super) fn start(
        targets: Vec<(String, SocketAddr)>,
        client: HttpsClient,
        story: Arc<Story>,
        enter: impl FnOnce() -> Result<(), Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    ) -> Result<Self, ProbeError> {
        let board = Arc::new(Board::default());
        let (stop, stopped) = watch::channel(false);
        let (say, entered) = std::sync::mpsc::sync_channel(1);
        let shared = Arc::clone(&board);
        let thread = std::thread::Builder::new()
            .name("probes".to_owned())
            .spawn(move || {
                let runtime = enter().map_err(ProbeError::Enter).and_then(|()| {
                    // One thread only: sockets belong to the namespace of the thread that makes them.
                    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ProbeError::Start)
                });
                match runtime {
                    Ok(runtime) => {
                        let _ = say.send(Ok(()));
                        runtime.block_on(ask_all(targets, client, shared, story, stopped));
                    }
                    Err(e) => {
                        let _ = say.send(Err(e));
                    }
                }
            })
            .map_err(ProbeError::Start)?;
        let gone = || std::io::Error::other("the thread ended at once");
        entered.recv().map_err(|_| ProbeError::Start(gone()))??;
        Ok(Self { board, stop, thread: Some(thread) })
    }

    /// Forgets every good answer: from here on they count anew.
    pub(super) fn forget(&self) {
        for track in lock(&self.board.tracks).values_mut() {
            track.steady = Steady::default();
            track.first_good = None;
        }
    }

    /// What `look` makes of what was seen last.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Tracks) -> T) -> T {
        look(&lock(&self.board.tracks))
    }

    /// Waits until `look` finds something in what was seen, at most for `deadline`.
    pub(super) fn wait<T>(
        &self,
        what: &str,
        deadline: Duration,
        mut look: impl FnMut(&Tracks) -> Option<T>,
    ) -> Result<T, Late> {
        let end = Instant::now() + deadline;
        let mut tracks = lock(&self.board.tracks);
        loop {
            if let Some(found) = look(&tracks) {
                return Ok(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Late { what: what.to_owned(), waited: deadline });
            }
            let woken = self.board.changed.wait_timeout(tracks, left);
            tracks = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn ask_all(
    targets: Vec<(String, SocketAddr)>,
    client: HttpsClient,
    board: Arc<Board>,
    story: Arc<Story>,
    mut stopped: watch::Receiver<bool>,
) {
    // Dropped at the end, which ends its tasks.
    let mut asking = JoinSet::new();
    for (name, address) in targets {
        asking.spawn(ask(name, address, client.clone(), Arc::clone(&board), Arc::clone(&story)));
    }
    // An error is the sender's end, a reason to stop as well.
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn ask(name: String, address: SocketAddr, client: HttpsClient, board: Arc<Board>, story: Arc<Story>) {
    let mut tick = tokio::time::interval(ASK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let question = (Method::GET, "/readyz", Vec::new());
        let answer = client.ask(address, question, ASK_DEADLINE).await.map(|answer| answer.status);
        let sight = Sight::of(answer.as_ref().copied());
        let mut tracks = lock(&board.tracks);
        let track = tracks.entry(name.clone()).or_default();
        let at = now_ms();
        track.steady.feed(at, sight.is_ready());
        track.first_good = track.first_good.or(track.steady.began());
        // Told when it turns ready or ceases to be: how it is not ready changes all the time.
        let changed = track.sight.as_ref().map(Sight::is_ready) != Some(sight.is_ready());
        track.sight = Some(sight.clone());
        drop(tracks);
        board.changed.notify_all();
        if changed {
            story.say(Voice::Probe, format!("{name} {}", sight.text()));
        }
    }
}

fn lock(tracks: &Mutex<Tracks>) -> MutexGuard<'_, Tracks> {
    tracks.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_is_back_at_the_first_of_five_good_answers_over_ten_seconds() {
        let mut steady = Steady::default();
        for at in [1_000, 1_250, 1_500, 1_750, 10_999] {
            steady.feed(at, true);
        }
        assert_eq!((steady.began(), steady.restored()), (Some(1_000), None), "not ten seconds yet");
        steady.feed(11_000, true);
        assert_eq!(steady.restored(), Some(1_000));
    }

    #[test]
    fn one_bad_answer_begins_anew() {
        let mut steady = Steady::default();
        steady.feed(0, true);
        steady.feed(5_000, false);
        assert_eq!(steady.began(), None);
        steady.feed(6_000, true);
        steady.feed(20_000, true);
        assert_eq!(steady.restored(), None, "two answers are not five");
        for at in 20_001..20_004 {
            steady.feed(at, true);
        }
        assert_eq!(steady.restored(), Some(6_000));
    }
}
