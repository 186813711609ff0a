//! What the engine alone takes from the allocator: the same 500 clusters, well, as `defib-bench-engine` times.
//!
//! A program of its own, because it counts what it takes and nobody else should pay for that: the memory that the engine holds,
//! and how often an observation without news allocates. It prints one JSON object, which `defib-bench` reads. Left out: time.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line's own edge")]

mod world;

use std::alloc::System;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use defib_engine::event::Event;
use defib_engine::observation::{ProbeKind, Seen, Target};
use defib_engine::time::Tick;
use serde::Serialize;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use world::WARM_S;

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Virtual seconds in which allocations are counted.
const COUNTED_S: u64 = 20;

/// What is printed.
#[derive(Default, Serialize)]
struct Measured {
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
            eprintln!("defib-bench-allocations: {problems}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<Measured, defib::yaml::Problems> {
    let (mut world, mut fleet) = world::begin()?;
    let (mut measured, mut seen) = (Measured::default(), BTreeMap::new());
    for second in 1..=WARM_S + COUNTED_S {
        for (at, event) in world.until(Tick(0) + Duration::from_secs(second)) {
            let now = world::now(at);
            let same = repeats(&mut seen, &event);
            let counted = Region::new(COUNTED);
            fleet.handle(event, now);
            let due = fleet.wake_at().is_some_and(|wake| wake <= at);
            let news = world::poll(&mut fleet, now);
            let taken = counted.change();
            if second > WARM_S && !news {
                let path = match (due, same) {
                    (true, _) => &mut measured.quiet.judged,
                    (false, true) => &mut measured.quiet.same,
                    (false, false) => &mut measured.quiet.kept,
                };
                path.note(taken.allocations + taken.reallocations);
            }
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
