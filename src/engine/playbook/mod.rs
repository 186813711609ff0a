//! Playbooks as the engine knows them: validated, closed, without a language of their own.
//!
//! The YAML, its errors and its lint are the program's (`playbook` there). Here every name is already a rule, a check or
//! an action that exists.

use std::fmt;
use std::time::Duration;

use crate::check::Check;
use crate::finding::Rule;

/// One recovery: when it applies, what it requires, what it does, how its success is known.
#[derive(Clone, Debug)]
pub struct Playbook {
    /// Its name, unique among the loaded ones.
    pub name: String,
    /// The finding that calls for it, open for at least this long.
    pub when: When,
    /// What must hold besides the built-in guards, in the order of the file.
    pub require: Vec<Requirement>,
    /// How often it may run.
    pub limits: Limits,
    /// A run that nobody asked for is announced, and starts after this time unless it is paused.
    pub veto: Duration,
    /// What it does, in order; at least one, and one at most that may hurt.
    pub steps: Vec<Action>,
    /// How its success is known.
    pub verify: Verify,
}

impl Playbook {
    /// How much it can hurt: as much as its worst step.
    #[must_use]
    pub fn class(&self) -> ActionClass {
        self.steps.iter().map(Action::class).max().unwrap_or(ActionClass::Harmless)
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
    /// The finding that must be gone from the patient.
    pub cleared: &'static Rule,
    /// Within this time after the last step's end.
    pub within: Duration,
    /// And must stay away for this long; counted after it cleared.
    pub steady_for: Duration,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Saves what is known about the patient; harmless.
    CollectEvidence,
    /// Restarts a Talos service on the patient's node.
    RestartService {
        /// Which one.
        service: RestartableService,
        /// How long the call may take.
        deadline: Duration,
    },
    /// Reboots the patient's machine.
    RebootNode {
        /// How.
        mode: RebootMode,
        /// How long the call may take; the machine takes longer.
        deadline: Duration,
    },
}

/// How Talos reboots a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebootMode {
    /// Stops pods and services first, then starts the kernel by kexec where it can.
    Default,
    /// Through the firmware.
    Powercycle,
}

impl RebootMode {
    /// Every mode.
    pub const ALL: [RebootMode; 2] = [RebootMode::Default, RebootMode::Powercycle];

    /// The word in a playbook.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            RebootMode::Default => "default",
            RebootMode::Powercycle => "powercycle",
        }
    }
}

/// The services that Talos restarts over its API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartableService {
    /// The kubelet.
    Kubelet,
}

impl RestartableService {
    /// Talos's id of it.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            RestartableService::Kubelet => "kubelet",
        }
    }
}

/// How much an action can hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ActionClass {
    /// Reads only; free of limits and guards.
    Harmless,
    /// Touches one service that no member of etcd depends on.
    Service,
    /// Takes a whole machine down, with its member of etcd.
    Disruptive,
}

impl fmt::Display for ActionClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ActionClass::Harmless => "harmless",
            ActionClass::Service => "service",
            ActionClass::Disruptive => "disruptive",
        })
    }
}

impl Action {
    /// How much it can hurt.
    #[must_use]
    pub fn class(&self) -> ActionClass {
        match self {
            Action::CollectEvidence => ActionClass::Harmless,
            Action::RestartService { .. } => ActionClass::Service,
            Action::RebootNode { .. } => ActionClass::Disruptive,
        }
    }

    /// It can take the node's member of etcd down. On Talos etcd is not a static pod, so a kubelet's restart cannot.
    #[must_use]
    pub fn takes_etcd_down(&self) -> bool {
        match self {
            Action::CollectEvidence | Action::RestartService { service: RestartableService::Kubelet, .. } => false,
            Action::RebootNode { .. } => true,
        }
    }

    /// It takes the node's API server down.
    #[must_use]
    pub fn takes_apiserver_down(&self) -> bool {
        self.takes_etcd_down()
    }

    /// The node gives up the virtual address, if it holds it: Talos's own goes with the kubelet.
    #[must_use]
    pub fn takes_vip_down(&self) -> bool {
        match self {
            Action::CollectEvidence => false,
            Action::RestartService { service: RestartableService::Kubelet, .. } | Action::RebootNode { .. } => true,
        }
    }

    /// How long it may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        match self {
            Action::CollectEvidence => Duration::from_secs(10),
            Action::RestartService { deadline, .. } | Action::RebootNode { deadline, .. } => *deadline,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::CollectEvidence => f.write_str("collect-evidence"),
            Action::RestartService { service, .. } => write!(f, "restart-service {}", service.id()),
            Action::RebootNode { mode, .. } => write!(f, "reboot-node {}", mode.name()),
        }
    }
}
