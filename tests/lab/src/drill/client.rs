//! A client of defib's lifeline: what `kubectl` and controllers would see through it.
//!
//! On the ops host, sharing nothing with defib: it asks over connections of its own all the time, holds others with a
//! question each second, and watches leases over one more. What failed is kept with its time. Left out: judging it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::Method;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::clock::{UnixMs, now_ms};
use super::probe::ProbeError;
use super::story::{Story, Voice};
use crate::https::HttpsClient;

/// Between the beginnings of two questions over connections of their own.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// For a whole question: connection, TLS, answer.
const ASK_DEADLINE: Duration = Duration::from_secs(1);
/// Between two questions over a held connection.
const HELD_EVERY: Duration = Duration::from_secs(1);
/// A held connection's answer may take this long: the lab is one machine, and busy.
const HELD_DEADLINE: Duration = Duration::from_secs(5);
/// So many are held, the watch not counted.
const HELD: u64 = 20;
/// What is asked: an object, through authentication and etcd.
const OBJECT: &str = "/api/v1/namespaces/kube-system";
/// What is watched: controllers renew theirs every two seconds.
const WATCH: &str = "/apis/coordination.k8s.io/v1/leases?watch=true";
/// The most failures that are kept.
const FAILURES_MAX: usize = 10_000;

/// What was seen so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Questions over connections of their own.
    pub(super) asked: u64,
    /// When each that failed was given up.
    pub(super) failures: Vec<UnixMs>,
    /// Held connections that were open, the watch included.
    pub(super) held: u64,
    /// Those that broke.
    pub(super) broken: u64,
    /// Bytes of events that the watch brought.
    pub(super) watched_bytes: u64,
}

/// A running client; it ends when this is dropped.
pub(super) struct Client {
    seen: Arc<Mutex<Seen>>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// Begins to ask `address` with `client`, on a thread that has called `enter` to join the ops host.
    pub(super) fn start(
        address: SocketAddr,
        client: HttpsClient,
        story: Arc<Story>,
        enter: impl FnOnce() -> Result<(), Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    ) -> Result<Self, ProbeError> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::clone(&seen);
        let (say, entered) = std::sync::mpsc::sync_channel(1);
        let work = move || {
            let runtime = enter().map_err(ProbeError::Enter).and_then(|()| {
                tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ProbeError::Start)
            });
            match runtime {
                Ok(runtime) => {
                    let _ = say.send(Ok(()));
                    runtime.block_on(all(address, client, shared, story, stopped));
                }
                Err(e) => drop(say.send(Err(e))),
            }
        };
        let thread = std::thread::Builder::new().name("client".to_owned()).spawn(work).map_err(ProbeError::Start)?;
        let gone = || std::io::Error::other("the thread ended at once");
        entered.recv().map_err(|_| ProbeError::Start(gone()))??;
        Ok(Self { seen, stop, thread: Some(thread) })
    }

    /// What was seen so far.
    pub(super) fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn all(
    address: SocketAddr,
    client: HttpsClient,
    seen: Arc<Mutex<Seen>>,
    story: Arc<Story>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut tasks = JoinSet::new();
    tasks.spawn(ask(address, client.clone(), Arc::clone(&seen), Arc::clone(&story)));
    for _ in 0..HELD {
        tasks.spawn(hold(address, client.clone(), Arc::clone(&seen), Arc::clone(&story)));
    }
    tasks.spawn(follow(address, client, seen, story));
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn ask(address: SocketAddr, client: HttpsClient, seen: Arc<Mutex<Seen>>, story: Arc<Story>) {
    let mut tick = tokio::time::interval(ASK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let answer = client.ask(address, (Method::GET, OBJECT, Vec::new()), ASK_DEADLINE).await;
        let trouble = match answer {
            Ok(answer) if answer.status == 200 => None,
            Ok(answer) => Some(format!("status {}", answer.status)),
            Err(e) => Some(e.to_string()),
        };
        let mut seen = lock(&seen);
        seen.asked += 1;
        if let Some(trouble) = trouble {
            if seen.failures.len() < FAILURES_MAX {
                seen.failures.push(now_ms());
            }
            story.say(Voice::Probe, format!("through the lifeline: {trouble}"));
        }
    }
}

async fn hold(address: SocketAddr, client: HttpsClient, seen: Arc<Mutex<Seen>>, story: Arc<Story>) {
    let Ok(mut held) = client.hold(address).await else { return };
    lock(&seen).held += 1;
    while let Ok(Ok(200)) = tokio::time::timeout(HELD_DEADLINE, held.ask(OBJECT)).await {
        tokio::time::sleep(HELD_EVERY).await;
    }
    lock(&seen).broken += 1;
    story.say(Voice::Probe, "a connection that was held through the lifeline broke");
}

async fn follow(address: SocketAddr, client: HttpsClient, seen: Arc<Mutex<Seen>>, story: Arc<Story>) {
    let Ok(mut held) = client.hold(address).await else { return };
    lock(&seen).held += 1;
    let _ = held.follow(WATCH, |bytes| lock(&seen).watched_bytes += bytes.len() as u64).await;
    lock(&seen).broken += 1;
    story.say(Voice::Probe, "the watch through the lifeline broke");
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
