//! The services of a node, kept running as Talos keeps them: one that ends is started again 5 s later, for ever; one that
//! was stopped over the API stays stopped until it is started.
//!
//! Each service has a task of its own, which alone starts and ends the program; others give it orders and read what it
//! tells. A stop is SIGTERM, then SIGKILL after [`TERM_GRACE`]. Left out: services of Talos that the lab has no part for.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

use super::calls::now_ms;
use super::health::Health;
use crate::layout::Part;

/// How long after its end a service is started again.
const RESTART_AFTER: Duration = Duration::from_secs(5);
/// How long a service may take to end by itself.
const TERM_GRACE: Duration = Duration::from_secs(10);
/// The most events that a service remembers; Talos keeps as many.
const EVENTS_MAX: usize = 32;
/// Orders that may wait for a service; more callers than that wait themselves.
const ORDERS_MAX: usize = 4;

/// One line of a service's history.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) at_ms: u64,
    pub(super) state: &'static str,
    pub(super) text: String,
}

/// What a service tells about itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) state: &'static str,
    pub(super) events: Vec<Event>,
    /// Unknown until asked, and while the service does not run.
    pub(super) healthy: Option<bool>,
    pub(super) health_text: String,
    pub(super) health_changed_ms: u64,
}

/// What to do with a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Start it, unless it runs.
    Start,
    /// End it, and keep it ended.
    Stop,
    /// End it and start it at once.
    Restart,
}

/// How to run a service.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) part: Part,
    /// What runs, as it is told; `line` may begin with what leads there.
    pub(super) program: String,
    /// The command line.
    pub(super) line: Vec<String>,
    /// Where its output goes, appended.
    pub(super) log: PathBuf,
    pub(super) health: Health,
    /// Has to hold before each start.
    pub(super) after: Option<Health>,
    /// Run once, successfully, before the first start.
    pub(super) first: Option<Vec<String>>,
}

/// A service from outside: to order about, to look at.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) part: Part,
    told: Arc<Mutex<Told>>,
    orders: mpsc::Sender<(Order, oneshot::Sender<()>)>,
}

impl Service {
    /// Starts to keep a service running.
    pub(super) fn begin(plan: Plan) -> Self {
        let (orders, received) = mpsc::channel(ORDERS_MAX);
        let told = Arc::new(Mutex::new(Told { state: "Initialized", ..Told::default() }));
        let service = Self { part: plan.part, told: Arc::clone(&told), orders };
        tokio::spawn(Keeper { plan, told, orders: received }.keep());
        service
    }

    /// Gives an order and waits until it is carried out; a start counts as that once it is begun, as with Talos.
    pub(super) async fn order(&self, order: Order) -> bool {
        let (done, carried_out) = oneshot::channel();
        self.orders.send((order, done)).await.is_ok() && carried_out.await.is_ok()
    }

    /// What it tells at this moment.
    pub(super) fn told(&self) -> Told {
        lock(&self.told).clone()
    }
}

struct Keeper {
    plan: Plan,
    told: Arc<Mutex<Told>>,
    orders: mpsc::Receiver<(Order, oneshot::Sender<()>)>,
}

impl Keeper {
    /// Ends when nobody can give orders any more; what runs then goes on running.
    async fn keep(mut self) {
        let mut asked: Option<oneshot::Sender<()>> = None;
        loop {
            match self.run_once(asked.take()).await {
                Some((Order::Start | Order::Restart, done)) => asked = Some(done),
                Some((Order::Stop, done)) => {
                    self.tell("Finished", "Service finished successfully");
                    let _ = done.send(());
                    let Some(done) = self.next_start().await else { return };
                    asked = Some(done);
                }
                // The program ended by itself, or could not be started.
                None => match self.wait_before_restart().await {
                    Pause::Over => {}
                    Pause::Ordered(done) => asked = Some(done),
                    Pause::Stopped => {
                        let Some(done) = self.next_start().await else { return };
                        asked = Some(done);
                    }
                    Pause::Abandoned => return,
                },
            }
        }
    }

    /// Starts the program and stays until it ended: by itself (none), or by the order that is given back.
    async fn run_once(&mut self, asked: Option<oneshot::Sender<()>>) -> Option<(Order, oneshot::Sender<()>)> {
        self.tell("Preparing", "Running pre state");
        // Who ordered a start does not wait for what must come before it, as with Talos.
        if let Some(done) = asked {
            let _ = done.send(());
        }
        if let Err(order) = self.prepare().await {
            return order;
        }
        let mut child = match start(&self.plan) {
            Ok(child) => child,
            Err(e) => {
                self.tell("Failed", &format!("Failed to create runner: {e}"));
                return None;
            }
        };
        let pid = child.id().unwrap_or_default();
        self.tell("Running", &format!("Process Process([{:?}]) started with PID {pid}", self.plan.program));
        let ordered = loop {
            tokio::select! {
                ended = child.wait() => {
                    let how = ended.map_or_else(|e| e.to_string(), said);
                    let name = self.plan.part.name();
                    self.tell("Waiting", &format!("Error running {name}, going to restart forever: {how}"));
                    return None;
                }
                order = self.orders.recv() => match order {
                    Some((Order::Start, done)) => {
                        let _ = done.send(());
                    }
                    other => break other,
                },
                () = check(&self.plan.health, &self.told) => {}
            }
        };
        let ordered = ordered?;
        self.tell("Stopping", "Sending SIGTERM to Process");
        terminate(&mut child).await;
        Some(ordered)
    }

    /// Waits for what must come first; an order meanwhile is given back as the error.
    async fn prepare(&mut self) -> Result<(), Option<(Order, oneshot::Sender<()>)>> {
        let after = self.plan.after.clone();
        let first = self.plan.first.clone();
        let told = Arc::clone(&self.told);
        let ready = async {
            if let Some(after) = after {
                add(&told, "Waiting", &format!("Waiting for {}", after.name()));
                after.until_healthy().await;
            }
            if let Some(line) = first {
                until_succeeded(&line, &told).await;
            }
        };
        tokio::pin!(ready);
        loop {
            tokio::select! {
                () = &mut ready => break,
                order = self.orders.recv() => match order {
                    Some((Order::Start | Order::Restart, done)) => {
                        let _ = done.send(());
                    }
                    other => return Err(other),
                },
            }
        }
        self.plan.first = None;
        Ok(())
    }

    async fn wait_before_restart(&mut self) -> Pause {
        tokio::select! {
            () = tokio::time::sleep(RESTART_AFTER) => Pause::Over,
            order = self.orders.recv() => match order {
                Some((Order::Stop, done)) => {
                    self.tell("Finished", "Service finished successfully");
                    let _ = done.send(());
                    Pause::Stopped
                }
                Some((_, done)) => Pause::Ordered(done),
                None => Pause::Abandoned,
            },
        }
    }

    async fn next_start(&mut self) -> Option<oneshot::Sender<()>> {
        loop {
            match self.orders.recv().await? {
                (Order::Stop, done) => {
                    let _ = done.send(());
                }
                (_, done) => return Some(done),
            }
        }
    }

    fn tell(&self, state: &'static str, text: &str) {
        add(&self.told, state, text);
    }
}

enum Pause {
    Over,
    Ordered(oneshot::Sender<()>),
    Stopped,
    Abandoned,
}

fn start(plan: &Plan) -> std::io::Result<Child> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(&plan.log)?;
    let other = log.try_clone()?;
    let (program, arguments) = plan.line.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    Command::new(program).args(arguments).stdin(Stdio::null()).stdout(log).stderr(other).spawn()
}

async fn terminate(child: &mut Child) {
    let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) else { return };
    // A process that is gone needs no signal.
    let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    if tokio::time::timeout(TERM_GRACE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// One period of a service's health, told when it changes.
async fn check(health: &Health, told: &Mutex<Told>) {
    let found = health.after_period().await;
    let mut told = lock(told);
    let healthy = found.is_ok();
    if told.healthy != Some(healthy) {
        told.healthy = Some(healthy);
        told.health_changed_ms = now_ms();
        let text = match &found {
            Ok(()) => "Health check successful".to_owned(),
            Err(why) => format!("Health check failed: {why}"),
        };
        told.push("Running", text);
    }
    told.health_text = found.err().unwrap_or_default();
}

async fn until_succeeded(line: &[String], told: &Mutex<Told>) {
    let Some((program, arguments)) = line.split_first() else { return };
    loop {
        let said = match Command::new(program).args(arguments).stdin(Stdio::null()).output().await {
            Ok(output) if output.status.success() => return,
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(e) => e.to_string(),
        };
        add(told, "Preparing", &format!("{program} failed: {said}"));
        tokio::time::sleep(RESTART_AFTER).await;
    }
}

fn said(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

fn add(told: &Mutex<Told>, state: &'static str, text: &str) {
    let mut told = lock(told);
    if state != "Running" || told.state != "Running" {
        told.healthy = None;
        told.health_text.clear();
        told.health_changed_ms = now_ms();
    }
    told.state = state;
    told.push(state, text.to_owned());
}

impl Told {
    fn push(&mut self, state: &'static str, text: String) {
        if self.events.len() == EVENTS_MAX {
            self.events.remove(0);
        }
        self.events.push(Event { at_ms: now_ms(), state, text });
    }
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}
