//! The engine's account as rows: each [`Record`] becomes one kind of row with a body of version 1.
//!
//! | kind | body |
//! |---|---|
//! | `start`, `stop` | pid, version, mode; of the process before lived_until_ms, interrupted (steps), unended (runs); why it ended |
//! | `layers` | each layer's level: well, unknown, risk, outage |
//! | `finding` | finding, scope, change (raised, cleared), text |
//! | `incident` | incident, state, root, root_scope, findings [{finding, scope}], text |
//! | `hold` | playbook, node, check, change, text, lifts |
//! | `announced` | run, playbook, node, text |
//! | `decision` | run, incident, playbook, node, by, passed [{check, text}] |
//! | `outcome` | run, step, action, outcome, text |
//! | `run` | run, state (recovered, failed, withdrawn, told), text, left (null, or playbook, node, findings) |
//! | `command` | by, command (pause, resume, ack, recover), and what it says: reason, until_ms; playbook, node; run, waive_for, pass_limits; boot, boot_ms |
//! | `route` | direct, direct_since_ms or null, ready [node, the best first], text |

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use defib_engine::command::{Pause, PauseKind};
use defib_engine::diagnosis;
use defib_engine::event::{Ack, Kept, OpenIncident, Saved};
use defib_engine::ledger::{LONGEST_WINDOW, Reservation};
use defib_engine::observation::ClusterId;
use defib_engine::playbook::ActionClass;
use defib_engine::record::{Batch, FindingKey, Left, Order, Outcome as Ending, Record};
use defib_engine::route::Route;
use defib_engine::time::UnixMs;
use serde_json::{Value, json};

use super::row::{Boot, Ended, IntentRow, NewRecord, Outcome, RECORD_VERSION, WriteBatch};
use super::store::Opened;

/// A batch of the engine, at this moment by the machine's own count, as what is written in one transaction.
#[must_use]
pub fn rows(batch: &Batch, boot: Option<&Boot>) -> WriteBatch {
    WriteBatch {
        intents: batch.intents.iter().map(|one| intent(one, boot)).collect(),
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
        records: batch.records.iter().map(|record| row(record, &batch.cluster, batch.at, boot)).collect(),
    }
}

fn intent(intent: &defib_engine::record::Intent, boot: Option<&Boot>) -> IntentRow {
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
        reserved_boot: boot.cloned(),
        outcome: None,
        detail: None,
        ended_at_ms: None,
    }
}

/// One record as a row.
#[must_use]
pub fn row(record: &Record, cluster: &str, at: UnixMs, boot: Option<&Boot>) -> NewRecord {
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
                "findings": keys(findings),
                "text": text,
            }),
        ),
        Record::Hold { playbook, node, check, raised, text, lifts } => (
            "hold",
            json!({
                "playbook": playbook, "node": node, "check": check, "change": change(raised), "text": text, "lifts": lifts,
            }),
        ),
        Record::Announced { run, playbook, node, text } => {
            ("announced", json!({"run": run, "playbook": playbook, "node": node, "text": text}))
        }
        Record::Decision { run, incident, playbook, node, by, passed } => (
            "decision",
            json!({
                "run": run, "incident": incident, "playbook": playbook, "node": node, "by": by,
                "passed": passed.iter().map(|(check, text)| json!({"check": check, "text": text})).collect::<Vec<_>>(),
            }),
        ),
        Record::Outcome { run, step, action, outcome } => (
            "outcome",
            json!({
                "run": run, "step": step.0, "action": action, "outcome": outcome.name(), "text": outcome.detail(),
            }),
        ),
        Record::Route { route, text } => {
            let since_ms = route.direct_since.map(|since| since.0);
            let body = json!({
                "direct": route.direct, "direct_since_ms": since_ms, "ready": route.ready, "text": text
            });
            ("route", body)
        }
        Record::Run { run, state, text, left } => {
            let left = left
                .as_ref()
                .map(|left| json!({"playbook": left.playbook, "node": left.node, "findings": keys(&left.findings)}));
            ("run", json!({"run": run, "state": state.to_string(), "text": text, "left": left}))
        }
        Record::Command { by, order } => ("command", command(by, order, boot)),
    };
    NewRecord { at_ms: at.0, cluster: cluster.to_owned(), kind: kind.to_owned(), version: RECORD_VERSION, body }
}

fn command(by: &str, order: &Order, boot: Option<&Boot>) -> Value {
    let mut body = match order {
        Order::Pause { reason, until } => json!({"command": "pause", "reason": reason, "until_ms": until.0}),
        Order::Resume => json!({"command": "resume"}),
        Order::Ack { playbook, node } => json!({"command": "ack", "playbook": playbook, "node": node}),
        Order::Recover { run, playbook, node, waive_for, pass_limits } => json!({
            "command": "recover", "run": run, "playbook": playbook, "node": node,
            "waive_for": waive_for, "pass_limits": pass_limits,
        }),
    };
    if let Some(fields) = body.as_object_mut() {
        fields.insert("by".to_owned(), json!(by));
        if let Some(boot) = boot {
            fields.insert("boot".to_owned(), json!(boot.id));
            fields.insert("boot_ms".to_owned(), json!(u64::try_from(boot.up.as_millis()).unwrap_or(u64::MAX)));
        }
    }
    body
}

/// A record of the program's own life.
#[must_use]
pub fn life(kind: &str, body: Value, at: UnixMs) -> NewRecord {
    NewRecord { at_ms: at.0, cluster: String::new(), kind: kind.to_owned(), version: RECORD_VERSION, body }
}

fn scope(key: &FindingKey) -> String {
    key.subject.to_string()
}

fn keys<'a>(keys: impl IntoIterator<Item = &'a FindingKey>) -> Value {
    keys.into_iter().map(|key| json!({"finding": key.rule, "scope": scope(key)})).collect()
}

/// A finding as it was written down; none where this program knows no such finding.
fn key(finding: &Value, scope: &Value) -> Option<FindingKey> {
    Some(FindingKey::about(diagnosis::rule(finding.as_str()?)?, &scope.as_str()?.to_owned()))
}

/// Those of a list that are known.
fn known_keys(list: &Value) -> BTreeSet<FindingKey> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|one| key(&one["finding"], &one["scope"])).collect()
}

/// What the engine must know of earlier processes: every reservation, the numbers that are used up, the commands that may
/// be in force. `boot` is this moment by the machine's own count.
#[must_use]
pub fn saved(opened: &Opened, boot: Option<&Boot>) -> Saved {
    let spent = opened.intents_recent.iter().filter(|intent| intent.class != "harmless");
    let reservation = |intent: &IntentRow| Reservation {
        cluster: intent.cluster.clone(),
        node: intent.node.clone(),
        playbook: intent.playbook.clone(),
        run: intent.run.clone(),
        // A class that is not known is taken for the worst.
        class: ActionClass::named(&intent.class).unwrap_or(ActionClass::Disruptive),
        at: UnixMs(intent.reserved_at_ms),
        age: age(intent.reserved_boot.as_ref(), boot),
        ended: opened.ended_runs.contains(&(intent.cluster.clone(), intent.run.clone())),
    };
    let mut saved = Saved {
        reservations: spent.map(reservation).collect(),
        last_incident: opened.last_incident.clone(),
        last_run: opened.last_run.clone(),
        routes: opened.routes.iter().map(|(cluster, body)| (cluster.clone(), route(body))).collect(),
        ..Saved::default()
    };
    for (cluster, at_ms, body) in &opened.commands {
        obey(&mut saved, cluster, UnixMs(*at_ms), body, boot);
    }
    for (cluster, kind, body) in &opened.story {
        retell(&mut saved, cluster, kind, body);
    }
    saved
}

/// Takes a batch that was written, `after` so long since what is saved was gathered: what a start right then would be told.
pub fn follow(saved: &mut Saved, batch: &Batch, after: Duration) {
    age_by(saved, after);
    let number = |id: &str| id.split_once('-').and_then(|(_, number)| number.parse::<u64>().ok());
    let cluster = &batch.cluster;
    let used = |last: &mut BTreeMap<ClusterId, u64>, id: &str| {
        let last = last.entry(cluster.clone()).or_default();
        *last = number(id).map_or(*last, |number| number.max(*last));
    };
    for record in &batch.records {
        match record {
            Record::Incident { incident, .. } => used(&mut saved.last_incident, incident),
            Record::Announced { run, .. } | Record::Decision { run, .. } | Record::Run { run, .. } => {
                used(&mut saved.last_run, run);
            }
            _ => {}
        }
    }
    for intent in batch.intents.iter().filter(|intent| intent.class > ActionClass::Harmless) {
        used(&mut saved.last_run, &intent.run);
        saved.reservations.push(Reservation {
            cluster: intent.cluster.clone(),
            node: intent.node.clone(),
            playbook: intent.playbook.clone(),
            run: intent.run.clone(),
            class: intent.class,
            at: intent.at,
            age: Some(Duration::ZERO),
            ended: false,
        });
    }
    saved.reservations.retain(|one| one.age.is_none_or(|age| age <= LONGEST_WINDOW));
    for record in &batch.records {
        let told = row(record, cluster, batch.at, None);
        retell(saved, cluster, &told.kind, &told.body);
        match record {
            Record::Run { run: ended, .. } => {
                let own = |one: &&mut Reservation| one.cluster == *cluster && one.run == *ended;
                saved.reservations.iter_mut().filter(own).for_each(|one| one.ended = true);
            }
            Record::Route { route, .. } => drop(saved.routes.insert(cluster.clone(), route.clone())),
            Record::Command { by, order } => {
                // Written just now by a boot that has no name: so nothing has passed since.
                let boot = Boot { id: String::new(), up: Duration::ZERO };
                obey(saved, cluster, batch.at, &command(by, order, Some(&boot)), Some(&boot));
            }
            _ => {}
        }
    }
}

/// Takes one row of the account, the next after those before it: which incidents are open, and what runs left open. What is
/// damaged in it, or of a finding that this program does not know, is left out.
pub fn retell(saved: &mut Saved, cluster: &str, kind: &str, body: &Value) {
    match kind {
        "incident" => {
            let Some(id) = body["incident"].as_str() else { return };
            let open = saved.incidents.entry(cluster.to_owned()).or_default();
            let known = open.iter().position(|one| one.id == id);
            let (root, findings) = (key(&body["root"], &body["root_scope"]), known_keys(&body["findings"]));
            match (root.filter(|_| !findings.is_empty()), known) {
                (Some(root), known) => {
                    let one = OpenIncident { id: id.to_owned(), root, findings };
                    match known.and_then(|index| open.get_mut(index)) {
                        Some(known) => *known = one,
                        None => open.push(one),
                    }
                }
                (None, Some(index)) => drop(open.remove(index)),
                (None, None) => {}
            }
        }
        "run" => {
            let left = &body["left"];
            let (playbook, node) = (left["playbook"].as_str(), left["node"].as_str());
            let (Some(playbook), Some(node)) = (playbook, node) else { return };
            let all = saved.left.entry(cluster.to_owned()).or_default();
            all.retain(|one| one.playbook != playbook || one.node != node);
            let findings = known_keys(&left["findings"]);
            all.push(Left { playbook: playbook.to_owned(), node: node.to_owned(), findings });
        }
        "finding" if body["change"] == "cleared" => {
            let (Some(gone), Some(all)) = (key(&body["finding"], &body["scope"]), saved.left.get_mut(cluster)) else {
                return;
            };
            for one in all.iter_mut() {
                one.findings.remove(&gone);
            }
            all.retain(|one| !one.findings.is_empty());
        }
        "command" if body["command"] == "ack" => {
            let Some(all) = saved.left.get_mut(cluster) else { return };
            let own = |one: &&Left| body["playbook"] == *one.playbook && body["node"] == *one.node;
            let seen: BTreeSet<FindingKey> = all.iter().filter(own).flat_map(|one| one.findings.clone()).collect();
            all.retain(|one| body["node"] != *one.node || one.findings.is_disjoint(&seen));
        }
        _ => {}
    }
}

/// Makes everything that is saved older.
pub fn age_by(saved: &mut Saved, by: Duration) {
    let ages = saved.reservations.iter_mut().map(|one| &mut one.age);
    let ages = ages.chain(saved.pauses.values_mut().map(|one| &mut one.age));
    ages.chain(saved.acks.iter_mut().map(|one| &mut one.age)).flatten().for_each(|age| *age += by);
}

/// Takes one command, the next after those before it. What is damaged in it is left out.
fn obey(saved: &mut Saved, cluster: &str, at: UnixMs, body: &Value, now: Option<&Boot>) {
    let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    let up = body.get("boot_ms").and_then(Value::as_u64).map(Duration::from_millis);
    let then = text("boot").zip(up).map(|(id, up)| Boot { id, up });
    let age = age(then.as_ref(), now);
    match text("command").as_deref() {
        Some("pause") => {
            let until = body.get("until_ms").and_then(Value::as_i64).map(UnixMs);
            let (by, reason) = (text("by").unwrap_or_default(), text("reason").unwrap_or_default());
            let (kind, holds) = (PauseKind::Command, ActionClass::Harmless);
            let what = Pause { kind, by, reason, since: at, until, holds };
            saved.pauses.insert(cluster.to_owned(), Kept { what, at, age });
        }
        Some("resume") => drop(saved.pauses.remove(cluster)),
        Some("ack") => {
            if let (Some(playbook), Some(node)) = (text("playbook"), text("node")) {
                let what = Ack { cluster: cluster.to_owned(), playbook, node };
                saved.acks.retain(|ack| ack.what != what);
                saved.acks.push(Kept { what, at, age });
            }
        }
        _ => {}
    }
}

fn age(then: Option<&Boot>, now: Option<&Boot>) -> Option<Duration> {
    now?.since(then?)
}

/// A route as it was written down. What is damaged in it is left out: the first look puts it right.
fn route(body: &Value) -> Route {
    let ready = body.get("ready").and_then(Value::as_array).into_iter().flatten();
    Route {
        direct: body.get("direct").and_then(Value::as_bool).unwrap_or(false),
        direct_since: body.get("direct_since_ms").and_then(Value::as_i64).map(UnixMs),
        ready: ready.filter_map(Value::as_str).map(str::to_owned).collect(),
        suspect: Vec::new(),
    }
}
