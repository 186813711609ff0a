//! An API server whose process is there and says nothing, not even to `/livez?exclude=etcd`.
//!
//! etcd is left out of what is asked, so a store that hangs is no excuse: that server is `apiserver-not-ready`. After
//! kubernetes-mixin's `KubeAPIDown`, which takes 15 minutes.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "apiserver-hung",
    meaning: "an API server's port takes connections and nothing answers /livez, etcd left out of it",
    layer: Layer::Apiserver,
    class: Class::Outage,
    scope: Scope::Node,
    reads: &[ProbeKind::Apiserver],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::structural("machine-frozen", Relation::SameNode),
        Because::earned("host-starved", Relation::SameNode),
        Because::earned("machine-memory-short", Relation::SameNode),
    ],
    // Asked twice by then: the burst that its first silence begins asks again at once.
    timing: Timing::ms(1_000, 1_000),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, subject: &Subject, _: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let look = view.look_node(node, ProbeKind::Apiserver);
    match look.failure() {
        Some(failure) if failure.is_silence() => Verdict::Raised(format!("accepts and says nothing: {failure}")),
        Some(failure) if failure.proves_machine() => Verdict::Clear,
        None if look.lives() => Verdict::Clear,
        _ => Verdict::Unknown(view.why(node, ProbeKind::Apiserver)),
    }
}
