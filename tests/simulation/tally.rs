//! What came of all plays: figures to read, what was violated, and one line of JSON, which is the last.
//!
//! Figures are counted here and judged nowhere else; a run is well when nothing was violated and nothing is left unrepaired.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use defib_engine::playbook::ActionClass;
use defib_engine::time::Tick;
use serde_json::{Value, json};

use crate::invariants::{INVARIANTS, Violation};
use crate::play::Entry;
use crate::single::Single;

/// So many of what was found are printed; the figures count all.
const PRINTED: usize = 20;

#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) seeds: u64,
    pub(crate) virtual_s: u64,
    pub(crate) violations: Vec<(u64, Tick, Violation)>,
    pub(crate) unrepaired: Vec<(u64, String)>,
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) actions: BTreeMap<String, u64>,
    /// Runs by playbook, those that only tell among them.
    pub(crate) runs: BTreeMap<String, u64>,
    /// By the name of a trouble that came alone.
    pub(crate) repairs: BTreeMap<&'static str, Repairs>,
    pub(crate) kills: u64,
    /// Everything that happened, for whoever compares it; as a rule nobody does.
    pub(crate) trace: Option<Vec<String>>,
}

/// How troubles of one kind ended that came alone.
#[derive(Default)]
pub(crate) struct Repairs {
    plays: u64,
    within: u64,
    longest_s: u64,
    bound_s: u64,
}

impl Repairs {
    fn json(&self) -> Value {
        let Repairs { plays, within, longest_s, bound_s } = self;
        json!({ "plays": plays, "within": within, "longest_s": longest_s, "bound_s": bound_s })
    }
}

impl Tally {
    pub(crate) fn add(&mut self, other: Tally) {
        self.seeds += other.seeds;
        self.virtual_s += other.virtual_s;
        self.kills += other.kills;
        self.violations.extend(other.violations);
        self.unrepaired.extend(other.unrepaired);
        self.violations.sort_by_key(|(seed, at, _)| (*seed, *at));
        self.unrepaired.sort();
        for (name, times) in other.faults {
            *self.faults.entry(name).or_default() += times;
        }
        for (name, times) in other.actions {
            *self.actions.entry(name).or_default() += times;
        }
        for (name, times) in other.runs {
            *self.runs.entry(name).or_default() += times;
        }
        for (name, other) in other.repairs {
            let repairs = self.repairs.entry(name).or_default();
            repairs.plays += other.plays;
            repairs.within += other.within;
            repairs.longest_s = repairs.longest_s.max(other.longest_s);
            repairs.bound_s = repairs.bound_s.max(other.bound_s);
        }
    }

    /// Counts what a program did.
    pub(crate) fn count(&mut self, number: usize, at: Tick, entry: &Entry) {
        match entry {
            Entry::Started(deed) if deed.action.class() > ActionClass::Harmless => {
                // Who leads next is no kind of action.
                let action = deed.action.to_string();
                let kind = action.split(" to ").next().unwrap_or_default().to_owned();
                *self.actions.entry(kind).or_default() += 1;
            }
            Entry::Wrote(batch) => {
                for intent in &batch.intents {
                    *self.runs.entry(intent.playbook.clone()).or_default() += 1;
                }
            }
            Entry::Killed => self.kills += 1,
            _ => {}
        }
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{number} {} {entry:?}", at.0));
        }
    }

    /// Counts a trouble that came alone; `over_s`: how long it took until it was over for good. Whether that was in time.
    pub(crate) fn repaired(&mut self, single: &Single, over_s: Option<u64>) -> bool {
        let repairs = self.repairs.entry(single.name).or_default();
        repairs.plays += 1;
        repairs.bound_s = repairs.bound_s.max(single.bound_s);
        repairs.longest_s = repairs.longest_s.max(over_s.unwrap_or(0));
        let in_time = over_s.is_some_and(|over_s| over_s <= single.bound_s);
        repairs.within += u64::from(in_time);
        in_time
    }

    pub(crate) fn is_well(&self) -> bool {
        self.violations.is_empty() && self.unrepaired.is_empty()
    }

    fn json(&self, wall_s: f64, core: f64) -> Value {
        let repairs: BTreeMap<_, _> = self.repairs.iter().map(|(name, one)| (name, one.json())).collect();
        json!({
            "seeds": self.seeds, "virtual_s": self.virtual_s, "wall_s": wall_s, "times_real_a_core": core,
            "violations": self.violations.len(), "unrepaired": self.unrepaired.len(), "kills": self.kills,
            "faults": self.faults, "actions": self.actions, "runs": self.runs, "repairs": repairs,
        })
    }

    /// Prints all of it: tables first, then what was found, where a log's tail keeps it, and `more` with the rest as JSON last.
    pub(crate) fn report(&self, wall: Duration, more: &[(&str, Value)]) -> ExitCode {
        let (wall_s, cores) = (wall.as_secs_f64(), crate::cores());
        let times_real = self.virtual_s as f64 / wall_s.max(0.001);
        let core = times_real / cores as f64;
        table("faults injected", &self.faults);
        table("actions", &self.actions);
        table("runs", &self.runs);
        if !self.repairs.is_empty() {
            println!("troubles that came alone               plays  within   bound  longest");
        }
        for (name, Repairs { plays, within, longest_s, bound_s }) in &self.repairs {
            println!("  {name:<36} {plays:>5}  {within:>6}  {bound_s:>4} s  {longest_s:>5} s");
        }
        for (name, meaning) in INVARIANTS {
            let times = self.violations.iter().filter(|(_, _, (violated, _))| *violated == name).count();
            println!("invariant {name}: {meaning}: violated {times} times");
        }
        for (seed, at, (name, text)) in self.violations.iter().take(PRINTED) {
            println!("VIOLATION {name}: SEED={seed} at {:.1}s: {text}", at.0 as f64 / 1_000.0);
        }
        for (seed, text) in self.unrepaired.iter().take(PRINTED) {
            println!("UNREPAIRED SEED={seed}: {text}");
        }
        println!(
            "{} seeds, {} of virtual time in {wall_s:.0} s: {times_real:.0} x real time on {cores} cores, {core:.0} x on each; \
             killed {} times; {} violations, {} unrepaired",
            self.seeds,
            days(self.virtual_s),
            self.kills,
            self.violations.len(),
            self.unrepaired.len()
        );
        let mut whole = self.json(wall_s, core);
        for (name, value) in more {
            whole[*name] = value.clone();
        }
        println!("{whole}");
        if self.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn table<K: std::fmt::Display>(title: &str, rows: &BTreeMap<K, u64>) {
    let all: u64 = rows.values().sum();
    println!("{title:<38} {all:>5}");
    for (name, times) in rows {
        println!("  {:<36} {times:>5}", name.to_string());
    }
}

fn days(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    format!("{days} d {hours} h {minutes} min")
}
