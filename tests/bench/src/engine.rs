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
    quiet: usize,
    quiet_that_allocate: usize,
    quiet_allocations: usize,
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
    let Measured { clusters, observations, quiet, quiet_that_allocate, quiet_allocations, .. } = measured;
    let allocate = vec![100.0 * quiet_that_allocate as f64 / quiet.max(1) as f64];
    let each = quiet_allocations as f64 / quiet_that_allocate.max(1) as f64;
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
        Figure::of("engine: observations without news that allocate", "%", allocate, None).noted(format!(
            "of {quiet}; each of those {each:.0} times: a cluster judged after a second, a window kept"
        )),
    ])
}
