//! `defib status`: what the daemon knows: from itself where it answers, else folded from its journal, so that it works
//! after it died, too.

use std::collections::BTreeMap;
use std::time::Duration;

use defib_engine::finding::Class;
use serde_json::{Value, json};

use super::call::{Caller, unwatched};
use super::{Exit, Output, out, out_json, recover, runtime, unread};
use crate::api::{MODEL, State};
use crate::clock::Clock;
use crate::config::Config;
use crate::journal::{Reader, RecordRow, alive};
use crate::report::{line, wall};

/// Records that are folded at most; a daemon that wrote more since its start shows what changed last.
const ROWS: usize = 20_000;
/// Never that all is well: what could not be seen raises no finding.
const NOTHING_OPEN: &str = "no finding is open (what could not be seen is not in the journal: defib check)";

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    defib status\n  \
    defib status --output json | jq '.clusters[0].pauses'\n\n\
    Exit codes: 0 nothing is wrong, 1 an outage is known, 2 misuse, 4 cannot tell, or no daemon answers")]
pub(super) struct Typed {
    /// How to write the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn main(typed: &Typed, config: &Config) -> Exit {
    let read = || Reader::open(&config.journal)?.recent_records(ROWS, None, &[]);
    let live = live(config);
    let rows = match (read(), &live) {
        (Ok(page), _) => page.rows,
        // A daemon without a journal answers all the same.
        (Err(_), Some(_)) => Vec::new(),
        (Err(error), None) => return unread(&error),
    };
    let folded = Folded::of(&rows);
    let holder = crate::journal::holder(&config.journal);
    let unwatched = live
        .as_deref()
        .map_or_else(Vec::new, |states| unwatched(config, states.iter().map(|state| state.cluster.as_str())));
    // What the journal says is of then: neither that nothing is wrong now, nor that something still is.
    let verdicts = live.iter().flatten().map(|state| state.verdict);
    let exit = Exit::of(verdicts, !unwatched.is_empty());
    if typed.output == Output::Json {
        return out_json(&folded.json(holder, live.as_deref())).max(exit);
    }
    // A daemon to which nothing happens writes no row for days; its sign of life is younger.
    let last_ms = rows.first().map(|row| row.at_ms).max(alive::lived_until(&config.journal));
    let now_ms = Clock::start().now().wall.0;
    let mode = live.as_ref().and_then(|states| states.first()).map_or(&folded.mode, |state| &state.mode);
    match holder {
        Some(pid) if live.is_none() => out(&mute(pid, last_ms, now_ms)),
        Some(pid) => out(&format!("defib runs (pid {pid}), mode {mode}")),
        None if live.is_some() => out(&format!("defib runs, mode {mode}")),
        // Its times are the model's.
        None if folded.model => out("? the rehearsal is over; what follows is how it ended"),
        None => out(&gone(last_ms, now_ms)),
    }
    match live {
        Some(states) => {
            states.iter().flat_map(now).chain(unwatched).chain(folded.last()).for_each(|line| out(&line));
        }
        None => {
            if folded.model {
                out(MODEL);
            }
            folded.lines().iter().for_each(|line| out(line));
        }
    }
    exit
}

/// What the daemon itself says; none where it does not answer.
fn live(config: &Config) -> Option<Vec<State>> {
    let runtime = runtime().ok()?;
    runtime.block_on(Caller::new(&config.journal).get("status")).ok()
}

/// One cluster as it is now.
fn now(state: &State) -> Vec<String> {
    let mut lines = recover::plan::headline(state);
    lines.extend(state.without_journal.iter().map(|why| format!("  observing only: {why}")));
    if state.route.direct {
        let first = state.route.ready.first().map_or("no API server is ready", String::as_str);
        let since = state.route.direct_since_ms.map_or(String::new(), |since| format!(", since {}", wall::time(since)));
        lines.push(format!("  route: direct to {first}{since}"));
    }
    for plan in &state.decisions {
        for hold in &plan.holds {
            let (playbook, node) = (&plan.playbook, &plan.node);
            lines.push(format!("  held {playbook} {node}: {}: {}; lifts {}", hold.check, hold.text, hold.lifts));
        }
    }
    lines
}

/// How much a finding's row means.
fn sign(row: &RecordRow) -> &'static str {
    let name = row.body.get("finding").and_then(Value::as_str).unwrap_or_default();
    match defib_engine::diagnosis::rule(name).map(|rule| rule.class) {
        Some(Class::Outage) | None => "✗",
        Some(Class::Risk) => "!",
        Some(Class::Advice) => "i",
    }
}

/// The first line where nobody holds the journal: how old the rest is. Both times are Unix milliseconds; none: nothing was
/// ever written.
fn gone(last_ms: Option<i64>, now_ms: i64) -> String {
    match last_ms {
        Some(last_ms) => format!("? defib does not run since {}; what follows is that old", ago(last_ms, now_ms)),
        None => "? defib does not run, and has written nothing".to_owned(),
    }
}

/// The first line where somebody holds the journal and says nothing: a start that still reads it, or a process that hangs.
fn mute(pid: u32, last_ms: Option<i64>, now_ms: i64) -> String {
    let last = last_ms.map_or("nothing is written yet".to_owned(), |last_ms| {
        format!("the last sign of life is of {}, and what follows is that old", ago(last_ms, now_ms))
    });
    format!("? process {pid} holds the journal and does not answer; {last}")
}

fn ago(last_ms: i64, now_ms: i64) -> String {
    let age = Duration::from_secs(u64::try_from(now_ms.saturating_sub(last_ms) / 1000).unwrap_or(0));
    format!("{} ({} ago)", wall::date_time(last_ms), humantime::format_duration(age))
}

/// The state that the records since the last start add up to, and the last thing that was done, by an earlier daemon
/// too. Keys are ordered, so that the output is.
#[derive(Default)]
struct Folded {
    mode: String,
    /// What was watched is a model.
    model: bool,
    findings: BTreeMap<(String, String), RecordRow>,
    incidents: BTreeMap<(String, String), RecordRow>,
    holds: BTreeMap<(String, String), RecordRow>,
    /// The clusters whose virtual address is dead.
    routes: BTreeMap<(String, String), RecordRow>,
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
                "start" => {
                    // What outlives a restart: the next process begins with the same route.
                    let (last, routes) = (folded.last.take(), std::mem::take(&mut folded.routes));
                    let model = row.body.get("model").and_then(Value::as_bool).unwrap_or(false);
                    folded = Folded { mode: text("mode"), model, last, routes, ..Folded::default() };
                }
                "route" => {
                    let direct = row.body.get("direct").and_then(Value::as_bool).unwrap_or(false);
                    keep(&mut folded.routes, key(String::new()), row, direct);
                }
                "finding" => {
                    let name = line::named(&text("finding"), &text("scope"));
                    keep(&mut folded.findings, key(name), row, text("change") == "raised");
                }
                "incident" => keep(&mut folded.incidents, key(text("incident")), row, text("state") != "closed"),
                "hold" => {
                    let name = format!("{} {} {}", text("playbook"), text("node"), text("check"));
                    keep(&mut folded.holds, key(name), row, text("change") == "raised");
                }
                "decision" | "run" | "outcome" => folded.last = Some(row.clone()),
                _ => {}
            }
        }
        folded
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.findings.is_empty() {
            lines.push(NOTHING_OPEN.to_owned());
        }
        for ((cluster, name), row) in &self.incidents {
            let root = row.body.get("root").and_then(Value::as_str).unwrap_or_default();
            let scope = row.body.get("root_scope").and_then(Value::as_str).unwrap_or_default();
            let state = row.body.get("state").and_then(Value::as_str).unwrap_or_default();
            lines.push(format!("✗ {cluster} {name} {state}: root {}", line::named(root, scope)));
        }
        let text = |row: &RecordRow| row.body.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
        for ((cluster, name), row) in &self.findings {
            lines.push(format!("{} {} {cluster} {name}: {}", sign(row), wall::time(row.at_ms), text(row)));
        }
        for ((cluster, _), row) in &self.routes {
            lines.push(format!("  ROUTE {cluster} {}", text(row)));
        }
        for ((cluster, name), row) in &self.holds {
            lines.push(format!("  held {cluster} {name}: {}", text(row)));
        }
        lines.extend(self.last());
        lines
    }

    /// The last thing that was done.
    fn last(&self) -> Option<String> {
        let row = self.last.as_ref()?;
        Some(format!("  last {} {}", wall::date_time(row.at_ms), line::of_row(row)?))
    }

    /// `clusters` is what the daemon itself says; null where it does not answer.
    fn json(&self, holder: Option<u32>, live: Option<&[State]>) -> Value {
        let rows = |map: &BTreeMap<(String, String), RecordRow>| {
            map.values()
                .map(|row| json!({"at_ms": row.at_ms, "cluster": row.cluster, "body": row.body}))
                .collect::<Vec<_>>()
        };
        json!({
            "version": crate::api::VERSION,
            "pid": holder,
            "mode": self.mode,
            "model": self.model,
            "incidents": rows(&self.incidents),
            "findings": rows(&self.findings),
            "holds": rows(&self.holds),
            "routes": rows(&self.routes),
            "clusters": live,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn row(at_ms: i64, kind: &str, body: Value) -> RecordRow {
        RecordRow { seq: at_ms, at_ms, cluster: "prod".to_owned(), kind: kind.to_owned(), version: 1, body }
    }

    #[test]
    fn no_open_finding_is_not_called_well() {
        let finding =
            |change| json!({"finding": "vip-lost", "scope": "cluster", "change": change, "text": "no answer"});
        let mut rows = vec![
            row(3, "finding", finding("cleared")),
            row(2, "finding", finding("raised")),
            row(1, "start", json!({"mode": "act"})),
        ];
        assert_eq!(Folded::of(&rows).lines(), [NOTHING_OPEN]);
        rows.remove(0);
        let lines = Folded::of(&rows).lines();
        assert!(lines[0].contains("vip-lost: no answer") && lines.len() == 1, "{lines:?}");
    }

    #[test]
    fn the_route_outlives_a_start_and_goes_when_it_reverts() {
        let route = |direct| json!({"direct": direct, "ready": ["cp2"], "text": "direct to cp2: lost"});
        let mut rows = vec![row(3, "start", json!({"mode": "observe"})), row(2, "route", route(true))];
        assert!(Folded::of(&rows).lines().contains(&"  ROUTE prod direct to cp2: lost".to_owned()));
        rows.insert(0, row(4, "route", route(false)));
        assert_eq!(Folded::of(&rows).lines(), [NOTHING_OPEN]);
    }

    #[test]
    fn the_last_run_outlives_a_stop_and_a_start() {
        let rows = [
            row(4, "start", json!({"mode": "observe"})),
            row(3, "stop", json!({"text": "ended by SIGTERM"})),
            row(2, "run", json!({"run": "R-1", "state": "done", "text": "the API server is ready"})),
            row(1, "start", json!({"mode": "act"})),
        ];
        let folded = Folded::of(&rows);
        assert_eq!(folded.mode, "observe");
        assert!(folded.lines()[1].contains("R-1 done: the API server is ready"), "{:?}", folded.lines());
    }

    #[test]
    fn a_dead_daemon_says_how_old_the_rest_is() {
        let said = "? defib does not run since 1970-01-01T00:00:01Z (2m 5s ago); what follows is that old";
        assert_eq!(gone(Some(1_000), 126_900), said);
        assert!(gone(Some(5_000), 1_000).contains("(0s ago)"), "a clock that went back");
    }
}
