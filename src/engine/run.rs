//! One execution of a playbook: select → preflight → reserve → durable → recheck → start → verify.
//!
//! The order is the safety argument. Fresh probes are asked before anything is reserved; a reservation is durable before
//! anything starts; every check is judged once more in between. A crash after the reservation wastes budget and never
//! exceeds it. Left out: choosing the case (`cluster`), and the limits' arithmetic (`ledger`).

use std::sync::Arc;
use std::time::Duration;

use crate::command::Person;
use crate::event::Ready;
use crate::observation::{NodeName, ProbeKind, Target};
use crate::playbook::{Action, ActionClass, Playbook};
use crate::record::{FindingKey, StepId};
use crate::time::Tick;
use crate::world::World;

/// Fresh probes must have answered within this time, twice the longest deadline of a probe: one may be under way.
pub(crate) const PREFLIGHT_WITHIN: Duration = Duration::from_secs(11);

/// What a preflight found is no ground for a step after this time: a journal that answers later has cost the reservation.
pub(crate) const PREFLIGHT_GOOD_FOR: Duration = Duration::from_secs(20);

/// A driver reports a step's end within its deadline and this; after that it is unknown.
pub(crate) const REPORT_WITHIN: Duration = Duration::from_secs(5);

/// A run under way.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) incident: Option<String>,
    pub(crate) playbook: Arc<Playbook>,
    pub(crate) patient: NodeName,
    /// Who asked for it; none: the playbook's finding alone.
    pub(crate) person: Option<Person>,
    /// When the fresh probes were last asked for.
    pub(crate) asked: Tick,
    pub(crate) phase: Phase,
    /// The index of the step that is next, or in flight.
    pub(crate) step: usize,
    /// When the patient's machine booted, by its own word, before the step; none: it does not say.
    pub(crate) booted_s: Option<u64>,
}

/// Where a run stands.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    /// It was announced, and may be vetoed until then.
    Announced { until: Tick },
    /// Fresh probes were asked.
    Preflight { needs: Vec<(Target, ProbeKind)> },
    /// The intent was handed to the store.
    Reserving { batch: u64 },
    /// It is durable; the checks are to be judged once more.
    Durable,
    /// The step was handed out.
    Running { started: Tick },
    /// The step ended; its verification is due.
    Ended { at: Tick },
    /// The last step ended; the world is watched.
    Verifying { ended: Tick, gone_since: Option<Tick> },
}

impl Phase {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Phase::Announced { .. } => "announced",
            Phase::Preflight { .. } => "asking again",
            Phase::Reserving { .. } | Phase::Durable => "reserving",
            Phase::Running { .. } | Phase::Ended { .. } => "acting",
            Phase::Verifying { .. } => "verifying",
        }
    }
}

impl Run {
    /// Asks for its fresh probes.
    pub(crate) fn look_again(&mut self, needs: &[(Target, ProbeKind)], now: Tick, ready: &mut Ready) {
        ready.probes.extend(needs.iter().cloned());
        self.asked = now;
        self.phase = Phase::Preflight { needs: needs.to_vec() };
    }

    /// Somebody was told of it before anything was reserved, and is owed its end.
    pub(crate) fn was_told(&self) -> bool {
        self.person.is_some() || !self.playbook.veto.is_zero()
    }

    /// The id of the step at an index, unique in a journal.
    pub(crate) fn step_id(&self, cluster: &str, index: usize) -> StepId {
        StepId(format!("{cluster}/{}/{}", self.id, index + 1))
    }

    /// The finding that called for it.
    pub(crate) fn patient_key(&self) -> FindingKey {
        FindingKey::about(self.playbook.when.finding, &self.patient)
    }

    /// It is this playbook's run on this node.
    pub(crate) fn is_for(&self, playbook: &str, node: &NodeName) -> bool {
        self.playbook.name == playbook && self.patient == *node
    }

    /// Its reservation was made: it counts in the ledger.
    pub(crate) fn is_reserved(&self) -> bool {
        !matches!(self.phase, Phase::Announced { .. } | Phase::Preflight { .. })
    }

    /// The step that is next, or in flight.
    pub(crate) fn action(&self) -> Option<&Action> {
        self.playbook.steps.get(self.step)
    }

    /// The index of the one step that may hurt (a playbook has one at most); those beside it hold nothing up.
    pub(crate) fn step_that_hurts(&self) -> Option<usize> {
        self.playbook.steps.iter().position(|action| action.class() > ActionClass::Harmless)
    }
}

/// Every probe that was asked for has been answered by one that was sent since.
pub(crate) fn all_answered(
    world: &World,
    needs: &[(Target, ProbeKind)],
    asked: Tick,
) -> Result<(), (Target, ProbeKind)> {
    let late = needs.iter().find(|(target, kind)| world.latest(target, *kind).is_none_or(|seen| seen.sent < asked));
    late.map_or(Ok(()), |missing| Err(missing.clone()))
}
