//! A member whose process is proven absent: its port is closed, or its machine says that it does not run.

use crate::finding::{Because, Class, Layer, Relation, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::{Failure, ProbeKind};
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "etcd-member-down",
    meaning: "a member's port is closed, or Talos says that its etcd does not run, while the machine answers",
    layer: Layer::Etcd,
    class: Class::Outage,
    scope: Scope::Node,
    reads: &[ProbeKind::EtcdStatus, ProbeKind::TalosServices],
    explained_by: &[
        Because::structural("observer-isolated", Relation::Cluster),
        // etcd ends at a write that fails.
        Because::earned("machine-disk-full", Relation::SameNode),
    ],
    timing: Timing::ms(300, 1_000),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, subject: &Subject, was_open: bool) -> Verdict {
    let Subject::Node(node) = subject else { return Verdict::Clear };
    let look = view.look_node(node, ProbeKind::EtcdStatus);
    if look.facts().is_some() {
        return Verdict::Clear;
    }
    let service = view.services(node).and_then(|services| services.service("etcd"));
    if let Some(etcd) = service.filter(|etcd| !etcd.is_running()) {
        return Verdict::Raised(format!("talos says etcd is {}", etcd.state));
    }
    match look.failure() {
        Some(failure) if failure.proves_absent() => Verdict::Raised("its port is closed".to_owned()),
        // A process that is just dying resets what it held; it is gone when it was gone already.
        Some(Failure::Reset) if was_open => Verdict::Raised("its connections are reset".to_owned()),
        Some(failure) if failure.is_silence() => Verdict::Clear,
        Some(failure) => Verdict::Unknown(format!("etcd.status: {failure}")),
        None => Verdict::Unknown(look.unknown(ProbeKind::EtcdStatus).unwrap_or_default()),
    }
}
