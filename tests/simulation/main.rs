//! The program's own driver, engine, playbooks and limits against the model, in virtual time, by seed.
//!
//! `SEEDS=n` plays n seeds chosen afresh, besides those that once found something; `SEED=n` plays one and prints its story.
//! A seed gives the cluster, its playbooks (the shipped ones, or some that wait for nothing and require nothing), the mode,
//! the faults, what people do meanwhile, the kills, the jumps of the clock, the journal's moods and whether a second program
//! watches the same cluster; or, one time in five, one trouble alone, which must be over within its bound. After every step
//! the invariants are judged. `WITHOUT=guard` leaves a guard out until some seed finds that it is missing; where nothing is
//! asked for, the program dies over the writes of two plays in turn, recordings are replayed, plays are played twice and tell the
//! same, and every guard is left out in turn. The last line is one JSON object, whatever is asked for.

#![expect(clippy::print_stdout, reason = "the verdict of a test")]

mod chance;
mod company;
mod invariants;
mod play;
mod single;
mod tally;

use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::play::{Crash, Entry, Play, Side, Which};
use chance::Script;
use company::Company;
use defib::daemon::replay;
use defib::journal::recording::Recording;
use defib_engine::check::{GUARDS, Guards};
use defib_engine::settings::Settings;
use defib_engine::time::Tick;
use invariants::{Violation, Watch};
use serde_json::{Value, json};
use tally::Tally;

/// Seeds that find something where a guard is left out, and some that once found something with all of them. A change of what
/// is drawn makes other plays of them: whoever changes it looks for others.
const ONCE_FOUND: [u64; 14] = [
    // authority: a run by itself in mode observe.
    1,
    // quorum: a step though no member has served for long.
    7,
    // budget: a node again within its cooldown.
    8,
    // undisturbed: a machine is started that a person stopped.
    9,
    // one-at-a-time: a run while one of a program that was killed may be under way.
    11,
    // service: the only ready API server is taken down.
    16,
    // two-views: a machine is taken down while all of it works.
    17,
    // Six steps of playbooks that wait for nothing; with fewer kinds of faults to draw from, one for a finding seen no more.
    23,
    // not-isolated: a step while most machines are hidden.
    59,
    // A runtime that hangs: a playbook for its kubelet came first, failed twice, and put the boot off.
    178,
    // fresh: kube-vip is restarted though the virtual address is served, by answers that are too old.
    202,
    // What swallows the holder's answers on our way looks like a lost VIP: kube-vip is restarted on others than the holder.
    1_796_113_342_000_000,
    // A pause counts from the word, not from when the journal answered.
    1_796_116_069_001_110,
    // Pods that only a boot brings back: it waits for its cooldown after the restart that did not help.
    1_796_113_342_000_210,
];
/// These recover (a reboot; a kubelet's restart), and die over each of their writes.
const CRASHED: [u64; 2] = [49, 29];
/// A test run takes one write in so many, which ones is chosen afresh; `SEEDS=n` takes every one.
const CRASHES_EVERY: u64 = 4;
/// What is recorded of these is replayed.
const RECORDED: Range<u64> = 1..9;
/// These are played twice.
const TWICE: [u64; 3] = [1, 7, 49];
/// The second program begins then.
const SECOND_BEGINS_S: u64 = 11;
/// A run of more seeds than these tells how far it is.
const TOLD_EVERY: u64 = 250;
/// So many are played where nothing else is asked for.
const SEEDS: u64 = 300;
/// Every guard, with the seed from which to look for one that misses it: so the test is short.
const MISSED_WHEN_LEFT_OUT: [(&str, u64); 9] = [
    ("fresh", 202),
    ("not-isolated", 59),
    ("undisturbed", 9),
    ("quorum", 7),
    ("service", 16),
    ("two-views", 17),
    ("one-at-a-time", 11),
    ("budget", 8),
    ("authority", 1),
];
/// A guard that is left out is found to be missing within so many seeds.
const LEFT_OUT_WITHIN: u64 = 2_000;

/// How many plays go on at once.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn main() -> ExitCode {
    let began = Instant::now();
    let without = std::env::var("WITHOUT").ok();
    let guards = match without.as_deref().map(|name| (name, Guards::all_but(name))) {
        None => Guards::default(),
        Some((_, Some(guards))) => guards,
        Some((name, None)) => {
            println!("there is no guard {name}; there are {}", names().join(", "));
            return ExitCode::FAILURE;
        }
    };
    if let Some(seed) = number("SEED") {
        let mut tally = Tally::default();
        play(seed, guards, &mut tally, true);
        return tally.report(began.elapsed(), &[]);
    }
    let count = number("SEEDS");
    if let Some(name) = &without {
        let (first, tally) = first_violation(guards, 1, count.unwrap_or(LEFT_OUT_WITHIN));
        let wall = began.elapsed();
        let caught = told(name, first.as_ref());
        // What is missing is meant to be found: it is no verdict on the plays.
        tally.report(wall, &[("without", json!(name)), ("caught_by", json!(caught))]);
        return if caught.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let began_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let fresh = began_s * 1_000_000;
    let fresh = fresh..fresh + count.unwrap_or(SEEDS);
    println!(
        "{} seeds from {}, and {} that once found something",
        fresh.end - fresh.start,
        fresh.start,
        ONCE_FOUND.len()
    );
    let first = fresh.start;
    let tally = many(&ONCE_FOUND, fresh, guards);
    let wall = began.elapsed();
    let every = if count.is_some() { 1 } else { CRASHES_EVERY };
    let survives = CRASHED.into_iter().all(|seed| any_write_may_be_the_last(seed, began_s, every));
    let same = recordings_tell_the_same() && TWICE.into_iter().chain([first]).all(tells_the_same_twice);
    let left_out = count.is_none() && tally.is_well();
    let missed: Vec<_> = MISSED_WHEN_LEFT_OUT.into_iter().filter(|_| left_out).map(missed_when_left_out).collect();
    let caught = names().iter().all(|name| MISSED_WHEN_LEFT_OUT.iter().any(|(known, _)| known == name))
        && missed.iter().all(|(_, seed)| seed.is_some());
    let missed: serde_json::Map<String, Value> =
        missed.into_iter().map(|(name, seed)| (name.to_owned(), json!(seed))).collect();
    let verdict = tally.report(wall, &[("left_out_caught_by", Value::Object(missed))]);
    if survives && same && caught { verdict } else { ExitCode::FAILURE }
}

/// Whose absence is looked for from a seed on, and the seed that finds it.
fn missed_when_left_out((name, from): (&'static str, u64)) -> (&'static str, Option<u64>) {
    let first = Guards::all_but(name).and_then(|guards| first_violation(guards, from, LEFT_OUT_WITHIN).0);
    (name, told(name, first.as_ref()))
}

/// A seed that is played twice happens twice, word by word.
fn tells_the_same_twice(seed: u64) -> bool {
    let trace = || {
        let mut tally = Tally { trace: Some(Vec::new()), ..Tally::default() };
        play(seed, Guards::default(), &mut tally, false);
        tally.trace.unwrap_or_default()
    };
    let (once, again) = std::thread::scope(|scope| {
        let other = scope.spawn(trace);
        (trace(), other.join().unwrap_or_default())
    });
    let differs = once.iter().zip(&again).find(|(one, other)| one != other);
    let same = differs.is_none() && once.len() == again.len() && !once.is_empty();
    if same {
        println!("SEED={seed} played twice: the same {} entries", once.len());
    } else {
        println!("NOT THE SAME TWICE: SEED={seed}, {} and {} entries: {differs:?}", once.len(), again.len());
    }
    same
}

fn names() -> Vec<&'static str> {
    GUARDS.iter().map(|guard| guard.name).collect()
}

/// Plays the seeds on every core; what is found is told in the order of the seeds, and besides as soon as it is found where
/// they are many.
fn many(found: &[u64], fresh: Range<u64>, guards: Guards) -> Tally {
    let (began, all) = (Instant::now(), found.len() as u64 + (fresh.end - fresh.start));
    let (played, wrongs) = (AtomicU64::new(0), AtomicU64::new(0));
    on_every_core(found.iter().copied().chain(fresh), |seed, tally| {
        let before = tally.violations.len() + tally.unrepaired.len();
        play(seed, guards, tally, false);
        let wrong = tally.violations.len() + tally.unrepaired.len() > before;
        let wrongs = wrongs.fetch_add(u64::from(wrong), Ordering::Relaxed) + u64::from(wrong);
        let played = played.fetch_add(1, Ordering::Relaxed) + 1;
        if all > TOLD_EVERY && (wrong || played.is_multiple_of(TOLD_EVERY)) {
            let what = if wrong { format!(", SEED={seed} now") } else { String::new() };
            println!("  {played} of {all} seeds in {} s; wrong: {wrongs}{what}", began.elapsed().as_secs());
        }
    })
}

/// Plays each of these on whichever core is free.
fn on_every_core<T>(left: impl Iterator<Item = T> + Send, play: impl Fn(T, &mut Tally) + Sync) -> Tally {
    let left = Mutex::new(left);
    let whole = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..cores() {
            scope.spawn(|| {
                let next = || left.lock().ok().and_then(|mut left| left.next());
                let mut tally = Tally::default();
                while let Some(one) = next() {
                    play(one, &mut tally);
                }
                if let Ok(mut whole) = whole.lock() {
                    whole.add(tally);
                }
            });
        }
    });
    whole.into_inner().unwrap_or_default()
}

/// The first violation of seeds that are the same in every run, played eight at a time, and what came of all that were.
fn first_violation(guards: Guards, from: u64, within: u64) -> (Option<(u64, Violation)>, Tally) {
    let mut whole = Tally::default();
    for first in (from..=within).step_by(8) {
        whole.add(many(&[], first..(first + 8).min(within + 1), guards));
        if let Some((seed, _, violation)) = whole.violations.first() {
            return (Some((*seed, violation.clone())), whole);
        }
    }
    (None, whole)
}

/// Says what was found without this guard; the seed, where it is found without it alone.
fn told(name: &str, first: Option<&(u64, Violation)>) -> Option<u64> {
    let Some((seed, (invariant, text))) = first else {
        println!("NOT CAUGHT: without {name} no seed violates anything");
        return None;
    };
    let whole = many(&[*seed], 0..0, Guards::default());
    if !whole.violations.is_empty() {
        println!("NOT CAUGHT: SEED={seed} violates {invariant} with every guard, too: {text}");
        return None;
    }
    println!("without {name}: SEED={seed} violates {invariant}: {text}");
    Some(*seed)
}

/// Plays one seed to its end.
fn play(seed: u64, guards: Guards, tally: &mut Tally, aloud: bool) {
    play_recorded(seed, guards, tally, aloud, None);
}

/// Every recording of these seeds, led through a fresh engine, tells the same: action by action where it begins in the
/// middle, row by row where it begins with the program.
fn recordings_tell_the_same() -> bool {
    let (mut files, mut middle, mut rows, mut actions, mut same) = (0, 0, 0, 0, true);
    for seed in RECORDED {
        let Ok(folder) = tempfile::tempdir() else { return false };
        play_recorded(seed, Guards::default(), &mut Tally::default(), false, Some(folder.path()));
        let entries = std::fs::read_dir(folder.path()).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            let replayed = Recording::read(&path).map_err(|error| error.to_string()).and_then(|recording| {
                let texts: Vec<_> = recording.header.playbooks.iter().map(|(name, text)| (&**name, &**text)).collect();
                let playbooks =
                    defib::playbook::load_recorded(&texts, None).map_err(|problems| problems.to_string())?;
                let settings = replay::settings(&recording.header, playbooks);
                let played = replay::play(&recording, &settings, &settings);
                Ok((recording.header.from_start, played))
            });
            match replayed {
                Ok((from_start, played))
                    if played.differs.is_none() && !(from_start && played.row_differs.is_some()) =>
                {
                    (files, middle) = (files + 1, middle + usize::from(!from_start));
                    (rows, actions) = (rows + played.rows, actions + played.same.len());
                }
                other => {
                    println!("NOT REPLAYED: SEED={seed} {}: {other:?}", path.display());
                    same = false;
                }
            }
        }
    }
    println!("{files} recordings replayed, {middle} from the middle: {actions} actions and {rows} rows are the same");
    same && actions > 0 && middle > 0
}

fn play_recorded(seed: u64, guards: Guards, tally: &mut Tally, aloud: bool, recordings: Option<&Path>) {
    play_crashing(seed, guards, tally, aloud, recordings, None);
}

/// Plays one seed to its end, with a crash beside its own; how often the program wrote.
fn play_crashing(
    seed: u64,
    guards: Guards,
    tally: &mut Tally,
    aloud: bool,
    recordings: Option<&Path>,
    crash: Option<Crash>,
) -> u64 {
    let script = Script::of(seed);
    if aloud {
        println!("{script}");
    }
    let settings = Settings { guards, ..script.settings() };
    let mut play = Play::new(settings.clone(), script.model(), seed);
    play.recordings = recordings.map(Path::to_owned);
    play.crash = crash;
    let second = script.second.map(|mode| Settings { mode, ..settings.clone() });
    let settings: Vec<_> = std::iter::once(settings).chain(second).collect();
    let second = settings.get(1).map(|settings| Play::new(settings.clone(), script.model(), !seed));
    let mut company = Company::new(play, second);
    let mut watches: Vec<_> = settings.iter().map(|_| Watch::default()).collect();
    let mut next = 0;
    let mut over_since_s = None;
    for second in 0..=script.lasts_s {
        let model = company.model();
        let over = script.single.as_ref().map_or_else(|| model.is_well(), |single| single.is_over(model));
        over_since_s = over.then(|| over_since_s.unwrap_or(second));
        let end = Tick(second * 1_000);
        while let Some((_, cue)) = script.cues.get(next).filter(|(at, _)| *at <= end) {
            if aloud {
                println!("{:>7.1}s * {cue}", company.now().0 as f64 / 1_000.0);
            }
            cue.give(company.of(0), &mut tally.faults);
            next += 1;
        }
        if settings.len() > 1 && second == SECOND_BEGINS_S {
            company.of(1).begin();
        }
        loop {
            let more = company.turn(end);
            for (number, watch) in watches.iter_mut().enumerate() {
                for (at, entry) in company.take_story(number) {
                    if aloud {
                        tell(number, at, &entry);
                    }
                    tally.count(number, at, &entry);
                    let found = watch.judge(&entry, &settings[number], at);
                    let together = company.judge(number, &entry, at, &settings[number]);
                    tally.violations.extend(found.into_iter().chain(together).map(|violation| (seed, at, violation)));
                }
            }
            let now = company.now();
            watches.iter_mut().for_each(|watch| watch.look(company.model(), now));
            if !more {
                break;
            }
        }
    }
    if !company.model().is_well() {
        tally.unrepaired.push((seed, format!("not well {} s after the last fault was mended", script.calm_s)));
    } else if let Some(status) = company.of(0).status().filter(|status| !status.incidents.is_empty()) {
        let left: Vec<_> = status.findings.iter().map(|finding| finding.key.to_string()).collect();
        tally.unrepaired.push((seed, format!("all is well, and still open: {}", left.join(", "))));
    }
    if let Some(single) = &script.single {
        let from_s = single.counts_from_s();
        let over_s = over_since_s.map(|over_s: u64| over_s.saturating_sub(from_s));
        if !tally.repaired(single, over_s) {
            let took = over_s.map_or_else(|| "never".to_owned(), |over_s| format!("after {over_s} s"));
            let text = format!("{}: over {took}, and {} s are allowed", single.name, single.bound_s);
            tally.violations.push((seed, Tick(script.lasts_s * 1_000), ("repaired", text)));
        }
    }
    tally.seeds += 1;
    tally.virtual_s += script.lasts_s;
    company.of(0).writes
}

/// The program dies over the writes of a play in turn, before it is on the paper and after: over one in so many, from one of
/// the first that `fresh` chooses.
fn any_write_may_be_the_last(seed: u64, fresh: u64, every: u64) -> bool {
    let play = |crash, tally: &mut Tally| play_crashing(seed, Guards::default(), tally, false, None, crash);
    let mut alone = Tally::default();
    let writes = play(None, &mut alone);
    let from = fresh % every;
    let crashes =
        (from..writes).step_by(every as usize).flat_map(|write| [Side::Before, Side::After].map(|side| (write, side)));
    let whole = on_every_core(crashes, |(write, side), tally| {
        let mut own = Tally::default();
        play(Some(Crash::Write(Which::Any(write), side)), &mut own);
        let found = own.violations.iter().map(|(_, at, (name, text))| format!("{name} at {} ms: {text}", at.0));
        for text in found.chain(own.unrepaired.iter().map(|(_, text)| text.clone())) {
            println!("SEED={seed}, killed {side:?} write {write}: {text}");
        }
        tally.add(own);
    });
    println!(
        "SEED={seed}: killed {} times, at one in {every} of {writes} writes from {from}; {:?}",
        whole.kills, whole.actions
    );
    let killed = whole.kills > 0 && whole.kills >= writes / CRASHES_EVERY * 2;
    let acted = !alone.actions.is_empty() && alone.actions.keys().all(|one| whole.actions.contains_key(one));
    killed && acted && whole.violations.is_empty() && whole.unrepaired.is_empty()
}

/// What one of the programs did.
fn tell(number: usize, at: Tick, entry: &Entry) {
    if number > 0 {
        print!("[{number}]");
    }
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
        Entry::Paused(until) => println!("{at:>7.1}s   a person's pause: {until:?}"),
        Entry::Killed => println!("{at:>7.1}s ! killed"),
        Entry::Began => println!("{at:>7.1}s ! began"),
    }
}
