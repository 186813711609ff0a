//! `defib status`: what the daemon knows, folded from its journal, so that it works beside the daemon and after it died.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Exit, Output, complain, out, out_json};
use crate::config::Config;
use crate::journal::{JournalError, Reader, RecordRow};
use crate::report::{line, wall};

/// Records that are folded at most; a daemon that wrote more since its start shows what changed last.
const ROWS: usize = 20_000;

#[derive(Debug, clap::Args)]
pub(super) struct Typed {
    /// How to write the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn main(typed: &Typed, config: &Config) -> Exit {
    let read = || Reader::open(&config.journal)?.recent_records(ROWS, None, &[]);
    let rows = match read() {
        Ok(page) => page.rows,
        Err(error @ JournalError::Missing(_)) => {
            complain(&error);
            return Exit::CannotTell;
        }
        Err(error) => {
            complain(&error);
            return Exit::Misuse;
        }
    };
    let folded = Folded::of(&rows);
    let holder = crate::journal::holder(&config.journal);
    let exit = match (holder, folded.findings.is_empty()) {
        (None, _) => Exit::CannotTell,
        (Some(_), false) => Exit::Unhealthy,
        (Some(_), true) => Exit::Well,
    };
    if typed.output == Output::Json {
        return out_json(&folded.json(holder)).max(exit);
    }
    match holder {
        Some(pid) => out(&format!("defib runs (pid {pid}), mode {}", folded.mode)),
        None => out("defib does not run; this is what it knew when it ended"),
    }
    folded.show();
    exit
}

/// The state that the records since the last start add up to. Keys are ordered, so that the output is.
#[derive(Default)]
struct Folded {
    mode: String,
    findings: BTreeMap<(String, String), RecordRow>,
    incidents: BTreeMap<(String, String), RecordRow>,
    holds: BTreeMap<(String, String), RecordRow>,
    last: Option<RecordRow>,
}

impl Folded {
    /// `rows` are the newest first.
    fn of(rows: &[RecordRow]) -> Folded {
        let mut folded = Folded::default();
        for row in rows.iter().rev() {
            let text = |name: &str| row.body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let key = |name: String| (row.cluster.clone(), name);
            match row.kind.as_str() {
                "start" => folded = Folded { mode: text("mode"), ..Folded::default() },
                "finding" => {
                    let name = line::named(&text("finding"), &text("scope"));
                    keep(&mut folded.findings, key(name), row, text("change") == "raised");
                }
                "incident" => keep(&mut folded.incidents, key(text("incident")), row, text("state") != "closed"),
                "hold" => {
                    let name = format!("{} {} {}", text("playbook"), text("node"), text("check"));
                    keep(&mut folded.holds, key(name), row, text("change") == "raised");
                }
                _ => folded.last = Some(row.clone()),
            }
        }
        folded
    }

    fn show(&self) {
        if self.findings.is_empty() {
            out("✓ nothing is wrong");
        }
        for ((cluster, name), row) in &self.incidents {
            let root = row.body.get("root").and_then(Value::as_str).unwrap_or_default();
            let scope = row.body.get("root_scope").and_then(Value::as_str).unwrap_or_default();
            let state = row.body.get("state").and_then(Value::as_str).unwrap_or_default();
            out(&format!("✗ {cluster} {name} {state}: root {}", line::named(root, scope)));
        }
        let text = |row: &RecordRow| row.body.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
        for ((cluster, name), row) in &self.findings {
            out(&format!("  {} {cluster} {name}: {}", wall::time(row.at_ms), text(row)));
        }
        for ((cluster, name), row) in &self.holds {
            out(&format!("  held {cluster} {name}: {}", text(row)));
        }
        if let Some((row, line)) = self.last.as_ref().and_then(|row| Some((row, line::of_row(row)?))) {
            out(&format!("  last {} {line}", wall::date_time(row.at_ms)));
        }
    }

    fn json(&self, holder: Option<u32>) -> Value {
        let rows = |map: &BTreeMap<(String, String), RecordRow>| {
            map.values()
                .map(|row| json!({"at_ms": row.at_ms, "cluster": row.cluster, "body": row.body}))
                .collect::<Vec<_>>()
        };
        json!({
            "version": crate::api::VERSION,
            "pid": holder,
            "mode": self.mode,
            "incidents": rows(&self.incidents),
            "findings": rows(&self.findings),
            "holds": rows(&self.holds),
        })
    }
}

fn keep(map: &mut BTreeMap<(String, String), RecordRow>, key: (String, String), row: &RecordRow, open: bool) {
    if open {
        map.insert(key, row.clone());
    } else {
        map.remove(&key);
    }
}
