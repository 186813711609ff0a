//! What the daemon knows of one cluster, and what it told lately.

use std::collections::BTreeMap;

use defib_engine::ledger::LimitUse;
use defib_engine::status::Status;
use defib_engine::time::Tick;
use serde::{Deserialize, Serialize};

use super::{Figures, Named, Plan, Restoration, Unknown, VERSION, Verdict, restoration as made};
use crate::journal::NewRecord;

/// What the daemon knows of one cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// [`VERSION`].
    pub version: u32,
    /// Which process of defib says so: another word after it started again.
    #[serde(default)]
    pub process: String,
    /// The cluster.
    pub cluster: String,
    /// It is a model: nothing of it is real.
    #[serde(default)]
    pub model: bool,
    /// Its nodes, in the configuration's order.
    pub nodes: Vec<String>,
    /// `healthy`, `outage` or `unknown`; unknown too where the loop has not gone round lately.
    pub verdict: Verdict,
    /// When the loop last went round, Unix milliseconds.
    pub as_of_ms: i64,
    /// How long ago that was.
    pub age_ms: u64,
    /// `observe`, `ask` or `act`.
    pub mode: String,
    /// The playbooks that may run in mode act.
    pub armed: Vec<String>,
    /// Why nothing is ever started here; none: the journal is kept.
    pub without_journal: Option<String>,
    /// The root of the worst incident.
    pub root: Option<Named>,
    /// The open incidents, the oldest first.
    pub incidents: Vec<Chain>,
    /// The open findings, from the ground up.
    pub findings: Vec<Open>,
    /// What was measured of each node; null is unknown.
    #[serde(default)]
    pub figures: BTreeMap<String, Figures>,
    /// What cannot be told.
    pub unknown: Vec<Unknown>,
    /// What each playbook would do, or why it holds.
    pub decisions: Vec<Plan>,
    /// Every window of every playbook's limits; empty where no journal is kept, for then nothing is known of them.
    #[serde(default)]
    pub limits: Vec<Limit>,
    /// The run that is under way.
    pub run: Option<Run>,
    /// What waits for a person's approval, in mode ask.
    #[serde(default)]
    pub proposal: Option<Proposed>,
    /// What a person would restore etcd from; null: quorum is not lost, or enough voters answer.
    #[serde(default)]
    pub restoration: Option<Restoration>,
    /// The pauses in force.
    pub pauses: Vec<Pause>,
    /// Who answers at the virtual address; none: nobody does, or it cannot be told.
    #[serde(default)]
    pub vip_holder: Option<String>,
    /// The way to a living API server.
    pub route: Route,
    /// The journal answers.
    pub journal_answers: bool,
}

/// One sliding window of a playbook's limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The playbook.
    pub playbook: String,
    /// The node, or `cluster`.
    pub scope: String,
    /// Runs within the window.
    pub used: u32,
    /// How many it may have.
    pub of: u32,
    /// How long it is, in seconds.
    pub window_s: u64,
    /// It is full, and has room again in so many milliseconds; none: it has room, or it may never have a run.
    pub room_in_ms: Option<u64>,
    /// A person must look first, whatever the window says.
    pub exhausted: bool,
}

/// An open incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Its id.
    pub incident: String,
    /// What nothing else explains.
    pub root: Named,
    /// All its open findings.
    pub findings: Vec<Named>,
}

/// An open finding with since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Its name and scope.
    #[serde(flatten)]
    pub key: Named,
    /// Its layer.
    pub layer: String,
    /// `outage`, `risk` or `advice`.
    #[serde(default)]
    pub class: String,
    /// Unix milliseconds.
    pub since_ms: i64,
    /// The evidence.
    pub text: String,
    /// What explains it.
    pub explained_by: Vec<Named>,
}

/// A run under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub run: String,
    /// The playbook.
    pub playbook: String,
    /// The patient.
    pub node: String,
    /// What it is doing, in a word.
    pub phase: String,
}

/// A run that begins when a person approves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposed {
    /// The run's id.
    pub run: String,
    /// The playbook.
    pub playbook: String,
    /// The patient.
    pub node: String,
    /// It is forgotten then; Unix milliseconds.
    pub until_ms: i64,
}

/// A pause in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// What pauses: `command`, `file` or `window`.
    pub kind: String,
    /// Of which class on nothing starts: `harmless`, `service` or `disruptive`.
    pub holds: String,
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Unix milliseconds.
    pub since_ms: i64,
    /// Unix milliseconds; none: a file, until it is gone.
    pub until_ms: Option<i64>,
}

/// The way to a living API server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Past the virtual address.
    pub direct: bool,
    /// Since when; Unix milliseconds. None: it is not, or that was not written down.
    #[serde(default)]
    pub direct_since_ms: Option<i64>,
    /// The nodes whose API servers are ready, best first.
    pub ready: Vec<String>,
}

impl From<&defib_engine::route::Route> for Route {
    fn from(route: &defib_engine::route::Route) -> Route {
        Route {
            direct: route.direct,
            direct_since_ms: route.direct_since.map(|since| since.0),
            ready: route.ready.clone(),
        }
    }
}

/// A record as it is told to those who follow; the journal's row has the same kind, version and body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Where it stands among all changes since the daemon started: ask for what came after it.
    pub revision: u64,
    /// Unix milliseconds.
    pub at_ms: i64,
    /// The cluster; empty for the program's own life.
    pub cluster: String,
    /// The kind of record.
    pub kind: String,
    /// The body's version.
    pub version: u32,
    /// What it says.
    pub body: serde_json::Value,
}

/// What is settled, and how old what is known is: everything in a [`State`] that is not the engine's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    pub(crate) process: String,
    pub(crate) cluster: String,
    pub(crate) model: bool,
    pub(crate) nodes: Vec<String>,
    /// In the same order.
    pub(crate) addresses: Vec<String>,
    pub(crate) armed: Vec<String>,
    pub(crate) mode: String,
    pub(crate) without_journal: Option<String>,
    pub(crate) as_of_ms: i64,
    pub(crate) age_ms: u64,
    pub(crate) now: Tick,
}

/// Older than this, what is shown as well is called unknown: the loop goes round at least once a second.
const STALE_MS: u64 = 5_000;

/// What is known of a cluster; where it was never judged, that is unknown.
#[must_use]
pub(crate) fn state(frame: Frame, status: Option<&Status>) -> State {
    let judged = status.is_some();
    let unjudged = Status::default();
    let status = status.unwrap_or(&unjudged);
    let stale = frame.age_ms > STALE_MS;
    let verdict = match (!status.hurts(), judged && !stale && !status.blind()) {
        (false, _) => Verdict::Outage,
        (true, true) => Verdict::Healthy,
        (true, false) => Verdict::Unknown,
    };
    let mut findings: Vec<_> = status.findings.iter().collect();
    findings.sort_by_key(|finding| (finding.layer, finding.key.clone()));
    let names = frame.nodes.iter().map(String::as_str);
    let addresses = names.zip(frame.addresses.iter().map(String::as_str)).collect();
    let restoration = status.restoration.as_ref().map(|plan| made(plan, &addresses));
    State {
        version: VERSION,
        process: frame.process,
        cluster: frame.cluster,
        model: frame.model,
        nodes: frame.nodes,
        verdict,
        as_of_ms: frame.as_of_ms,
        age_ms: frame.age_ms,
        mode: frame.mode,
        armed: frame.armed,
        limits: if frame.without_journal.is_some() { Vec::new() } else { limits(status, frame.now) },
        without_journal: frame.without_journal,
        root: status.worst().map(|incident| Named::from(&incident.root)),
        incidents: status
            .incidents
            .iter()
            .map(|incident| Chain {
                incident: incident.id.clone(),
                root: Named::from(&incident.root),
                findings: incident.findings.iter().map(Named::from).collect(),
            })
            .collect(),
        findings: findings
            .into_iter()
            .map(|finding| Open {
                key: Named::from(&finding.key),
                layer: finding.layer.name().to_owned(),
                class: finding.class.name().to_owned(),
                since_ms: finding.since.0,
                text: finding.text.clone(),
                explained_by: finding.explained_by.iter().map(Named::from).collect(),
            })
            .collect(),
        figures: super::figures::of(status),
        unknown: status.unknown.iter().map(super::unknown).collect(),
        decisions: status.decisions.iter().map(|decision| super::plan(decision, frame.now)).collect(),
        run: status.run.as_ref().map(|run| Run {
            run: run.id.clone(),
            playbook: run.playbook.clone(),
            node: run.node.clone(),
            phase: run.phase.to_owned(),
        }),
        proposal: status.proposal.as_ref().map(|one| Proposed {
            run: one.run.clone(),
            playbook: one.playbook.clone(),
            node: one.node.clone(),
            until_ms: one.until.0,
        }),
        restoration,
        pauses: status
            .pauses
            .iter()
            .map(|pause| Pause {
                kind: pause.kind.name().to_owned(),
                holds: pause.holds.to_string(),
                by: pause.by.clone(),
                reason: pause.reason.clone(),
                since_ms: pause.since.0,
                until_ms: pause.until.map(|until| until.0),
            })
            .collect(),
        vip_holder: status.vip_holder.clone(),
        route: Route::from(&status.route),
        journal_answers: judged && status.store_answers,
    }
}

fn limits(status: &Status, now: Tick) -> Vec<Limit> {
    let limit = |one: &LimitUse| Limit {
        playbook: one.playbook.clone(),
        scope: one.subject.to_string(),
        used: one.used,
        of: one.of,
        window_s: one.window.as_secs(),
        room_in_ms: one.room_at.map(|at| u64::try_from(at.since(now).as_millis()).unwrap_or(u64::MAX)),
        exhausted: one.exhausted,
    };
    status.limits.iter().map(limit).collect()
}

/// A record as it is told.
#[must_use]
pub fn told(revision: u64, record: &NewRecord) -> Told {
    Told {
        revision,
        at_ms: record.at_ms,
        cluster: record.cluster.clone(),
        kind: record.kind.clone(),
        version: record.version,
        body: record.body.clone(),
    }
}
