//! How long the engine alone takes: 500 clusters of three nodes, well, each asked at every probe's own cadence, in virtual time.
//!
//! The observations are the model's (`defib::model`), made while no clock is looked at; what is measured is real: how long it
//! takes to fold one in, how long to judge a cluster again, and how long to find that none is due, which is what most
//! observations come to. A poll that judges is told apart from one that does not before its clock runs. No probe, no socket, no
//! journal. It prints one JSON object, which `defib-bench` reads. Left out: what it takes from the allocator, which
//! `defib-bench-allocations` counts: who counts is slower at just what is timed here.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line's own edge")]

mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use defib_engine::time::Tick;
use serde::Serialize;
use world::{CLUSTERS, WARM_S};

/// Virtual seconds timed; each is a sample.
const MEASURED_S: u64 = 20;

/// What is printed; every list has a value for each virtual second.
#[derive(Default, Serialize)]
struct Measured {
    clusters: usize,
    observations: usize,
    /// Clusters that were judged again.
    judged: usize,
    /// Polls that found none due.
    idle: usize,
    /// Nanoseconds to fold one observation in.
    fold_ns: Vec<f64>,
    /// Nanoseconds to judge one cluster again.
    judge_ns: Vec<f64>,
    /// Nanoseconds of a poll that judges none.
    idle_ns: Vec<f64>,
    /// Percent of a core, all three together.
    share: Vec<f64>,
}

/// How long something took, and how often it was done.
#[derive(Default)]
struct Timed {
    took: Duration,
    times: usize,
}

impl Timed {
    fn note(&mut self, took: Duration, times: usize) {
        self.took += took;
        self.times += times;
    }

    /// None where it was never done: nothing is known then.
    fn each_ns(&self) -> Option<f64> {
        (self.times > 0).then(|| self.took.as_secs_f64() * 1e9 / self.times as f64)
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
    let (mut world, mut fleet) = world::begin()?;
    let mut measured = Measured { clusters: CLUSTERS, ..Measured::default() };
    for second in 1..=WARM_S + MEASURED_S {
        let events = world.until(Tick(0) + Duration::from_secs(second));
        let (mut folding, mut judging, mut idling) = (Timed::default(), Timed::default(), Timed::default());
        for (at, event) in events {
            let now = world::now(at);
            let began = Instant::now();
            fleet.handle(event, now);
            folding.note(began.elapsed(), 1);
            let due = fleet.due(now).count();
            let began = Instant::now();
            world::poll(&mut fleet, now);
            let took = began.elapsed();
            if due > 0 { judging.note(took, due) } else { idling.note(took, 1) }
        }
        if second > WARM_S {
            measured.observations += folding.times;
            measured.judged += judging.times;
            measured.idle += idling.times;
            measured.fold_ns.extend(folding.each_ns());
            measured.judge_ns.extend(judging.each_ns());
            measured.idle_ns.extend(idling.each_ns());
            measured.share.push((folding.took + judging.took + idling.took).as_secs_f64() * 100.0);
        }
    }
    Ok(measured)
}
