//! A recording led through a fresh engine, with the settings that it had or with others, up to the first action that differs.
//!
//! The engine is pure: the same turns give the same account, so what differs is what was changed. From the first action that
//! differs the recorded answers no longer fit, for the world would have gone another way: there it ends, and says so. Actions are
//! compared from the opening of the incident that was recorded; what the engine cannot know yet when the recording begins
//! (rates over minutes, since when a pod is there) is known by then, as far as the recording goes back. Left out: what
//! other clusters answered, which is not in it: they may have proved that defib was not cut off.

use std::collections::{BTreeMap, BTreeSet};

use defib_engine::check::{Guards, Hold};
use defib_engine::event::{Event, Step};
use defib_engine::observation::{ClusterId, ProbeKind, Target};
use defib_engine::playbook::Playbook;
use defib_engine::record::{Batch, StepId};
use defib_engine::route::Route;
use defib_engine::settings::Settings;
use defib_engine::status::Status;
use defib_engine::time::Now;
use serde_json::Value;

use crate::driver::{Driver, Ports};
use crate::journal::account;
use crate::journal::recording::{Header, Intended, Line, Recording, Told, Turn};

/// What a replay showed.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// Turns that were played.
    pub turns: usize,
    /// The last of them.
    pub until: Now,
    /// Actions since the incident opened that were then what they are now, each with when.
    pub same: Vec<(Now, Intended)>,
    /// The first that differs; there it ended.
    pub differs: Option<Difference>,
    /// Rows of the account that were compared: those since the incident opened, up to the first that differs.
    pub rows: usize,
    /// The first row of the account that differs.
    pub row_differs: Option<RowDifference>,
}

/// Two decisions at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// When.
    pub at: Now,
    /// As it was recorded.
    pub then: Decision,
    /// As it is now.
    pub now: Decision,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// This was done, each check with its figures.
    Act(Intended, Vec<(String, String)>),
    /// It was held, by these checks: name, why, what would lift it.
    Held(Vec<(String, String, String)>),
}

/// Two rows of the account at one time; none: there was none.
#[derive(Clone, Debug, PartialEq)]
pub struct RowDifference {
    /// When.
    pub at: Now,
    /// As it was recorded.
    pub then: Option<Told>,
    /// As it is now.
    pub now: Option<Told>,
}

/// The settings that a recording had, with these playbooks.
#[must_use]
pub fn settings(header: &Header, playbooks: Vec<Playbook>) -> Settings {
    Settings {
        mode: header.mode,
        clusters: BTreeMap::from([(header.cluster.clone(), header.settings.0.clone())]),
        canaries: header.canaries.clone(),
        playbooks,
        seen_once: false,
        guards: Guards::default(),
    }
}

/// Leads the recording through a fresh engine with these settings.
#[must_use]
pub fn play(recording: &Recording, settings: &Settings) -> Played {
    let header = &recording.header;
    let mut driver = Driver::new(settings, &header.saved.0, header.begins, Desk::default());
    let mut played =
        Played { turns: 0, until: header.begins, same: Vec::new(), differs: None, rows: 0, row_differs: None };
    let (mut then, mut now) = (Side::default(), Side::default());
    let mut lines = recording.lines.iter().peekable();
    while let Some(line) = lines.next() {
        // What was written without a turn before it belongs to one that was forgotten.
        let Line::Turn(turn) = line else { continue };
        let events = fitted(turn, &header.cluster, (&mut then, &mut now));
        driver.turn(events, turn.now);
        for batch in driver.ports.batches.drain(..) {
            now.wrote(batch.id);
            let rows = account::rows(&batch, None);
            let steps = rows.intents.into_iter().map(|row| Intended {
                step: row.step,
                run: row.run,
                playbook: row.playbook,
                node: row.node,
                action: row.action,
            });
            now.takes(rows.records.into_iter().map(|row| Told { kind: row.kind, body: row.body }), steps);
        }
        while let Some(Line::Wrote(wrote)) = lines.next_if(|line| matches!(line, Line::Wrote(_))) {
            then.wrote(wrote.batch);
            then.takes(wrote.records.iter().cloned(), wrote.steps.iter().cloned());
        }
        (played.turns, played.until) = (played.turns + 1, turn.now);
        let counts = turn.now.mono >= header.opened.mono;
        compare_rows(&mut played, turn.now, (&mut then, &mut now), counts);
        if compare_acts(&mut played, turn.now, (&mut then, &mut now), counts) {
            if let Some(difference) = &mut played.differs {
                explain(difference, driver.status(&header.cluster));
            }
            break;
        }
    }
    played
}

/// The turn's events, with the numbers that this engine gave.
fn fitted(turn: &Turn, cluster: &ClusterId, (then, now): (&mut Side, &mut Side)) -> Vec<Event> {
    let mut events = Vec::new();
    // What this engine wrote beyond what was recorded is answered as the rest was: at once.
    if then.unanswered.is_empty() {
        let answer = |batch| Event::Stored { cluster: cluster.clone(), batch, result: Ok(()) };
        events.extend(std::mem::take(&mut now.unanswered).into_iter().map(answer));
    }
    for event in &turn.events {
        match event {
            Event::Stored { cluster, batch, result } => {
                then.unanswered.remove(batch);
                let place = then.batches.iter().rposition(|id| id == batch);
                let batch = place.and_then(|place| now.batches.get(place)).copied();
                if let Some(batch) = batch.filter(|batch| now.unanswered.remove(batch)) {
                    events.push(Event::Stored { cluster: cluster.clone(), batch, result: result.clone() });
                }
            }
            Event::Ended { cluster, step, outcome } => {
                let place = then.steps.iter().position(|id| *id == step.0);
                let step = place.and_then(|place| now.steps.get(place)).cloned().unwrap_or_else(|| step.0.clone());
                events.push(Event::Ended { cluster: cluster.clone(), step: StepId(step), outcome: outcome.clone() });
            }
            other => events.push(other.clone()),
        }
    }
    events
}

/// One of the two accounts.
#[derive(Default)]
struct Side {
    /// The numbers of all batches, in order.
    batches: Vec<u64>,
    /// Those that the journal has not answered for.
    unanswered: BTreeSet<u64>,
    /// The ids of all steps, in order.
    steps: Vec<String>,
    /// Rows and steps of this turn.
    rows: Vec<Told>,
    acts: Vec<Intended>,
    /// What holds, by playbook, node and check: why, and what would lift it.
    holds: BTreeMap<(String, String, String), (String, String)>,
    /// The checks that a run passed, by its id.
    passed: BTreeMap<String, Vec<(String, String)>>,
}

impl Side {
    fn wrote(&mut self, batch: u64) {
        self.batches.push(batch);
        self.unanswered.insert(batch);
    }

    fn takes(&mut self, rows: impl Iterator<Item = Told>, steps: impl Iterator<Item = Intended>) {
        for row in rows {
            let text = |key: &str| row.body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            match row.kind.as_str() {
                "hold" => {
                    let key = (text("playbook"), text("node"), text("check"));
                    if text("change") == "raised" {
                        self.holds.insert(key, (text("text"), text("lifts")));
                    } else {
                        self.holds.remove(&key);
                    }
                }
                "decision" => {
                    let passed = row.body.get("passed").and_then(Value::as_array).into_iter().flatten();
                    let word = |value: &Value, key: &str| {
                        value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
                    };
                    let passed = passed.map(|one| (word(one, "check"), word(one, "text"))).collect();
                    self.passed.insert(text("run"), passed);
                }
                _ => {}
            }
            self.rows.push(row);
        }
        for step in steps {
            self.steps.push(step.step.clone());
            self.acts.push(step);
        }
    }

    /// What this side did, or why it did not do what the `other` did.
    fn decision(&self, own: Option<&Intended>, other: Option<&Intended>) -> Decision {
        if let Some(act) = own {
            return Decision::Act(act.clone(), self.passed.get(&act.run).cloned().unwrap_or_default());
        }
        let holds = self.holds.iter().filter(|((playbook, node, _), _)| {
            other.is_none_or(|other| *playbook == other.playbook && *node == other.node)
        });
        Decision::Held(
            holds.map(|((_, _, check), (text, lifts))| (check.clone(), text.clone(), lifts.clone())).collect(),
        )
    }
}

/// Compares what was done in this turn; true: it differs.
fn compare_acts(played: &mut Played, at: Now, (then, now): (&mut Side, &mut Side), counts: bool) -> bool {
    let (recorded, made) = (std::mem::take(&mut then.acts), std::mem::take(&mut now.acts));
    if !counts {
        return false;
    }
    for place in 0..recorded.len().max(made.len()) {
        let (was, is) = (recorded.get(place), made.get(place));
        let what = |act: &Intended| (act.playbook.clone(), act.node.clone(), act.action.clone());
        if was.map(what) != is.map(what) {
            let (was, is) = (then.decision(was, is), now.decision(is, was));
            played.differs = Some(Difference { at, then: was, now: is });
            return true;
        }
        played.same.extend(is.map(|act| (at, act.clone())));
    }
    false
}

/// Why this engine did not do what was recorded: its account tells only of what would otherwise have been done, it knows
/// more.
fn explain(difference: &mut Difference, status: Option<&Status>) {
    let (Decision::Act(act, _), Decision::Held(holds)) = (&difference.then, &mut difference.now) else { return };
    let mine = |one: &&defib_engine::status::Decision| one.playbook == act.playbook && one.node == act.node;
    let Some(judged) = status.and_then(|status| status.decisions.iter().find(mine)) else { return };
    let at = difference.at.mono;
    let words = |hold: &Hold| (hold.check.to_owned(), hold.text.clone(), hold.lifts.describe(at));
    *holds = judged.judgement.holds.iter().map(words).collect();
}

fn compare_rows(played: &mut Played, at: Now, (then, now): (&mut Side, &mut Side), counts: bool) {
    let (recorded, made) = (std::mem::take(&mut then.rows), std::mem::take(&mut now.rows));
    if !counts || played.row_differs.is_some() {
        return;
    }
    for place in 0..recorded.len().max(made.len()) {
        let (was, is) = (recorded.get(place), made.get(place));
        if was != is {
            played.row_differs = Some(RowDifference { at, then: was.cloned(), now: is.cloned() });
            return;
        }
        played.rows += 1;
    }
}

/// What the engine wishes: its account is kept, the rest was answered when it was recorded.
#[derive(Default)]
struct Desk {
    batches: Vec<Batch>,
}

impl Ports for Desk {
    fn write(&mut self, batch: Batch) {
        self.batches.push(batch);
    }

    fn ask(&mut self, _: Target, _: ProbeKind) {}

    fn start(&mut self, _: Step) {}

    fn route(&mut self, _: &ClusterId, _: Route) {}

    fn publish(&mut self, _: &ClusterId, _: &Status) {}
}
