//! A host that uses nearly all that it has: the next guest that wants more takes it from the others.
//!
//! Raised above [`RAISED_ABOVE`] % of its processors or its memory, clear below [`CLEAR_BELOW`] %. The operators of
//! incident A of 2026-02 wished for an alert there, and for 15 to 20 % of headroom.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::threshold::{Side, Threshold, Unit};
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "host-busy",
    meaning: "the host beneath the node uses more than 80 % of its processors or of its memory for half a minute (closes below 75 %)",
    layer: Layer::Host,
    class: Class::Risk,
    scope: Scope::Node,
    reads: &[ProbeKind::HypervisorHost],
    explained_by: &[Because::earned("host-overcommitted", Relation::SameNode)],
    timing: Timing::ms(30_000, 30_000),
    thresholds: &[&RAISED_ABOVE, &CLEAR_BELOW],
    assess,
};

pub(crate) static RAISED_ABOVE: Threshold = Threshold {
    finding: "host-busy",
    name: "raised-above-percent",
    usual: 80.0,
    unit: Unit::Percent,
    least: 1.0,
    most: 100.0,
    beside: None,
    source: "the alert that the operators of incident A wished for",
};

pub(crate) static CLEAR_BELOW: Threshold = Threshold {
    finding: "host-busy",
    name: "clear-below-percent",
    usual: 75.0,
    unit: Unit::Percent,
    least: 0.0,
    most: 100.0,
    beside: Some(Side::AtMost(&RAISED_ABOVE)),
    source: "a sixteenth less than what opens it",
};

fn assess(view: &View<'_>, subject: &Subject, was_open: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let host = match view.host(node) {
        Ok(host) => host,
        Err(why) => return Verdict::Unknown(why),
    };
    let (raised, clear) = (view.threshold(&RAISED_ABOVE), view.threshold(&CLEAR_BELOW));
    let too_much = |percent: f64| if was_open { percent >= clear } else { percent > raised };
    let figures = [("processors", host.cpu_percent), ("memory", host.memory_percent())];
    let high = figures.into_iter().filter(|(_, percent)| too_much(*percent));
    let high: Vec<String> = high.map(|(what, percent)| format!("{percent:.0} % of its {what}")).collect();
    if high.is_empty() {
        return Verdict::Clear;
    }
    let waits =
        |what: &str, share: Option<f64>| share.map(|share| format!(", {share:.0} % of the time one waits for {what}"));
    let waits = [waits("a processor", host.pressure_cpu_percent), waits("memory", host.pressure_memory_percent)];
    let waits: String = waits.into_iter().flatten().collect();
    Verdict::Raised(format!("{} uses {} (limit {raised:.0} %){waits}", host.name, high.join(" and ")))
}
