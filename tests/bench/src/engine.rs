//! The engine alone, as `defib-bench-engine` beside this program measures it.

use serde::Deserialize;

use crate::figure::{Figure, Goal};
use crate::trouble::Trouble;

/// The program that measures; one of its own, for it counts allocations.
const PROGRAM: &str = "defib-bench-engine";

/// What it prints.
#[derive(Deserialize)]
struct Measured {
    clusters: usize,
    observations: usize,
    fold_ns: Vec<f64>,
    judge_us: Vec<f64>,
    share: Vec<f64>,
    heap_bytes: usize,
    polls: usize,
    allocations: usize,
    polls_that_allocate: usize,
}

/// Runs it, for about twenty seconds of a core at most.
pub(crate) fn measure(say: fn(&str)) -> Result<Vec<Figure>, Trouble> {
    say("lets the engine judge 500 modelled clusters");
    let program = std::env::current_exe().map_err(Trouble::file("/proc/self/exe"))?.with_file_name(PROGRAM);
    let output = std::process::Command::new(&program).stderr(std::process::Stdio::inherit()).output();
    let output = output.map_err(Trouble::file(&program))?;
    if !output.status.success() {
        return Err(Trouble::Program { program: PROGRAM.to_owned(), how: "failed".to_owned() });
    }
    let measured: Measured = serde_json::from_slice(&output.stdout)
        .map_err(|source| Trouble::Printed { what: PROGRAM.to_owned(), source })?;
    let Measured { clusters, observations, polls, allocations, polls_that_allocate, .. } = measured;
    let quiet = vec![allocations as f64 / polls.max(1) as f64];
    Ok(vec![
        Figure::of("engine: an observation folded in", "ns", measured.fold_ns, None)
            .noted(format!("{observations} observations; means of a virtual second")),
        Figure::of("engine: its cluster judged again", "us", measured.judge_us, None)
            .noted("means of a virtual second"),
        Figure::of(format!("engine: {clusters} clusters"), "% of a core", measured.share, Some(Goal::Median(10.0))),
        Figure::of(
            format!("engine: {clusters} clusters, heap"),
            "MB",
            vec![measured.heap_bytes as f64 / 1e6],
            Some(Goal::Median(64.0)),
        ),
        Figure::of("engine: allocations of a poll without news", "", quiet, Some(Goal::Median(0.0)))
            .noted(format!("{polls_that_allocate} of {polls} such polls took memory")),
    ])
}
