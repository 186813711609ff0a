//! Bad input of every kind, in every test run: good input, mutated by a seed that is printed, and everything that was ever found.
//!
//! `SEED=n` plays one seed again; `ROUNDS=n` goes on for longer; `CORPUS=DIR` writes the good input down, for `make fuzz` to begin with. What is in
//! `tests/bad_input/found` is handed in as it is.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by panicking")]
#![expect(clippy::print_stderr, reason = "the seed is said")]

#[path = "bad_input/good.rs"]
mod good;
#[path = "scenarios/play.rs"]
mod scenarios;
#[path = "bad_input/targets.rs"]
mod targets;

use std::alloc::System;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use defib::model::lottery::Lottery;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use targets::TARGETS;

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What is counted is the whole process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// So many mutations of each kind of input are handed in.
const ROUNDS: u64 = 150;
/// And each is so long at most.
const BYTES_MAX: usize = 64 * 1024;

/// A reader of an input takes from the allocator, all in all, so many times the input's length at most: 36 times was the most that
/// was seen, for rows that are written into a journal ten times each.
const TAKEN_FACTOR_MAX: usize = 48;
/// And so much whatever its length: buffers, and what was read before the input.
const TAKEN_BYTES_MAX: usize = 1024 * 1024;

/// What parsers stumble over.
const TOKENS: [&str; 24] = [
    "\0",
    "\u{1b}[2J",
    "\u{feff}",
    "\r",
    "\t",
    "\u{2028}",
    "---\n",
    "&a *a",
    "*a",
    "!!binary ",
    "{{{{",
    "[[[[",
    "'",
    "\"",
    ": ",
    "- ",
    "#",
    "-1",
    "18446744073709551616",
    "1e999",
    "NaN",
    "null",
    "99999999999d",
    "\\u0000",
];

fn found(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_input/found").join(name);
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| std::fs::read(entry.path()).unwrap()).collect()
}

fn mutated(lottery: &mut Lottery, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = lottery.pick(seeds).cloned().unwrap_or_default();
    for _ in 0..lottery.between(1, 6) {
        let mut place = |length: usize| usize::try_from(lottery.between(0, length as u64)).unwrap();
        let (from, to) = (place(bytes.len()), place(bytes.len()));
        let (from, to) = (from.min(to), from.max(to).min(from.min(to) + 64));
        match lottery.between(0, 5) {
            0 => drop(bytes.drain(from..to)),
            1 => {
                let piece = bytes[from..to].to_vec();
                bytes.splice(from..from, piece);
            }
            2 => {
                let token = lottery.pick(&TOKENS).copied().unwrap_or_default();
                bytes.splice(from..from, token.bytes());
            }
            3 => {
                if let Some(byte) = bytes.get_mut(from) {
                    *byte ^= 1 << lottery.between(0, 7);
                }
            }
            4 => {
                let other = lottery.pick(seeds).cloned().unwrap_or_default();
                let cut = usize::try_from(lottery.between(0, other.len() as u64)).unwrap();
                bytes.splice(from..to, other[cut..].iter().copied().take(256));
            }
            _ => {
                let token = lottery.pick(&TOKENS).copied().unwrap_or_default();
                bytes.splice(from..to, token.repeat(40).bytes());
            }
        }
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn tried(name: &str, target: fn(&[u8]), bytes: &[u8], what: &str) {
    if std::panic::catch_unwind(|| target(bytes)).is_err() {
        let file = std::env::temp_dir().join(format!("defib-bad-input-{name}"));
        std::fs::write(&file, bytes).unwrap();
        panic!("{name}, {what}: keep {} in tests/bad_input/found/{name}", file.display());
    }
}

#[test]
fn no_input_makes_it_panic_and_every_mistake_has_its_place() {
    let _alone = alone();
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (seed, rounds) = (number("SEED").unwrap_or(since), number("ROUNDS").unwrap_or(ROUNDS));
    eprintln!("SEED={seed}");
    for (name, target) in TARGETS {
        let seeds = good::input(name);
        if let Some(folder) = std::env::var_os("CORPUS") {
            let folder = Path::new(&folder).join(name);
            std::fs::create_dir_all(&folder).unwrap();
            for (number, bytes) in seeds.iter().enumerate() {
                std::fs::write(folder.join(number.to_string()), bytes).unwrap();
            }
        }
        seeds.iter().for_each(|bytes| tried(name, target, bytes, "as it is"));
        found(name).iter().for_each(|bytes| tried(name, target, bytes, "found before"));
        let mut lottery = Lottery::new(seed);
        for round in 0..rounds {
            let bytes = mutated(&mut lottery, &seeds);
            tried(name, target, &bytes, &format!("SEED={seed}, round {round}"));
        }
    }
}

/// Everything that was asked of the allocator while one input was read, given back meanwhile or not: no more was ever held at once.
/// What SQLite takes for itself is not in it: it does not ask this allocator.
fn taken(name: &str, target: fn(&[u8]), bytes: &[u8], what: &str) -> usize {
    let before = Region::new(COUNTED);
    tried(name, target, bytes, what);
    before.change().bytes_allocated
}

#[test]
fn nothing_grows_without_bound() {
    let _alone = alone();
    let long = [b'a', b'\n', 0, 0xff].map(|byte| vec![byte; 2 * 1024 * 1024]);
    let deep = ["[", "{", "- ", "? ", "{a: ", "{\"a\":", "a:\n ", "\"", "&a *a "]
        .map(|open| open.repeat(100_000).into_bytes());
    for (name, target) in TARGETS {
        // What is made once is not this input's.
        target(b"");
        for (number, bytes) in long.iter().chain(&deep).enumerate() {
            let taken = taken(name, target, bytes, &format!("long input {number}"));
            let most = TAKEN_FACTOR_MAX * bytes.len() + TAKEN_BYTES_MAX;
            assert!(taken <= most, "{name}, long input {number}: {} bytes took {taken}, more than {most}", bytes.len());
        }
    }
}

#[test]
fn what_is_taken_is_counted() {
    let _alone = alone();
    let hoards: fn(&[u8]) = |bytes| drop(bytes.to_vec());
    let taken = taken("hoards", hoards, &[0; 4096], "as it is");
    assert!((4096..8192).contains(&taken), "{taken}");
}
