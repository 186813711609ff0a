//! The end of the story: a verdict as a table that a person reads.
//!
//! Pure. Left out: the JSON, which is the verdict itself.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::judge::{Client, Verdict};

/// How long the API servers take to return by themselves from the drill's back-off, as measured on this lab's parts.
const ALONE_S: &str = "161.0 s";
/// How fine the times of service are.
const PROBES: &str = "(the lab's probes ask four times a second each)";

/// The table, then the verdict in a sentence.
pub(super) fn table(verdict: &Verdict, with_defib: bool) -> String {
    if let Some(client) = &verdict.client {
        return through(verdict, client);
    }
    let seconds = |ms: Option<u64>| ms.map_or_else(|| "never".to_owned(), |ms| tenths(ms.cast_signed()));
    let mut rows = Vec::new();
    if with_defib {
        rows.push(("first finding, after the first fault", seconds(verdict.detected_ms)));
        rows.push(("first action, after the contention ended", verdict.acted_ms.map_or("never".to_owned(), tenths)));
    }
    rows.push(("an API server ready, after the contention ended", seconds(verdict.api_ready_ms)));
    rows.push(("the VIP serves again, after the contention ended", seconds(verdict.restored_ms)));
    if with_defib {
        rows.push(("  (an API server ready, the cluster alone)", format!("{ALONE_S} when measured")));
        rows.push(("root cause", verdict.root.clone().unwrap_or_else(|| "not named".to_owned())));
    }
    for action in &verdict.actions {
        rows.push(("done", format!("{} on {}: {}", action.action, action.node, action.outcome)));
    }
    let mut held: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for hold in &verdict.holds {
        held.entry(&hold.check).or_default().extend(hold.node.as_deref());
    }
    for (check, nodes) in held {
        rows.push(("held for a while", format!("{check} ({})", nodes.join(", "))));
    }
    for violation in &verdict.violations {
        rows.push(("violation", violation.clone()));
    }
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let mut text = String::from("\n");
    for (name, value) in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name:<width$}  {value}");
    }
    let _ = write!(text, "  {PROBES}\n\n{}: {}", verdict.drill, sentence(verdict, with_defib));
    text
}

/// The same for a drill about the lifeline's client.
fn through(verdict: &Verdict, client: &Client) -> String {
    let after = |ms: Option<u64>, none: &str| ms.map_or_else(|| none.to_owned(), |ms| tenths(ms.cast_signed()));
    let mut text = format!(
        "
  the finding, after the fault                        {}
  the route, after the finding                        {}
  the lifeline's client: questions, and those failed  {}, {}
  its last failure, after the finding                 {}
  connections held through it, and those that broke   {}, {}
  the VIP serves again, after its agents went on      {}
  the route reverted, after that                      {}
",
        after(verdict.detected_ms, "never"),
        after(client.routed_ms, "never"),
        client.asked,
        client.failed,
        after(client.last_failure_ms, "none"),
        client.held,
        client.broken,
        after(verdict.restored_ms, "never"),
        after(client.reverted_ms, "never"),
    );
    for violation in &verdict.violations {
        let _ = writeln!(text, "  violation  {violation}");
    }
    let said = if verdict.ok { "whoever went through the lifeline was served" } else { "NOT as it should be" };
    let _ = write!(text, "\n{}: {said}", verdict.drill);
    text
}

/// The command that reads the journal of a drill that was kept, with its paths as seen from the folder `here`.
pub(super) fn next(program: &Path, config: &Path, here: &Path) -> String {
    let seen = |path: &Path| path.strip_prefix(here).unwrap_or(path).display().to_string();
    format!("NEXT  {} history --config {}", seen(program), seen(config))
}

fn sentence(verdict: &Verdict, with_defib: bool) -> &'static str {
    match (verdict.ok, with_defib) {
        (true, true) => "service was restored by defib",
        (true, false) => "the cluster restored its service by itself",
        (false, _) if verdict.restored_ms.is_none() => "service was NOT restored in time",
        (false, _) => "service is back, but NOT as it should be",
    }
}

fn tenths(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    let ms = ms.unsigned_abs();
    format!("{sign}{}.{} s", ms / 1000, ms % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::judge::Action;

    #[test]
    fn a_table_names_times_actions_and_the_verdict() {
        let verdict = Verdict {
            drill: "back-off".into(),
            ok: true,
            root: Some("apiserver-crash-looping".into()),
            detected_ms: Some(1_260),
            acted_ms: Some(-40),
            api_ready_ms: Some(6_000),
            restored_ms: None,
            actions: vec![Action { action: "a".into(), node: "cp1".into(), outcome: "done".into() }],
            holds: Vec::new(),
            client: None,
            violations: Vec::new(),
        };
        let text = table(&verdict, true);
        for part in ["1.2 s", "-0.0 s", "6.0 s", "never", "a on cp1: done", "restored by defib"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!table(&verdict, false).contains("first finding"));
    }

    #[test]
    fn what_comes_next_can_be_run_where_the_reader_stands() {
        let next = next(Path::new("/src/target/release/defib"), Path::new("target/demo/x.yaml"), Path::new("/src"));
        assert_eq!(next, "NEXT  target/release/defib history --config target/demo/x.yaml");
    }
}
