//! What takes more than one look: rates and quantiles between two samples of one process, and what happened how often.
//!
//! A window reaches from the newest sample back to the oldest one of the same process within [`WINDOW`]. A counter that
//! fell, or another start time, is another process: its window starts again. Bounded: [`SAMPLES_MAX`] samples a node and
//! kind, [`EVENTS_MAX`] events of each sort. Left out: what a figure means (`diagnosis`).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::observation::{
    Container, EtcdMetrics, EtcdStatus, Facts, Histogram, NodeName, Observation, Seen, TalosMachine, Target,
};
use crate::quantile::quantile;
use crate::time::Tick;
use crate::view::APISERVER;

/// How far a window reaches back: long enough for some hundred syncs of an idle etcd, short enough to see a recovery.
pub const WINDOW: Duration = Duration::from_secs(60);

/// Samples kept of one node and kind; a window holds 7 scrapes or 13 samples at the usual pace.
const SAMPLES_MAX: usize = 32;

/// Events kept of one sort: far more than any rule counts.
const EVENTS_MAX: usize = 64;

/// What is kept of one cluster beside the newest observation of each kind.
#[derive(Clone, Debug, Default)]
pub struct Windows {
    etcd: BTreeMap<NodeName, Samples<EtcdMetrics>>,
    machines: BTreeMap<NodeName, Samples<TalosMachine>>,
    elections: Elections,
    boots: BTreeMap<NodeName, VecDeque<Tick>>,
    starts: BTreeMap<NodeName, Starts>,
    holders: VecDeque<(Tick, String)>,
    certificates: BTreeMap<NodeName, String>,
    ready_since: BTreeMap<NodeName, Tick>,
}

/// Samples of one process, the oldest first.
#[derive(Clone, Debug)]
struct Samples<T>(VecDeque<(Tick, T)>);

impl<T> Default for Samples<T> {
    fn default() -> Samples<T> {
        Samples(VecDeque::new())
    }
}

impl<T: Clone> Samples<T> {
    /// Takes the next one; false where it is of another process than those before, which are forgotten.
    fn push(&mut self, at: Tick, sample: &T, same_process: impl Fn(&T, &T) -> bool) -> bool {
        let same = self.0.back().is_none_or(|(_, before)| same_process(before, sample));
        if !same {
            self.0.clear();
        }
        while self.0.len() >= SAMPLES_MAX || self.0.front().is_some_and(|(first, _)| at.since(*first) > WINDOW) {
            self.0.pop_front();
        }
        self.0.push_back((at, sample.clone()));
        same
    }

    /// The ends of the window, with the time between them.
    fn ends(&self) -> Option<(&T, &T, Duration)> {
        let ((from, first), (to, last)) = (self.0.front()?, self.0.back()?);
        (from < to).then(|| (first, last, to.since(*from)))
    }
}

/// Elections, by the rise of the raft term.
#[derive(Clone, Debug, Default)]
struct Elections {
    cluster_id: u64,
    term: u64,
    /// When the term rose, and by how much.
    rises: VecDeque<(Tick, u64)>,
}

impl Elections {
    fn see(&mut self, at: Tick, status: &EtcdStatus) {
        // Asked through Talos a member does not say which cluster it is in.
        let other = status.cluster_id != 0 && self.cluster_id != 0 && status.cluster_id != self.cluster_id;
        if other || self.term == 0 {
            *self = Elections { cluster_id: status.cluster_id, term: status.term, rises: VecDeque::new() };
        } else if status.term > self.term {
            remember(&mut self.rises, (at, status.term - self.term));
            self.term = status.term;
        }
    }
}

/// Starts of a node's API server, by its container's id: each start makes a new one.
#[derive(Clone, Debug, Default)]
struct Starts {
    /// The one that ran last.
    container: String,
    times: VecDeque<Tick>,
}

impl Starts {
    fn see(&mut self, at: Tick, containers: &[Container]) {
        let running = containers.iter().find(|container| container.name == APISERVER && container.running);
        let Some(running) = running.filter(|running| running.id != self.container) else { return };
        // When the first that is seen was started is not known.
        if !self.container.is_empty() {
            remember(&mut self.times, at);
        }
        self.container.clone_from(&running.id);
    }
}

/// What one member did over its window.
#[derive(Clone, Copy, Debug)]
pub struct EtcdWindow<'a> {
    earlier: &'a EtcdMetrics,
    later: &'a EtcdMetrics,
    /// From the first scrape to the last.
    pub length: Duration,
}

impl EtcdWindow<'_> {
    /// The quantile of the log's syncs to the disk; none where there were none.
    #[must_use]
    pub fn fsync(&self, q: f64) -> Option<Duration> {
        between(q, &self.earlier.fsync, &self.later.fsync)
    }

    /// The quantile of the database's commits; none where there were none.
    #[must_use]
    pub fn commit(&self, q: f64) -> Option<Duration> {
        between(q, &self.earlier.commit, &self.later.commit)
    }

    /// The quantile of the round trips to its peers; none where there were none.
    #[must_use]
    pub fn peer_round_trip(&self, q: f64) -> Option<Duration> {
        between(q, &self.earlier.peer_round_trip, &self.later.peer_round_trip)
    }

    /// Heartbeats that it sent late as the leader; none where it does not say.
    #[must_use]
    pub fn heartbeats_late(&self) -> Option<f64> {
        Some(self.later.heartbeat_send_failures? - self.earlier.heartbeat_send_failures?)
    }

    /// Messages to its peers that failed; none where it does not say.
    #[must_use]
    pub fn peer_failures(&self) -> Option<f64> {
        Some(self.later.peer_sent_failures? - self.earlier.peer_sent_failures?)
    }
}

impl Windows {
    /// Folds one observation in; the caller keeps them in order.
    pub fn fold(&mut self, observation: &Observation) {
        let at = observation.at;
        let facts = match &observation.seen {
            Seen::Healthy(facts) => facts,
            _ => {
                self.gone(observation);
                return;
            }
        };
        match (&observation.target, facts) {
            (Target::Node(_, node), Facts::EtcdMetrics(metrics)) => {
                self.etcd.entry(node.clone()).or_default().push(at, metrics, same_member);
            }
            (Target::Node(_, node), Facts::TalosMachine(machine)) => {
                let samples = self.machines.entry(node.clone()).or_default();
                if !samples.push(at, machine, |a, b| b.cpu.total_s() >= a.cpu.total_s()) {
                    remember(self.boots.entry(node.clone()).or_default(), at);
                }
            }
            (Target::Node(_, node), Facts::TalosContainers(containers)) => match self.starts.get_mut(node) {
                Some(starts) => starts.see(at, containers),
                None => self.starts.entry(node.clone()).or_default().see(at, containers),
            },
            (Target::Node(..), Facts::EtcdStatus(status)) if !status.learner => self.elections.see(at, status),
            (Target::Node(_, node), Facts::Apiserver(apiserver)) => {
                let known = self.certificates.get(node);
                if !apiserver.certificate_sha256.is_empty() && known != Some(&apiserver.certificate_sha256) {
                    self.certificates.insert(node.clone(), apiserver.certificate_sha256.clone());
                }
                match (apiserver.ready, self.ready_since.contains_key(node)) {
                    (true, false) => drop(self.ready_since.insert(node.clone(), at)),
                    (false, true) => drop(self.ready_since.remove(node)),
                    _ => {}
                }
            }
            (Target::Vip(_), Facts::Vip(vip)) if !vip.certificate_sha256.is_empty() => {
                let same = self.holders.back().is_some_and(|(_, shown)| *shown == vip.certificate_sha256);
                if !same {
                    remember(&mut self.holders, (at, vip.certificate_sha256.clone()));
                }
            }
            _ => {}
        }
    }

    fn gone(&mut self, observation: &Observation) {
        if let (Target::Node(_, node), crate::observation::ProbeKind::Apiserver) =
            (&observation.target, observation.kind)
        {
            self.ready_since.remove(node);
        }
    }

    /// What a node's member did over its window; none before its second scrape.
    #[must_use]
    pub fn etcd(&self, node: &NodeName) -> Option<EtcdWindow<'_>> {
        let (earlier, later, length) = self.etcd.get(node)?.ends()?;
        Some(EtcdWindow { earlier, later, length })
    }

    /// The share of a machine's processor time, in percent, that its hypervisor gave to others over its window; none
    /// before its second sample, or where no time passed.
    #[must_use]
    pub fn steal_percent(&self, node: &NodeName) -> Option<f64> {
        let (earlier, later, _) = self.machines.get(node)?.ends()?;
        let total = later.cpu.total_s() - earlier.cpu.total_s();
        // steal may run backwards by a tick on some hypervisors.
        let steal = (later.cpu.steal_s - earlier.cpu.steal_s).max(0.0);
        (total > 0.0).then(|| (100.0 * steal / total).min(100.0))
    }

    /// How often the raft term rose since `from`, as far as was seen: every election raises it.
    #[must_use]
    pub fn elections_since(&self, from: Tick) -> u64 {
        self.elections.rises.iter().filter(|(at, _)| *at >= from).map(|(_, by)| by).sum()
    }

    /// How often a node's machine started since `from`, as far as was seen.
    #[must_use]
    pub fn boots_since(&self, node: &NodeName, from: Tick) -> usize {
        self.boots.get(node).map_or(0, |boots| boots.iter().filter(|at| **at >= from).count())
    }

    /// How often a node's API server was started since `from`, as far as was seen.
    #[must_use]
    pub fn starts_since(&self, node: &NodeName, from: Tick) -> usize {
        self.starts.get(node).map_or(0, |starts| starts.times.iter().filter(|at| **at >= from).count())
    }

    /// Whose certificate a fresh connection to the virtual address was shown last, where each API server has its own.
    #[must_use]
    pub fn holder(&self) -> Option<&NodeName> {
        self.owner(&self.holders.back()?.1)
    }

    /// Who answered at the virtual address since `from`, each change once, where the certificates tell; the one that
    /// answered at `from` is the first.
    pub fn holders_since(&self, from: Tick) -> impl Iterator<Item = &NodeName> {
        let before = self.holders.iter().take_while(|(at, _)| *at < from).count();
        self.holders.iter().skip(before.saturating_sub(1)).filter_map(|(_, shown)| self.owner(shown))
    }

    /// When the virtual address moved from one node to another since `from`, in order, as far as the certificates tell.
    pub fn moves_since(&self, from: Tick) -> impl Iterator<Item = Tick> {
        let mut holder = None;
        let told = self.holders.iter().filter_map(|(at, shown)| Some((*at, self.owner(shown)?)));
        let moved = move |(at, owner)| (holder.replace(owner).is_some_and(|before| before != owner)).then_some(at);
        told.filter_map(moved).filter(move |at| *at >= from)
    }

    fn owner(&self, shown: &str) -> Option<&NodeName> {
        let mut owners = self.certificates.iter().filter(|(_, own)| *own == shown).map(|(node, _)| node);
        let first = owners.next()?;
        owners.next().is_none().then_some(first)
    }

    /// Since when a node's API server has been ready without a break, as far as was seen.
    #[must_use]
    pub fn ready_since(&self, node: &NodeName) -> Option<Tick> {
        self.ready_since.get(node).copied()
    }
}

fn between(q: f64, earlier: &Histogram, later: &Histogram) -> Option<Duration> {
    Duration::try_from_secs_f64(quantile(q, earlier, later)?).ok()
}

/// No counter has fallen and the start is the same. What one of the two does not say is no difference.
fn same_member(earlier: &EtcdMetrics, later: &EtcdMetrics) -> bool {
    let grown = |count: fn(&EtcdMetrics) -> Option<f64>| {
        count(earlier).zip(count(later)).is_none_or(|(before, after)| after >= before)
    };
    let started = earlier.process_start_s.zip(later.process_start_s).is_none_or(|(a, b)| (a - b).abs() < 0.5);
    started
        && later.fsync.count >= earlier.fsync.count
        && later.commit.count >= earlier.commit.count
        && grown(|metrics| metrics.leader_changes)
        && grown(|metrics| metrics.heartbeat_send_failures)
        && grown(|metrics| metrics.peer_sent_failures)
}

fn remember<T>(events: &mut VecDeque<T>, event: T) {
    if events.len() >= EVENTS_MAX {
        events.pop_front();
    }
    events.push_back(event);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{CpuTimes, Path, ProbeKind};

    fn see(windows: &mut Windows, at_s: u64, kind: ProbeKind, facts: Facts) {
        let target = Target::Node("prod".to_owned(), "cp1".to_owned());
        let (sent, at) = (Tick(at_s * 1_000), Tick(at_s * 1_000));
        windows.fold(&Observation { target, path: Path::Direct, kind, sent, at, seen: Seen::Healthy(facts) });
    }

    fn scrape(windows: &mut Windows, at_s: u64, count: f64, start_s: f64) {
        let fsync = Histogram { buckets: vec![(0.001, 0.0), (0.002, count), (f64::INFINITY, count)], sum: 0.0, count };
        let metrics = EtcdMetrics { fsync, process_start_s: Some(start_s), ..EtcdMetrics::default() };
        see(windows, at_s, ProbeKind::EtcdMetrics, Facts::EtcdMetrics(metrics.into()));
    }

    fn sample(windows: &mut Windows, at_s: u64, idle_s: f64, steal_s: f64) {
        let cpu = CpuTimes { idle_s, steal_s, ..CpuTimes::default() };
        let machine = TalosMachine { cpu, ..TalosMachine::default() };
        see(windows, at_s, ProbeKind::TalosMachine, Facts::TalosMachine(machine.into()));
    }

    #[test]
    fn one_scrape_is_no_window_and_a_minute_is_the_longest() {
        let (mut windows, node) = (Windows::default(), "cp1".to_owned());
        scrape(&mut windows, 0, 10.0, 1.0);
        assert!(windows.etcd(&node).is_none());
        for at_s in 1..=30 {
            scrape(&mut windows, at_s * 10, 10.0 + f64::from(u32::try_from(at_s).unwrap()), 1.0);
            assert!(windows.etcd(&node).is_some_and(|window| window.length <= WINDOW));
        }
        let window = windows.etcd(&node).unwrap();
        assert_eq!((window.length, window.fsync(0.5)), (WINDOW, Some(Duration::from_micros(1_500))));
    }

    #[test]
    fn another_process_starts_again_by_its_count_or_by_its_start() {
        let node = "cp1".to_owned();
        for (count, start_s) in [(5.0, 1.0), (30.0, 9.0)] {
            let mut windows = Windows::default();
            scrape(&mut windows, 0, 10.0, 1.0);
            scrape(&mut windows, 10, 20.0, 1.0);
            scrape(&mut windows, 20, count, start_s);
            assert!(windows.etcd(&node).is_none(), "{count} {start_s}");
            scrape(&mut windows, 30, count + 1.0, start_s);
            assert!(windows.etcd(&node).is_some_and(|window| window.length == Duration::from_secs(10)));
        }
    }

    #[test]
    fn steal_is_a_share_of_the_time_that_passed_and_a_start_is_counted() {
        let (mut windows, node) = (Windows::default(), "cp1".to_owned());
        sample(&mut windows, 0, 100.0, 50.0);
        assert_eq!(windows.steal_percent(&node), None);
        sample(&mut windows, 10, 106.0, 54.0);
        assert_eq!(windows.steal_percent(&node), Some(40.0));
        sample(&mut windows, 20, 1.0, 0.0);
        assert_eq!((windows.steal_percent(&node), windows.boots_since(&node, Tick(0))), (None, 1));
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let (mut windows, node) = (Windows::default(), "cp1".to_owned());
        for at_ms in 0..1_000 {
            scrape(&mut windows, 0, f64::from(at_ms), 1.0);
            sample(&mut windows, 0, f64::from(1_000 - at_ms), 0.0);
            let (name, id) = (APISERVER.to_owned(), at_ms.to_string());
            let container = Container { name, id, running: true, ..Container::default() };
            see(&mut windows, 0, ProbeKind::TalosContainers, Facts::TalosContainers(vec![container]));
        }
        assert!(windows.etcd.values().all(|samples| samples.0.len() <= SAMPLES_MAX));
        assert!(windows.boots_since(&node, Tick(0)) <= EVENTS_MAX);
        assert_eq!(windows.starts_since(&node, Tick(0)), EVENTS_MAX);
    }
}
