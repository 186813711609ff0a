//! A credential that is kept at hand, read by a thread of its own: a disk that hangs stops nobody who asks.
//!
//! What was read serves for [`KEPT`]; then whoever asks next has it read again, and waits for that a moment only. Where
//! the disk does not answer, or what lies there cannot be used (a rotation is half done, most likely), what was read
//! before goes on serving until its certificate ends, and the probe of our credentials tells. At most one
//! thread a credential reads, however long it hangs; it keeps no process from ending. Left out: what the files hold (`tls`,
//! `talos`).

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use defib_engine::observation::Why;
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::Trouble;

/// What was read serves so long: a rotated certificate is picked up within it.
pub const KEPT: Duration = Duration::from_secs(5);

/// What could not be used is read again sooner: whoever mends it is watching.
pub const KEPT_BROKEN: Duration = Duration::from_millis(500);

/// A reading may take so long before what was read earlier serves instead. A local file takes microseconds.
const PATIENCE: Duration = Duration::from_millis(100);

/// A reading thread needs little.
const STACK_BYTES: usize = 512 * 1024;

/// Where a credential comes from. Reading may block.
pub trait Source: Debug + Send + Sync + 'static {
    /// The credential as it lies there; a source remembers what did not change.
    ///
    /// # Errors
    /// [`Trouble::Unknown`]: our own side's trouble.
    fn read(&self) -> Result<Arc<ClientConfig>, Trouble>;

    /// What was read last says of itself, also where it is not used because its time is over.
    fn holds(&self) -> Holds;
}

/// What a credential says of itself, without a word of its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// Until when its certificate is valid; none where it was never read.
    pub not_after: Option<SystemTime>,
    /// The organizations of its certificate, in order: Talos's roles, Kubernetes's groups.
    pub groups: Vec<String>,
    /// Whom its file would have asked; empty where it names nobody.
    pub endpoints: Vec<String>,
}

/// A credential at hand.
#[derive(Debug)]
pub struct Kept {
    source: Arc<dyn Source>,
    serves: Duration,
    state: Arc<watch::Sender<State>>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Reading>,
    /// What could be used when it was read last, and what it says of itself.
    good: Option<(Arc<ClientConfig>, Holds)>,
    /// Since when a thread reads.
    reading: Option<Instant>,
}

/// What a reading gave.
#[derive(Clone, Debug)]
struct Reading {
    ended: Instant,
    config: Result<Arc<ClientConfig>, Trouble>,
    /// Why what lies there cannot be used, though what was read before still serves.
    broken: Option<Trouble>,
    holds: Holds,
}

/// How one of our credentials fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// What it says of itself; nothing where it was never read.
    pub holds: Holds,
    /// Why it cannot be used, or cannot be read any more.
    pub problem: Option<String>,
}

impl Kept {
    /// Nothing is opened yet.
    #[must_use]
    pub fn new(source: impl Source) -> Kept {
        Kept { source: Arc::new(source), serves: KEPT, state: Arc::default() }
    }

    /// The configuration for one connection.
    ///
    /// # Errors
    /// [`Trouble::Unknown`]: it cannot be used, or was not read by `until` and never before.
    pub async fn client_config(&self, until: Instant) -> Result<Arc<ClientConfig>, Trouble> {
        let now = Instant::now();
        let (last, began) = {
            let state = self.state.borrow();
            if let Some(last) = state.last.as_ref().filter(|last| last.serves(now, self.serves)) {
                return last.config.clone();
            }
            (state.last.clone(), state.reading)
        };
        let began = match began {
            Some(began) => began,
            None => self.begin(now)?,
        };
        let patience = if last.is_some() { until.min(began + PATIENCE) } else { until };
        match (self.ended(patience).await, last) {
            (Some(reading), _) | (None, Some(reading)) => reading.config,
            (None, None) => Err(Trouble::Unknown(Why::OwnSide(hangs(began)))),
        }
    }

    /// Has the credential read, and says how it fares; a reading that does not end by `until` is a problem too.
    pub async fn look(&self, until: Instant) -> Look {
        let now = Instant::now();
        let began = self.state.borrow().reading;
        let began = match began.map_or_else(|| self.begin(now), Ok) {
            Ok(began) => began,
            Err(trouble) => return Look { holds: Holds::default(), problem: Some(said(&trouble)) },
        };
        let ended = self.ended(until).await;
        let hangs = ended.is_none().then(|| hangs(began));
        let last = ended.or_else(|| self.state.borrow().last.clone());
        let broken = |last: &Reading| match (&last.broken, &last.config) {
            (Some(trouble), _) => Some(format!("{}; the one that was read before still serves", said(trouble))),
            (None, Err(trouble)) => Some(said(trouble)),
            (None, Ok(_)) => None,
        };
        let problem = last.as_ref().and_then(broken);
        Look { holds: last.map(|last| last.holds).unwrap_or_default(), problem: hangs.or(problem) }
    }

    /// Begins to read, unless somebody did meanwhile.
    fn begin(&self, now: Instant) -> Result<Instant, Trouble> {
        let mut began = None;
        self.state.send_if_modified(|state| {
            began = state.reading;
            state.reading = Some(began.unwrap_or(now));
            false
        });
        if let Some(began) = began {
            return Ok(began);
        }
        let (source, state) = (Arc::clone(&self.source), Arc::clone(&self.state));
        let thread = std::thread::Builder::new().name("credential".to_owned()).stack_size(STACK_BYTES);
        let spawned = thread.spawn(move || {
            let (config, holds) = (source.read(), source.holds());
            state.send_modify(|state| state.take(config, holds));
        });
        if let Err(error) = spawned {
            self.state.send_modify(|state| state.reading = None);
            return Err(Trouble::Unknown(Why::OwnSide(format!(
                "cannot start a thread that reads our credential: {error}"
            ))));
        }
        Ok(now)
    }

    /// What the reading under way gives; none where it does not end by `until`.
    async fn ended(&self, until: Instant) -> Option<Reading> {
        let mut state = self.state.subscribe();
        let ended = timeout_at(until, state.wait_for(|state| state.reading.is_none())).await;
        ended.ok()?.ok()?.last.clone()
    }
}

impl State {
    /// Takes what a reading gave. Whether a good one goes on serving is said once.
    fn take(&mut self, config: Result<Arc<ClientConfig>, Trouble>, holds: Holds) {
        let ended = Instant::now();
        self.reading = None;
        let lasts = |holds: &Holds| holds.not_after.is_none_or(|until| until > SystemTime::now());
        let reading = match (config, self.good.clone().filter(|(_, holds)| lasts(holds))) {
            (Ok(config), _) => {
                self.good = Some((Arc::clone(&config), holds.clone()));
                Reading { ended, config: Ok(config), broken: None, holds }
            }
            (Err(trouble), Some((good, holds))) => {
                if self.last.as_ref().is_none_or(|last| last.broken.is_none()) {
                    tracing::warn!("{}; the one that was read before still serves", said(&trouble));
                }
                Reading { ended, config: Ok(good), broken: Some(trouble), holds }
            }
            (Err(trouble), None) => Reading { ended, config: Err(trouble), broken: None, holds },
        };
        self.last = Some(reading);
    }
}

impl Reading {
    fn serves(&self, now: Instant, serves: Duration) -> bool {
        let serves = if self.config.is_ok() && self.broken.is_none() { serves } else { KEPT_BROKEN };
        now.saturating_duration_since(self.ended) < serves
    }
}

fn hangs(began: Instant) -> String {
    format!("our credential is not read: its disk does not answer since {} ms", began.elapsed().as_millis())
}

fn said(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Unknown(Why::OwnSide(text)) => text.clone(),
        trouble => trouble.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A disk that answers when it is let.
    #[derive(Debug)]
    struct Disk {
        answers: Mutex<Receiver<Result<Arc<ClientConfig>, Trouble>>>,
    }

    impl Source for Disk {
        fn read(&self) -> Result<Arc<ClientConfig>, Trouble> {
            self.answers.lock().unwrap().recv().unwrap_or(Err(Trouble::Unknown(Why::OwnSide("gone".to_owned()))))
        }

        fn holds(&self) -> Holds {
            Holds { not_after: Some(in_an_hour()), ..Holds::default() }
        }
    }

    /// The same for all that a test asks.
    fn in_an_hour() -> SystemTime {
        static AT: std::sync::LazyLock<SystemTime> =
            std::sync::LazyLock::new(|| SystemTime::now() + Duration::from_secs(3_600));
        *AT
    }

    fn disk() -> (Kept, Sender<Result<Arc<ClientConfig>, Trouble>>) {
        let (answer, answers) = channel();
        (Kept { serves: Duration::ZERO, ..Kept::new(Disk { answers: Mutex::new(answers) }) }, answer)
    }

    fn config() -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        Arc::new(builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    fn broken(text: &str) -> Trouble {
        Trouble::Unknown(Why::OwnSide(text.to_owned()))
    }

    #[tokio::test]
    async fn a_disk_that_hangs_from_the_start_costs_a_deadline_and_no_more() {
        let (kept, answer) = disk();
        for _ in 0..3 {
            let until = soon();
            let Err(Trouble::Unknown(Why::OwnSide(why))) = kept.client_config(until).await else { unreachable!() };
            assert!(why.contains("does not answer"), "{why}");
            assert!(Instant::now() >= until);
        }
        let look = kept.look(soon()).await;
        assert!(look.problem.unwrap().contains("does not answer"));
        assert_eq!(look.holds.not_after, None);
        answer.send(Ok(config())).unwrap();
        kept.client_config(Instant::now() + Duration::from_secs(10)).await.unwrap();
        // One thread asked, however many waited: a second answer is not taken.
        drop(answer);
        let look = kept.look(Instant::now() + Duration::from_secs(10)).await;
        assert_eq!(look.problem.as_deref(), Some("gone; the one that was read before still serves"));
    }

    #[tokio::test]
    async fn what_was_read_serves_while_the_disk_hangs() {
        let (kept, answer) = disk();
        let first = config();
        answer.send(Ok(Arc::clone(&first))).unwrap();
        kept.client_config(Instant::now() + Duration::from_secs(10)).await.unwrap();
        // Nothing answers any more, and the deadline is far: what is given was read before.
        for _ in 0..3 {
            let again = kept.client_config(Instant::now() + Duration::from_secs(600)).await.unwrap();
            assert!(Arc::ptr_eq(&first, &again));
        }
        let look = kept.look(soon()).await;
        assert_eq!(look.holds.not_after, Some(in_an_hour()));
        assert!(look.problem.unwrap().contains("does not answer"));
    }

    #[tokio::test]
    async fn what_changed_is_picked_up_and_trouble_is_read_again_soon() {
        let (kept, answer) = disk();
        let late = || Instant::now() + Duration::from_secs(10);
        answer.send(Err(broken("half rotated"))).unwrap();
        assert_eq!(kept.client_config(late()).await.unwrap_err(), broken("half rotated"));
        let mended = config();
        answer.send(Ok(Arc::clone(&mended))).unwrap();
        // Within a moment the trouble that was seen still stands.
        assert!(kept.client_config(late()).await.is_err());
        tokio::time::sleep(KEPT_BROKEN).await;
        assert!(Arc::ptr_eq(&kept.client_config(late()).await.unwrap(), &mended));
        answer.send(Err(broken("no pair"))).unwrap();
        let look = kept.look(late()).await;
        assert_eq!(look.holds.not_after, Some(in_an_hour()));
        assert_eq!(look.problem.as_deref(), Some("no pair; the one that was read before still serves"));
        assert!(
            Arc::ptr_eq(&kept.client_config(late()).await.unwrap(), &mended),
            "half a rotation takes no sight away"
        );
        let rotated = config();
        tokio::time::sleep(KEPT_BROKEN).await;
        answer.send(Ok(Arc::clone(&rotated))).unwrap();
        assert!(Arc::ptr_eq(&kept.client_config(late()).await.unwrap(), &rotated));
    }

    #[test]
    fn a_certificate_that_has_ended_does_not_go_on_serving() {
        let mut state = State::default();
        state.take(Ok(config()), Holds { not_after: Some(SystemTime::UNIX_EPOCH), ..Holds::default() });
        state.take(Err(broken("no pair")), Holds::default());
        assert_eq!(state.last.unwrap().config.unwrap_err(), broken("no pair"));
    }
}
