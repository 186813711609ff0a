//! The virtual address is held by a node whose API server is not ready, while another is.
//!
//! Who holds it is told by the certificate that it shows, where each API server has its own. kube-vip watches its lease,
//! not the health of the server behind it, so it can stay on a node that serves nobody.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::{Facts, ProbeKind, Target};
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "vip-on-sick-node",
    meaning: "the API server behind the virtual address is not ready while another node's is",
    layer: Layer::Vip,
    class: Class::Outage,
    scope: Scope::Cluster,
    reads: &[ProbeKind::Vip, ProbeKind::Apiserver],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::structural("apiserver-not-ready", Relation::LastHolder),
    ],
    timing: Timing::ms(3_000, 1_000),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, _: &Subject, _: bool) -> Verdict {
    let look = view.look(&Target::Vip(view.cluster.clone()), ProbeKind::Vip);
    let Some(Facts::Vip(vip)) = look.facts() else {
        // Nobody behind it is a finding of its own.
        return look.unknown(ProbeKind::Vip).map_or(Verdict::Clear, Verdict::Unknown);
    };
    if vip.ready {
        return Verdict::Clear;
    }
    let ready: Vec<_> =
        view.nodes().iter().filter(|node| view.apiserver(node).is_some_and(|facts| facts.ready)).collect();
    match (ready.as_slice(), view.world.windows.holder()) {
        ([], _) => Verdict::Clear,
        ([well, ..], Some(holder)) if !ready.contains(&holder) => {
            Verdict::Raised(format!("{holder} holds it and is not ready, {well} is"))
        }
        ([well, ..], None) => Verdict::Raised(format!("whoever holds it is not ready, {well} is")),
        // Its server became ready between the two looks.
        (_, Some(_)) => Verdict::Clear,
    }
}
