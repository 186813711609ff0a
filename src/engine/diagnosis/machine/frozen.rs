//! A machine whose kernel takes connections and of which no process answers.
//!
//! What that is cannot be told from outside the hypervisor: a guest that is starved of processor time, stuck on its disk,
//! or out of memory looks the same. So it takes every process that is asked, at least [`VIEWS_MIN`], to be silent
//! at once; a machine whose kernel is silent too is `machine-unreachable`. After incident A of 2026-02, in which one node
//! froze completely while its address still answered.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::{Look, View};

pub(crate) static RULE: Rule = Rule {
    name: "machine-frozen",
    meaning: "the machine's kernel takes connections and no process answers on any path: frozen, starved or stuck on its disk",
    layer: Layer::Machine,
    class: Class::Outage,
    scope: Scope::Node,
    reads: KINDS,
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        Because::structural("vm-paused", Relation::SameNode),
        Because::earned("vm-busy", Relation::SameNode),
        Because::earned("host-starved", Relation::SameNode),
        Because::earned("machine-memory-short", Relation::SameNode),
    ],
    timing: Timing::ms(1_000, 2_000),
    thresholds: &[],
    assess,
};

/// One process of each kind: Talos's, etcd's, the API server's.
const KINDS: &[ProbeKind] = &[ProbeKind::TalosServices, ProbeKind::EtcdStatus, ProbeKind::Apiserver];

/// One silent process is hung; two at once are the machine.
const VIEWS_MIN: usize = 2;

fn assess(view: &View<'_>, subject: &Subject, _: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let mut silent = Vec::new();
    let mut unknown = None;
    for &kind in KINDS {
        let look = view.look_node(node, kind);
        match (look, look.failure()) {
            (Look::NotAsked, _) => {}
            (_, Some(failure)) if failure.is_silence() => silent.push(format!("{} {failure}", kind.name())),
            // A process answers; or the kernel is silent too, which is a finding of its own.
            (_, Some(_)) => return Verdict::Clear,
            _ if look.lives() => return Verdict::Clear,
            _ => unknown = unknown.or(look.unknown(kind)),
        }
    }
    match unknown {
        Some(why) => Verdict::Unknown(why),
        None if silent.len() >= VIEWS_MIN => {
            Verdict::Raised(format!("its kernel answers, no process does: {}", silent.join(", ")))
        }
        None => Verdict::Unknown(format!("{} of {VIEWS_MIN} views are configured", silent.len())),
    }
}
