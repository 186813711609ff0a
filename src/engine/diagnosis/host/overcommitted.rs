//! A host that has promised its guests more than it has: well for as long as they do not all want it.
//!
//! Memory counts from what there is, for a guest that is denied it dies or crawls; processors are shared in time, and
//! count from [`CPUS_EACH`] for each thread. The ground of incident A of 2026-02.

use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
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
    assess,
};

/// Percent of its memory: raised above, clear below.
const MEMORY_PERCENT: (f64, f64) = (100.0, 95.0);
/// Virtual processors for each hardware thread: raised above, clear below.
const CPUS_EACH: (f64, f64) = (4.0, 3.5);

fn assess(view: &View<'_>, subject: &Subject, was_open: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let host = match view.host(node) {
        Ok(host) => host,
        Err(why) => return Verdict::Unknown(why),
    };
    let too_much = |value: f64, (raised, clear): (f64, f64)| if was_open { value >= clear } else { value > raised };
    let (memory, cpus) = (host.memory_promised_percent(), host.cpus_promised_each());
    let mut promised = Vec::new();
    if too_much(memory, MEMORY_PERCENT) {
        promised.push(format!("{memory:.0} % of its memory"));
    }
    if too_much(cpus, CPUS_EACH) {
        promised.push(format!("{cpus:.1} virtual processors for each of its {} threads", host.cpus));
    }
    if promised.is_empty() {
        return Verdict::Clear;
    }
    Verdict::Raised(format!("{} has promised {}", host.name, promised.join(" and ")))
}
