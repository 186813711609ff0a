//! One record as one line: `finding   vip-lost raised: no answer at the address`.

use serde_json::Value;

use crate::journal::{NewRecord, RecordRow};

/// A line of the story: its label and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What kind of thing happened, in a word.
    pub label: &'static str,
    /// What happened.
    pub text: String,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:<9} {}", self.label, self.text)
    }
}

/// A record that was read as a line; none for a kind that this program does not know.
#[must_use]
pub fn of_row(row: &RecordRow) -> Option<Line> {
    line(&row.kind, &row.body)
}

/// A record that is being written as a line.
#[must_use]
pub fn of_new(record: &NewRecord) -> Option<Line> {
    line(&record.kind, &record.body)
}

fn line(kind: &str, body: &Value) -> Option<Line> {
    let field = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let text = field("text");
    let (label, text) = match kind {
        "start" => ("start", format!("defib {} watches in mode {}", field("version"), field("mode"))),
        "stop" => ("stop", text.to_owned()),
        "finding" => ("finding", format!("{} {}: {text}", named(field("finding"), field("scope")), field("change"))),
        "incident" => ("incident", format!("{} {}: {text}", field("incident"), field("state"))),
        "hold" if field("change") == "raised" => (
            "hold",
            format!("{} {}: {}: {text}; lifts {}", field("playbook"), field("node"), field("check"), field("lifts")),
        ),
        "hold" => ("hold", format!("{} {}: {} lifted", field("playbook"), field("node"), field("check"))),
        "decision" => ("decision", decision(body)),
        "outcome" => ("acted", format!("{} {}: {}: {text}", field("run"), field("action"), field("outcome"))),
        "run" => ("run", format!("{} {}: {text}", field("run"), field("state"))),
        _ => return None,
    };
    Some(Line { label, text })
}

fn decision(body: &Value) -> String {
    let field = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let check = |passed: &Value| {
        let part = |name: &str| passed.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        format!("{}: {}", part("check"), part("text"))
    };
    let passed: Vec<String> = body.get("passed").and_then(Value::as_array).into_iter().flatten().map(check).collect();
    let checks = format!("{} checks passed ({})", passed.len(), passed.join("; "));
    format!("{} {} on {} for {}: {checks}", field("run"), field("playbook"), field("node"), field("incident"))
}

/// `apiserver-down cp1`, or `vip-lost` where it is about the cluster.
#[must_use]
pub fn named(finding: &str, scope: &str) -> String {
    if scope == "cluster" { finding.to_owned() } else { format!("{finding} {scope}") }
}
