//! defib itself runs late: what it measures of others is its own slowness, and deadlines pass that nobody missed.
//!
//! Raised from [`RAISED_FROM`] by which our timers run late, clear below [`CLEAR_BELOW`]: a third of the shortest
//! deadline, 1.5 s. Explains nothing by itself: a guard holds actions on what a late observer saw.

use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::threshold::{Side, Threshold, Unit};
use crate::time::Human;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "observer-overloaded",
    meaning: "defib's own timers run at least 500 ms late (closes below 200 ms): what it measures is partly its own slowness",
    layer: Layer::Observer,
    class: Class::Risk,
    scope: Scope::Cluster,
    reads: &[],
    explained_by: &[],
    timing: Timing::ms(2_000, 10_000),
    thresholds: &[&RAISED_FROM, &CLEAR_BELOW],
    assess,
};

pub(crate) static RAISED_FROM: Threshold = Threshold {
    finding: "observer-overloaded",
    name: "raised-from",
    usual: 0.5,
    unit: Unit::Time,
    least: 0.05,
    most: 60.0,
    beside: None,
    source: "a third of the shortest deadline, 1.5 s",
};

pub(crate) static CLEAR_BELOW: Threshold = Threshold {
    finding: "observer-overloaded",
    name: "clear-below",
    usual: 0.2,
    unit: Unit::Time,
    least: 0.0,
    most: 60.0,
    beside: Some(Side::AtMost(&RAISED_FROM)),
    source: "less than half of what opens it",
};

fn assess(view: &View<'_>, _: &Subject, was_open: bool) -> Verdict {
    let late = view.elsewhere.late;
    if late < view.time(if was_open { &CLEAR_BELOW } else { &RAISED_FROM }) {
        return Verdict::Clear;
    }
    Verdict::Raised(format!("our own timers run {} late (limit {})", Human(late), Human(view.time(&RAISED_FROM))))
}
