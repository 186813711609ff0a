//! An API server that runs and says itself that it is not ready.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "apiserver-not-ready",
    meaning: "an API server answers /readyz, and not with 200; the failing checks are named",
    layer: Layer::Apiserver,
    class: Class::Outage,
    scope: Scope::Node,
    reads: &[ProbeKind::Apiserver],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::structural("etcd-quorum-lost", Relation::Cluster),
        Because::structural("etcd-no-leader", Relation::Cluster),
        Because::structural("etcd-member-down", Relation::SameNode),
        Because::structural("etcd-member-hung", Relation::SameNode),
        Because::structural("apiserver-crash-looping", Relation::SameNode),
        Because::structural("etcd-no-space", Relation::Cluster),
        Because::structural("etcd-corrupt", Relation::Cluster),
    ],
    // One that starts is not ready for about 3 s.
    timing: Timing::ms(4_000, 1_000),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, subject: &Subject, _: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    match view.apiserver(node) {
        Some(facts) if facts.ready => Verdict::Clear,
        Some(facts) if facts.failing.is_empty() => Verdict::Raised("/readyz fails".to_owned()),
        Some(facts) => Verdict::Raised(format!("/readyz fails: {}", facts.failing.join(", "))),
        None => {
            let look = view.look_node(node, ProbeKind::Apiserver);
            match look.failure() {
                Some(failure) if failure.proves_absent() => Verdict::Clear,
                Some(failure) => Verdict::Unknown(format!("apiserver: {failure}")),
                None => Verdict::Unknown(look.unknown(ProbeKind::Apiserver).unwrap_or_default()),
            }
        }
    }
}
