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
    quiet: Quiet,
}

/// Observations without news: the same was seen before, other figures are kept, their cluster was due to be judged.
#[derive(Deserialize)]
struct Quiet {
    same: Allocating,
    kept: Allocating,
    judged: Allocating,
}

#[derive(Deserialize)]
struct Allocating {
    observations: usize,
    that_allocate: usize,
    allocations: usize,
}

impl Allocating {
    fn figure(&self, name: &str, goal: Option<Goal>) -> Figure {
        let percent = 100.0 * self.that_allocate as f64 / self.observations.max(1) as f64;
        let each = self.allocations as f64 / self.that_allocate.max(1) as f64;
        Figure::of(name, "%", vec![percent], goal)
            .noted(format!("{} of {}; each of those {each:.0} times", self.that_allocate, self.observations))
    }
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
    let Measured { clusters, observations, quiet, .. } = measured;
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
        quiet.same.figure("engine: seen again, the same: that allocate", Some(Goal::Median(0.0))),
        quiet.kept.figure("engine: seen again, with figures to keep: that allocate", None),
        quiet.judged.figure("engine: seen when the cluster is judged again: that allocate", None),
    ])
}
