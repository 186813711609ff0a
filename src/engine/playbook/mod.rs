//! Playbooks as the engine knows them: validated, closed, without a language of their own.
//!
//! The YAML, its errors and its lint are the program's (`playbook` there). Here every name is already a rule, a check or
//! an action that exists.

mod action;

use std::time::Duration;

pub use action::{
    Action, ActionClass, Detail, FORMS, Form, RebootMode, RestartableContainer, RestartableService, Shape, VmDeed, form,
};

use crate::check::Check;
use crate::finding::Rule;
use crate::observation::NodeName;
use crate::record::FindingKey;

/// One recovery: when it applies, what it requires, what it does, how its success is known.
#[derive(Clone, Debug)]
pub struct Playbook {
    /// Its name, unique among the loaded ones.
    pub name: String,
    /// The finding that calls for it, open for at least this long.
    pub when: When,
    /// What must hold besides the built-in guards, in the order of the file.
    pub require: Vec<Requirement>,
    /// How often it may run; of no meaning where no step changes anything.
    pub limits: Limits,
    /// A run that nobody asked for is announced, and starts after this time unless it is paused.
    pub veto: Duration,
    /// What it does, in order; at least one, and one at most that may hurt.
    pub steps: Vec<Action>,
    /// How its success is known; names nothing where no step changes anything.
    pub verify: Verify,
    /// The next rung of its ladder: the playbook that is called for where this one's verification failed.
    pub otherwise: Option<String>,
    /// As it was written: for recordings, never judged.
    pub text: String,
}

impl Playbook {
    /// How much it can hurt: as much as its worst step.
    #[must_use]
    pub fn class(&self) -> ActionClass {
        self.steps.iter().map(Action::class).max().unwrap_or(ActionClass::Harmless)
    }

    /// No step changes anything: it is free of limits, there is nothing to verify, and it runs once on a patient while its
    /// finding is open.
    #[must_use]
    pub fn only_tells(&self) -> bool {
        self.class() == ActionClass::Harmless
    }

    /// It erases what a machine keeps: only a person begins it, who names it and the node; it is never armed, nor a rung.
    #[must_use]
    pub fn only_by_hand(&self) -> bool {
        self.class() >= ActionClass::Erasing
    }
}

/// The trigger of a playbook.
#[derive(Clone, Debug)]
pub struct When {
    /// An open finding of this rule; its scope is the patient.
    pub finding: &'static Rule,
    /// It must have been open this long.
    pub for_: Duration,
}

/// A check that a playbook asks for, with its figure where it takes one.
#[derive(Clone, Debug)]
pub struct Requirement {
    /// Which check.
    pub check: &'static Check,
    /// The duration that stands behind its name, where the check takes one.
    pub duration: Option<Duration>,
}

/// How often a playbook may run. Every limit is a sliding window over the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Runs on one node.
    pub per_node: Limit,
    /// Runs in one cluster.
    pub per_cluster: Limit,
    /// The pause on a node after a run of any playbook there.
    pub cooldown: Duration,
}

impl Limits {
    /// Of what changes nothing.
    pub const NONE: Limits = {
        let limit = Limit { count: u32::MAX, window: Duration::ZERO };
        Limits { per_node: limit, per_cluster: limit, cooldown: Duration::ZERO }
    };
}

/// `count` per `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many.
    pub count: u32,
    /// Within which sliding window.
    pub window: Duration,
}

/// How a run's success is known: only by observations sent after its last step ended.
#[derive(Clone, Debug)]
pub struct Verify {
    /// The findings that must be gone from the patient, or from the cluster; at least one.
    pub cleared: Vec<&'static Rule>,
    /// Within this time after the last step's end.
    pub within: Duration,
    /// And must stay away for this long; counted after it cleared.
    pub steady_for: Duration,
}

impl Verify {
    /// Of what changes nothing.
    pub const NOTHING: Verify = Verify { cleared: Vec::new(), within: Duration::ZERO, steady_for: Duration::ZERO };

    /// How long after the last step's end a run is judged at most: what is gone at the last moment must stay away, too.
    #[must_use]
    pub fn at_most(&self) -> Duration {
        self.within + self.steady_for
    }

    /// The findings that must be gone where this node is the patient.
    pub fn keys<'a>(&'a self, node: &'a NodeName) -> impl Iterator<Item = FindingKey> + 'a {
        self.cleared.iter().map(|rule| FindingKey::about(rule, node))
    }

    /// The same in words.
    #[must_use]
    pub fn words(&self, node: &NodeName) -> String {
        self.keys(node).map(|key| key.to_string()).collect::<Vec<_>>().join(", ")
    }
}
