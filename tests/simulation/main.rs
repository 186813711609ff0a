//! The program's own driver, engine, playbooks and limits against the model, in virtual time, by seed.
//!
//! `SEEDS=n` plays n seeds chosen afresh, besides those that once found something; `SEED=n` plays one and prints its story.
//! A seed gives the cluster, its faults, the kills, the jumps of the clock and the journal's moods. After every step the
//! invariants are judged. The last line is one JSON object.

#![expect(clippy::print_stdout, reason = "the verdict of a test")]

mod chance;
mod invariants;
mod play;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::play::{Entry, Play};
use chance::Script;
use defib_engine::playbook::ActionClass;
use defib_engine::time::Tick;
use invariants::{Violation, Watch};

/// Seeds that once found something, and one that recovers.
const ONCE_FOUND: [u64; 1] = [1];
/// So many are played where nothing else is asked for.
const SEEDS: u64 = 25;

#[derive(Default)]
struct Tally {
    seeds: u64,
    virtual_s: u64,
    violations: Vec<(u64, Tick, Violation)>,
    unrepaired: Vec<(u64, String)>,
    faults: BTreeMap<&'static str, u64>,
    actions: BTreeMap<String, u64>,
    kills: u64,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn main() -> ExitCode {
    let began = Instant::now();
    let mut tally = Tally::default();
    if let Some(seed) = number("SEED") {
        play(seed, &mut tally, true);
    } else {
        let fresh = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()) * 1_000_000;
        let count = number("SEEDS").unwrap_or(SEEDS);
        println!("{count} seeds from {fresh}, and {} that once found something", ONCE_FOUND.len());
        for seed in ONCE_FOUND.into_iter().chain(fresh..fresh + count) {
            play(seed, &mut tally, false);
        }
    }
    report(&tally, began)
}

/// Plays one seed to its end.
fn play(seed: u64, tally: &mut Tally, aloud: bool) {
    let script = Script::of(seed);
    if aloud {
        println!("{script}");
    }
    let settings = script.settings();
    let mut play = Play::new(settings.clone(), script.model(), seed);
    let mut watch = Watch::default();
    let (mut told, mut next) = (0, 0);
    for second in 0..=script.lasts_s {
        let end = Tick(second * 1_000);
        while let Some((_, cue)) = script.cues.get(next).filter(|(at, _)| *at <= end) {
            if aloud {
                println!("{:>7.1}s * {cue}", play.now().mono.0 as f64 / 1_000.0);
            }
            cue.give(&mut play, &mut tally.faults);
            next += 1;
        }
        loop {
            let more = play.turn(end);
            let now = play.now().mono;
            watch.look(&play.world.model, now);
            for (at, entry) in &play.story[told..] {
                if aloud {
                    tell(*at, entry);
                }
                match entry {
                    Entry::Started(deed) if deed.action.class() > ActionClass::Harmless => {
                        *tally.actions.entry(deed.action.to_string()).or_default() += 1;
                    }
                    Entry::Killed => tally.kills += 1,
                    _ => {}
                }
                for violation in watch.judge(entry, &play.world.model, &settings, *at) {
                    tally.violations.push((seed, *at, violation));
                }
            }
            told = play.story.len();
            if !more {
                break;
            }
        }
    }
    if !play.world.model.is_well() {
        tally.unrepaired.push((seed, format!("not well {} s after the last fault was mended", script.calm_s)));
    } else if let Some(status) = play.status().filter(|status| !status.incidents.is_empty()) {
        let left: Vec<_> = status.findings.iter().map(|finding| finding.key.to_string()).collect();
        tally.unrepaired.push((seed, format!("all is well, and still open: {}", left.join(", "))));
    }
    tally.seeds += 1;
    tally.virtual_s += script.lasts_s;
}

fn tell(at: Tick, entry: &Entry) {
    let at = at.0 as f64 / 1_000.0;
    match entry {
        Entry::Wrote(batch) => {
            for record in &batch.records {
                println!("{at:>7.1}s   {record:?}");
            }
            for intent in &batch.intents {
                println!("{at:>7.1}s   intent {} on {}", intent.step, intent.node);
            }
        }
        Entry::Started(deed) => println!("{at:>7.1}s > {} on {}", deed.action, deed.node),
        Entry::Routed(route) => println!("{at:>7.1}s   {route:?}"),
        Entry::Killed => println!("{at:>7.1}s ! killed"),
        Entry::Began => println!("{at:>7.1}s ! began"),
    }
}

fn report(tally: &Tally, began: Instant) -> ExitCode {
    let wall_s = began.elapsed().as_secs_f64();
    for (seed, at, (name, text)) in tally.violations.iter().take(20) {
        println!("VIOLATION {name}: SEED={seed} at {:.1}s: {text}", at.0 as f64 / 1_000.0);
    }
    for (seed, text) in tally.unrepaired.iter().take(20) {
        println!("UNREPAIRED SEED={seed}: {text}");
    }
    println!("{:.0} x real time, killed {} times", tally.virtual_s as f64 / wall_s.max(0.001), tally.kills);
    println!(
        "{}",
        serde_json::json!({
            "seeds": tally.seeds, "virtual_s": tally.virtual_s, "wall_s": wall_s,
            "violations": tally.violations.len(), "unrepaired": tally.unrepaired.len(),
            "faults": tally.faults, "actions": tally.actions,
        })
    );
    if tally.violations.is_empty() && tally.unrepaired.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
