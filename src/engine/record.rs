//! What is to be written down: the engine's own account of what it saw, decided and did.
//!
//! Left out: the shape of a row (that is `journal`), which is versioned apart from these types.

use std::collections::BTreeSet;
use std::fmt;

use crate::finding::{Rule, Scope, Subject};
use crate::observation::{ClusterId, NodeName};
use crate::playbook::{Action, ActionClass};
use crate::route::Route;
use crate::time::UnixMs;

/// A finding by name and subject.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FindingKey {
    /// The rule's name.
    pub rule: &'static str,
    /// What it is about.
    pub subject: Subject,
}

impl FindingKey {
    /// A rule's finding that concerns this node: the node's own, or the cluster's.
    #[must_use]
    pub fn about(rule: &Rule, node: &NodeName) -> FindingKey {
        let subject = match rule.scope {
            Scope::Node => Subject::Node(node.clone()),
            Scope::Cluster => Subject::Cluster,
        };
        FindingKey { rule: rule.name, subject }
    }
}

impl fmt::Display for FindingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Subject::Cluster => f.write_str(self.rule),
            Subject::Node(node) => write!(f, "{} {node}", self.rule),
        }
    }
}

/// Something that happened, for the journal and for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A finding opened or closed.
    Finding {
        /// Which.
        key: FindingKey,
        /// Opened, or closed.
        opened: bool,
        /// The evidence when it opened.
        text: String,
    },
    /// An incident opened, changed or closed.
    Incident {
        /// Its id, such as `I-7`.
        incident: String,
        /// Its state.
        state: IncidentState,
        /// Its root; none once it is closed.
        root: Option<FindingKey>,
        /// Its open findings.
        findings: Vec<FindingKey>,
        /// What changed, in words.
        text: String,
    },
    /// A decision not to act began or ended to hold.
    Hold {
        /// The playbook that would run.
        playbook: String,
        /// On which node.
        node: NodeName,
        /// By which check.
        check: &'static str,
        /// It began, or it ended.
        raised: bool,
        /// Why, with figures.
        text: String,
        /// What would lift it, in words.
        lifts: String,
    },
    /// A run was chosen, and starts after a while unless it is paused.
    Announced {
        /// The run's id.
        run: String,
        /// The playbook.
        playbook: String,
        /// The patient.
        node: NodeName,
        /// When it starts, in words.
        text: String,
    },
    /// A run was chosen, its fresh probes passed, and its step is being reserved.
    Decision {
        /// The run's id, such as `R-3`.
        run: String,
        /// The incident that it is for.
        incident: Option<String>,
        /// The playbook.
        playbook: String,
        /// The patient.
        node: NodeName,
        /// Who asked for it; none: nobody.
        by: Option<String>,
        /// Each check that passed, with its figures.
        passed: Vec<(&'static str, String)>,
    },
    /// A run ended.
    Run {
        /// Its id.
        run: String,
        /// How.
        state: RunEnd,
        /// In words, with figures.
        text: String,
        /// What it did not cure, or has told of; none where nothing follows from it.
        left: Option<Left>,
    },
    /// A step ended.
    Outcome {
        /// The run's id.
        run: String,
        /// The step's id.
        step: StepId,
        /// What it did, where.
        action: String,
        /// How it ended.
        outcome: Outcome,
    },
    /// A person asked for something that changes something.
    Command {
        /// Who.
        by: String,
        /// What.
        order: Order,
    },
    /// The way to the API servers changed.
    Route {
        /// The whole of it: what a restart begins with.
        route: Route,
        /// What changed, in words.
        text: String,
    },
}

/// What a run left open: where its ladder stands on that node, until it is gone or a person has looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The playbook.
    pub playbook: String,
    /// On which node it ran.
    pub node: NodeName,
    /// What is still open; at least one.
    pub findings: BTreeSet<FindingKey>,
}

/// A command as it is written down: what it changed in one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Nothing is started by itself for a while.
    Pause {
        /// Why.
        reason: String,
        /// Until when.
        until: UnixMs,
    },
    /// The pause has ended.
    Resume,
    /// An exhausted playbook may run again on a node.
    Ack {
        /// The playbook.
        playbook: String,
        /// The node.
        node: NodeName,
    },
    /// A run was begun.
    Recover {
        /// Its id.
        run: String,
        /// The playbook.
        playbook: String,
        /// The patient.
        node: NodeName,
        /// The playbook's `for` was waived.
        waive_for: bool,
        /// The budget's windows were passed.
        pass_limits: bool,
    },
}

/// An incident's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentState {
    /// Nothing is done about it.
    Open,
    /// A run is under way.
    Recovering,
    /// A run has ended and is being verified.
    Verifying,
    /// A playbook that answers it is exhausted, or no rung of its ladder is left: a person must look (`ack`).
    Exhausted,
    /// Nothing has been known of any of its findings for a quarter of an hour: whether it is over cannot be told.
    Unverifiable,
    /// All its findings are gone.
    Closed,
}

impl fmt::Display for IncidentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IncidentState::Open => "open",
            IncidentState::Recovering => "recovering",
            IncidentState::Verifying => "verifying",
            IncidentState::Exhausted => "exhausted",
            IncidentState::Unverifiable => "unverifiable",
            IncidentState::Closed => "closed",
        })
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// What called for it is gone, and stayed away.
    Recovered,
    /// It is not gone in time, or a step failed.
    Failed,
    /// A check no longer passed, or the store refused: no step was started.
    Withdrawn,
    /// It was to change nothing, and has handed out what it had to.
    Told,
}

impl fmt::Display for RunEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RunEnd::Recovered => "recovered",
            RunEnd::Failed => "failed",
            RunEnd::Withdrawn => "withdrawn",
            RunEnd::Told => "told",
        })
    }
}

/// A step's id: unique over all clusters and processes that write one journal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepId(pub String);

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out, as far as the other side says.
    Done(String),
    /// The other side refused it, or it never left.
    Failed(String),
    /// Nobody knows: it may have been carried out.
    Unknown(String),
    /// It was reserved and not started.
    Withdrawn(String),
}

impl Outcome {
    /// The public name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Done(_) => "done",
            Outcome::Failed(_) => "failed",
            Outcome::Unknown(_) => "unknown",
            Outcome::Withdrawn(_) => "withdrawn",
        }
    }

    /// What was said about it.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Outcome::Done(text) | Outcome::Failed(text) | Outcome::Unknown(text) | Outcome::Withdrawn(text) => text,
        }
    }
}

/// A step that is meant to be done: the reservation and the intent in one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The step's id.
    pub step: StepId,
    /// The run's id.
    pub run: String,
    /// The incident that it is for.
    pub incident: Option<String>,
    /// In which cluster.
    pub cluster: ClusterId,
    /// By which playbook.
    pub playbook: String,
    /// What is to be done.
    pub action: Action,
    /// How much it can hurt.
    pub class: ActionClass,
    /// On which node.
    pub node: NodeName,
    /// When it was reserved.
    pub at: UnixMs,
}

/// What must be written in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The batch's number within its cluster.
    pub id: u64,
    /// The cluster.
    pub cluster: ClusterId,
    /// When.
    pub at: UnixMs,
    /// Intents: nothing of them starts before the batch is durable.
    pub intents: Vec<Intent>,
    /// How steps ended.
    pub outcomes: Vec<(StepId, Outcome)>,
    /// The account.
    pub records: Vec<Record>,
}

impl Batch {
    /// There is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.intents.is_empty() && self.outcomes.is_empty() && self.records.is_empty()
    }
}
