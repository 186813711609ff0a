//! The agent that moves the virtual address, one a node: kube-vip's part, played by its rules.
//!
//! It stands for the Lease `plndr-cp-lock` in `kube-system` through its *own node's* API server, as kube-vip's manifest
//! has it: when that API server dies the agent cannot renew, and after the renew deadline it takes the address off. It
//! puts the address on when it wins, and again at every renewal, and announces it by gratuitous ARP. Like kube-vip it never
//! asks whether the API server is healthy. The rules are in [`lease`], without clock or network; this file is the loop.
//! Left out: services of type LoadBalancer, BGP, IPv6, and giving the lease back at the end.

mod address;
mod api;
pub mod lease;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::https::{HttpsClient, HttpsError};
use address::VirtualAddress;
use api::{LeaseApi, Stored};
use lease::{Candidate, Timing};

/// What one agent needs.
#[derive(Clone, Debug)]
pub struct VipAgentOptions {
    /// The node's name, its identity in the Lease.
    pub node: String,
    /// The address to carry.
    pub vip: Ipv4Addr,
    /// The device of this namespace that carries it, such as `eth0`.
    pub device: String,
    /// The node's own API server.
    pub api: SocketAddr,
    /// PEM file: the authority of the API server's certificate.
    pub authority: PathBuf,
    /// PEM file: a certificate that may write Leases in `kube-system`.
    pub certificate: PathBuf,
    /// PEM file: its key.
    pub key: PathBuf,
}

/// Why the agent could not begin. Once it runs, failures are logged and tried again.
#[derive(Debug, thiserror::Error)]
pub enum VipError {
    /// No client could be made of the files.
    #[error("the vip agent of {node} has no client")]
    Client {
        /// Whose agent.
        node: String,
        /// What is wrong.
        source: HttpsError,
    },
    /// No event loop.
    #[error("the vip agent cannot start its event loop")]
    Runtime(#[source] std::io::Error),
}

/// Runs until SIGTERM or SIGINT, in the network namespace of its node; it takes the address off before it ends. Its log
/// goes to stderr, a line for each change and each kind of trouble.
pub fn run(options: VipAgentOptions) -> Result<(), VipError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(VipError::Runtime)?;
    runtime.block_on(async {
        let mut agent = Agent::new(options)?;
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(VipError::Runtime)?;
        tokio::select! {
            () = agent.serve() => {}
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        agent.let_go("the agent ends").await;
        Ok(())
    })
}

struct Agent {
    candidate: Candidate,
    timing: Timing,
    api: LeaseApi,
    address: VirtualAddress,
    began: Instant,
    carries: bool,
    trouble: String,
}

impl Agent {
    fn new(options: VipAgentOptions) -> Result<Self, VipError> {
        let client = HttpsClient::new(&options.authority, &options.certificate, &options.key)
            .map_err(|source| VipError::Client { node: options.node.clone(), source })?;
        let timing = Timing::KUBE_VIP;
        Ok(Self {
            candidate: Candidate::new(options.node, timing),
            timing,
            api: LeaseApi { client, server: options.api },
            address: VirtualAddress { address: options.vip, device: options.device },
            began: Instant::now(),
            // An agent that was killed may have left the address behind.
            carries: true,
            trouble: String::new(),
        })
    }

    async fn serve(&mut self) {
        self.let_go("it has just started").await;
        let mut tick = tokio::time::interval(self.timing.retry);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            // Before anything is asked: a machine that was frozen must not serve an address that moved meanwhile.
            self.give_up_when_late().await;
            self.attempt_in_time().await;
            self.give_up_when_late().await;
        }
    }

    /// One attempt, cut short where the renew deadline passes.
    async fn attempt_in_time(&mut self) {
        let deadline = match self.candidate.holds_until() {
            Some(until) => self.began + until,
            None => Instant::now() + self.timing.renew_deadline,
        };
        let asked = self.now();
        let attempt = tokio::time::timeout_at(deadline, self.attempt(asked)).await;
        match attempt {
            Ok(Ok(())) => self.trouble.clear(),
            Ok(Err(trouble)) => self.complain(trouble),
            Err(_) => self.complain("no answer before the renew deadline".to_owned()),
        }
    }

    async fn attempt(&mut self, asked: Duration) -> Result<(), String> {
        let found = self.api.read().await.map_err(|e| chain(&e))?;
        let stamp = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
        let spec = found.as_ref().map(|lease| &lease.spec);
        let Some(wish) = self.candidate.propose(spec, asked, &stamp) else {
            if !self.candidate.holds(self.now()) {
                self.let_go("another holds the lease").await;
            }
            return Ok(());
        };
        match self.api.write(found.as_ref(), &wish).await.map_err(|e| chain(&e))? {
            Stored::Yes => {
                self.candidate.stored(wish, asked, self.now());
                self.carry().await
            }
            Stored::No(why) => Err(why),
        }
    }

    /// Puts the address there also where it should be already, as kube-vip does: somebody may have taken it off.
    async fn carry(&mut self) -> Result<(), String> {
        // Set first: an attempt that is cut short may have put the address there already.
        if !std::mem::replace(&mut self.carries, true) {
            self.log("holds the lease: takes the address");
        }
        self.address.take().await.map_err(|e| chain(&e))
    }

    async fn give_up_when_late(&mut self) {
        let now = self.now();
        if !self.candidate.holds(now) {
            self.let_go("the lease could not be renewed in time").await;
        }
    }

    async fn let_go(&mut self, why: &str) {
        if !self.carries {
            return;
        }
        match self.address.release().await {
            Ok(was_there) => {
                self.carries = false;
                if was_there {
                    self.log(&format!("takes the address off: {why}"));
                }
            }
            Err(e) => self.complain(chain(&e)),
        }
    }

    /// Logs a trouble once, not at every attempt.
    fn complain(&mut self, trouble: String) {
        if trouble != self.trouble {
            self.log(&trouble);
            self.trouble = trouble;
        }
    }

    fn log(&self, line: &str) {
        let stamp = humantime::format_rfc3339_millis(SystemTime::now());
        // Nobody is left to be told when the log itself cannot be written.
        let _ = writeln!(std::io::stderr(), "{stamp} {line}");
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}
