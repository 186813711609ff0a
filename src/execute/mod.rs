//! Carries out what the engine permits: one file an action, each with its deadline, each ending in one [`Outcome`].
//!
//! A [`Step`] is the permission; one that comes too late is not started. An answer that never came is *unknown*, for the
//! other side may have acted; it is never tried again. Left out: every decision.

mod collect_evidence;
mod ending;
mod move_leader;
mod reboot_node;
mod reclaim_space;
mod replace_member;
mod restart_container;
mod restart_service;
mod start_service;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use defib_engine::event::{Event, Step};
use defib_engine::playbook::Action;
use defib_engine::record::Outcome;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::observe::Observer;

/// Starts steps, each in a task of its own.
#[derive(Clone)]
pub struct Executor {
    observer: Arc<Observer>,
    clock: Clock,
    /// Where evidence is kept: a file a step.
    evidence: PathBuf,
    events: mpsc::Sender<Event>,
}

impl Executor {
    /// Acts through the observer's connections; reports ends as events.
    #[must_use]
    pub fn new(observer: Arc<Observer>, clock: Clock, evidence: PathBuf, events: mpsc::Sender<Event>) -> Executor {
        Executor { observer, clock, evidence, events }
    }

    /// Starts a step and returns at once.
    pub fn start(&self, step: Step) {
        let this = self.clone();
        tokio::spawn(async move {
            let outcome = this.carry_out(&step).await;
            let ended = Event::Ended { cluster: step.cluster().clone(), step: step.id().clone(), outcome };
            if this.events.send(ended).await.is_err() {
                tracing::debug!(step = %step.id(), "the loop ended before the step did");
            }
        });
    }

    async fn carry_out(&self, step: &Step) -> Outcome {
        self.attempt(step).await.unwrap_or_else(|not_started| not_started)
    }

    /// How the step ended; as an error where it was not started.
    async fn attempt(&self, step: &Step) -> Result<Outcome, Outcome> {
        let late = self.clock.tick() >= step.start_before();
        let send_before = self.clock.instant(step.start_before());
        let talos = || {
            let talos = self.observer.talos(step.cluster(), step.node());
            talos.ok_or_else(|| Outcome::Failed(format!("no Talos API is configured for {}", step.node())))
        };
        Ok(match step.action() {
            Action::Vm { .. } => return Err(no_hypervisor(step)),
            _ if late => return Err(Outcome::Withdrawn("it came too late to be started".to_owned())),
            Action::ReclaimSpace { deadline } => {
                let members = self.observer.members(step.cluster());
                reclaim_space::run(&members, step, &self.evidence, *deadline).await
            }
            Action::MoveLeader { to, deadline } => {
                let to = to.as_ref().ok_or_else(|| Outcome::Failed("nobody was chosen to lead".to_owned()))?;
                move_leader::run(&self.observer.members(step.cluster()), step.node(), to, *deadline).await
            }
            Action::ReplaceMember { deadline } => {
                let members = self.observer.members(step.cluster());
                replace_member::run(&members, talos()?, step, &self.evidence, *deadline).await
            }
            Action::CollectEvidence => collect_evidence::run(talos()?, step, &self.evidence).await,
            Action::RestartService { service, deadline } => {
                restart_service::run(talos()?, *service, send_before, *deadline).await
            }
            Action::StartService { service, deadline } => {
                start_service::run(talos()?, *service, send_before, *deadline).await
            }
            Action::RestartContainer { container, deadline } => {
                restart_container::run(talos()?, *container, send_before, *deadline).await
            }
            Action::RebootNode { mode, deadline } => reboot_node::run(talos()?, *mode, send_before, *deadline).await,
        })
    }
}

/// The file in which a step keeps what it brings.
fn kept(folder: &Path, step: &Step, end: &str) -> PathBuf {
    folder.join(format!("{}.{end}", step.id().0.replace('/', "_")))
}

/// No configuration names a hypervisor yet, so nobody can be asked.
fn no_hypervisor(step: &Step) -> Outcome {
    Outcome::Failed(format!("{}: no hypervisor is configured for {}", step.action(), step.node()))
}
