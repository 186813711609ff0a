//! A member whose process is there and says nothing.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "etcd-member-hung",
    meaning: "a member's kernel accepts connections and its process answers none, though Status needs no quorum",
    layer: Layer::Etcd,
    class: Class::Outage,
    scope: Scope::Node,
    reads: &[ProbeKind::EtcdStatus],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::structural("machine-frozen", Relation::SameNode),
        Because::earned("host-starved", Relation::SameNode),
        Because::earned("etcd-slow-disk", Relation::SameNode),
    ],
    // Asked twice by then: the burst that its first silence begins asks again at once.
    timing: Timing::ms(1_000, 1_000),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, subject: &Subject, _: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let look = view.look_node(node, ProbeKind::EtcdStatus);
    match look.failure() {
        Some(failure) if failure.is_silence() => Verdict::Raised(format!("accepts and says nothing: {failure}")),
        Some(failure) if failure.proves_absent() => Verdict::Clear,
        Some(failure) => Verdict::Unknown(format!("etcd.status: {failure}")),
        None if look.facts().is_some() => Verdict::Clear,
        None => Verdict::Unknown(look.unknown(ProbeKind::EtcdStatus).unwrap_or_default()),
    }
}
