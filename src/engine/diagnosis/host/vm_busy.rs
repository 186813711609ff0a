//! Somebody works on a node's virtual machine: a backup, a migration, a snapshot, the resource manager.
//!
//! It may stall the guest while it lasts (a backup freezes its filesystems), and nothing is done to the machine meanwhile.

use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "vm-busy",
    meaning: "the node's virtual machine is locked, or a task or its resource manager is at work on it",
    layer: Layer::Host,
    class: Class::Risk,
    scope: Scope::Node,
    reads: &[ProbeKind::HypervisorVm],
    explained_by: &[],
    timing: Timing::ms(0, 0),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, subject: &Subject, _: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    match view.vm(node) {
        Err(why) => Verdict::Unknown(why),
        Ok(vm) => vm.busy().map_or(Verdict::Clear, |what| Verdict::Raised(format!("on {}: {what}", vm.host))),
    }
}
