//! One record as one line: `finding   vip-lost raised: no answer at the address`.

use serde_json::Value;

use super::wall;
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
        "start" => ("start", start(body)),
        "stop" => ("stop", text.to_owned()),
        "finding" => ("finding", format!("{} {}: {text}", named(field("finding"), field("scope")), field("change"))),
        "incident" => ("incident", format!("{} {}: {text}", field("incident"), field("state"))),
        "hold" if field("change") == "raised" => (
            "hold",
            format!("{} {}: {}: {text}; lifts {}", field("playbook"), field("node"), field("check"), field("lifts")),
        ),
        "hold" => ("hold", format!("{} {}: {} lifted", field("playbook"), field("node"), field("check"))),
        "announced" => ("announced", format!("{} {} on {}: {text}", field("run"), field("playbook"), field("node"))),
        "decision" => ("decision", decision(body)),
        "command" => ("command", command(body)),
        "outcome" => ("acted", format!("{} {}: {}: {text}", field("run"), field("action"), field("outcome"))),
        "route" => ("route", text.to_owned()),
        "run" => ("run", format!("{} {}: {text}", field("run"), field("state"))),
        _ => return None,
    };
    Some(Line { label, text })
}

/// What watches what, what it may do, and where it can be asked; older records say less.
fn start(body: &Value) -> String {
    let field = |name: &str| body.get(name).and_then(Value::as_str);
    let words = |name: &str| {
        let words = body.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        words.collect::<Vec<_>>().join(", ")
    };
    let watched = match words("clusters") {
        clusters if clusters.is_empty() => String::new(),
        clusters => format!(" {clusters}"),
    };
    let model = if body.get("model").and_then(Value::as_bool) == Some(true) { " a MODEL:" } else { "" };
    let mut text = format!(
        "defib {} watches{model}{watched} in mode {}",
        field("version").unwrap_or_default(),
        field("mode").unwrap_or_default()
    );
    if body.get("armed").is_some() {
        let armed = words("armed");
        text.push_str(&format!("; armed: {}", if armed.is_empty() { "nothing" } else { &armed }));
    }
    for (name, said) in [("journal", "journal in"), ("listen", "listens on")] {
        if let Some(value) = field(name) {
            text.push_str(&format!("; {said} {value}"));
        }
    }
    for (name, said) in [
        ("interrupted", "steps that the process before left under way, unknown and spent"),
        ("unended", "runs that the process before left without an end, so whether they helped is not known"),
    ] {
        match words(name) {
            ids if ids.is_empty() => {}
            ids => text.push_str(&format!("; {said}: {ids}")),
        }
    }
    text
}

/// The checks are counted: each with its figures is in the record.
fn decision(body: &Value) -> String {
    let field = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let passed = body.get("passed").and_then(Value::as_array).map_or(0, Vec::len);
    let (run, playbook, node) = (field("run"), field("playbook"), field("node"));
    let incident = match field("incident") {
        "" => String::new(),
        incident => format!(" for {incident}"),
    };
    let by = match field("by") {
        "" => String::new(),
        by => format!(", asked for by {by}"),
    };
    format!("{run} {playbook} on {node}{incident}: all {passed} checks passed{by}")
}

/// Who asked for what.
fn command(body: &Value) -> String {
    let field = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let flag = |name: &str| body.get(name).and_then(Value::as_bool).unwrap_or(false);
    let (by, on) = (field("by"), format!("{} on {}", field("playbook"), field("node")));
    match field("command") {
        "pause" => {
            let until = body.get("until_ms").and_then(Value::as_i64).map_or_else(String::new, wall::date_time);
            format!("{by} paused until {until}: {}", field("reason"))
        }
        "resume" => format!("{by} resumed"),
        "ack" => format!("{by} acknowledged {on}"),
        "recover" => {
            let past = match (flag("waive_for"), flag("pass_limits")) {
                (true, true) => ", without waiting and past the limits",
                (true, false) => ", without waiting",
                (false, true) => ", past the limits",
                (false, false) => "",
            };
            format!("{by} asked for {} {on}{past}", field("run"))
        }
        other => format!("{by}: {other}"),
    }
}

/// `apiserver-down cp1`, or `vip-lost` where it is about the cluster.
#[must_use]
pub fn named(finding: &str, scope: &str) -> String {
    if scope == "cluster" { finding.to_owned() } else { format!("{finding} {scope}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_start_says_what_it_watches_and_what_it_may_do() {
        let body = json!({
            "version": "0.1.0", "mode": "act", "clusters": ["prod (3 nodes, no vip)"], "armed": ["restart-kubelet"],
            "journal": "journal", "listen": "127.0.0.1:9870",
        });
        let said = "defib 0.1.0 watches prod (3 nodes, no vip) in mode act; armed: restart-kubelet; journal in journal; \
                    listens on 127.0.0.1:9870";
        assert_eq!(start(&body), said);
        assert_eq!(start(&json!({"version": "0.1.0", "mode": "observe"})), "defib 0.1.0 watches in mode observe");
        assert!(start(&json!({"mode": "act", "armed": []})).ends_with("armed: nothing"));
        let after = start(&json!({"interrupted": ["prod/R-3/1"], "unended": ["prod/R-2", "prod/R-3"]}));
        assert!(after.contains("under way, unknown and spent: prod/R-3/1; runs that"), "{after}");
        assert!(after.ends_with("whether they helped is not known: prod/R-2, prod/R-3"), "{after}");
    }

    #[test]
    fn a_decision_counts_its_checks() {
        let body = json!({
            "run": "R-1", "playbook": "restart-kubelet", "node": "cp2", "incident": "I-4",
            "passed": [{"check": "fresh", "text": "x"}, {"check": "budget", "text": "y"}],
        });
        assert_eq!(decision(&body), "R-1 restart-kubelet on cp2 for I-4: all 2 checks passed");
    }

    #[test]
    fn what_people_ask_for_is_told_with_who_they_are() {
        let told = |body: Value| line("command", &body).unwrap().text;
        let pause = json!({"command": "pause", "by": "root@ops1", "reason": "host work", "until_ms": 0});
        assert_eq!(told(pause), "root@ops1 paused until 1970-01-01T00:00:00Z: host work");
        assert_eq!(told(json!({"command": "resume", "by": "root"})), "root resumed");
        let ack = json!({"command": "ack", "by": "root", "playbook": "restart-kubelet", "node": "cp2"});
        assert_eq!(told(ack), "root acknowledged restart-kubelet on cp2");
        let recover = json!({
            "command": "recover", "by": "root", "run": "R-2", "playbook": "restart-kubelet", "node": "cp2",
            "waive_for": false, "pass_limits": true,
        });
        assert_eq!(told(recover), "root asked for R-2 restart-kubelet on cp2, past the limits");
        let announced = json!({"run": "R-3", "playbook": "reboot", "node": "cp1", "text": "starts in 1m"});
        assert_eq!(line("announced", &announced).unwrap().to_string(), "announced R-3 reboot on cp1: starts in 1m");
    }
}
