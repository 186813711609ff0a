//! What the engine alone costs: 500 clusters of three nodes, well, each asked at every probe's own cadence, in virtual time.
//!
//! A program of its own, because it counts what it takes from the allocator and nobody else should pay for that. The
//! observations are the model's (`defib::model`), made while no clock is looked at; what is measured is real: how long it
//! takes to fold one in and to judge its cluster again, the memory that the engine holds, and how often an
//! observation without news allocates. No probe, no socket, no journal. It prints one JSON object, which `defib-bench` reads.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line's own edge")]

mod world;

use std::alloc::System;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use defib_engine::event::{Event, Saved};
use defib_engine::fleet::Fleet;
use defib_engine::observation::{ProbeKind, Seen, Target};
use defib_engine::time::{Now, Tick};
use serde::Serialize;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use world::World;

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Design §16 counts so many.
const CLUSTERS: usize = 500;
/// Virtual time until windows and latches have what they need.
const WARM_S: u64 = 60;
/// Virtual seconds in which allocations are counted: before the clock is looked at, for telling what was seen before takes time
/// and a processor's cache.
const COUNTED_S: u64 = 20;
/// Virtual seconds timed; each is a sample.
const MEASURED_S: u64 = 20;

/// What is printed; every list has a value for each virtual second.
#[derive(Default, Serialize)]
struct Measured {
    clusters: usize,
    observations: usize,
    /// Nanoseconds to fold one observation in.
    fold_ns: Vec<f64>,
    /// Microseconds to judge its cluster again.
    judge_us: Vec<f64>,
    /// Percent of a core.
    share: Vec<f64>,
    /// Bytes that the engine holds at the end.
    heap_bytes: usize,
    /// Observations after which the engine had nothing to say.
    quiet: Quiet,
}

/// What became of an observation without news: the same was seen before, or other figures are kept, or its cluster was due
/// to be judged, which happens once a second whatever is seen.
#[derive(Default, Serialize)]
struct Quiet {
    same: Allocating,
    kept: Allocating,
    judged: Allocating,
}

/// How many there were, how many took anything from the allocator, and how often they did.
#[derive(Default, Serialize)]
struct Allocating {
    observations: usize,
    that_allocate: usize,
    allocations: usize,
}

impl Allocating {
    fn note(&mut self, allocations: usize) {
        self.observations += 1;
        self.that_allocate += usize::from(allocations > 0);
        self.allocations += allocations;
    }
}

fn main() -> ExitCode {
    match measure() {
        Ok(measured) => {
            println!("{}", serde_json::to_string(&measured).unwrap_or_default());
            ExitCode::SUCCESS
        }
        Err(problems) => {
            eprintln!("defib-bench-engine: {problems}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<Measured, defib::yaml::Problems> {
    let settings = world::settings(CLUSTERS, defib::playbook::load(defib::playbook::SHIPPED, None)?);
    let mut world = World::of(&settings);
    let mut fleet = Fleet::restore(&settings, &Saved::default(), world::now(Tick(0)));
    let (mut measured, mut seen) = (Measured { clusters: CLUSTERS, ..Measured::default() }, BTreeMap::new());
    for second in 1..=WARM_S + COUNTED_S + MEASURED_S {
        let events = world.until(Tick(0) + Duration::from_secs(second));
        let (mut folding, mut judging, count) = (Duration::ZERO, Duration::ZERO, events.len());
        for (at, event) in events {
            let now = world::now(at);
            if second <= WARM_S + COUNTED_S {
                let same = repeats(&mut seen, &event);
                let counted = Region::new(COUNTED);
                fleet.handle(event, now);
                let due = fleet.wake_at().is_some_and(|wake| wake <= at);
                let news = poll(&mut fleet, now);
                if second > WARM_S && !news {
                    let taken = counted.change();
                    let path = match (due, same) {
                        (true, _) => &mut measured.quiet.judged,
                        (false, true) => &mut measured.quiet.same,
                        (false, false) => &mut measured.quiet.kept,
                    };
                    path.note(taken.allocations + taken.reallocations);
                }
                continue;
            }
            let began = Instant::now();
            fleet.handle(event, now);
            folding += began.elapsed();
            let began = Instant::now();
            poll(&mut fleet, now);
            judging += began.elapsed();
        }
        if second > WARM_S + COUNTED_S {
            measured.observations += count;
            measured.fold_ns.push(folding.as_secs_f64() * 1e9 / count.max(1) as f64);
            measured.judge_us.push(judging.as_secs_f64() * 1e6 / count.max(1) as f64);
            measured.share.push((folding + judging).as_secs_f64() * 100.0);
        }
    }
    // What it held is what its end gives back.
    let end = Region::new(COUNTED);
    drop(fleet);
    measured.heap_bytes = end.change().bytes_deallocated;
    Ok(measured)
}

/// Whether an observation shows what the one before it showed.
fn repeats(seen: &mut BTreeMap<(Target, ProbeKind), Seen>, event: &Event) -> bool {
    let Event::Observed(observation) = event else { return false };
    let before = seen.insert((observation.target.clone(), observation.kind), observation.seen.clone());
    before.is_some_and(|before| before == observation.seen)
}

/// Polls until the engine has nothing more to say; whether it said anything.
fn poll(fleet: &mut Fleet, now: Now) -> bool {
    let mut news = false;
    while let Some(ready) = fleet.poll(now) {
        news = true;
        if let Some(batch) = ready.batch {
            let stored = Event::Stored { cluster: batch.cluster, batch: batch.id, result: Ok(()) };
            fleet.handle(stored, now);
        }
    }
    news
}
