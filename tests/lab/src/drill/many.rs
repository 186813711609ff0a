//! One drill many times, with defib and without: a line for each run as it ends, and a summary of them all.
//!
//! The runs share one lab, healed between them. A run passes when its verdict is `ok`, nothing was violated, and exactly
//! one thing was done (nothing, without defib); one that has no verdict does not pass, and the next one follows all the
//! same. Left out: telling the stories, which are kept in files.

use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;

use super::judge::Verdict;
use super::{DrillError, DrillOptions, Told, run};
use crate::{Lab, LabError, UpOptions};

/// What to repeat.
#[derive(Clone, Debug)]
pub struct ManyOptions {
    /// One of [`super::DRILLS`].
    pub name: String,
    /// How often with defib.
    pub with_defib: usize,
    /// How often without it.
    pub without_defib: usize,
    /// See [`DrillOptions::defib`].
    pub defib: Option<PathBuf>,
    /// A folder that gets a folder for each run, and `summary.json`.
    pub keep: PathBuf,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Whether defib took part.
    pub with_defib: bool,
    /// Its number among its kind, from 1.
    pub number: usize,
    /// It went as it should.
    pub passed: bool,
    /// The judge's verdict; none where the drill broke off.
    pub verdict: Option<Verdict>,
    /// Why there is none.
    pub trouble: Option<String>,
}

/// All runs; the JSON of `summary.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Many {
    /// The drill's name.
    pub drill: String,
    /// Every run passed.
    pub passed: bool,
    /// In their order.
    pub runs: Vec<Run>,
}

/// Runs the drill again and again; tells `tell` a line for each run as it ends. Raises a lab where none is up, and takes
/// that one down.
pub fn many(options: &ManyOptions, tell: fn(&str)) -> Result<Many, DrillError> {
    let raised = match Lab::attach() {
        Err(LabError::NotUp) => Some(Lab::up(&UpOptions { say: |_| {} })?),
        found => found.map(|_| None)?,
    };
    let mut runs = Vec::new();
    for (with_defib, times) in [(true, options.with_defib), (false, options.without_defib)] {
        for number in 1..=times {
            let run = one(options, with_defib, number);
            tell(&line(&run, times));
            runs.push(run);
        }
    }
    if let Some(lab) = raised {
        lab.down()?;
    }
    let many = Many { drill: options.name.clone(), passed: runs.iter().all(|run| run.passed), runs };
    let path = options.keep.join("summary.json");
    let text = serde_json::to_vec_pretty(&many).map_err(std::io::Error::from);
    let written = text.and_then(|text| std::fs::write(&path, text));
    written.map_err(|source| LabError::File { path, source })?;
    Ok(many)
}

fn one(options: &ManyOptions, with_defib: bool, number: usize) -> Run {
    let kind = if with_defib { "with" } else { "without" };
    let drilled = run(&DrillOptions {
        name: options.name.clone(),
        with_defib,
        defib: options.defib.clone().filter(|_| with_defib),
        keep: Some(options.keep.join(format!("{kind}-{number:02}"))),
        told: Told::Nobody,
    });
    match drilled {
        Ok(verdict) => {
            let done = verdict.actions.len() == usize::from(with_defib);
            let passed = verdict.ok && verdict.violations.is_empty() && done;
            Run { with_defib, number, passed, verdict: Some(verdict), trouble: None }
        }
        Err(error) => {
            let mut said = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(next) = cause {
                // Writing to a string cannot fail.
                let _ = write!(said, ": {next}");
                cause = next.source();
            }
            Run { with_defib, number, passed: false, verdict: None, trouble: Some(said) }
        }
    }
}

fn line(run: &Run, times: usize) -> String {
    let kind = if run.with_defib { "with defib" } else { "without" };
    let mut line = format!("{kind:<10} {:>2}/{times}  {}", run.number, if run.passed { "ok    " } else { "FAILED" });
    let Some(verdict) = &run.verdict else {
        let _ = write!(line, "  {}", run.trouble.as_deref().unwrap_or("no verdict"));
        return line;
    };
    let _ = write!(line, "  API server ready {}", seconds(verdict.api_ready_ms.map(|ms| ms as f64)));
    let _ = write!(line, "  VIP back {}", seconds(verdict.restored_ms.map(|ms| ms as f64)));
    if run.with_defib {
        let _ = write!(line, "  first action {}", seconds(verdict.acted_ms.map(|ms| ms as f64)));
    }
    let done: Vec<String> = verdict.actions.iter().map(|one| format!("{} {}", one.action, one.node)).collect();
    let done = if done.is_empty() { "none".to_owned() } else { done.join(", ") };
    let _ = write!(line, "  actions {} ({done})  violations {}", verdict.actions.len(), verdict.violations.len());
    for violation in &verdict.violations {
        let _ = write!(line, "\n    {violation}");
    }
    line
}

impl Many {
    /// The summary as a table: times from the end of the contention.
    #[must_use]
    pub fn table(&self) -> String {
        type Of = fn(&Verdict) -> Option<f64>;
        let rows: [(&str, bool, Of); 5] = [
            ("with defib: first action", true, |verdict| verdict.acted_ms.map(|ms| ms as f64)),
            ("with defib: an API server ready", true, |verdict| verdict.api_ready_ms.map(|ms| ms as f64)),
            ("with defib: the VIP back", true, |verdict| verdict.restored_ms.map(|ms| ms as f64)),
            ("without: an API server ready", false, |verdict| verdict.api_ready_ms.map(|ms| ms as f64)),
            ("without: the VIP back", false, |verdict| verdict.restored_ms.map(|ms| ms as f64)),
        ];
        let mut text = format!("\n{:<34} {:>3} {:>9} {:>9}\n", "after the contention ended", "n", "p50", "max");
        for (name, with_defib, of) in rows {
            let verdicts = self.runs.iter().filter(|run| run.with_defib == with_defib);
            let mut times: Vec<f64> = verdicts.filter_map(|run| of(run.verdict.as_ref()?)).collect();
            if times.is_empty() {
                continue;
            }
            times.sort_by(f64::total_cmp);
            // The lower of the two in the middle: a time that was measured.
            let (middle, last) = (times.get((times.len() - 1) / 2).copied(), times.last().copied());
            let _ = writeln!(text, "{name:<34} {:>3} {:>9} {:>9}", times.len(), seconds(middle), seconds(last));
        }
        let count = |of: fn(&Verdict) -> usize| -> usize {
            self.runs.iter().filter_map(|run| run.verdict.as_ref()).map(of).sum()
        };
        let _ = write!(
            text,
            "actions {}, violations {}, runs that passed {} of {}",
            count(|verdict| verdict.actions.len()),
            count(|verdict| verdict.violations.len()),
            self.runs.iter().filter(|run| run.passed).count(),
            self.runs.len(),
        );
        text
    }
}

fn seconds(ms: Option<f64>) -> String {
    ms.map_or_else(|| "never".to_owned(), |ms| format!("{:.1} s", ms / 1_000.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::judge::Action;

    fn verdict(api_ready_ms: u64, actions: usize) -> Verdict {
        let action = Action { action: "restart-service kubelet".into(), node: "cp1".into(), outcome: "done".into() };
        Verdict {
            drill: "back-off".into(),
            ok: true,
            root: None,
            detected_ms: Some(1),
            acted_ms: Some(1_200),
            api_ready_ms: Some(api_ready_ms),
            restored_ms: Some(api_ready_ms + 500),
            actions: vec![action; actions],
            holds: Vec::new(),
            client: None,
            violations: Vec::new(),
        }
    }

    #[test]
    fn lines_and_summary_say_what_was_measured() {
        let run = |with_defib, number, verdict| Run { with_defib, number, passed: true, verdict, trouble: None };
        let mut broken = run(true, 3, None);
        (broken.passed, broken.trouble) = (false, Some("waited 60 s for x".into()));
        let runs = vec![
            run(true, 1, Some(verdict(5_000, 1))),
            run(true, 2, Some(verdict(7_000, 1))),
            broken,
            run(false, 1, Some(verdict(161_000, 0))),
        ];
        assert_eq!(
            line(&runs[0], 3),
            "with defib  1/3  ok      API server ready 5.0 s  VIP back 5.5 s  first action 1.2 s  \
             actions 1 (restart-service kubelet cp1)  violations 0"
        );
        assert!(line(&runs[2], 3).ends_with("FAILED  waited 60 s for x"));
        let many = Many { drill: "back-off".into(), passed: false, runs };
        let table = many.table();
        let row = |name: &str| table.lines().find(|line| line.starts_with(name)).map(str::to_owned).unwrap_or_default();
        assert!(row("with defib: an API server ready").ends_with("2     5.0 s     7.0 s"), "{table}");
        assert!(row("without: an API server ready").ends_with("1   161.0 s   161.0 s"), "{table}");
        assert!(table.ends_with("actions 2, violations 0, runs that passed 3 of 4"), "{table}");
    }
}
