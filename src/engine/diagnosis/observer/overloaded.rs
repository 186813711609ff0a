//! defib itself runs late: what it measures of others is its own slowness, and deadlines pass that nobody missed.
//!
//! Raised from [`RAISED_FROM`] by which our timers run late, clear below [`CLEAR_BELOW`]: a third of the shortest
//! deadline, 1.5 s. Explains nothing by itself: a guard holds actions on what a late observer saw.

use std::time::Duration;

use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
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
    assess,
};

const RAISED_FROM: Duration = Duration::from_millis(500);
const CLEAR_BELOW: Duration = Duration::from_millis(200);

fn assess(view: &View<'_>, _: &Subject, was_open: bool) -> Verdict {
    let late = view.elsewhere.late;
    if late < if was_open { CLEAR_BELOW } else { RAISED_FROM } {
        return Verdict::Clear;
    }
    Verdict::Raised(format!("our own timers run {} late (limit {})", Human(late), Human(RAISED_FROM)))
}
