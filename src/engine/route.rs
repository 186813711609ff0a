//! The way to a living API server while the virtual address is dead: a route, not a step. It touches no cluster, so it
//! needs no permission, no budget and no mode.
//!
//! Judged again at every poll from everything known. *Direct* begins with the finding `vip-lost` while an API server is
//! known to be ready, and ends when the address has answered well for [`WELL_FOR`] without a break. The order of the
//! ready API servers is sticky: the first stays first while it is ready, whoever else is a little faster. One look that
//! failed makes a server *suspect*: others are preferred, and it is given up only when a finding says so too; then it is
//! back only after [`REJOIN_AFTER`]. So a server that stumbles moves nobody who is connected to it. What is unknown
//! changes nothing: it neither joins nor leaves. Left out: who uses the route (`lifeline`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::observation::{Facts, NodeName, Observation, ProbeKind, Seen, Target, Why};
use crate::time::{Human, Tick, UnixMs};
use crate::view::{Look, View};

/// The virtual address must have answered well for this long before the route goes back to it: kube-vip's lease may move
/// it once more within 17 s.
pub const WELL_FOR: Duration = Duration::from_secs(30);

/// An API server that was given up must be ready for this long to be taken again, unless there is no other.
const REJOIN_AFTER: Duration = Duration::from_secs(2);

/// The first gives way when it has answered more slowly than [`SLOW`] and than four times the fastest for this long.
const SLOW_FOR: Duration = Duration::from_secs(10);
const SLOW: Duration = Duration::from_millis(500);

/// How to reach the API servers at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// The virtual address is dead: people and programs go to the first of `ready` directly. It stays so while nobody is
    /// ready, for then there is no better way either.
    pub direct: bool,
    /// Since when it is `direct`; none: it is not, or an earlier process did not write it down.
    pub direct_since: Option<UnixMs>,
    /// The API servers that are ready, the best first.
    pub ready: Vec<NodeName>,
    /// Those that were ready and failed at the last look, which no finding confirms yet. Not written down.
    pub suspect: Vec<NodeName>,
}

impl Route {
    /// In words, as `status` says it.
    #[must_use]
    pub fn words(&self) -> String {
        match (self.direct, self.ready.split_first()) {
            (true, Some((first, _))) => {
                format!("direct to {first} until the virtual address has been well for {}", Human(WELL_FOR))
            }
            (true, None) => "direct, but no API server is ready".to_owned(),
            (false, Some((first, []))) => format!("as configured; ready: {first}"),
            (false, Some((first, others))) => format!("as configured; ready: {first}, then {}", others.join(", ")),
            (false, None) => "as configured; no API server is known to be ready".to_owned(),
        }
    }
}

/// The route of one cluster over time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Router {
    route: Route,
    /// Where people were told to go last.
    named: Option<NodeName>,
    /// Since when the virtual address answers well without a break.
    well_since: Option<Tick>,
    /// Ready and not in the list yet: since when.
    ready_since: BTreeMap<NodeName, Tick>,
    /// Since when the first is much slower than another.
    slow_since: Option<Tick>,
}

/// What is known of one API server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It said that it is ready, and took this long to say so.
    Ready(Duration),
    /// It failed, or said that it is not.
    NotReady,
    /// Nothing can be said.
    Unknown,
}

impl Router {
    /// Begins with what an earlier process left; a node that is no longer configured is left out.
    pub(crate) fn restored(saved: &Route, nodes: &[NodeName]) -> Router {
        let ready: Vec<_> = saved.ready.iter().filter(|node| nodes.contains(node)).cloned().collect();
        Router {
            named: ready.first().cloned(),
            route: Route {
                direct: saved.direct,
                direct_since: saved.direct_since.filter(|_| saved.direct),
                ready,
                suspect: Vec::new(),
            },
            ..Router::default()
        }
    }

    /// The route as it was judged last.
    pub(crate) fn route(&self) -> &Route {
        &self.route
    }

    /// Judges again. `vip_lost`: that finding is open; `lost`: an open finding speaks against the API server, or the
    /// machine, of these nodes. What changed, in words, where people would want to be told: the
    /// order of those that nobody is sent to is none of that.
    pub(crate) fn judge(&mut self, view: View<'_>, vip_lost: bool, lost: &BTreeSet<NodeName>) -> Option<String> {
        let was_direct = self.route.direct;
        let standing: BTreeMap<&NodeName, Standing> =
            view.nodes().iter().map(|node| (node, standing(view, node))).collect();
        self.rank(&standing, view, lost);
        let some_ready = standing.values().any(|standing| matches!(standing, Standing::Ready(_)));
        let well = vip_is_well(view);
        self.well_since = if well { Some(self.well_since.unwrap_or(view.now)) } else { None };
        let asked = view.settings.sources.contains(&ProbeKind::Vip);
        if asked && vip_lost && !well && some_ready {
            self.route.direct = true;
        } else if !asked || (!vip_lost && self.well_since.is_some_and(|since| view.now.since(since) >= WELL_FOR)) {
            self.route.direct = false;
        }
        if self.route.direct != was_direct {
            self.route.direct_since = self.route.direct.then_some(view.wall);
        }
        self.told(was_direct)
    }

    fn rank(&mut self, standing: &BTreeMap<&NodeName, Standing>, view: View<'_>, lost: &BTreeSet<NodeName>) {
        let of = |node: &NodeName| standing.get(node).copied().unwrap_or(Standing::NotReady);
        let took = |node: &NodeName| match of(node) {
            Standing::Ready(took) => took,
            _ => Duration::MAX,
        };
        let (stays, fails) =
            std::mem::take(&mut self.route.ready).into_iter().partition(|n| of(n) != Standing::NotReady);
        let suspects: Vec<NodeName> = std::mem::take(&mut self.route.suspect).into_iter().chain(fails).collect();
        let (ready, suspect): (&mut Vec<NodeName>, _) = (&mut self.route.ready, &mut self.route.suspect);
        *ready = stays;
        for node in suspects {
            match of(&node) {
                Standing::Ready(_) => ready.push(node),
                _ if lost.contains(&node) => {}
                _ => suspect.push(node),
            }
        }
        // Stable: among those that are known to be ready, and among the others, the order stays.
        ready.sort_by_key(|node| of(node) == Standing::Unknown);
        self.ready_since.retain(|node, _| matches!(of(node), Standing::Ready(_)) && !ready.contains(node));
        let nobody = ready.is_empty() || view.seen_once;
        let mut joining: Vec<NodeName> = Vec::new();
        for (&node, standing) in standing {
            if matches!(standing, Standing::Ready(_)) && !ready.contains(node) {
                let since = *self.ready_since.entry(node.clone()).or_insert(view.now);
                if nobody || view.now.since(since) >= REJOIN_AFTER {
                    joining.push(node.clone());
                }
            }
        }
        joining.sort_by_key(|node| (took(node), node.clone()));
        for node in joining {
            self.ready_since.remove(&node);
            ready.push(node);
        }
        let fastest = ready.iter().enumerate().min_by_key(|(_, node)| took(node)).map(|(index, _)| index);
        let (Some(first), Some(fastest)) = (ready.first(), fastest) else { return };
        let slow = took(first) > SLOW && took(first) / 4 > took(&ready[fastest]);
        self.slow_since = if slow { Some(self.slow_since.unwrap_or(view.now)) } else { None };
        if self.slow_since.is_some_and(|since| view.now.since(since) >= SLOW_FOR) {
            ready.swap(0, fastest);
            self.slow_since = None;
        }
    }

    fn told(&mut self, was_direct: bool) -> Option<String> {
        let first = self.route.ready.first();
        match (was_direct, self.route.direct, first) {
            (false, true, Some(first)) => {
                self.named = Some(first.clone());
                Some(format!("direct to {first}: the virtual address is lost"))
            }
            (true, true, Some(first)) if self.named.as_ref() != Some(first) => {
                self.named = Some(first.clone());
                Some(format!("direct to {first}"))
            }
            (true, false, _) => Some("as configured again: the virtual address is well".to_owned()),
            _ => None,
        }
    }
}

fn standing(view: View<'_>, node: &NodeName) -> Standing {
    match view.look_node(node, ProbeKind::Apiserver) {
        Look::Fresh(Observation { seen: Seen::Healthy(Facts::Apiserver(facts)), .. }) => {
            if facts.ready {
                Standing::Ready(facts.took)
            } else {
                Standing::NotReady
            }
        }
        Look::Fresh(Observation { seen: Seen::Unhealthy(_), .. }) => Standing::NotReady,
        _ => Standing::Unknown,
    }
}

/// Something ready answers at the virtual address; where our credential is refused there, it answers, and no more can be
/// known.
fn vip_is_well(view: View<'_>) -> bool {
    match view.look(&Target::Vip(view.cluster.clone()), ProbeKind::Vip) {
        Look::Fresh(Observation { seen: Seen::Healthy(Facts::Vip(facts)), .. }) => facts.ready,
        Look::Fresh(Observation { seen: Seen::Unknown(Why::Unauthorized(_)), .. }) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
