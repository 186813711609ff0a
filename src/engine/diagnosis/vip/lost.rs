//! Nobody answers at the virtual address.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::{Failure, ProbeKind, Target};
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "vip-lost",
    meaning: "a fresh connection to the virtual address gets no answer from any API server",
    layer: Layer::Vip,
    class: Class::Outage,
    scope: Scope::Cluster,
    reads: &[ProbeKind::Vip],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::structural("etcd-quorum-lost", Relation::Cluster),
        // Whoever holds it must renew a lease, which is a write.
        Because::structural("etcd-corrupt", Relation::Cluster),
        Because::structural("etcd-no-space", Relation::Cluster),
        Because::structural("apiserver-down", Relation::LastHolder),
        Because::structural("apiserver-not-ready", Relation::LastHolder),
        Because::structural("apiserver-crash-looping", Relation::LastHolder),
        Because::structural("apiserver-hung", Relation::KnownHolder),
        Because::structural("machine-frozen", Relation::KnownHolder),
    ],
    // Asked again meanwhile by the burst that its first silence begins.
    timing: Timing::ms(1_000, 1_000),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, _: &Subject, _: bool) -> Verdict {
    let look = view.look(&Target::Vip(view.cluster.clone()), ProbeKind::Vip);
    if look.lives() {
        return Verdict::Clear;
    }
    match look.failure() {
        Some(failure @ (Failure::Tls(_) | Failure::Garbage(_) | Failure::Protocol(_) | Failure::Status { .. })) => {
            Verdict::Raised(format!("what answers at the address is no API server that we know: {failure}"))
        }
        Some(failure) => Verdict::Raised(format!("no answer at the address: {failure}")),
        None => Verdict::Unknown(look.unknown(ProbeKind::Vip).unwrap_or_default()),
    }
}
