//! A member that answers and whose figures cannot be had: its disk, its heartbeats and its room stay unseen.
//!
//! Talos shows them on etcd's client port up to 1.13 and on a port of their own from 1.14, which defib is told of by
//! `etcd-metrics`. Where the configuration does not ask for them nothing is said.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "etcd-metrics-closed",
    meaning: "a member has answered for a minute and its metrics have not: slow disks, late heartbeats and a full database stay unseen",
    layer: Layer::Etcd,
    class: Class::Advice,
    scope: Scope::Node,
    reads: &[ProbeKind::EtcdMetrics, ProbeKind::EtcdStatus],
    explained_by: &[Because::structural("observer-isolated", Relation::Cluster)],
    timing: Timing::ms(60_000, 10_000),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, subject: &Subject, _: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let look = view.look_node(node, ProbeKind::EtcdMetrics);
    let Some(failure) = look.failure() else {
        return match look.unknown(ProbeKind::EtcdMetrics) {
            Some(why) => Verdict::Unknown(why),
            None => Verdict::Clear,
        };
    };
    if view.etcd_status(node).is_none() {
        return Verdict::Unknown(view.why(node, ProbeKind::EtcdStatus));
    }
    Verdict::Raised(format!("etcd answers, its metrics do not: {failure}; see `etcd-metrics` in the configuration"))
}
