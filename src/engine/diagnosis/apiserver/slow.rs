//! An API server that is ready and takes long to say so.
//!
//! Raised from [`RAISED_FROM`] for `/readyz`, clear below [`CLEAR_BELOW`]: a second is the limit that Kubernetes sets itself
//! for a request of one object (SIG Scalability, API call latency), and `/readyz` of a healthy server takes milliseconds.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::threshold::{Side, Threshold, Unit};
use crate::time::Human;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "apiserver-slow",
    meaning: "an API server is ready and takes at least 1 s to say so (closes below 500 ms)",
    layer: Layer::Apiserver,
    class: Class::Risk,
    scope: Scope::Node,
    reads: &[ProbeKind::Apiserver],
    explained_by: &[
        Because::earned("host-starved", Relation::SameNode),
        Because::earned("machine-memory-short", Relation::SameNode),
        Because::earned("etcd-slow-disk", Relation::SameNode),
    ],
    timing: Timing::ms(10_000, 10_000),
    thresholds: &[&RAISED_FROM, &CLEAR_BELOW],
    assess,
};

pub(crate) static RAISED_FROM: Threshold = Threshold {
    finding: "apiserver-slow",
    name: "raised-from",
    usual: 1.0,
    unit: Unit::Time,
    least: 0.01,
    most: 60.0,
    beside: None,
    source: "SIG Scalability's limit for a request of one object",
};

pub(crate) static CLEAR_BELOW: Threshold = Threshold {
    finding: "apiserver-slow",
    name: "clear-below",
    usual: 0.5,
    unit: Unit::Time,
    least: 0.0,
    most: 60.0,
    beside: Some(Side::AtMost(&RAISED_FROM)),
    source: "half of what opens it",
};

fn assess(view: &View<'_>, subject: &Subject, was_open: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let Some(facts) = view.apiserver(node) else { return Verdict::Unknown(view.why(node, ProbeKind::Apiserver)) };
    if !facts.ready || facts.took < view.time(if was_open { &CLEAR_BELOW } else { &RAISED_FROM }) {
        return Verdict::Clear;
    }
    Verdict::Raised(format!("/readyz takes {} (limit {})", Human(facts.took), Human(view.time(&RAISED_FROM))))
}
