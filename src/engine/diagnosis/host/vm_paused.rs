//! A node whose virtual machine stands still: suspended, or halted because its disk failed.
//!
//! A disk error (`io-error`: no room, no storage) is told apart, for to wake such a machine cures nothing.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::{ProbeKind, VmState};
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "vm-paused",
    meaning: "the hypervisor says that the node's virtual machine is paused, by somebody or for a disk error",
    layer: Layer::Host,
    class: Class::Outage,
    scope: Scope::Node,
    reads: &[ProbeKind::HypervisorVm],
    explained_by: &[Because::earned("vm-busy", Relation::SameNode)],
    timing: Timing::ms(1_000, 5_000),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, subject: &Subject, _: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    match view.vm(node) {
        Err(why) => Verdict::Unknown(why),
        Ok(vm) if matches!(vm.state, VmState::Paused | VmState::IoError) => {
            Verdict::Raised(format!("{} says it is {}", vm.host, vm.state))
        }
        Ok(_) => Verdict::Clear,
    }
}
