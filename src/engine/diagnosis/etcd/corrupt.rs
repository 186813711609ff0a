//! The alarm CORRUPT: the members' stores differ, and etcd serves nothing from a store that it does not trust.
//!
//! Read off the members' own `Status`. Never acted upon: which store is right is for a person to say.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "etcd-corrupt",
    meaning: "a member tells of the alarm CORRUPT: the stores of the members differ",
    layer: Layer::Etcd,
    class: Class::Outage,
    scope: Scope::Cluster,
    reads: &[ProbeKind::EtcdStatus],
    explained_by: &[Because::structural("observer-isolated", Relation::Cluster)],
    timing: Timing::ms(0, 1_000),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, _: &Subject, _: bool) -> Verdict {
    let said = view.alarmed("CORRUPT");
    match said.as_slice() {
        [] if view.nodes().iter().any(|node| view.etcd_status(node).is_some()) => Verdict::Clear,
        [] => Verdict::Unknown("no member answers".to_owned()),
        said => Verdict::Raised(format!(
            "{} say CORRUPT: the stores of the members differ; which is right is for a person to say",
            said.join(", ")
        )),
    }
}
