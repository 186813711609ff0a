//! What the daemon says to a command, and what it would do.

use defib_engine::command::{Plan, Preview, Reply};
use defib_engine::time::Tick;
use serde::{Deserialize, Serialize};

use super::{CheckText, HoldText, Named, VERSION};

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// [`VERSION`].
    pub version: u32,
    /// It is about a model: nothing of it is real.
    #[serde(default)]
    pub model: bool,
    /// What kind of answer it is.
    pub answer: Said,
    /// In words.
    pub text: String,
    /// The run that was begun.
    pub run: Option<String>,
    /// What would be done, those that would run first; empty where nobody asked.
    pub plans: Vec<Offer>,
}

/// The kinds of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// Done, and durable.
    Done,
    /// What would be done.
    Preview,
    /// A run was begun.
    Started,
    /// Some check holds.
    Held,
    /// The plan is not the one that was seen.
    Changed,
    /// There was nothing to do.
    Nothing,
    /// It cannot be done as asked.
    Refused,
    /// No answer came in time: it may have been done.
    Unknown,
}

/// What one playbook would do on one node, or why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The playbook.
    pub playbook: String,
    /// The node.
    pub node: String,
    /// The open finding that calls for it; none: no open finding does.
    pub called_for: Option<Named>,
    /// What it would do, in order.
    pub steps: Vec<String>,
    /// How much that can hurt: `harmless`, `service` or `disruptive`.
    pub class: String,
    /// Nothing holds it.
    pub would: bool,
    /// What passed.
    pub passed: Vec<CheckText>,
    /// What holds.
    pub holds: Vec<HoldText>,
    /// What the limits leave.
    pub limits: String,
    /// How success would be known.
    pub verify: String,
    /// Equal as long as the plan is the same.
    pub fingerprint: String,
}

impl Answer {
    /// A reply of the engine; times in it are as of `now`.
    #[must_use]
    pub fn of(reply: &Reply, now: Tick) -> Answer {
        let bare = |answer, text: &str| Answer {
            version: VERSION,
            model: false,
            answer,
            text: text.to_owned(),
            run: None,
            plans: Vec::new(),
        };
        let with =
            |answer, text: &str, preview: &Preview| Answer { plans: offered(preview, now), ..bare(answer, text) };
        match reply {
            Reply::Done(text) => bare(Said::Done, text),
            Reply::Nothing(text) => bare(Said::Nothing, text),
            Reply::Refused(text) => bare(Said::Refused, text),
            Reply::Started { run } => {
                Answer { run: Some(run.clone()), ..bare(Said::Started, &format!("run {run} is under way")) }
            }
            Reply::Preview(preview) => with(Said::Preview, "", preview),
            Reply::Held(preview) => with(Said::Held, "nothing was begun: a check holds", preview),
            Reply::Changed(preview) => with(Said::Changed, "nothing was begun: the plan has changed", preview),
        }
    }
}

/// Every plan of a preview, in its order.
#[must_use]
pub fn offered(preview: &Preview, now: Tick) -> Vec<Offer> {
    preview.plans.iter().map(|plan| offer(plan, now)).collect()
}

fn offer(plan: &Plan, now: Tick) -> Offer {
    let Plan { playbook, node, called_for, steps, class, judgement, limits, verify, fingerprint } = plan;
    let passed = |(check, text): &(&'static str, String)| CheckText { check: (*check).to_owned(), text: text.clone() };
    Offer {
        playbook: playbook.clone(),
        node: node.clone(),
        called_for: called_for.as_ref().map(Named::from),
        steps: steps.clone(),
        class: class.to_string(),
        would: plan.would(),
        passed: judgement.passed.iter().map(passed).collect(),
        holds: judgement.holds.iter().map(|hold| super::hold(hold, now)).collect(),
        limits: limits.clone(),
        verify: verify.clone(),
        fingerprint: fingerprint.clone(),
    }
}
