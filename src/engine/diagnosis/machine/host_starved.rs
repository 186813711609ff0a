//! A hypervisor that gives a machine's processor time to others.
//!
//! Derived from the guest's own steal counter over its window, so it says nothing of the host's other guests, nor of a
//! guest that is too starved to be asked. Raised from [`RAISED_FROM`] % of its time, clear below [`CLEAR_BELOW`] %. The
//! root of incident A of 2026-02: an overcommitted host, control planes at standard priority, steal far above it.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::threshold::{Side, Threshold, Unit};
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "host-starved",
    meaning: "the machine's hypervisor gave at least 20 % of its processor time to others over a minute (closes below 10 %)",
    layer: Layer::Machine,
    class: Class::Risk,
    scope: Scope::Node,
    reads: &[ProbeKind::TalosMachine],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::earned("host-overcommitted", Relation::SameNode),
        Because::earned("host-busy", Relation::SameNode),
    ],
    timing: Timing::ms(5_000, 15_000),
    thresholds: &[&RAISED_FROM, &CLEAR_BELOW],
    assess,
};

pub(crate) static RAISED_FROM: Threshold = Threshold {
    finding: "host-starved",
    name: "raised-from-percent",
    usual: 20.0,
    unit: Unit::Percent,
    least: 1.0,
    most: 100.0,
    beside: None,
    source: "incident A: steal far above it; of all processor time, over a minute",
};

pub(crate) static CLEAR_BELOW: Threshold = Threshold {
    finding: "host-starved",
    name: "clear-below-percent",
    usual: 10.0,
    unit: Unit::Percent,
    least: 0.0,
    most: 100.0,
    beside: Some(Side::AtMost(&RAISED_FROM)),
    source: "half of what opens it",
};

fn assess(view: &View<'_>, subject: &Subject, was_open: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let limit = view.threshold(&RAISED_FROM);
    let from = if was_open { view.threshold(&CLEAR_BELOW) } else { limit };
    match view.steal_percent(node) {
        Err(why) => Verdict::Unknown(why),
        Ok(steal) if steal < from => Verdict::Clear,
        Ok(steal) => {
            // The host's own figures say where the time went; without them the guest's steal is enough.
            let host = view.host(node).map(|host| format!("; {} is at {:.0} %", host.name, host.cpu_percent));
            Verdict::Raised(format!("steal {steal:.0} % (limit {limit:.0} %){}", host.unwrap_or_default()))
        }
    }
}
