//! A host that has promised its guests more than it has: well for as long as they do not all want it.
//!
//! Memory counts from what there is, for a guest that is denied it dies or crawls; processors are shared in time, and
//! count from [`CPUS_ABOVE`] for each thread. The ground of incident A of 2026-02.

use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::threshold::{Side, Threshold, Unit};
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "host-overcommitted",
    meaning: "the host beneath the node has promised its running guests more memory than it has (closes below 95 %), or more than 4 virtual processors a thread (closes below 3.5)",
    layer: Layer::Host,
    class: Class::Risk,
    scope: Scope::Node,
    reads: &[ProbeKind::HypervisorHost],
    explained_by: &[],
    timing: Timing::ms(30_000, 30_000),
    thresholds: &[&MEMORY_ABOVE, &MEMORY_CLEAR_BELOW, &CPUS_ABOVE, &CPUS_CLEAR_BELOW],
    assess,
};

pub(crate) static MEMORY_ABOVE: Threshold = Threshold {
    finding: "host-overcommitted",
    name: "memory-above-percent",
    usual: 100.0,
    unit: Unit::Percent,
    least: 1.0,
    most: 1_000.0,
    beside: None,
    source: "what there is",
};

pub(crate) static MEMORY_CLEAR_BELOW: Threshold = Threshold {
    finding: "host-overcommitted",
    name: "memory-clear-below-percent",
    usual: 95.0,
    unit: Unit::Percent,
    least: 0.0,
    most: 1_000.0,
    beside: Some(Side::AtMost(&MEMORY_ABOVE)),
    source: "a twentieth less than what opens it",
};

pub(crate) static CPUS_ABOVE: Threshold = Threshold {
    finding: "host-overcommitted",
    name: "cpus-above",
    usual: 4.0,
    unit: Unit::Ratio,
    least: 0.1,
    most: 100.0,
    beside: None,
    source: "virtual processors for each hardware thread; incident A",
};

pub(crate) static CPUS_CLEAR_BELOW: Threshold = Threshold {
    finding: "host-overcommitted",
    name: "cpus-clear-below",
    usual: 3.5,
    unit: Unit::Ratio,
    least: 0.0,
    most: 100.0,
    beside: Some(Side::AtMost(&CPUS_ABOVE)),
    source: "an eighth less than what opens it",
};

fn assess(view: &View<'_>, subject: &Subject, was_open: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let host = match view.host(node) {
        Ok(host) => host,
        Err(why) => return Verdict::Unknown(why),
    };
    let too_much = |value: f64, raised: &Threshold, clear: &Threshold| {
        if was_open { value >= view.threshold(clear) } else { value > view.threshold(raised) }
    };
    let (memory, cpus) = (host.memory_promised_percent(), host.cpus_promised_each());
    let mut promised = Vec::new();
    if too_much(memory, &MEMORY_ABOVE, &MEMORY_CLEAR_BELOW) {
        promised.push(format!("{memory:.0} % of its memory"));
    }
    if too_much(cpus, &CPUS_ABOVE, &CPUS_CLEAR_BELOW) {
        promised.push(format!("{cpus:.1} virtual processors for each of its {} threads", host.cpus));
    }
    if promised.is_empty() {
        return Verdict::Clear;
    }
    Verdict::Raised(format!("{} has promised {}", host.name, promised.join(" and ")))
}
