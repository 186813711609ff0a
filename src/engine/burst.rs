//! Looking closer at once: when something is suspected or just turned bad, it is asked again at short intervals, over
//! every path that can contradict or complete it.
//!
//! A suspicion (a held connection ended by itself) costs one probe; only a bad answer widens it. A target that turned bad
//! is asked again, and whatever is older than [`OLD`] beside it: its other kinds, its peers, the virtual address, and the
//! canaries, for it may be we who are cut off. A good answer ends the burst. Nothing starts one but a change, so a lasting outage costs what its cadence costs.
//!
//! Bounded: [`AT`] looks a burst, [`BURSTS_MAX`] bursts of a target within [`WITHIN`], and [`Allowance`] probes for all
//! clusters together. What finds no room is seen at its own cadence. Left out: what is made of the answers.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::observation::{ClusterId, Failure, Observation, ProbeKind, Seen, Target, Why};
use crate::settings::ClusterSettings;
use crate::time::Tick;
use crate::world::World;

/// When a burst looks, after its beginning.
const AT: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
];
/// What was asked longer ago than this is asked again beside a target that turned bad.
const OLD: Duration = Duration::from_millis(500);
/// So many bursts of one target …
const BURSTS_MAX: usize = 3;
/// … within this time.
const WITHIN: Duration = Duration::from_secs(10);
/// So many probes of all bursts together a second, and at once.
const PROBES_MAX: u64 = 128;

/// What is worth a closer look: the kinds that tell at once whether something lives. The kubelet's log, figures and
/// credentials are not among them.
const NODE_KINDS: [ProbeKind; 6] = [
    ProbeKind::TalosServices,
    ProbeKind::TalosContainers,
    ProbeKind::EtcdStatus,
    ProbeKind::EtcdReadSerializable,
    ProbeKind::EtcdReadLinearizable,
    ProbeKind::Apiserver,
];

/// The bursts of one cluster.
#[derive(Debug, Default)]
pub(crate) struct Bursts {
    active: BTreeMap<Target, Burst>,
    /// When the last bursts of a target began.
    began: BTreeMap<Target, [Option<Tick>; BURSTS_MAX]>,
}

#[derive(Debug)]
struct Burst {
    /// What a good answer of ends it; none where the answers themselves are the bad news.
    about: Option<ProbeKind>,
    began: Tick,
    /// The next look.
    next: usize,
    /// Something bad was seen: everything around counts.
    wide: bool,
}

impl Bursts {
    /// A held connection of this target ended by itself.
    pub(crate) fn suspected(&mut self, target: Target, kind: ProbeKind, now: Tick) {
        if worth(kind) {
            self.begin(target, Some(kind), false, now);
        }
    }

    /// Something was seen, and this is what was known of the same before.
    pub(crate) fn seen(&mut self, observation: &Observation, before: Option<&Observation>, now: Tick) {
        let (target, kind) = (&observation.target, observation.kind);
        if !worth(kind) {
            return;
        }
        if bad(&observation.seen) {
            if let Some(burst) = self.active.get_mut(target) {
                // A suspicion that came true looks around at once.
                burst.next = if burst.wide { burst.next } else { 0 };
                burst.wide = true;
            } else if before.is_some_and(|before| well(&before.seen)) {
                self.begin(target.clone(), Some(kind), true, now);
            }
        } else if well(&observation.seen)
            && self.active.get(target).is_some_and(|burst| burst.about == Some(kind) && burst.began <= observation.sent)
        {
            self.active.remove(target);
        }
    }

    /// A verdict about this target turned raised: whatever it rests on is asked again.
    pub(crate) fn raised(&mut self, target: Target, now: Tick) {
        if let Some(burst) = self.active.get_mut(&target) {
            burst.wide = true;
        } else {
            self.begin(target, None, true, now);
        }
    }

    fn begin(&mut self, target: Target, about: Option<ProbeKind>, wide: bool, now: Tick) {
        if self.active.contains_key(&target) {
            return;
        }
        let began = self.began.entry(target.clone()).or_default();
        let Some(place) = began.iter_mut().find(|at| at.is_none_or(|at| now.since(at) >= WITHIN)) else { return };
        *place = Some(now);
        self.active.insert(target, Burst { about, began: now, next: 0, wide });
    }

    /// Something bad was seen lately, and what lies around it is looked at.
    pub(crate) fn wide(&self) -> bool {
        self.active.values().any(|burst| burst.wide)
    }

    /// When the next look is due.
    pub(crate) fn wake_at(&self) -> Option<Tick> {
        self.active.values().filter_map(Burst::due).min()
    }

    /// What is to be asked.
    pub(crate) fn ask(
        &mut self,
        cluster: &ClusterId,
        world: &World,
        settings: &ClusterSettings,
        allowance: &mut Allowance,
        now: Tick,
    ) -> Vec<(Target, ProbeKind)> {
        let mut wishes = std::collections::BTreeSet::new();
        for (target, burst) in &mut self.active {
            if burst.due().is_none_or(|due| due > now) {
                continue;
            }
            while burst.due().is_some_and(|due| due <= now) {
                burst.next += 1;
            }
            match (burst.wide, burst.about) {
                (false, Some(kind)) => drop(wishes.insert((target.clone(), kind))),
                _ => wishes.extend(around(cluster, settings).filter(|(other, kind)| {
                    let known = world.latest(other, *kind);
                    let old = known.is_none_or(|known| now.since(known.sent) > OLD);
                    old || other == target && !known.is_some_and(|known| well(&known.seen) && known.sent >= burst.began)
                })),
            }
        }
        self.active.retain(|_, burst| burst.due().is_some());
        let asked = |(_, kind): &(Target, ProbeKind)| settings.sources.contains(kind);
        wishes.into_iter().filter(asked).take_while(|_| allowance.take(now)).collect()
    }
}

impl Burst {
    fn due(&self) -> Option<Tick> {
        AT.get(self.next).map(|after| self.began + *after)
    }
}

/// Everything of the cluster that is worth a look.
fn around<'a>(
    cluster: &'a ClusterId,
    settings: &'a ClusterSettings,
) -> impl Iterator<Item = (Target, ProbeKind)> + use<'a> {
    let node = |node: &String| Target::Node(cluster.clone(), node.clone());
    let nodes = settings.nodes.iter().map(node).flat_map(|node| NODE_KINDS.map(|kind| (node.clone(), kind)));
    nodes.chain(std::iter::once((Target::Vip(cluster.clone()), ProbeKind::Vip)))
}

fn worth(kind: ProbeKind) -> bool {
    kind == ProbeKind::Vip || NODE_KINDS.contains(&kind)
}

/// It answered, with facts or by refusing us.
fn well(seen: &Seen) -> bool {
    matches!(seen, Seen::Healthy(_) | Seen::Unknown(Why::Unauthorized(_)))
}

/// It failed; who has too many requests has not, and wants no more of them.
fn bad(seen: &Seen) -> bool {
    matches!(seen, Seen::Unhealthy(failure) if !matches!(failure, Failure::Status { code: 429, .. }))
}

/// How many probes the bursts of all clusters may still ask for: a bucket of [`PROBES_MAX`] that fills within a second.
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    /// What is missing in it, in thousandths of a probe.
    spent: u64,
    counted: Tick,
}

impl Allowance {
    /// Takes one probe's worth, where there is room; what was last asked at `known` is worth none while that is young.
    pub(crate) fn grants(&mut self, known: Option<Tick>, now: Tick) -> bool {
        known.is_none_or(|known| now.since(known) > OLD) && self.take(now)
    }

    fn take(&mut self, now: Tick) -> bool {
        let passed = u64::try_from(now.since(self.counted).as_millis()).unwrap_or(u64::MAX);
        self.spent = self.spent.saturating_sub(passed.saturating_mul(PROBES_MAX));
        self.counted = self.counted.max(now);
        let room = self.spent + 1_000 <= PROBES_MAX * 1_000;
        if room {
            self.spent += 1_000;
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{Facts, Path};

    fn cluster() -> ClusterId {
        "home".to_owned()
    }

    fn settings() -> ClusterSettings {
        ClusterSettings {
            nodes: ["cp1", "cp2", "cp3"].map(str::to_owned).to_vec(),
            sources: [ProbeKind::EtcdStatus, ProbeKind::Apiserver, ProbeKind::TalosServices, ProbeKind::Vip].into(),
            ..ClusterSettings::default()
        }
    }

    fn node(name: &str) -> Target {
        Target::Node(cluster(), name.to_owned())
    }

    fn saw(target: Target, kind: ProbeKind, sent: u64, seen: Seen) -> Observation {
        Observation { target, path: Path::Direct, kind, sent: Tick(sent), at: Tick(sent), seen }
    }

    fn healthy() -> Seen {
        Seen::Healthy(Facts::Canary)
    }

    fn refused() -> Seen {
        Seen::Unhealthy(Failure::Refused)
    }

    struct Table {
        bursts: Bursts,
        world: World,
        allowance: Allowance,
    }

    impl Table {
        /// Everything was seen well at tick 0.
        fn new() -> Table {
            let mut world = World::default();
            for (target, kind) in around(&cluster(), &settings()) {
                world.fold(saw(target, kind, 0, healthy()));
            }
            Table { bursts: Bursts::default(), world, allowance: Allowance::default() }
        }

        fn sees(&mut self, target: &Target, kind: ProbeKind, at: u64, seen: Seen) {
            let observation = saw(target.clone(), kind, at, seen);
            self.bursts.seen(&observation, self.world.latest(target, kind), Tick(at));
            self.world.fold(observation);
        }

        fn asks(&mut self, at: u64) -> Vec<(Target, ProbeKind)> {
            self.bursts.ask(&cluster(), &self.world, &settings(), &mut self.allowance, Tick(at))
        }
    }

    #[test]
    fn a_suspicion_that_is_contradicted_costs_one_probe() {
        let mut table = Table::new();
        table.bursts.suspected(node("cp1"), ProbeKind::EtcdStatus, Tick(9_000));
        assert_eq!(table.asks(9_000), [(node("cp1"), ProbeKind::EtcdStatus)]);
        assert_eq!(table.bursts.wake_at(), Some(Tick(9_050)));
        table.sees(&node("cp1"), ProbeKind::EtcdStatus, 9_001, healthy());
        assert_eq!(table.bursts.wake_at(), None);
    }

    #[test]
    fn one_that_comes_true_looks_around_at_once_and_confirms() {
        let mut table = Table::new();
        table.bursts.suspected(node("cp1"), ProbeKind::EtcdStatus, Tick(9_000));
        table.asks(9_000);
        table.sees(&node("cp1"), ProbeKind::EtcdStatus, 9_001, refused());
        let asked = table.asks(9_002);
        assert_eq!(asked.len(), 10, "three kinds of three nodes, and the address: {asked:?}");
        for (target, kind) in asked {
            let seen = if target == node("cp1") && kind == ProbeKind::EtcdStatus { refused() } else { healthy() };
            table.sees(&target, kind, 9_003, seen);
        }
        let later: Vec<_> = [9_050, 9_100, 9_200, 9_400].into_iter().map(|at| (at, table.asks(at))).collect();
        for (at, asked) in later {
            assert_eq!(asked, [(node("cp1"), ProbeKind::EtcdStatus)], "only what is bad is asked again at {at}");
        }
        assert_eq!(table.bursts.wake_at(), None);
        table.sees(&node("cp1"), ProbeKind::EtcdStatus, 10_000, refused());
        assert_eq!(table.bursts.wake_at(), None, "an outage that lasts is no change");
    }

    #[test]
    fn a_flapping_target_gets_a_few_bursts_and_then_its_cadence() {
        let mut table = Table::new();
        let mut begun = 0;
        for turn in 1..=20_u64 {
            table.sees(&node("cp1"), ProbeKind::Apiserver, turn * 400, refused());
            begun += usize::from(table.bursts.wake_at().is_some());
            table.sees(&node("cp1"), ProbeKind::Apiserver, turn * 400 + 1, healthy());
        }
        assert_eq!(begun, BURSTS_MAX);
        table.bursts.suspected(node("cp1"), ProbeKind::Apiserver, Tick(30_000));
        assert_eq!(table.asks(30_000).len(), 1);
    }

    #[test]
    fn too_many_requests_are_not_answered_with_more() {
        let mut table = Table::new();
        let busy = Seen::Unhealthy(Failure::Status { code: 429, detail: String::new() });
        table.sees(&node("cp1"), ProbeKind::Apiserver, 5_000, busy);
        table.sees(&Target::Canary("x".to_owned()), ProbeKind::Canary, 5_000, refused());
        assert_eq!(table.bursts.wake_at(), None);
    }

    #[test]
    fn a_verdict_that_rests_on_answers_is_looked_at_to_the_end() {
        let mut table = Table::new();
        table.bursts.raised(Target::Vip(cluster()), Tick(9_000));
        assert_eq!(table.asks(9_000).len(), 10);
        table.sees(&Target::Vip(cluster()), ProbeKind::Vip, 9_001, healthy());
        assert_eq!(table.bursts.wake_at(), Some(Tick(9_050)));
    }

    #[test]
    fn all_bursts_together_are_bounded_and_the_bound_fills_again() {
        let mut allowance = Allowance::default();
        let granted = |allowance: &mut Allowance, at| (0..1_000).filter(|_| allowance.take(Tick(at))).count() as u64;
        assert_eq!(granted(&mut allowance, 50_000), PROBES_MAX);
        assert_eq!(granted(&mut allowance, 50_000), 0);
        assert_eq!(granted(&mut allowance, 50_500), PROBES_MAX / 2);
        assert_eq!(granted(&mut allowance, 90_000), PROBES_MAX);
    }
}
