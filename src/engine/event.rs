//! What goes into the engine and what comes out of it.

use std::time::Duration;

use crate::ledger::Reservation;
use crate::observation::{ClusterId, NodeName, Observation, ProbeKind, Target};
use crate::playbook::Action;
use crate::record::{Batch, Outcome, StepId};
use crate::route::Route;
use crate::time::Tick;

/// Something that happened outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A probe saw something.
    Observed(Observation),
    /// The store answered for a batch: it is durable, or it is refused, or nobody knows.
    Stored {
        /// The batch's cluster.
        cluster: ClusterId,
        /// The batch's number.
        batch: u64,
        /// Durable, or why not.
        result: Result<(), String>,
    },
    /// A step ended.
    Ended {
        /// In which cluster.
        cluster: ClusterId,
        /// Which step.
        step: StepId,
        /// How.
        outcome: Outcome,
    },
}

/// What is to be done now. Every part is independent of the others and may be carried out in any order: a step comes
/// out only after its batch was reported durable.
#[derive(Debug, Default)]
pub struct Ready {
    /// Which cluster it is about.
    pub cluster: ClusterId,
    /// To be written in one transaction, and answered by [`Event::Stored`].
    pub batch: Option<Batch>,
    /// To be asked at once; answered by [`Event::Observed`] with a later `sent`.
    pub probes: Vec<(Target, ProbeKind)>,
    /// To be started; answered by [`Event::Ended`].
    pub start: Vec<Step>,
    /// How to reach the API servers, where that changed.
    pub route: Option<Route>,
    /// The status differs from the last one.
    pub status_changed: bool,
}

impl Ready {
    /// There is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.is_none()
            && self.probes.is_empty()
            && self.start.is_empty()
            && self.route.is_none()
            && !self.status_changed
    }
}

/// The permission to do one thing, once. Only the engine makes one, after every check passed, its reservation is durable
/// and every check passed again.
#[derive(Debug)]
pub struct Step {
    id: StepId,
    cluster: ClusterId,
    node: NodeName,
    action: Action,
    start_before: Tick,
}

/// A permission is good for this long: a driver that was held up longer does not start it.
pub(crate) const START_WITHIN: Duration = Duration::from_secs(2);

impl Step {
    pub(crate) fn new(id: StepId, cluster: ClusterId, node: NodeName, action: Action, now: Tick) -> Step {
        Step { id, cluster, node, action, start_before: now + START_WITHIN }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &StepId {
        &self.id
    }

    /// In which cluster.
    #[must_use]
    pub fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    /// On which node.
    #[must_use]
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// What is to be done.
    #[must_use]
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// Not to be started at or after this time.
    #[must_use]
    pub fn start_before(&self) -> Tick {
        self.start_before
    }
}

/// What an earlier process left in the journal.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    /// Everything that was reserved and that a limit can still see.
    pub reservations: Vec<Reservation>,
    /// The highest number of an incident that was ever used, by cluster.
    pub last_incident: std::collections::BTreeMap<ClusterId, u64>,
    /// The highest number of a run that was ever used, by cluster.
    pub last_run: std::collections::BTreeMap<ClusterId, u64>,
    /// The route that was written down last, by cluster.
    pub routes: std::collections::BTreeMap<ClusterId, Route>,
}
