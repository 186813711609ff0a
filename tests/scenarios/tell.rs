//! What the engine puts out, as lines for people: the time, one word for what it is, the words of the engine.

use std::collections::BTreeSet;

use defib_engine::command::{Plan, Preview, Reply};
use defib_engine::event::Step;
use defib_engine::playbook::ActionClass;
use defib_engine::record::{Batch, Intent, Order, Record, StepId};
use defib_engine::status::Status;
use defib_engine::time::Tick;

/// `00:31.2 finding  …`: minutes, seconds, tenths.
pub(crate) fn line(at: Tick, label: &str, text: &str) -> String {
    let tenths = at.0 / 100;
    format!("{:02}:{:02}.{} {label:<8} {text}", tenths / 600, tenths / 10 % 60, tenths % 10)
}

/// What a batch writes down: its account, then the outcomes that the account does not tell, then its intents.
pub(crate) fn batch(batch: &Batch, at: Tick) -> Vec<String> {
    let mut told: BTreeSet<&StepId> = BTreeSet::new();
    let mut lines = Vec::new();
    for one in &batch.records {
        if let Record::Outcome { step, .. } = one {
            told.insert(step);
        }
        lines.extend(record(one, at));
    }
    for (step, outcome) in batch.outcomes.iter().filter(|(step, _)| !told.contains(step)) {
        lines.push(line(at, "outcome", &format!("{step} {}: {}", outcome.name(), outcome.detail())));
    }
    lines.extend(batch.intents.iter().map(|one| line(at, "reserved", &intent(one))));
    lines
}

/// `prod/R-1/2 restart-service kubelet on cp1`.
pub(crate) fn intent(intent: &Intent) -> String {
    format!("{} {} on {}", intent.step, intent.action, intent.node)
}

fn record(record: &Record, at: Tick) -> Vec<String> {
    let one = |label: &str, text: String| vec![line(at, label, &text)];
    match record {
        Record::Finding { key, opened: true, text } => one("finding", format!("{key}: {text}")),
        Record::Finding { key, opened: false, text } => one("cleared", format!("{key}: {text}")),
        Record::Incident { incident, state, text, .. } => one("incident", format!("{incident} {state}: {text}")),
        Record::Hold { playbook, node, check, raised: true, text, lifts } => {
            one("hold", format!("{playbook} {node}: {check}: {text}; lifts {lifts}"))
        }
        Record::Hold { playbook, node, check, raised: false, .. } => {
            one("lifted", format!("{playbook} {node}: {check}"))
        }
        Record::Announced { run, playbook, node, text } => one("announce", format!("{run} {playbook} {node}: {text}")),
        Record::Decision { run, incident, playbook, node, by, passed } => {
            let incident = incident.as_deref().unwrap_or("no incident");
            let by = by.as_ref().map_or_else(String::new, |by| format!(", by {by}"));
            let mut lines = one("decision", format!("{run} {playbook} {node} for {incident}{by}"));
            lines.extend(passed.iter().map(|(check, why)| format!("{:17}{check}: {why}", "")));
            lines
        }
        Record::Route { text, .. } => one("route", text.clone()),
        Record::Command { by, order } => one("command", format!("{}, by {by}", ordered(order))),
        Record::Run { run, state, text, .. } => one("run", format!("{run} {state}: {text}")),
        Record::Outcome { step, action, outcome, .. } => {
            one("outcome", format!("{step} {action} {}: {}", outcome.name(), outcome.detail()))
        }
    }
}

fn ordered(order: &Order) -> String {
    match order {
        Order::Pause { reason, until } => format!("pause until {}: {reason}", until.0),
        Order::Resume => "resume".to_owned(),
        Order::Ack { playbook, node } => format!("ack {playbook} {node}"),
        Order::Recover { run, playbook, node, .. } => format!("recover {run} {playbook} {node}"),
    }
}

/// What a person is answered.
pub(crate) fn reply(reply: &Reply, at: Tick) -> Vec<String> {
    let one = |text: String| vec![line(at, "reply", &text)];
    let with = |word: &str, preview: &Preview| {
        let mut lines = one(word.to_owned());
        lines.extend(preview.plans.iter().flat_map(plan));
        lines
    };
    match reply {
        Reply::Done(text) => one(format!("done: {text}")),
        Reply::Preview(preview) => with("preview", preview),
        Reply::Started { run } => one(format!("started {run}")),
        Reply::Held(preview) => with("held", preview),
        Reply::Changed(preview) => with("changed", preview),
        Reply::Nothing(text) => one(format!("nothing: {text}")),
        Reply::Refused(text) => one(format!("refused: {text}")),
    }
}

fn plan(plan: &Plan) -> Vec<String> {
    let called = plan.called_for.as_ref().map_or_else(String::new, |key| format!(" for {key}"));
    let would = if plan.would() { "would run" } else { "held" };
    let mut lines = vec![format!("{:17}{} {} {would}{called}; {}", "", plan.playbook, plan.node, plan.limits)];
    lines.extend(plan.judgement.holds.iter().map(|hold| format!("{:19}{hold}", "")));
    lines
}

/// A step that was handed out.
pub(crate) fn start(step: &Step, at: Tick) -> String {
    let harmless = if step.action().class() == ActionClass::Harmless { " (harmless)" } else { "" };
    line(at, "start", &format!("{} {} on {}{harmless}", step.id(), step.action(), step.node()))
}

/// Everything that is open, unknown, held and under way.
pub(crate) fn status(status: &Status, at: Tick) -> Vec<String> {
    let mut lines = Vec::new();
    for finding in &status.findings {
        let causes: Vec<_> = finding.explained_by.iter().map(ToString::to_string).collect();
        let because = if causes.is_empty() { String::new() } else { format!("; because of {}", causes.join(", ")) };
        lines.push(line(at, "open", &format!("{}: {}{because}", finding.key, finding.text)));
    }
    lines.extend(status.unknown.iter().map(|one| line(at, "unknown", &format!("{}: {}", one.key, one.why))));
    for incident in &status.incidents {
        let findings: Vec<_> = incident.findings.iter().map(ToString::to_string).collect();
        let text = format!("{} {}: root {}; {}", incident.id, incident.state, incident.root, findings.join(", "));
        lines.push(line(at, "incident", &text));
    }
    for decision in &status.decisions {
        for hold in &decision.judgement.holds {
            let text = format!(
                "{} {}: {hold}; lifts {}",
                decision.playbook,
                decision.node,
                hold.lifts.describe(status.now.mono)
            );
            lines.push(line(at, "held", &text));
        }
    }
    if let Some(one) = &status.proposal {
        lines.push(line(at, "proposed", &format!("{} {} {}", one.run, one.playbook, one.node)));
    }
    for pause in &status.pauses {
        lines.push(line(at, "paused", &format!("by {}: {}", pause.by, pause.reason)));
    }
    if let Some(run) = &status.run {
        lines.push(line(at, "run", &format!("{} {} {}: {}", run.id, run.playbook, run.node, run.phase)));
    }
    if status.route.direct {
        lines.push(line(at, "route", &status.route.words()));
    }
    if !status.store_answers {
        lines.push(line(at, "journal", "does not answer"));
    }
    if let Some(one) = &status.restoration {
        let from = one.from.as_ref().map_or_else(|why| format!("from nobody: {why}"), |node| format!("from {node}"));
        let needed =
            if one.missing == 1 { "1 voter more is".to_owned() } else { format!("{} voters more are", one.missing) };
        lines.push(line(at, "restore", &format!("{from}; {needed} needed for quorum; mute: {}", one.mute.join(", "))));
        for copy in &one.copies {
            let told = copy.told.map_or_else(|| "never heard".to_owned(), |(index, _)| format!("index {index}"));
            lines.push(line(at, "copy", &format!("{} {told}, source {}", copy.node, copy.source.name())));
        }
    }
    if lines.is_empty() {
        lines.push(line(at, "all", "is well"));
    }
    lines
}
