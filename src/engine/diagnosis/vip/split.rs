//! The virtual address is answered by two nodes in turn: both believe that they hold it.
//!
//! Told by the certificates of fresh connections, where each API server has its own: raised from [`CHANGES`] changes
//! within [`WITHIN`] among nodes that came back, clear below [`CLEAR_BELOW`]. A move, even a move and its return, is less. Seen from one place: two
//! holders of which we always reach the same one stay unseen.

use std::collections::BTreeSet;

use crate::finding::{Class, Layer, Rule, Scope, Subject, Verdict};
use crate::latch::Timing;
use crate::observation::{ProbeKind, Target};
use crate::threshold::{Side, Threshold, Unit};
use crate::time::Human;
use crate::view::View;

pub(crate) static RULE: Rule = Rule {
    name: "vip-split",
    meaning: "fresh connections to the virtual address are answered by several nodes in turn, at least 4 changes in 30 s (closes below 2)",
    layer: Layer::Vip,
    class: Class::Risk,
    scope: Scope::Cluster,
    reads: &[ProbeKind::Vip, ProbeKind::Apiserver],
    explained_by: &[],
    timing: Timing::ms(0, 0),
    thresholds: &[&CHANGES, &CLEAR_BELOW, &WITHIN],
    assess,
};

pub(crate) static CHANGES: Threshold = Threshold {
    finding: "vip-split",
    name: "changes",
    usual: 4.0,
    unit: Unit::Count,
    least: 2.0,
    most: 64.0,
    beside: None,
    source: "a move and its return are two",
};

pub(crate) static CLEAR_BELOW: Threshold = Threshold {
    finding: "vip-split",
    name: "clear-below",
    usual: 2.0,
    unit: Unit::Count,
    least: 1.0,
    most: 64.0,
    beside: Some(Side::AtMost(&CHANGES)),
    source: "half of what opens it",
};

pub(crate) static WITHIN: Threshold = Threshold {
    finding: "vip-split",
    name: "within",
    usual: 30.0,
    unit: Unit::Time,
    least: 5.0,
    most: 3_600.0,
    beside: None,
    source: "as many looks as tell a pattern, one a second",
};

fn assess(view: &View<'_>, _: &Subject, was_open: bool) -> Verdict {
    let within = view.time(&WITHIN);
    let holders: Vec<_> = view.world.windows.holders_since(view.now - within).collect();
    let nodes: BTreeSet<_> = holders.iter().map(|node| node.as_str()).collect();
    let changes = holders.windows(2).filter(|pair| pair.first() != pair.last()).count();
    let limit = view.count(if was_open { &CLEAR_BELOW } else { &CHANGES });
    if changes as u64 >= limit && holders.len() > nodes.len() {
        let nodes = Vec::from_iter(nodes).join(" and ");
        return Verdict::Raised(format!("{nodes} answer in turn, {changes} changes in {}", Human(within)));
    }
    let look = view.look(&Target::Vip(view.cluster.clone()), ProbeKind::Vip);
    match (look.facts(), view.world.windows.holder()) {
        (None, _) => {
            let failed = look.failure().map(|failure| format!("vip: {failure}"));
            Verdict::Unknown(look.unknown(ProbeKind::Vip).or(failed).unwrap_or_default())
        }
        (Some(_), None) => Verdict::Unknown("the certificates do not tell who holds the address".to_owned()),
        (Some(_), Some(_)) => Verdict::Clear,
    }
}
