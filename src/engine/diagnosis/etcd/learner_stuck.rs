//! A member that was added as a learner and never came to vote: it replicates, and counts for nothing.
//!
//! Talos adds members as learners and promotes them within a minute or two; ten minutes are no start any more.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "etcd-learner-stuck",
    meaning: "a member has been a learner for ten minutes: it does not vote, and is no member to spare",
    layer: Layer::Etcd,
    class: Class::Risk,
    scope: Scope::Node,
    reads: &[ProbeKind::EtcdStatus],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::structural("etcd-no-leader", Relation::Cluster),
    ],
    timing: Timing::ms(600_000, 1_000),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, subject: &Subject, _: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    match view.etcd_status(node) {
        None => Verdict::Unknown(view.why(node, ProbeKind::EtcdStatus)),
        // One look cannot tell one that was just added from one that is stuck.
        Some(status) if status.learner && view.seen_once => {
            Verdict::Unknown("it is a learner; since when takes more than one look".to_owned())
        }
        Some(status) if status.learner => {
            let behind = leader_index(view).saturating_sub(status.applied_index);
            Verdict::Raised(format!("it does not vote, {behind} entries behind"))
        }
        Some(_) => Verdict::Clear,
    }
}

fn leader_index(view: &View<'_>) -> u64 {
    view.nodes().iter().filter_map(|node| view.etcd_status(node)).map(|status| status.index).max().unwrap_or(0)
}
