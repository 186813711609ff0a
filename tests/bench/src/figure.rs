//! A figure: what was measured, how often, how it is spread, and whether it is as good as it should be.
//!
//! Pure. A percentile is the smallest sample that at least so many percent of all samples do not exceed, so no figure
//! shows a value that was not measured. Left out: measuring.

use serde::Serialize;

/// One line of the table, one object of the JSON.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) name: String,
    /// How many samples there are.
    pub(crate) n: usize,
    /// The median.
    pub(crate) p50: f64,
    /// The 99th percentile; with fewer than 100 samples it is the largest.
    pub(crate) p99: f64,
    /// The largest.
    pub(crate) max: f64,
    /// Of all values.
    pub(crate) unit: &'static str,
    /// What is to be reached, if something is.
    pub(crate) goal: Option<Goal>,
    /// Whether the goal is reached; none without one.
    pub(crate) met: Option<bool>,
    /// Every value, from the smallest to the largest.
    pub(crate) samples: Vec<f64>,
    /// What a reader should know besides, such as the findings that were counted.
    pub(crate) note: String,
}

/// A bound, and the value that it is for.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "of", content = "bound", rename_all = "lowercase")]
pub(crate) enum Goal {
    /// The 99th percentile is at most this.
    P99(f64),
    /// The median is at most this.
    Median(f64),
    /// The median is at least this.
    AtLeast(f64),
}

impl Figure {
    /// Sums up samples; without any, every value is NaN, which prints as `-` and is no JSON number.
    pub(crate) fn of(name: impl Into<String>, unit: &'static str, mut samples: Vec<f64>, goal: Option<Goal>) -> Self {
        samples.sort_by(f64::total_cmp);
        let at = |percent| percentile(&samples, percent);
        let (p50, p99, max) = (at(50), at(99), at(100));
        let met = goal.filter(|_| !samples.is_empty()).map(|goal| match goal {
            Goal::P99(bound) => p99 <= bound,
            Goal::Median(bound) => p50 <= bound,
            Goal::AtLeast(bound) => p50 >= bound,
        });
        Self { name: name.into(), n: samples.len(), p50, p99, max, unit, goal, met, samples, note: String::new() }
    }

    /// The same with a note.
    pub(crate) fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

/// The smallest sample that at least `percent` of the sorted samples do not exceed; NaN without samples.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// All figures as lines for people: a table that docs/performance.md takes as it is.
pub(crate) fn table(figures: &[Figure]) -> String {
    let head = ["figure", "n", "p50", "p99", "max", "unit", "goal", "note"].map(str::to_owned);
    let mut rows = vec![head];
    for figure in figures {
        let goal = match figure.goal {
            Some(Goal::P99(bound)) => format!("p99 ≤ {bound}"),
            Some(Goal::Median(bound)) => format!("p50 ≤ {bound}"),
            Some(Goal::AtLeast(bound)) => format!("p50 ≥ {bound}"),
            None => String::new(),
        };
        let met = match figure.met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        let note = [met, &figure.note].iter().filter(|text| !text.is_empty()).copied().collect::<Vec<_>>();
        rows.push([
            figure.name.clone(),
            figure.n.to_string(),
            shown(figure.p50),
            shown(figure.p99),
            shown(figure.max),
            figure.unit.to_owned(),
            goal,
            note.join("; "),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 8] = std::array::from_fn(width);
    let line = |row: &[String; 8]| {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, w))| match column {
            1..=4 => format!("{cell:>w$}"),
            _ => format!("{cell:<w$}"),
        });
        format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule = widths.map(|w| "-".repeat(w + 2)).join("|");
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    lines.insert(1, format!("|{rule}|"));
    lines.join("\n")
}

/// Four significant digits at most: more are not measured.
fn shown(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => "-".to_owned(),
        size if size >= 1_000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_sample() {
        let samples: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!([50, 99, 100].map(|percent| percentile(&samples, percent)), [100.0, 198.0, 200.0]);
        assert_eq!([50, 99].map(|percent| percentile(&[7.0], percent)), [7.0, 7.0]);
        assert!(percentile(&[], 50).is_nan());
    }

    #[test]
    fn a_goal_is_met_or_missed_and_nothing_measured_meets_none() {
        let met = |samples: &[f64], goal| Figure::of("x", "ms", samples.to_vec(), Some(goal)).met;
        assert_eq!(met(&[1.0, 2.0], Goal::P99(2.0)), Some(true));
        assert_eq!(met(&[1.0, 3.0], Goal::P99(2.0)), Some(false));
        assert_eq!(met(&[1.0, 3.0], Goal::Median(1.0)), Some(true));
        assert_eq!(met(&[1.0], Goal::AtLeast(1.5)), Some(false));
        assert_eq!(met(&[], Goal::P99(2.0)), None);
    }

    #[test]
    fn the_table_says_what_is_missed() {
        let figures = [
            Figure::of("detect", "ms", vec![2.0, 1.0], Some(Goal::P99(1.5))).noted("etcd-member-down"),
            Figure::of("size", "MB", vec![10.385], None),
        ];
        let text = table(&figures);
        assert!(text.contains("| p99 ≤ 1.5 | MISSED; etcd-member-down |"), "{text}");
        let cells = |line: &str| line.matches('|').count();
        assert!(text.lines().count() == 4 && text.lines().all(|line| cells(line) == 9), "{text}");
    }
}
