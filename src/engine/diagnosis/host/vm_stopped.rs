//! A node whose virtual machine has no process: it is down, and its hypervisor proves it.
//!
//! Says who stopped it, where the host's tasks name somebody: what a person stopped is left to them.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::{ProbeKind, VmState};
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "vm-stopped",
    meaning: "the hypervisor says that the node's virtual machine is stopped",
    layer: Layer::Host,
    class: Class::Outage,
    scope: Scope::Node,
    reads: &[ProbeKind::HypervisorVm],
    explained_by: &[Because::structural("observer-isolated", Relation::Cluster)],
    timing: Timing::ms(0, 5_000),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, subject: &Subject, _: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    match view.vm(node) {
        Err(why) => Verdict::Unknown(why),
        Ok(vm) if vm.state != VmState::Stopped => Verdict::Clear,
        Ok(vm) => Verdict::Raised(match &vm.stopped_by {
            Some(who) => format!("{} says it is stopped, by {who}", vm.host),
            None => format!("{} says it is stopped", vm.host),
        }),
    }
}
