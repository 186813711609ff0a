//! The engine alone, as `defib-bench-engine` and `defib-bench-allocations` beside this program measure it.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::figure::{Figure, Goal};
use crate::trouble::Trouble;

/// The program that looks at the clock.
const TIMES: &str = "defib-bench-engine";
/// The program that counts allocations; one of its own, for counting takes time.
const COUNTS: &str = "defib-bench-allocations";

/// What the first prints.
#[derive(Deserialize)]
struct Timed {
    clusters: usize,
    observations: usize,
    judged: usize,
    idle: usize,
    fold_ns: Vec<f64>,
    judge_ns: Vec<f64>,
    idle_ns: Vec<f64>,
    share: Vec<f64>,
}

/// What the second prints.
#[derive(Deserialize)]
struct Counted {
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

/// Runs both, one after the other, for about twenty seconds of a core each at most.
pub(crate) fn measure(say: fn(&str)) -> Result<Vec<Figure>, Trouble> {
    say("lets the engine judge 500 modelled clusters");
    let Timed { clusters, observations, judged, idle, fold_ns, judge_ns, idle_ns, share } = printed(TIMES)?;
    say("counts what that takes from the allocator");
    let Counted { heap_bytes, quiet } = printed(COUNTS)?;
    let means = "means of a virtual second";
    Ok(vec![
        Figure::of("engine: an observation folded in", "ns", fold_ns, None)
            .noted(format!("{observations} observations; {means}")),
        Figure::of("engine: a cluster judged again", "ns", judge_ns, None).noted(format!("{judged} times; {means}")),
        Figure::of("engine: a poll with no cluster due", "ns", idle_ns, None).noted(format!("{idle} polls; {means}")),
        Figure::of(format!("engine: {clusters} clusters"), "% of a core", share, Some(Goal::Median(10.0))),
        Figure::of(
            format!("engine: {clusters} clusters, heap"),
            "MB",
            vec![heap_bytes as f64 / 1e6],
            Some(Goal::Median(64.0)),
        ),
        quiet.same.figure("engine: seen again, the same: that allocate", Some(Goal::Median(0.0))),
        quiet.kept.figure("engine: seen again, with figures to keep: that allocate", None),
        quiet.judged.figure("engine: seen when the cluster is judged again: that allocate", None),
    ])
}

/// Runs a program that lies beside this one, and reads what it prints.
fn printed<T: DeserializeOwned>(name: &str) -> Result<T, Trouble> {
    let program = std::env::current_exe().map_err(Trouble::file("/proc/self/exe"))?.with_file_name(name);
    let output = std::process::Command::new(&program).stderr(std::process::Stdio::inherit()).output();
    let output = output.map_err(Trouble::file(&program))?;
    if !output.status.success() {
        return Err(Trouble::Program { program: name.to_owned(), how: "failed".to_owned() });
    }
    serde_json::from_slice(&output.stdout).map_err(|source| Trouble::Printed { what: name.to_owned(), source })
}
