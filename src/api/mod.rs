//! The one versioned shape that leaves the program: `--output json`, the socket and the listener, and whatever reads them.
//!
//! Made from `Status`, observations and journal rows; never the other way round. [`Report`] is one look, [`State`] is what
//! a daemon knows, [`Answer`] is what it says to a command.

use std::collections::BTreeMap;

use defib_engine::check::Hold;
use defib_engine::observation::{Observation, Seen};
use defib_engine::record::FindingKey;
use defib_engine::settings::Mode;
use defib_engine::status::{Decision, Status};
use defib_engine::time::Tick;
use serde::{Deserialize, Serialize};

mod answer;
mod figures;
mod restoration;
mod state;

pub use answer::{Answer, Offer, Said, offered};
pub use figures::Figures;
pub(crate) use restoration::made as restoration;
pub use restoration::{Copy, Restoration, Typed};
pub use state::{Chain, Limit, Open, Pause, Proposed, Route, Run, State, Told, told};
pub(crate) use state::{Frame, state};

/// The version of every shape here; a field is added within a version, never renamed or taken away.
pub const VERSION: u32 = 1;

/// What everybody is told who reads of a model.
pub const MODEL: &str = "MODEL: a modelled cluster in virtual time, played by defib rehearse; nothing of it is real";

/// One look at one cluster: what `check` says.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// The cluster.
    pub cluster: String,
    /// `healthy`, `outage` or `unknown`.
    pub verdict: Verdict,
    /// Unix milliseconds.
    pub at_ms: i64,
    /// How long the look took.
    pub took_ms: u64,
    /// `observe` or `act`.
    pub mode: String,
    /// The root of the worst incident.
    pub root: Option<Named>,
    /// What is wrong, from the ground up.
    pub findings: Vec<Finding>,
    /// What cannot be told, and why.
    pub unknown: Vec<Unknown>,
    /// What each playbook would do, or why it holds.
    pub decisions: Vec<Plan>,
    /// What was measured of each node; null is unknown.
    pub figures: BTreeMap<String, Figures>,
    /// Every probe.
    pub probes: Vec<Probe>,
    /// The nodes, in the configuration's order.
    pub nodes: Vec<String>,
    /// Who answers at the virtual address; none: nobody does, or it cannot be told.
    pub vip_holder: Option<String>,
    /// How to reach the API servers, as far as one look can tell.
    pub route: Route,
}

/// What one look makes of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Service is not hurt, and everything that tells so is known; there may be risks.
    Healthy,
    /// Service is hurt.
    Outage,
    /// Service is not known to be hurt, and something that would tell is not known.
    Unknown,
}

/// A finding's name with its scope: a node, or `cluster`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The finding.
    pub finding: String,
    /// The node, or `cluster`.
    pub scope: String,
}

impl From<&FindingKey> for Named {
    fn from(key: &FindingKey) -> Named {
        Named { finding: key.rule.to_owned(), scope: key.subject.to_string() }
    }
}

/// An open finding.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Its name and scope.
    #[serde(flatten)]
    pub key: Named,
    /// Its layer.
    pub layer: &'static str,
    /// `outage`, `risk` or `advice`.
    pub class: &'static str,
    /// The evidence.
    pub text: String,
    /// What explains it.
    pub explained_by: Vec<Named>,
}

/// A condition that cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// Its name and scope.
    #[serde(flatten)]
    pub key: Named,
    /// Its layer.
    pub layer: String,
    /// What it would be: `outage`, `risk` or `advice`.
    #[serde(default)]
    pub class: String,
    /// Why.
    pub why: String,
}

/// A playbook with a patient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The playbook.
    pub playbook: String,
    /// The patient.
    pub node: String,
    /// Nothing but a person's permission is missing.
    pub would: bool,
    /// What passed.
    pub passed: Vec<CheckText>,
    /// What holds.
    pub holds: Vec<HoldText>,
}

/// A check that passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckText {
    /// The check.
    pub check: String,
    /// Its figures.
    pub text: String,
}

/// A hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldText {
    /// The check.
    pub check: String,
    /// Why, with figures.
    pub text: String,
    /// What would lift it.
    pub lifts: String,
}

/// One probe.
#[derive(Clone, Debug, Serialize)]
pub struct Probe {
    /// Who was asked.
    pub target: String,
    /// What was asked.
    pub kind: &'static str,
    /// `healthy`, `unknown`, or the failure's name.
    pub outcome: String,
    /// In words; empty where it answered.
    pub text: String,
    /// How long it took.
    pub took_ms: u64,
}

/// Makes a report of one look.
#[must_use]
pub fn report(
    cluster: &str,
    nodes: Vec<String>,
    mode: Mode,
    status: &Status,
    probes: &[&Observation],
    took_ms: u64,
) -> Report {
    let verdict = if status.hurts() {
        Verdict::Outage
    } else if status.blind() {
        Verdict::Unknown
    } else {
        Verdict::Healthy
    };
    let mut findings: Vec<_> = status.findings.iter().collect();
    findings.sort_by_key(|finding| (finding.layer, finding.key.clone()));
    Report {
        version: VERSION,
        cluster: cluster.to_owned(),
        verdict,
        at_ms: status.now.wall.0,
        took_ms,
        mode: mode.to_string(),
        root: status.worst().map(|incident| Named::from(&incident.root)),
        findings: findings
            .into_iter()
            .map(|finding| Finding {
                key: Named::from(&finding.key),
                layer: finding.layer.name(),
                class: finding.class.name(),
                text: finding.text.clone(),
                explained_by: finding.explained_by.iter().map(Named::from).collect(),
            })
            .collect(),
        unknown: status.unknown.iter().map(unknown).collect(),
        decisions: status.decisions.iter().map(|decision| plan(decision, status.now.mono)).collect(),
        figures: figures::of(status),
        probes: probes.iter().map(|observation| probe(observation)).collect(),
        nodes,
        vip_holder: status.vip_holder.clone(),
        route: Route::from(&status.route),
    }
}

fn unknown(unknown: &defib_engine::status::Unknown) -> Unknown {
    Unknown {
        key: Named::from(&unknown.key),
        layer: unknown.layer.name().to_owned(),
        class: unknown.class.name().to_owned(),
        why: unknown.why.clone(),
    }
}

fn plan(decision: &Decision, now: Tick) -> Plan {
    let passed = decision.judgement.passed.iter();
    Plan {
        playbook: decision.playbook.clone(),
        node: decision.node.clone(),
        would: decision.would(),
        passed: passed.map(|(check, text)| CheckText { check: (*check).to_owned(), text: text.clone() }).collect(),
        holds: decision.judgement.holds.iter().map(|one| hold(one, now)).collect(),
    }
}

fn hold(hold: &Hold, now: Tick) -> HoldText {
    HoldText { check: hold.check.to_owned(), text: hold.text.clone(), lifts: hold.lifts.describe(now) }
}

fn probe(observation: &Observation) -> Probe {
    let (outcome, text) = match &observation.seen {
        Seen::Healthy(_) => ("healthy".to_owned(), String::new()),
        Seen::Unhealthy(failure) => (failure.name().to_owned(), failure.to_string()),
        Seen::Unknown(why) => ("unknown".to_owned(), why.to_string()),
    };
    Probe {
        target: observation.target.to_string(),
        kind: observation.kind.name(),
        outcome,
        text,
        took_ms: u64::try_from(observation.at.since(observation.sent).as_millis()).unwrap_or(u64::MAX),
    }
}
