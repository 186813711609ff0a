//! What a person asks of the engine, and what it answers.
//!
//! A command enters as an event, in order with everything else, and is written down; its [`Reply`] leaves only after that
//! record is durable. A person's word replaces the mode, the arming and a pause that was there before; on an explicit wish
//! it waives a playbook's `for` and passes the budget's windows. No other guard can be passed. Left out: who may ask.

use std::time::Duration;

use crate::check::Judgement;
use crate::observation::{ClusterId, NodeName};
use crate::playbook::ActionClass;
use crate::record::FindingKey;
use crate::time::{Tick, UnixMs};

/// A pause lasts so long at most: one that is forgotten ends by itself.
pub const PAUSE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// A reason, or a person's name, is cut after so many bytes.
pub const WORDS_MAX: usize = 256;

/// What a person asked, with a number by which the answer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The caller's number for it: the reply carries it.
    pub id: u64,
    /// Who asked, such as `user@host` or `dashboard`.
    pub by: String,
    /// What.
    pub ask: Ask,
}

/// What a person can ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Nothing is started by itself for a while. Effective at once, durable, ends by itself.
    Pause {
        /// Which cluster; none: all of them.
        cluster: Option<ClusterId>,
        /// Why, in words; demanded.
        reason: String,
        /// For how long; more than zero, at most [`PAUSE_MAX`].
        for_: Duration,
    },
    /// Ends a pause.
    Resume {
        /// Which cluster; none: all of them.
        cluster: Option<ClusterId>,
    },
    /// A person has looked at a playbook that is exhausted on a node: it may run again.
    Ack {
        /// In which cluster.
        cluster: ClusterId,
        /// The playbook.
        playbook: String,
        /// The node.
        node: NodeName,
    },
    /// What would be done, or why not; changes nothing and is not written down.
    Preview(Recover),
    /// Do it.
    Recover(Recover),
    /// Begin the run that is proposed, in mode ask.
    Approve {
        /// In which cluster.
        cluster: ClusterId,
        /// Its id.
        run: String,
    },
}

impl Ask {
    /// The cluster that it is for; none: all of them.
    #[must_use]
    pub fn cluster(&self) -> Option<&ClusterId> {
        match self {
            Ask::Pause { cluster, .. } | Ask::Resume { cluster } => cluster.as_ref(),
            Ask::Ack { cluster, .. } | Ask::Approve { cluster, .. } => Some(cluster),
            Ask::Preview(recover) | Ask::Recover(recover) => Some(&recover.cluster),
        }
    }
}

/// A recovery that a person asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recover {
    /// In which cluster.
    pub cluster: ClusterId,
    /// By which playbook; none: any.
    pub playbook: Option<String>,
    /// On which node; none: any.
    pub node: Option<NodeName>,
    /// The fingerprint of the plan that the person saw; where the plan differs now, nothing is done.
    pub plan: Option<String>,
    /// Do not wait for the playbook's `for`.
    pub waive_for: bool,
    /// Pass the budget's windows and cooldowns. The journal's silence and an exhausted playbook still hold.
    pub pass_limits: bool,
}

/// Who asked for a run, and what was waived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who, such as `user@host`.
    pub by: String,
    /// When it was asked; a pause that came later holds.
    pub since: Tick,
    /// The playbook's `for` is waived.
    pub waive_for: bool,
    /// The budget's windows are passed.
    pub pass_limits: bool,
    /// The playbook and the node were both named.
    pub by_name: bool,
}

/// The answer to a [`Command`].
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Done, and durable; in words.
    Done(String),
    /// What would be done.
    Preview(Preview),
    /// A run was begun, or is under way already; its end is told by records and status.
    Started {
        /// Its id.
        run: String,
    },
    /// Nothing was begun: some check holds.
    Held(Preview),
    /// Nothing was begun: the plan is not the one that the person saw.
    Changed(Preview),
    /// There was nothing to do; why, in words.
    Nothing(String),
    /// It cannot be done as asked; why, in words.
    Refused(String),
}

/// What every playbook would do on every node, or why not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preview {
    /// The cluster.
    pub cluster: ClusterId,
    /// Every playbook with every node that was asked about: those that would run first, in the order in which they would
    /// be chosen; then those that an open finding calls for; then the others.
    pub plans: Vec<Plan>,
}

/// One playbook on one node, judged as if a person asked for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The playbook.
    pub playbook: String,
    /// The patient.
    pub node: NodeName,
    /// The open finding that calls for it; none: no open finding does.
    pub called_for: Option<FindingKey>,
    /// What it would do, in order.
    pub steps: Vec<String>,
    /// How much that can hurt.
    pub class: ActionClass,
    /// Each check, with its figures.
    pub judgement: Judgement,
    /// What the limits leave, in words.
    pub limits: String,
    /// How success would be known, in words.
    pub verify: String,
    /// Playbook, node, steps, and which checks pass or hold, without figures: equal as long as the plan is the same.
    pub fingerprint: String,
}

impl Plan {
    /// Nothing holds it.
    #[must_use]
    pub fn would(&self) -> bool {
        self.judgement.holds.is_empty()
    }
}

/// A pause in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// What pauses.
    pub kind: PauseKind,
    /// Who asked for it; the file's name where a file pauses, the window where one does.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: UnixMs,
    /// Until when; none: a file, until it is gone.
    pub until: Option<UnixMs>,
    /// Playbooks of this class and worse are not started.
    pub holds: ActionClass,
}

/// What pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseKind {
    /// A person's command.
    Command,
    /// A file that a person made.
    File,
    /// A maintenance window of the configuration.
    Window,
}

impl PauseKind {
    /// The public name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            PauseKind::Command => "command",
            PauseKind::File => "file",
            PauseKind::Window => "window",
        }
    }
}
