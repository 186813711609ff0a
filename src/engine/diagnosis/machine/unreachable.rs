//! A machine that answers on no path: no process of it, and not its kernel either.

use crate::diagnosis::observer::isolated::answered;
use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::{ProbeKind, Seen};
use crate::view::{Look, View};

pub(crate) static RULE: Rule = Rule {
    name: "machine-unreachable",
    meaning: "no port of the machine is answered, not even by its kernel: powered off, frozen, or cut off",
    layer: Layer::Machine,
    class: Class::Outage,
    scope: Scope::Node,
    reads: KINDS,
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::structural("host-unreachable", Relation::SameNode),
        Because::structural("vm-stopped", Relation::SameNode),
        Because::structural("vm-paused", Relation::SameNode),
        Because::earned("vm-busy", Relation::SameNode),
    ],
    // Three protocols are silent by then, each asked at once when the first one fell silent.
    timing: Timing::ms(700, 2_000),
    thresholds: &[],
    assess,
};

/// The probes that dial the machine's own address.
const KINDS: &[ProbeKind] = &[ProbeKind::TalosServices, ProbeKind::EtcdStatus, ProbeKind::Apiserver];

fn assess(view: &View<'_>, subject: &Subject, _: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let mut mute = Vec::new();
    let mut unseen = None;
    for &kind in KINDS {
        match view.look_node(node, kind) {
            Look::NotAsked => {}
            Look::Fresh(observation) if answered(&observation.seen) => return Verdict::Clear,
            Look::Fresh(observation) => match &observation.seen {
                Seen::Unhealthy(failure) => mute.push(format!("{} {}", kind.name(), failure.name())),
                _ => unseen = unseen.or(view.look_node(node, kind).unknown(kind)),
            },
            look => unseen = unseen.or(look.unknown(kind)),
        }
    }
    match unseen {
        None if !mute.is_empty() => Verdict::Raised(format!("silent on every path: {}", mute.join(", "))),
        None => Verdict::Unknown("no path to it is configured".to_owned()),
        Some(why) => Verdict::Unknown(why),
    }
}
