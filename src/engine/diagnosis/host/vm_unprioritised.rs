//! A control plane that gets no more of its host's processors than any other guest, once they are short.
//!
//! What counts is the default of the host's cgroup version (100, or 1024 under v1), as the host tells it. In incident A of
//! 2026-02 the control planes had 100; they were given 1024.

use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "vm-unprioritised",
    meaning: "the node's virtual machine has no larger share of its host's processors than a guest has by default (cpuunits)",
    layer: Layer::Host,
    class: Class::Advice,
    scope: Scope::Node,
    reads: &[ProbeKind::HypervisorVm],
    explained_by: &[],
    timing: Timing::ms(30_000, 0),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, subject: &Subject, _: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    match view.vm(node) {
        Err(why) => Verdict::Unknown(why),
        Ok(vm) if vm.cpu_units_default == 0 => Verdict::Unknown(format!(
            "{}: the default share of {} is not told",
            ProbeKind::HypervisorVm.name(),
            vm.host
        )),
        Ok(vm) if vm.cpu_units > vm.cpu_units_default => Verdict::Clear,
        Ok(vm) => Verdict::Raised(format!(
            "cpuunits {} on {}, where every guest has {}",
            vm.cpu_units, vm.host, vm.cpu_units_default
        )),
    }
}
