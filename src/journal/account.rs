//! The engine's account as rows: each [`Record`] becomes one kind of row with a body of version 1.
//!
//! | kind | body |
//! |---|---|
//! | `start`, `stop` | pid, version, mode; why it ended |
//! | `finding` | finding, scope, change (raised, cleared), text |
//! | `incident` | incident, state, root, root_scope, findings [{finding, scope}], text |
//! | `hold` | playbook, node, check, change, text, lifts |
//! | `decision` | run, incident, playbook, node, passed [{check, text}] |
//! | `outcome` | run, step, action, outcome, text |
//! | `run` | run, state (recovered, failed, withdrawn), text |
//! | `command` | by, command (pause, resume, ack, recover), and what it says: reason, until_ms; playbook, node; run, waive_for, pass_limits |
//! | `route` | direct, ready [node, the best first], text |

use defib_engine::event::Saved;
use defib_engine::ledger::Reservation;
use defib_engine::record::{Batch, FindingKey, Order, Outcome as Ending, Record};
use defib_engine::route::Route;
use defib_engine::time::UnixMs;
use serde_json::{Value, json};

use super::row::{Ended, IntentRow, NewRecord, Outcome, RECORD_VERSION, WriteBatch};
use super::store::Opened;

/// A batch of the engine as what is written in one transaction.
#[must_use]
pub fn rows(batch: &Batch) -> WriteBatch {
    WriteBatch {
        intents: batch.intents.iter().map(intent).collect(),
        outcomes: batch
            .outcomes
            .iter()
            .map(|(step, ending)| Ended {
                step: step.0.clone(),
                outcome: match ending {
                    Ending::Done(_) => Outcome::Done,
                    Ending::Failed(_) => Outcome::Failed,
                    Ending::Unknown(_) => Outcome::Unknown,
                    Ending::Withdrawn(_) => Outcome::Withdrawn,
                },
                detail: ending.detail().to_owned(),
                ended_at_ms: batch.at.0,
            })
            .collect(),
        records: batch.records.iter().map(|record| row(record, &batch.cluster, batch.at)).collect(),
    }
}

fn intent(intent: &defib_engine::record::Intent) -> IntentRow {
    IntentRow {
        step: intent.step.0.clone(),
        run: intent.run.clone(),
        incident: intent.incident.clone(),
        cluster: intent.cluster.clone(),
        playbook: intent.playbook.clone(),
        action: intent.action.to_string(),
        node: intent.node.clone(),
        class: intent.class.to_string(),
        reserved_at_ms: intent.at.0,
        outcome: None,
        detail: None,
        ended_at_ms: None,
    }
}

/// One record as a row.
#[must_use]
pub fn row(record: &Record, cluster: &str, at: UnixMs) -> NewRecord {
    let change = |raised: &bool| if *raised { "raised" } else { "cleared" };
    let (kind, body) = match record {
        Record::Finding { key, opened, text } => {
            ("finding", json!({"finding": key.rule, "scope": scope(key), "change": change(opened), "text": text}))
        }
        Record::Incident { incident, state, root, findings, text } => (
            "incident",
            json!({
                "incident": incident,
                "state": state.to_string(),
                "root": root.as_ref().map(|root| root.rule),
                "root_scope": root.as_ref().map(scope),
                "findings": findings.iter().map(|key| json!({"finding": key.rule, "scope": scope(key)})).collect::<Vec<_>>(),
                "text": text,
            }),
        ),
        Record::Hold { playbook, node, check, raised, text, lifts } => (
            "hold",
            json!({
                "playbook": playbook, "node": node, "check": check, "change": change(raised), "text": text, "lifts": lifts,
            }),
        ),
        Record::Decision { run, incident, playbook, node, passed } => (
            "decision",
            json!({
                "run": run, "incident": incident, "playbook": playbook, "node": node,
                "passed": passed.iter().map(|(check, text)| json!({"check": check, "text": text})).collect::<Vec<_>>(),
            }),
        ),
        Record::Outcome { run, step, action, outcome } => (
            "outcome",
            json!({
                "run": run, "step": step.0, "action": action, "outcome": outcome.name(), "text": outcome.detail(),
            }),
        ),
        Record::Route { route, text } => ("route", json!({"direct": route.direct, "ready": route.ready, "text": text})),
        Record::Run { run, state, text } => ("run", json!({"run": run, "state": state.to_string(), "text": text})),
        Record::Command { by, order } => ("command", command(by, order)),
    };
    NewRecord { at_ms: at.0, cluster: cluster.to_owned(), kind: kind.to_owned(), version: RECORD_VERSION, body }
}

fn command(by: &str, order: &Order) -> Value {
    match order {
        Order::Pause { reason, until } => {
            json!({"by": by, "command": "pause", "reason": reason, "until_ms": until.0})
        }
        Order::Resume => json!({"by": by, "command": "resume"}),
        Order::Ack { playbook, node } => json!({"by": by, "command": "ack", "playbook": playbook, "node": node}),
        Order::Recover { run, playbook, node, waive_for, pass_limits } => json!({
            "by": by, "command": "recover", "run": run, "playbook": playbook, "node": node,
            "waive_for": waive_for, "pass_limits": pass_limits,
        }),
    }
}

/// A record of the program's own life.
#[must_use]
pub fn life(kind: &str, body: Value, at: UnixMs) -> NewRecord {
    NewRecord { at_ms: at.0, cluster: String::new(), kind: kind.to_owned(), version: RECORD_VERSION, body }
}

fn scope(key: &FindingKey) -> String {
    key.subject.to_string()
}

/// What the engine must know of earlier processes: every reservation, and the numbers that are used up.
#[must_use]
pub fn saved(opened: &Opened) -> Saved {
    let spent = opened.intents_recent.iter().filter(|intent| intent.class != "harmless");
    let reservation = |intent: &IntentRow| Reservation {
        cluster: intent.cluster.clone(),
        node: intent.node.clone(),
        playbook: intent.playbook.clone(),
        run: intent.run.clone(),
        at: UnixMs(intent.reserved_at_ms),
        made: None,
    };
    Saved {
        reservations: spent.map(reservation).collect(),
        last_incident: opened.last_incident.clone(),
        last_run: opened.last_run.clone(),
        routes: opened.routes.iter().map(|(cluster, body)| (cluster.clone(), route(body))).collect(),
        ..Saved::default()
    }
}

/// A route as it was written down. What is damaged in it is left out: the first look puts it right.
fn route(body: &Value) -> Route {
    let ready = body.get("ready").and_then(Value::as_array).into_iter().flatten();
    Route {
        direct: body.get("direct").and_then(Value::as_bool).unwrap_or(false),
        ready: ready.filter_map(Value::as_str).map(str::to_owned).collect(),
        suspect: Vec::new(),
    }
}
