//! What the engine makes of one cluster, for people and machines to read: findings, incidents, decisions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::check::{Hold, Judgement};
use crate::command::Pause;
use crate::finding::{Class, Layer, Subject};
use crate::incident::Incident;
use crate::ledger::LimitUse;
use crate::observation::NodeName;
use crate::record::FindingKey;
use crate::restoration::Restoration;
use crate::route::Route;
use crate::time::{Now, UnixMs};

/// One cluster at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// When it was judged.
    pub now: Now,
    /// The findings that are open.
    pub findings: Vec<Finding>,
    /// The conditions that cannot be told.
    pub unknown: Vec<Unknown>,
    /// The open incidents, the oldest first.
    pub incidents: Vec<Incident>,
    /// What would be done about the open findings, or why not.
    pub decisions: Vec<Decision>,
    /// Every window of every playbook's limits, as the ledger has it.
    pub limits: Arc<[LimitUse]>,
    /// The run that is under way.
    pub run: Option<RunStatus>,
    /// What waits for a person's approval.
    pub proposal: Option<Proposed>,
    /// From whose copy of etcd's data a person would go on; none: quorum is not lost, or enough voters answer.
    pub restoration: Option<Restoration>,
    /// The pauses in force: by command, by file, by a maintenance window.
    pub pauses: Vec<Pause>,
    /// Who answers at the virtual address, told by its certificate; none: nobody does, or it cannot be told.
    pub vip_holder: Option<NodeName>,
    /// How to reach the API servers.
    pub route: Route,
    /// The figures of every node; those of one that was never asked are all none.
    pub figures: BTreeMap<NodeName, Figures>,
    /// The journal answers.
    pub store_answers: bool,
}

/// What was measured of one node, over its window where it takes two looks. None is unknown, never zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Of every 100 syncs of etcd's log to the disk 99 took at most this long.
    pub fsync_p99: Option<Duration>,
    /// The same at half of them.
    pub fsync_p50: Option<Duration>,
    /// Of every 100 commits of etcd's database 99 took at most this long.
    pub commit_p99: Option<Duration>,
    /// The same at half of them.
    pub commit_p50: Option<Duration>,
    /// Of every 100 messages between etcd's members 99 came back within this.
    pub peer_round_trip_p99: Option<Duration>,
    /// Elections of the last 15 minutes, by the rise of the raft term; what happened before we looked is not counted.
    pub elections: Option<u64>,
    /// Bytes of etcd's database file.
    pub db_size_bytes: Option<f64>,
    /// Bytes that it may have.
    pub db_quota_bytes: Option<f64>,
    /// Of the machine's processor time this share was given to others by its hypervisor.
    pub steal_percent: Option<f64>,
    /// Of its memory this share can be had.
    pub memory_available_percent: Option<f64>,
    /// Its load over one minute.
    pub load1: Option<f64>,
    /// Its clock minus ours.
    pub clock_offset_ms: Option<i64>,
    /// How long `/readyz` took the last time.
    pub apiserver_took: Option<Duration>,
    /// Until when its API server's certificate is valid.
    pub certificate_not_after: Option<UnixMs>,
}

/// An open finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its name and subject.
    pub key: FindingKey,
    /// Where it lies.
    pub layer: Layer,
    /// How much it means.
    pub class: Class,
    /// Since when.
    pub since: UnixMs,
    /// The newest evidence.
    pub text: String,
    /// The open findings that explain it.
    pub explained_by: Vec<FindingKey>,
}

/// A condition that cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Its name and subject.
    pub key: FindingKey,
    /// Where it lies.
    pub layer: Layer,
    /// How much it would mean.
    pub class: Class,
    /// Why.
    pub why: String,
}

/// One playbook with one patient, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The playbook.
    pub playbook: String,
    /// The patient.
    pub node: NodeName,
    /// What passed and what holds.
    pub judgement: Judgement,
}

impl Decision {
    /// Only a person's permission is missing.
    #[must_use]
    pub fn would(&self) -> bool {
        self.judgement.holds.iter().all(|hold: &Hold| hold.check == "authority")
    }
}

/// A run under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStatus {
    /// Its id.
    pub id: String,
    /// The playbook.
    pub playbook: String,
    /// The patient.
    pub node: NodeName,
    /// What it is doing, in a word.
    pub phase: &'static str,
}

/// A run that begins when a person approves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposed {
    /// The run's id.
    pub run: String,
    /// The playbook.
    pub playbook: String,
    /// The patient.
    pub node: NodeName,
    /// It is forgotten then.
    pub until: UnixMs,
}

impl Status {
    /// Service is hurt: an outage is open.
    #[must_use]
    pub fn hurts(&self) -> bool {
        self.findings.iter().any(|finding| finding.class == Class::Outage)
    }

    /// Whether there is an outage cannot be told of everything. Risks that are untold do not count: most of them take a
    /// credential more, or a second look.
    #[must_use]
    pub fn blind(&self) -> bool {
        self.unknown.iter().any(|unknown| unknown.class == Class::Outage)
    }

    /// The open findings of a layer about a node.
    pub fn of(&self, layer: Layer, subject: &Subject) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.layer == layer && finding.key.subject == *subject)
    }

    /// The incident that matters most: the one whose findings reach highest, then the oldest.
    #[must_use]
    pub fn worst(&self) -> Option<&Incident> {
        let reach = |incident: &Incident| {
            let layer = |key: &FindingKey| crate::diagnosis::rule(key.rule).map(|rule| rule.layer);
            incident.findings.iter().filter_map(layer).max()
        };
        self.incidents.iter().rev().max_by_key(|incident| reach(incident))
    }
}
