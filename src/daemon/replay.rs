//! A recording led through a fresh engine, with the settings that it had or with others, up to the first action that differs.
//!
//! The engine is pure: the same turns give the same account, so what differs is what was changed. From the first action that
//! differs the recorded answers no longer fit, for the world would have gone another way: there it ends, and says so. Actions are
//! compared from the opening of the incident that was recorded; what the engine cannot know yet when the recording begins
//! (rates over minutes, since when a pod is there) is known by then, as far as the recording goes back. Left out: what
//! other clusters answered, which is not in it: they may have proved that defib was not cut off.

use std::collections::{BTreeMap, BTreeSet};

use defib_engine::check::{Guards, Hold};
use defib_engine::command::{Ask, Command, Recover, Reply};
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
use crate::journal::recording::{Header, Intended, Line, Recording, Told, Turn, Wrote};

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
    /// There is no playbook of this name.
    Absent(String),
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

/// Leads the recording through a fresh engine with the `changed` settings. Why it was not done then what is done now, the
/// recording does not say, for what merely waits is not written down: an engine with the `recorded` ones does.
#[must_use]
pub fn play(recording: &Recording, recorded: &Settings, changed: &Settings) -> Played {
    let header = &recording.header;
    let turns = turns(&recording.lines);
    let mut player = Player::new(header, changed);
    let mut played =
        Played { turns: 0, until: header.begins, same: Vec::new(), differs: None, rows: 0, row_differs: None };
    for (turn, wrote) in &turns {
        player.turn(turn, wrote);
        let at = turn.now;
        (played.turns, played.until) = (played.turns + 1, at);
        let counts = at.mono >= header.opened.mono;
        let sides = (&mut player.then, &mut player.now);
        compare_rows(&mut played, at, sides, counts);
        let sides = (&mut player.then, &mut player.now);
        let Some((was, is)) = compare_acts(&mut played, at, sides, counts) else { continue };
        let mut before = Player::new(header, recorded);
        if was.is_none() {
            turns.iter().take(played.turns).for_each(|(turn, wrote)| before.turn(turn, wrote));
        }
        let then = before.decision(was.as_ref().map(|act| player.then.did(act)), is.as_ref(), at);
        let now = player.decision(is.as_ref().map(|act| player.now.did(act)), was.as_ref(), at);
        played.differs = Some(Difference { at, then, now });
        break;
    }
    played
}

/// Every turn with what was written in it. What was written without a turn before it belongs to one that was forgotten.
fn turns(lines: &[Line]) -> Vec<(&Turn, Vec<&Wrote>)> {
    let mut turns: Vec<(&Turn, Vec<&Wrote>)> = Vec::new();
    for line in lines {
        match (line, turns.last_mut()) {
            (Line::Turn(turn), _) => turns.push((turn, Vec::new())),
            (Line::Wrote(wrote), Some((_, all))) => all.push(wrote),
            _ => {}
        }
    }
    turns
}

/// A fresh engine beside the recorded account.
struct Player<'a> {
    cluster: &'a ClusterId,
    driver: Driver<Desk>,
    then: Side,
    now: Side,
}

impl<'a> Player<'a> {
    fn new(header: &'a Header, settings: &Settings) -> Player<'a> {
        let driver = Driver::new(settings, &header.saved.0, header.begins, Desk::default());
        Player { cluster: &header.cluster, driver, then: Side::default(), now: Side::default() }
    }

    /// Leads it through one turn.
    fn turn(&mut self, turn: &Turn, wrote: &[&Wrote]) {
        let Player { cluster, driver, then, now } = self;
        [&mut *then, &mut *now].into_iter().for_each(Side::turns);
        driver.turn(fitted(turn, cluster, (then, now)), turn.now);
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
        for wrote in wrote {
            then.wrote(wrote.batch);
            then.takes(wrote.records.iter().cloned(), wrote.steps.iter().cloned());
        }
    }

    /// What was done, or why this engine does not do what the `other` did.
    fn decision(&mut self, own: Option<Decision>, other: Option<&Intended>, at: Now) -> Decision {
        own.or_else(|| Some(self.why_not(other?, at))).unwrap_or(Decision::Held(Vec::new()))
    }

    /// What holds this here. Its account tells only of what would otherwise have been done, its status of what an open
    /// finding calls for; why nothing does is answered to who asks.
    fn why_not(&mut self, act: &Intended, at: Now) -> Decision {
        let wish = Recover {
            cluster: self.cluster.clone(),
            playbook: Some(act.playbook.clone()),
            node: Some(act.node.clone()),
            ..Recover::default()
        };
        let ask = Event::Asked(Command { id: 0, by: "defib replay".to_owned(), ask: Ask::Preview(wish) });
        self.driver.turn([ask], at);
        let asked = match self.driver.ports.reply.take() {
            Some(Reply::Preview(preview)) => preview.plans.into_iter().next(),
            Some(Reply::Refused(_)) => return Decision::Absent(act.playbook.clone()),
            _ => None,
        };
        let words = |hold: &Hold| (hold.check.to_owned(), hold.text.clone(), hold.lifts.describe(at.mono));
        let status = self.driver.status(self.cluster);
        let run = status.and_then(|status| status.run.as_ref());
        if let Some(run) = run.filter(|run| run.playbook == act.playbook && run.node == act.node) {
            let text = format!("{} is under way, and {}", run.id, run.phase);
            return Decision::Held(vec![("run".to_owned(), text, "by itself".to_owned())]);
        }
        let mine = |one: &&defib_engine::status::Decision| one.playbook == act.playbook && one.node == act.node;
        let judged = status.and_then(|status| status.decisions.iter().find(mine)).map(|one| &one.judgement);
        let judged = judged.or(asked.as_ref().map(|plan| &plan.judgement));
        Decision::Held(judged.into_iter().flat_map(|judged| &judged.holds).map(words).collect())
    }
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
            if row.kind == "decision" {
                let passed = row.body.get("passed").and_then(Value::as_array).into_iter().flatten();
                let word =
                    |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
                let passed = passed.map(|one| (word(one, "check"), word(one, "text"))).collect();
                self.passed.insert(word(&row.body, "run"), passed);
            }
            self.rows.push(row);
        }
        for step in steps {
            self.steps.push(step.step.clone());
            self.acts.push(step);
        }
    }

    /// The rows and steps of the turn before are done with.
    fn turns(&mut self) {
        self.rows.clear();
        self.acts.clear();
    }

    /// What this side did, with the checks that its run passed.
    fn did(&self, act: &Intended) -> Decision {
        Decision::Act(act.clone(), self.passed.get(&act.run).cloned().unwrap_or_default())
    }
}

/// Compares what was done in this turn: the first that differs, then and now.
fn compare_acts(
    played: &mut Played,
    at: Now,
    (then, now): (&mut Side, &mut Side),
    counts: bool,
) -> Option<(Option<Intended>, Option<Intended>)> {
    let (recorded, made) = (std::mem::take(&mut then.acts), std::mem::take(&mut now.acts));
    if !counts {
        return None;
    }
    for place in 0..recorded.len().max(made.len()) {
        let (was, is) = (recorded.get(place), made.get(place));
        let what = |act: &Intended| (act.playbook.clone(), act.node.clone(), act.action.clone());
        if was.map(what) != is.map(what) {
            return Some((was.cloned(), is.cloned()));
        }
        played.same.extend(is.map(|act| (at, act.clone())));
    }
    None
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
    reply: Option<Reply>,
}

impl Ports for Desk {
    fn write(&mut self, batch: Batch) {
        self.batches.push(batch);
    }

    fn ask(&mut self, _: Target, _: ProbeKind) {}

    fn start(&mut self, _: Step) {}

    fn route(&mut self, _: &ClusterId, _: Route) {}

    fn publish(&mut self, _: &ClusterId, _: &Status) {}

    fn reply(&mut self, _: u64, reply: Reply) {
        self.reply = Some(reply);
    }
}
