//! So many of etcd's voters stand on one host that its end is the end of the quorum.
//!
//! A cluster of one voter has no other place to put one, and hears nothing of it.

use std::collections::BTreeMap;

use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "voters-share-host",
    meaning: "one host carries so many of etcd's voters that the quorum would be lost with it",
    layer: Layer::Host,
    class: Class::Advice,
    scope: Scope::Cluster,
    reads: &[ProbeKind::HypervisorVm],
    explained_by: &[],
    timing: Timing::ms(30_000, 30_000),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, _: &Subject, _: bool) -> Verdict {
    let mut on: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut unknown = None;
    for node in view.nodes().iter().filter(|node| !view.etcd_status(node).is_some_and(|status| status.learner)) {
        match view.vm(node) {
            Ok(vm) => on.entry(&vm.host).or_default().push(node),
            Err(why) => unknown = unknown.or(Some(format!("{node}: {why}"))),
        }
    }
    let (voters, quorum) = (view.voters(), view.quorum());
    let fatal = |(_, nodes): &(&&str, &Vec<&str>)| nodes.len() > 1 && voters - nodes.len().min(voters) < quorum;
    let host = on.iter().filter(fatal).max_by_key(|(_, nodes)| nodes.len());
    match (host, unknown) {
        (Some((host, nodes)), _) => {
            let (all, here) = (nodes.join(", "), nodes.len());
            Verdict::Raised(format!("{here} of {voters} voters are on {host}: {all}; a quorum needs {quorum}"))
        }
        (None, Some(why)) => Verdict::Unknown(why),
        (None, None) => Verdict::Clear,
    }
}
