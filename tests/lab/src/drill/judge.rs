//! The judge: what happened in a drill, and whether it should have.
//!
//! Pure: evidence in, verdict out. What was *done* comes from the call logs of the simulated machineds, never from defib;
//! the journal only has to agree with it. Service is what the lab's own probes saw. Left out: gathering the evidence.

use serde::Serialize;

use super::clock::UnixMs;
use super::journal::{Change, Journal, Record};

/// The finding that makes an incident the one that the drill is about.
pub(super) const SUBJECT: &str = "vip-lost";
/// The most holds that a verdict lists; they are distinct, a drill has about ten.
const HOLDS_MAX: usize = 100;

/// One call that a machined answered and that changes something, whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// When it came.
    pub(super) at: UnixMs,
    /// To which node's machined.
    pub(super) node: String,
    /// Such as `ServiceRestart`.
    pub(super) rpc: String,
    /// Such as `kubelet`.
    pub(super) argument: String,
}

impl Call {
    /// The same in the words that defib's journal uses.
    fn action(&self) -> String {
        let verb = match self.rpc.as_str() {
            "ServiceRestart" => "restart-service",
            "ServiceStart" => "start-service",
            "ServiceStop" => "stop-service",
            other => other,
        };
        format!("{verb} {}", self.argument).trim_end().to_owned()
    }
}

/// What the drill expects to be done: exactly once, and nothing else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// In the journal's words.
    pub(super) action: &'static str,
    /// On one of these.
    pub(super) nodes: &'static [&'static str],
}

/// All that a judge needs.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    /// The drill's name.
    pub(super) drill: &'static str,
    /// What defib should do; none: it was not there, and nothing may be done.
    pub(super) expected: Option<Expected>,
    /// The cluster alone must take at least this long until an API server is ready; else the drill proves nothing.
    pub(super) alone_ms_min: u64,
    /// When the first fault was made.
    pub(super) first_fault: UnixMs,
    /// When the contention ended.
    pub(super) relief: UnixMs,
    /// When an API server first was ready after that, if it was.
    pub(super) api_ready: Option<UnixMs>,
    /// When the VIP served again, if it did within the deadline.
    pub(super) restored: Option<UnixMs>,
    /// The mutating calls since defib began to watch, by time.
    pub(super) calls: Vec<Call>,
    /// defib's journal, empty without it.
    pub(super) journal: Journal,
}

/// The verdict; its fields are the drill's JSON. Times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The drill's name.
    pub drill: String,
    /// Service was restored as the drill expects.
    pub ok: bool,
    /// The root of the incident that held `vip-lost` when defib first acted, for what it does takes causes away; where it did
    /// nothing, just before service was restored.
    pub root: Option<String>,
    /// From the first fault to the first finding raised.
    pub detected_ms: Option<u64>,
    /// From the end of the contention to the first call that changes something; negative when that was too early.
    pub acted_ms: Option<i64>,
    /// From the end of the contention to the first API server ready.
    pub api_ready_ms: Option<u64>,
    /// From the end of the contention to the first of the VIP's lasting good answers.
    pub restored_ms: Option<u64>,
    /// What was done, from the call logs.
    pub actions: Vec<Action>,
    /// What defib held back, and why: distinct, in the order in which they were raised.
    pub holds: Vec<Held>,
    /// What a client of the lifeline saw, where the drill has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Client>,
    /// What should not have been, in sentences.
    pub violations: Vec<String>,
}

/// The lab's own client, which asks through defib's lifeline. Times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Client {
    /// Questions that it asked since the first fault, each over a connection of its own.
    pub asked: u64,
    /// Those that were not answered well.
    pub failed: u64,
    /// From the finding `vip-lost` to its last failure; none where nothing failed after it.
    pub last_failure_ms: Option<u64>,
    /// Connections that it held open from before the fault to after the end, with a question each second …
    pub held: u64,
    /// … and how many of them broke.
    pub broken: u64,
    /// From the finding to the route's record in the journal.
    pub routed_ms: Option<u64>,
    /// From the VIP's return to the record that the route reverted.
    pub reverted_ms: Option<u64>,
}

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Action {
    /// Such as `restart-service kubelet`.
    pub action: String,
    /// Where.
    pub node: String,
    /// The outcome in defib's journal; `open` when it has none, `not recorded` when the journal does not know the call.
    pub outcome: String,
}

/// One hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Held {
    /// The check that said no.
    pub check: String,
    /// Where, if it is about a node.
    pub node: Option<String>,
    /// Which playbook was held.
    pub playbook: Option<String>,
    /// The same in a sentence, as it was first said.
    pub text: String,
}

/// Judges one drill.
pub(super) fn judge(evidence: &Evidence) -> Verdict {
    let mut violations = Vec::new();
    let actions = compare(evidence, &mut violations);
    match evidence.expected {
        Some(expected) => as_expected(evidence, expected, &mut violations),
        None if evidence.calls.is_empty() => {}
        None => violations.push(format!("{} was asked for though defib was not there", told(&evidence.calls))),
    }
    let since_relief = |at: Option<UnixMs>| at.map(|at| at.saturating_sub(evidence.relief));
    let api_ready_ms = since_relief(evidence.api_ready);
    if evidence.expected.is_none() && api_ready_ms.is_some_and(|ms| ms < evidence.alone_ms_min) {
        violations.push(format!(
            "the cluster alone had an API server ready after {} s: the back-off was not deep, at least {} s were expected",
            api_ready_ms.unwrap_or_default() / 1000,
            evidence.alone_ms_min / 1000,
        ));
    }
    Verdict {
        drill: evidence.drill.to_owned(),
        ok: violations.is_empty() && evidence.api_ready.is_some() && evidence.restored.is_some(),
        root: root(evidence),
        detected_ms: detected(evidence).map(|at| at - evidence.first_fault),
        acted_ms: evidence.calls.first().map(|call| signed(call.at) - signed(evidence.relief)),
        api_ready_ms,
        restored_ms: since_relief(evidence.restored),
        actions,
        holds: holds(&evidence.journal),
        client: None,
        violations,
    }
}

/// Each call needs an intent of its own that was reserved before it; each intent that is said to be done needs a call.
fn compare(evidence: &Evidence, violations: &mut Vec<String>) -> Vec<Action> {
    let mut open: Vec<_> = evidence.journal.intents.iter().collect();
    let mut actions = Vec::new();
    for call in &evidence.calls {
        let action = call.action();
        let matching = |i: &&super::journal::Intent| {
            i.action == action
                && i.node == call.node
                && i.reserved_at <= call.at
                && i.outcome.as_deref() != Some("withdrawn")
        };
        let outcome = match open.iter().position(matching) {
            Some(at) => open.remove(at).outcome.clone().unwrap_or_else(|| "open".to_owned()),
            None => {
                if evidence.expected.is_some() {
                    violations
                        .push(format!("{action} was asked of {} without an intent reserved before it", call.node));
                }
                "not recorded".to_owned()
            }
        };
        actions.push(Action { action, node: call.node.clone(), outcome });
    }
    for intent in open.iter().filter(|intent| intent.outcome.as_deref() == Some("done")) {
        violations.push(format!(
            "the journal has {} on {} as done, but that machined was never asked",
            intent.action, intent.node
        ));
    }
    actions
}

fn as_expected(evidence: &Evidence, expected: Expected, violations: &mut Vec<String>) {
    let (right, wrong): (Vec<_>, Vec<_>) = evidence
        .calls
        .iter()
        .partition(|call| call.action() == expected.action && expected.nodes.contains(&call.node.as_str()));
    for call in wrong {
        violations.push(format!("{} was asked of {}, which nobody expected", call.action(), call.node));
    }
    if right.len() > 1 {
        violations.push(format!("{} was asked for {} times, once was expected", expected.action, right.len()));
    }
    if right.is_empty() {
        violations.push(format!("{} was never asked for", expected.action));
    }
    for call in evidence.calls.iter().filter(|call| call.at < evidence.relief) {
        violations.push(format!("{} was asked of {} while there was no quorum", call.action(), call.node));
    }
    let held = |(at, record): &(UnixMs, Record)| {
        *at < evidence.relief && matches!(record, Record::Hold(hold) if hold.change == Change::Raised)
    };
    if !evidence.journal.records.iter().any(held) {
        violations.push("defib recorded no hold while there was no quorum".to_owned());
    }
}

fn detected(evidence: &Evidence) -> Option<UnixMs> {
    let raised = |record: &Record| matches!(record, Record::Finding(finding) if finding.change == Change::Raised);
    let mut records = evidence.journal.records.iter();
    records.find(|(at, record)| *at >= evidence.first_fault && raised(record)).map(|(at, _)| *at)
}

fn root(evidence: &Evidence) -> Option<String> {
    let acted = evidence.calls.first().map(|call| call.at);
    root_until(&evidence.journal, acted.or(evidence.restored).unwrap_or(UnixMs::MAX))
}

/// The root of the incident that held the subject, just before `until`.
pub(super) fn root_until(journal: &Journal, until: UnixMs) -> Option<String> {
    let mut ours = journal.records.iter().filter(|(at, _)| *at < until).filter_map(|(_, record)| match record {
        Record::Incident(incident) if incident.findings.iter().any(|named| named.finding == SUBJECT) => Some(incident),
        _ => None,
    });
    ours.next_back().and_then(|incident| incident.root.clone())
}

pub(super) fn holds(journal: &Journal) -> Vec<Held> {
    let mut holds: Vec<Held> = Vec::new();
    for (_, record) in &journal.records {
        let Record::Hold(hold) = record else { continue };
        let known =
            |held: &Held| (&held.check, &held.node, &held.playbook) == (&hold.check, &hold.node, &hold.playbook);
        if hold.change == Change::Raised && holds.len() < HOLDS_MAX && !holds.iter().any(known) {
            holds.push(Held {
                check: hold.check.clone(),
                node: hold.node.clone(),
                playbook: hold.playbook.clone(),
                text: hold.text.clone(),
            });
        }
    }
    holds
}

fn told(calls: &[Call]) -> String {
    let each = calls.iter().map(|call| format!("{} on {}", call.action(), call.node));
    each.collect::<Vec<_>>().join(", ")
}

fn signed(at: UnixMs) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
