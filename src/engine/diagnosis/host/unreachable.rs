//! A host that does not answer: its own kernel is silent, so what stands on it may be down with it.
//!
//! A hypervisor whose interface alone fails, or refuses us, answers, if only its kernel; what it would say is then unknown.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "host-unreachable",
    meaning: "the hypervisor beneath the node is silent at its own address: powered off, or cut off with all that stands on it",
    layer: Layer::Host,
    class: Class::Risk,
    scope: Scope::Node,
    reads: &[ProbeKind::HypervisorHost],
    explained_by: &[Because::structural("observer-isolated", Relation::Cluster)],
    timing: Timing::ms(1_000, 5_000),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, subject: &Subject, _: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let look = view.look_node(node, ProbeKind::HypervisorHost);
    match look.failure() {
        _ if look.lives() => Verdict::Clear,
        Some(failure) if !failure.proves_machine() => Verdict::Raised(format!("its hypervisor is silent: {failure}")),
        Some(_) => Verdict::Clear,
        None => Verdict::Unknown(view.why(node, ProbeKind::HypervisorHost)),
    }
}
