//! An API server that was killed for want of memory, by its machine's own word.
//!
//! Read off the kernel's log, so it needs no luck in looking: a kill is told for [`WITHIN`]. After incident B of 2025-04, in
//! which the kernel killed the API server of a machine of 3 GiB again and again, each start taking 1.5 GiB within a minute,
//! and nobody looked at the log. The ages are by the machine's clock; one that is off by minutes has a finding of its own.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::threshold::{Threshold, Unit};
use crate::time::Human;
use crate::view::{APISERVER, View};

pub(crate) static RULE: Rule = Rule {
    name: "apiserver-oom-killed",
    meaning: "the machine's kernel, or Talos, killed the API server for want of memory within the last 10 minutes",
    layer: Layer::Apiserver,
    class: Class::Risk,
    scope: Scope::Node,
    reads: &[ProbeKind::TalosDmesg],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::earned("machine-memory-short", Relation::SameNode),
    ],
    timing: Timing::ms(0, 0),
    thresholds: &[&WITHIN],
    assess,
};

pub(crate) static WITHIN: Threshold = Threshold {
    finding: "apiserver-oom-killed",
    name: "within",
    usual: 600.0,
    unit: Unit::Time,
    least: 60.0,
    most: 86_400.0,
    beside: None,
    source: "incident B: each start took the memory within a minute",
};

const MIB: u64 = 1024 * 1024;

fn assess(view: &View<'_>, subject: &Subject, _: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let Some(kills) = view.oom_kills(node) else { return Verdict::Unknown(view.why(node, ProbeKind::TalosDmesg)) };
    let within = view.time(&WITHIN);
    let lately: Vec<_> = kills.iter().filter(|(kill, ago)| kill.process == APISERVER && *ago < within).collect();
    let Some((last, ago)) = lately.last() else { return Verdict::Clear };
    let size = if last.rss_bytes == 0 { String::new() } else { format!(" at {} MiB", last.rss_bytes / MIB) };
    let times = if lately.len() == 1 { "once".to_owned() } else { format!("{} times", lately.len()) };
    Verdict::Raised(format!("killed {times} within {}, last {} ago{size}", Human(within), Human(*ago)))
}
