//! Carries out what the engine permits: one file an action, each with its deadline, each ending in one [`Outcome`].
//!
//! A [`Step`] is the permission; one that comes too late is not started. An answer that never came is *unknown*, for the
//! other side may have acted; it is never tried again. Left out: every decision.

mod collect_evidence;
mod reboot_node;
mod reclaim_space;
mod restart_container;
mod restart_service;
mod start_service;

use std::path::PathBuf;
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
        if let Action::Vm { .. } = step.action() {
            return no_hypervisor(step);
        }
        if self.clock.tick() >= step.start_before() {
            return Outcome::Withdrawn("it came too late to be started".to_owned());
        }
        if let Action::ReclaimSpace { deadline } = step.action() {
            let members = self.observer.members(step.cluster());
            return reclaim_space::run(&members, step, &self.evidence, *deadline).await;
        }
        let Some(talos) = self.observer.talos(step.cluster(), step.node()) else {
            return Outcome::Failed(format!("no Talos API is configured for {}", step.node()));
        };
        match step.action() {
            Action::ReclaimSpace { .. } => Outcome::Withdrawn("it is no step of one machine".to_owned()),
            Action::CollectEvidence => collect_evidence::run(talos, step, &self.evidence).await,
            Action::RestartService { service, deadline } => {
                let send_before = self.clock.instant(step.start_before());
                restart_service::run(talos, *service, send_before, *deadline).await
            }
            Action::StartService { service, deadline } => {
                let send_before = self.clock.instant(step.start_before());
                start_service::run(talos, *service, send_before, *deadline).await
            }
            Action::RestartContainer { container, deadline } => {
                let send_before = self.clock.instant(step.start_before());
                restart_container::run(talos, *container, send_before, *deadline).await
            }
            Action::Vm { .. } => no_hypervisor(step),
            Action::RebootNode { mode, deadline } => {
                let send_before = self.clock.instant(step.start_before());
                reboot_node::run(talos, *mode, send_before, *deadline).await
            }
        }
    }
}

/// No configuration names a hypervisor yet, so nobody can be asked.
fn no_hypervisor(step: &Step) -> Outcome {
    Outcome::Failed(format!("{}: no hypervisor is configured for {}", step.action(), step.node()))
}
