//! No majority: nothing can be written, and no linearizable read succeeds.
//!
//! A read that succeeds at one voter proves quorum; one that fails proves nothing, for a probe gives up long before the
//! server's own 7 s. So all voters are asked, and silence counts only where the members' own words agree.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::{ProbeKind, Seen};
use crate::view::{Look, View};

pub(crate) static RULE: Rule = Rule {
    name: "etcd-quorum-lost",
    meaning: "no linearizable read succeeds through any voter, and too few voters answer or none has a leader",
    layer: Layer::Etcd,
    class: Class::Outage,
    scope: Scope::Cluster,
    reads: &[ProbeKind::EtcdReadLinearizable, ProbeKind::EtcdStatus],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::structural("machine-unreachable", Relation::SomeNode),
        Because::structural("etcd-member-down", Relation::SomeNode),
        Because::structural("etcd-member-hung", Relation::SomeNode),
        Because::structural("etcd-no-leader", Relation::Cluster),
        Because::structural("machine-frozen", Relation::SomeNode),
        Because::structural("etcd-corrupt", Relation::Cluster),
        Because::earned("host-starved", Relation::SomeNode),
        Because::earned("etcd-starved", Relation::SomeNode),
    ],
    timing: Timing::ms(1_000, 0),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, _: &Subject, _: bool) -> Verdict {
    let mut unread = None;
    for node in view.nodes() {
        match view.look_node(node, ProbeKind::EtcdReadLinearizable) {
            Look::Fresh(observation) => match observation.seen {
                Seen::Healthy(_) => return Verdict::Clear,
                Seen::Unhealthy(_) => {}
                Seen::Unknown(ref why) => unread = Some(format!("{node}: {why}")),
            },
            look => unread = look.unknown(ProbeKind::EtcdReadLinearizable).map(|why| format!("{node}: {why}")),
        }
    }
    if let Some(why) = unread {
        return Verdict::Unknown(why);
    }
    let speaking: Vec<_> = view.nodes().iter().filter_map(|node| view.etcd_status(node)).collect();
    let (voters, quorum) = (view.voters(), view.quorum());
    let answering = speaking.iter().filter(|status| !status.learner).count();
    if answering < quorum {
        return Verdict::Raised(format!("{answering} of {voters} voters answer, a quorum needs {quorum}"));
    }
    if speaking.iter().all(|status| status.leader == 0) {
        return Verdict::Raised(format!("{answering} of {voters} voters answer and none has a leader"));
    }
    Verdict::Unknown("no read succeeds, though voters say they have a leader".to_owned())
}
