//! A machine whose logs come to nobody: when it dies, what it said before dies with it.
//!
//! After incident B of 2025-04, which would have been seen sooner in central logs. Talos sends them where it is told to
//! (`machine.logging`); whether it is told lies in its machine configuration, which holds secrets, so the lines themselves are
//! listened for, and what they say is nobody's evidence here. No configuration listens yet; judged where one does.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::threshold::{Threshold, Unit};
use crate::time::Human;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "logs-not-shipped",
    meaning: "no line of the machine's logs has come for ten minutes; judged where logs are received",
    layer: Layer::Machine,
    class: Class::Advice,
    scope: Scope::Node,
    reads: &[ProbeKind::Logs],
    explained_by: &[Because::structural("machine-unreachable", Relation::SameNode)],
    timing: Timing::ms(0, 0),
    thresholds: &[&SILENT],
    assess,
};

pub(crate) static SILENT: Threshold = Threshold {
    finding: "logs-not-shipped",
    name: "silent",
    usual: 600.0,
    unit: Unit::Time,
    least: 60.0,
    most: 86_400.0,
    beside: None,
    source: "an idle machine is not silent: its API server has etcd compacted every 5 minutes, and etcd writes a line of it; two of them",
};

fn assess(view: &View<'_>, subject: &Subject, _: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let (silent, came) = match view.logs_silent_for(node) {
        Ok(known) => known,
        Err(why) => return Verdict::Unknown(why),
    };
    let limit = view.time(&SILENT);
    match (silent > limit, came) {
        (false, _) => Verdict::Clear,
        (true, true) => Verdict::Raised(format!("no line of its logs has come for {}", Human(silent))),
        (true, false) => Verdict::Raised(format!(
            "no line of its logs has come since they are listened for, {}; machine.logging has Talos send them",
            Human(silent)
        )),
    }
}
