//! An even number of voters: one more to fail, and not one more to spare.
//!
//! Four voters need three, so they bear the loss of one, as three do (etcd's FAQ, "why an odd number"). Counted by what the
//! members themselves list, for a voter may be listed that nobody configured here.

use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::ProbeKind;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "etcd-even-voters",
    meaning: "an even number of voters is listed: it bears no more losses than one less would",
    layer: Layer::Etcd,
    class: Class::Advice,
    scope: Scope::Cluster,
    reads: &[ProbeKind::EtcdMembers],
    explained_by: &[],
    timing: Timing::ms(60_000, 10_000),
    thresholds: &[],
    assess,
};

fn assess(view: &View<'_>, _: &Subject, _: bool) -> Verdict {
    let Some(members) = view.nodes().iter().find_map(|node| view.etcd_members(node)) else {
        let why = view.nodes().first().map(|node| view.why(node, ProbeKind::EtcdMembers));
        return Verdict::Unknown(why.unwrap_or_default());
    };
    if members.members.iter().any(|member| member.learner) {
        // It comes to vote within minutes; one that does not is a finding of its own.
        return Verdict::Clear;
    }
    let voters = members.members.len();
    if voters == 0 {
        return Verdict::Unknown("etcd.members: no voter is listed".to_owned());
    }
    if voters % 2 == 1 {
        return Verdict::Clear;
    }
    Verdict::Raised(format!("{voters} voters bear the loss of {}, as {} would", voters / 2 - 1, voters - 1))
}
