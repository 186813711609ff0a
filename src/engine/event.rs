//! What goes into the engine and what comes out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::command::{Command, Pause, Reply};
use crate::ledger::Reservation;
use crate::observation::{ClusterId, NodeName, Observation, ProbeKind, Target};
use crate::playbook::Action;
use crate::record::{Batch, FindingKey, Left, Outcome, StepId};
use crate::route::Route;
use crate::time::{Tick, UnixMs};

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
    /// A connection that was held open to a target ended by itself: what answers there may have died.
    Suspected {
        /// Who.
        target: Target,
        /// What was asked over that connection.
        kind: ProbeKind,
    },
    /// How we ourselves are; the newest one holds until the next.
    Observer(ObserverHealth),
    /// A person asks for something; answered once by a reply of the same number.
    Asked(Command),
}

/// How defib itself is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObserverHealth {
    /// How late our own timers ran lately.
    pub late: Duration,
    /// The first line of the operator's pause file, while there is one.
    pub pause_file: Option<String>,
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
    /// Answers to commands, by the command's number. What a command changed is durable by then.
    pub replies: Vec<(u64, Reply)>,
    /// How to reach the API servers, where that changed.
    pub route: Option<Route>,
    /// The status differs from the last one.
    pub status_changed: bool,
}

impl Ready {
    /// There is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let nothing_to_do = self.batch.is_none() && self.probes.is_empty() && self.start.is_empty();
        nothing_to_do && self.replies.is_empty() && self.route.is_none() && !self.status_changed
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
    pub last_incident: BTreeMap<ClusterId, u64>,
    /// The highest number of a run that was ever used, by cluster.
    pub last_run: BTreeMap<ClusterId, u64>,
    /// The route that was written down last, by cluster.
    pub routes: BTreeMap<ClusterId, Route>,
    /// The newest pause by command of each cluster that was not resumed since, over or not.
    pub pauses: BTreeMap<ClusterId, Kept<Pause>>,
    /// The newest acknowledgement of each playbook on each node.
    pub acks: Vec<Kept<Ack>>,
    /// The incidents that were open, by cluster, the oldest first.
    pub incidents: BTreeMap<ClusterId, Vec<OpenIncident>>,
    /// What runs left open and no acknowledgement followed, by cluster.
    pub left: BTreeMap<ClusterId, Vec<Left>>,
}

/// An incident that an earlier process left open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenIncident {
    /// Its id.
    pub id: String,
    /// Its root.
    pub root: FindingKey,
    /// Its findings, at least one.
    pub findings: BTreeSet<FindingKey>,
}

/// Something that was written down, with when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept<T> {
    /// What.
    pub what: T,
    /// When, by the wall clock at the time.
    pub at: UnixMs,
    /// How long ago, by a clock that nobody can set; none where only the stamp tells.
    pub age: Option<Duration>,
}

/// A person has looked at a playbook that was exhausted on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// In which cluster.
    pub cluster: ClusterId,
    /// The playbook.
    pub playbook: String,
    /// The node.
    pub node: NodeName,
}
