//! What a rehearsal came to, judged by the model's truth and by the program's own records. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use defib_engine::settings::Mode;
use defib_engine::time::UnixMs;
use serde::Serialize;
use serde_json::Value;

use super::Exit;
use crate::daemon::rehearsal::{End, Played, since_first_cue};
use crate::journal::NewRecord;
use crate::model::story::Story;

/// Times are milliseconds since the first fault, unless they say otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Verdict {
    /// Service is there at the end, and what the story is about was named.
    ok: bool,
    /// It was played to its end.
    ended: bool,
    /// When anything was found.
    found_ms: Option<u64>,
    /// When the first outage was found.
    detected_ms: Option<u64>,
    /// What was named as the root of an incident, in order, each once.
    roots: Vec<Root>,
    /// What the story is about and was not found.
    not_named: Vec<&'static str>,
    /// What was done, by whom ever.
    actions: Vec<Action>,
    /// Checks that held, with how often.
    holds: BTreeMap<String, u32>,
    /// When defib led people past the VIP.
    led_past_ms: Option<u64>,
    /// Service was lost at all.
    lost: bool,
    /// When service came back for good, since the cue that let it.
    restored_ms: Option<u64>,
    /// The same for the cluster alone.
    alone_restored_ms: Option<u64>,
    /// How many times sooner that is.
    ratio: Option<f64>,
    /// How long there was no service, all in all.
    away_ms: u64,
    /// The same for the cluster alone.
    alone_away_ms: u64,
    /// Since when the return of service is counted.
    counted_from: String,
    /// What is open at the end.
    open: Vec<String>,
    /// What is left to a person.
    person: Option<&'static str>,
    mode: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Root {
    finding: String,
    /// Nodes, or `cluster`.
    scopes: Vec<String>,
    /// When it was the first time.
    after_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Action {
    action: String,
    outcome: String,
    after_ms: u64,
}

/// A difference that is worth a word.
const MATTERS: f64 = 1.05;

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn text(record: &NewRecord, name: &str) -> String {
    record.body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl Verdict {
    /// `alone` is the cluster's service where nobody acts, and when that was over.
    pub(super) fn of(story: &Story, mode: Mode, played: &Played, alone: &(Vec<(Duration, bool)>, Duration)) -> Verdict {
        let counted_at = story.counted_at();
        let (restored, away) = service(&played.service, played.ended, counted_at);
        let (alone_restored, alone_away) = service(&alone.0, alone.1, counted_at);
        let mut verdict = Verdict {
            ok: false,
            ended: !matches!(played.end, End::Signal(_)),
            found_ms: None,
            detected_ms: None,
            roots: Vec::new(),
            not_named: story.named.to_vec(),
            actions: Vec::new(),
            holds: BTreeMap::new(),
            led_past_ms: None,
            lost: !away.is_zero(),
            restored_ms: restored.map(ms),
            alone_restored_ms: alone_restored.map(ms),
            ratio: restored.zip(alone_restored).and_then(|(ours, alone)| ratio(ours, alone)),
            away_ms: ms(away),
            alone_away_ms: ms(alone_away),
            counted_from: story.cues.get(story.counted_from).map_or_else(String::new, |cue| cue.text.clone()),
            open: played.open.iter().map(ToString::to_string).collect(),
            person: story.person,
            mode: mode.to_string(),
        };
        for record in &played.records {
            if let Some(since) = since_first_cue(UnixMs(record.at_ms)) {
                verdict.take(record, ms(since));
            }
        }
        verdict.ok = played.end == End::Served && verdict.not_named.is_empty();
        verdict
    }

    fn take(&mut self, record: &NewRecord, after_ms: u64) {
        match record.kind.as_str() {
            "finding" if text(record, "change") == "raised" => {
                let name = text(record, "finding");
                self.found_ms.get_or_insert(after_ms);
                self.not_named.retain(|wanted| *wanted != name);
                let outage = defib_engine::diagnosis::rule(&name)
                    .is_some_and(|rule| rule.class == defib_engine::finding::Class::Outage);
                if outage {
                    self.detected_ms.get_or_insert(after_ms);
                }
            }
            "incident" if text(record, "state") != "closed" => {
                let (finding, scope) = (text(record, "root"), text(record, "root_scope"));
                match self.roots.iter_mut().find(|root| root.finding == finding) {
                    Some(root) if root.scopes.contains(&scope) => {}
                    Some(root) => root.scopes.push(scope),
                    None if finding.is_empty() => {}
                    None => self.roots.push(Root { finding, scopes: vec![scope], after_ms }),
                }
            }
            "hold" if text(record, "change") == "raised" => *self.holds.entry(text(record, "check")).or_default() += 1,
            "outcome" if !text(record, "action").starts_with("collect-evidence") => {
                self.actions.push(Action { action: text(record, "action"), outcome: text(record, "outcome"), after_ms })
            }
            "route" if record.body.get("direct").and_then(Value::as_bool) == Some(true) => {
                self.led_past_ms.get_or_insert(after_ms);
            }
            _ => {}
        }
    }

    pub(super) fn exit(&self) -> Exit {
        match (self.ended, self.ok) {
            (false, _) => Exit::CannotTell,
            (true, true) => Exit::Well,
            (true, false) => Exit::Unhealthy,
        }
    }

    /// The end of the story, for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let human = |ms: u64| format!("{:.1} s", Duration::from_millis(ms).as_secs_f64());
        let mut rows: Vec<(&str, String)> = Vec::new();
        let after = |ms: Option<u64>| ms.map_or("never".to_owned(), |ms| format!("after {}", human(ms)));
        rows.push(("first finding", after(self.found_ms)));
        rows.push(("first outage found", after(self.detected_ms)));
        for (number, Root { finding, scopes, after_ms }) in self.roots.iter().enumerate() {
            let label = if number == 0 { "root cause" } else { "  and then" };
            let named =
                if scopes == &["cluster"] { finding.clone() } else { format!("{finding} {}", scopes.join(", ")) };
            rows.push((label, format!("{named} (after {})", human(*after_ms))));
        }
        if let Some(after) = self.led_past_ms {
            rows.push(("led past the VIP", format!("after {}", human(after))));
        }
        let acts = |one: &Action| format!("{}: {} (after {})", one.action, one.outcome, human(one.after_ms));
        rows.extend(self.actions.iter().map(|one| ("done", acts(one))));
        if self.actions.is_empty() {
            let why = if self.mode == "observe" { "nothing, in mode observe" } else { "nothing" };
            rows.push(("done", why.to_owned()));
        }
        let holds: Vec<_> = self.holds.iter().map(|(check, times)| format!("{check} {times}×")).collect();
        if !holds.is_empty() {
            rows.push(("held", holds.join(", ")));
        }
        if !self.ended {
            rows.push(("service", "it was ended before it could be told".to_owned()));
        } else if self.lost {
            // What was back already when it could be brought back tells nothing.
            if self.restored_ms != Some(0) || self.alone_restored_ms != Some(0) {
                let back = |ms: Option<u64>| match ms {
                    None => "never".to_owned(),
                    Some(0) => "at once".to_owned(),
                    Some(ms) => human(ms),
                };
                let ratio = match self.ratio {
                    Some(ratio) if ratio >= MATTERS => format!(", {ratio:.1} times as long"),
                    _ => String::new(),
                };
                rows.push(("service back", format!("{} after: {}", back(self.restored_ms), self.counted_from)));
                rows.push(("  the cluster alone", format!("{}{ratio}", back(self.alone_restored_ms))));
            }
            rows.push((
                "without service",
                format!("{} all in all; the cluster alone {}", human(self.away_ms), human(self.alone_away_ms)),
            ));
        } else {
            rows.push(("service", "was there all the time".to_owned()));
        }
        if !self.open.is_empty() {
            rows.push(("still open", self.open.join(", ")));
        }
        rows.extend(self.person.map(|person| ("left to a person", person.to_owned())));
        let mut lines = vec![String::new()];
        lines.extend(rows.into_iter().map(|(label, text)| format!("  {label:<20} {text}")));
        lines.push(format!("\nMODEL  {}", self.sentence()));
        lines
    }

    fn sentence(&self) -> String {
        match (self.ended, self.ok, self.not_named.as_slice()) {
            (false, ..) => "ended before its end: there is no verdict".to_owned(),
            (_, true, _) if !self.lost => "service was never lost".to_owned(),
            (_, true, _) if self.actions.is_empty() && self.led_past_ms.is_some() => {
                "service is back; meanwhile defib led past the VIP".to_owned()
            }
            (_, true, _) if self.mode == "observe" => "service is back; defib only said what it would do".to_owned(),
            (_, true, _) if self.actions.is_empty() => "service is back; defib did nothing".to_owned(),
            (_, true, _) => format!("service is back, after {} of defib's", count(self.actions.len(), "action")),
            (_, false, []) => "service is NOT back".to_owned(),
            (_, false, missing) => format!("NOT understood: {} was never found", missing.join(", ")),
        }
    }
}

fn count(of: usize, what: &str) -> String {
    if of == 1 { format!("one {what}") } else { format!("{of} {what}s") }
}

/// When service came back for good, since it was counted from, and how long it was away in all. None: it did not. It was
/// there all along: at once.
fn service(turns: &[(Duration, bool)], ended: Duration, counted_at: Duration) -> (Option<Duration>, Duration) {
    let mut away = Duration::ZERO;
    for (number, (from, served)) in turns.iter().enumerate() {
        let until = turns.get(number + 1).map_or(ended, |(until, _)| *until);
        if !served {
            away += until.saturating_sub(*from);
        }
    }
    let back = turns.last().filter(|(_, served)| *served).map(|(at, _)| at.saturating_sub(counted_at));
    (back, away)
}

fn ratio(ours: Duration, alone: Duration) -> Option<f64> {
    (!ours.is_zero()).then(|| alone.as_secs_f64() / ours.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use defib_engine::time::Tick;
    use serde_json::json;

    use super::*;
    use crate::journal::account;
    use crate::model::story;
    use crate::model::world::BEGINS;

    const SECOND: Duration = Duration::from_secs(1);

    fn record(after_s: u32, kind: &str, body: Value) -> NewRecord {
        account::life(kind, body, BEGINS.after(crate::daemon::rehearsal::QUIET + SECOND * after_s))
    }

    fn played(end: End, service: &[(u32, bool)], records: Vec<NewRecord>) -> Played {
        let service = service.iter().map(|(at, served)| (SECOND * *at, *served)).collect();
        Played { end, ended: Tick(600_000).since(Tick(0)), service, records, open: Vec::new() }
    }

    #[test]
    fn service_is_counted_from_the_cue_that_let_it_return() {
        let story = story::named("back-off").unwrap();
        let raised = |finding: &str| json!({"finding": finding, "scope": "cluster", "change": "raised"});
        let records = vec![
            record(1, "finding", raised("etcd-quorum-lost")),
            record(2, "finding", raised("vip-lost")),
            record(3, "incident", json!({"root": "vip-lost", "root_scope": "cluster", "state": "open"})),
            record(350, "outcome", json!({"action": "restart-service kubelet on cp1", "outcome": "done"})),
        ];
        let alone = (vec![(SECOND, false), (SECOND * 445, true)], SECOND * 500);
        let ours = played(End::Served, &[(1, false), (355, true)], records);
        let verdict = Verdict::of(&story, Mode::Act, &ours, &alone);
        assert!(verdict.ok && verdict.exit() == Exit::Well, "{verdict:?}");
        assert_eq!((verdict.restored_ms, verdict.alone_restored_ms), (Some(10_000), Some(100_000)));
        assert_eq!((verdict.ratio, verdict.away_ms, verdict.actions.len()), (Some(10.0), 354_000, 1));
        let text = verdict.lines().join("\n");
        assert!(
            text.contains("10.0 times as long") && text.contains("root cause           vip-lost (after 3.0 s)"),
            "{text}"
        );
    }

    #[test]
    fn what_was_never_found_or_never_came_back_is_no_success() {
        let story = story::named("vip-lost").unwrap();
        let alone = (Vec::new(), SECOND);
        let blind = Verdict::of(&story, Mode::Act, &played(End::Served, &[], Vec::new()), &alone);
        assert!(blind.exit() == Exit::Unhealthy && blind.sentence().contains("vip-lost"), "{blind:?}");
        let story = story::named("kill-etcd").unwrap();
        let away = Verdict::of(&story, Mode::Act, &played(End::GaveUp, &[(1, false)], Vec::new()), &alone);
        assert!(away.exit() == Exit::Unhealthy && away.restored_ms.is_none() && away.sentence().contains("NOT back"));
        let ended = Verdict::of(&story, Mode::Act, &played(End::Signal("SIGINT"), &[], Vec::new()), &alone);
        assert_eq!(ended.exit(), Exit::CannotTell);
    }
}
