//! The figures by which findings are judged: each has a usual value, a unit and a source, and an operator may set it.
//!
//! A rule names its own beside itself and reads them through the view, so that what is set for a cluster counts wherever the
//! figure does. The waits of a finding (`latch`) are set in the same place. Left out: how they are written (`config`).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::finding::Rule;
use crate::latch::Timing;
use crate::time::Human;

/// One figure of one finding.
#[derive(Debug)]
pub struct Threshold {
    /// The finding's public name.
    pub finding: &'static str,
    /// Its own public name, unique within the finding, its unit last where that is neither a time nor a count.
    pub name: &'static str,
    /// What counts where nothing is set, in [`Self::unit`].
    pub usual: f64,
    /// In what it is counted.
    pub unit: Unit,
    /// It may be set from here …
    pub least: f64,
    /// … up to here.
    pub most: f64,
    /// On which side of another figure of the same finding it lies: what closes a finding lies beyond what opens it.
    pub beside: Option<Side>,
    /// Where the usual value comes from.
    pub source: &'static str,
}

/// How two figures of one finding lie to each other.
#[derive(Clone, Copy, Debug)]
pub enum Side {
    /// At most as high as that one.
    AtMost(&'static Threshold),
    /// At least as high as that one.
    AtLeast(&'static Threshold),
}

/// In what a figure is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Hundredths.
    Percent,
    /// Whole numbers.
    Count,
    /// A number that may have a fraction.
    Ratio,
    /// 10^6 bytes.
    Megabytes,
    /// 2^20 bytes.
    Mebibytes,
    /// Seconds; written as durations are.
    Time,
}

impl Threshold {
    /// A value of it with its unit.
    #[must_use]
    pub fn show(&self, value: f64) -> String {
        match self.unit {
            Unit::Percent => format!("{value} %"),
            Unit::Count | Unit::Ratio => format!("{value}"),
            Unit::Megabytes => format!("{value} MB"),
            Unit::Mebibytes => format!("{value} MiB"),
            Unit::Time => Human(time(value)).to_string(),
        }
    }
}

fn time(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// What an operator set: figures and waits, by finding. What is not in it has its usual value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thresholds {
    figures: BTreeMap<(&'static str, &'static str), f64>,
    waits: BTreeMap<&'static str, Timing>,
}

/// A figure that does not fit beside another of its finding.
#[derive(Clone, Copy, Debug)]
pub struct Beside {
    /// The figure.
    pub one: &'static Threshold,
    /// The other one.
    pub other: &'static Threshold,
    /// It would have to be at most, rather than at least, as high.
    pub at_most: bool,
}

impl fmt::Display for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.at_most { "at most" } else { "at least" };
        write!(f, "{} must be {way} as high as {}", self.one.name, self.other.name)
    }
}

impl Thresholds {
    /// Sets one figure, in its own unit.
    pub fn set(&mut self, threshold: &'static Threshold, value: f64) {
        self.figures.insert((threshold.finding, threshold.name), value);
    }

    /// Sets the waits of a finding.
    pub fn wait(&mut self, rule: &'static Rule, timing: Timing) {
        self.waits.insert(rule.name, timing);
    }

    /// What counts for this figure, in its own unit.
    #[must_use]
    pub fn of(&self, threshold: &Threshold) -> f64 {
        if self.figures.is_empty() {
            return threshold.usual;
        }
        self.figures.get(&(threshold.finding, threshold.name)).copied().unwrap_or(threshold.usual)
    }

    /// The same as a whole number; fractions are dropped.
    #[must_use]
    pub fn count(&self, threshold: &Threshold) -> u64 {
        self.of(threshold) as u64
    }

    /// The same as a time, for a figure that is one.
    #[must_use]
    pub fn time(&self, threshold: &Threshold) -> Duration {
        time(self.of(threshold))
    }

    /// How long a verdict of this rule must last.
    #[must_use]
    pub fn timing(&self, rule: &Rule) -> Timing {
        self.waits.get(rule.name).copied().unwrap_or(rule.timing)
    }

    /// Every figure and wait that is set, by finding and name; waits as `opens-after` and `closes-after`, in seconds.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, f64)> {
        let figures = self.figures.iter().map(|((finding, name), value)| (*finding, *name, *value));
        let waits = self.waits.iter().flat_map(|(finding, timing)| {
            [
                (*finding, OPENS_AFTER, timing.open_after.as_secs_f64()),
                (*finding, CLOSES_AFTER, timing.close_after.as_secs_f64()),
            ]
        });
        figures.chain(waits)
    }

    /// The figures of a finding that do not lie to each other as they must: then it would open and close at once.
    #[must_use]
    pub fn misfits(&self, rule: &Rule) -> Vec<Beside> {
        let misfit = |&one: &&'static Threshold| {
            let (other, at_most) = match one.beside? {
                Side::AtMost(other) => (other, true),
                Side::AtLeast(other) => (other, false),
            };
            let (here, there) = (self.of(one), self.of(other));
            (if at_most { here > there } else { here < there }).then_some(Beside { one, other, at_most })
        };
        rule.thresholds.iter().filter_map(misfit).collect()
    }
}

/// The name under which [`Timing::open_after`] is set.
pub const OPENS_AFTER: &str = "opens-after";

/// The name under which [`Timing::close_after`] is set.
pub const CLOSES_AFTER: &str = "closes-after";

/// A wait may be set up to here.
pub const WAIT_MAX: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::ALL;

    #[test]
    fn every_finding_names_its_own_and_the_usual_values_fit() {
        for rule in ALL {
            let mut names = Vec::new();
            for threshold in rule.thresholds {
                assert_eq!(threshold.finding, rule.name);
                assert!((threshold.least..=threshold.most).contains(&threshold.usual), "{threshold:?}");
                assert!(!threshold.source.is_empty() && !names.contains(&threshold.name), "{threshold:?}");
                names.push(threshold.name);
            }
            assert!(Thresholds::default().misfits(rule).is_empty(), "{}", rule.name);
            assert!(rule.timing.open_after <= WAIT_MAX && rule.timing.close_after <= WAIT_MAX, "{}", rule.name);
        }
    }

    #[test]
    fn what_is_set_counts_and_what_would_open_and_close_at_once_is_told() {
        let rule = crate::diagnosis::rule("host-busy").unwrap();
        let [above, below] = rule.thresholds else { panic!("{rule:?}") };
        let mut thresholds = Thresholds::default();
        thresholds.set(above, 60.0);
        assert_eq!((thresholds.of(above), thresholds.of(below)), (60.0, 75.0));
        let misfits: Vec<String> = thresholds.misfits(rule).iter().map(ToString::to_string).collect();
        assert_eq!(misfits, ["clear-below-percent must be at most as high as raised-above-percent"]);
        thresholds.set(below, 55.0);
        assert!(thresholds.misfits(rule).is_empty());
    }

    #[test]
    fn a_value_is_shown_with_its_unit() {
        let rule = crate::diagnosis::rule("etcd-slow-disk").unwrap();
        let shown: Vec<String> = rule.thresholds.iter().map(|one| one.show(one.usual)).collect();
        assert_eq!(shown, ["100ms", "250ms"]);
    }
}
