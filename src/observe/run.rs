//! Asking everything at its cadence, and at once what the engine wishes for.
//!
//! Every probe is a task of its own, so a silent target delays nobody. At most one of a target and kind is under way; a
//! wish for one that has already left is kept, and asked right after. Two bounds follow: no more tasks than there are
//! probes, and no more kept wishes either. A full `out` holds up the probe that wants to report, and nothing else.
//!
//! Passed on beside what was seen: that a held connection ended by itself, as a suspicion. Who has too many requests is
//! left alone for a while. How late our own timers run is measured here, where most of them are set.
//!
//! The kubelet's log is worth its cost only while the API server's container of that node is known not to run: its rounds
//! are passed over at other times, and the first one comes at once when the container is seen gone. A wish is always
//! granted. Left out: time itself (`schedule`), and how anything is asked (`poll`).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use defib_engine::event::Event;
use defib_engine::observation::{Facts, Observation, ProbeKind, Seen, Target};
use defib_engine::view::apiserver_runs;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Observer;
use super::lateness::Lateness;
use super::schedule::Schedule;

/// Observes until the other side of `wishes` or of `out` is gone.
pub async fn run(observer: Arc<Observer>, mut wishes: mpsc::Receiver<(Target, ProbeKind)>, out: mpsc::Sender<Event>) {
    let clock = observer.clock();
    let mut round = Round::new(&observer);
    let mut under_way: JoinSet<Ended> = JoinSet::new();
    let mut tasks: HashMap<tokio::task::Id, usize> = HashMap::new();
    let mut lateness = Lateness::default();
    let Some(mut suspicions) = observer.suspicions() else {
        tracing::error!("two cannot observe through one observer");
        return;
    };
    loop {
        let now = clock.tick();
        let due = std::iter::from_fn(|| round.schedule.take_due(now)).collect::<Vec<_>>();
        let mut start: Vec<usize> = due.into_iter().filter(|at| round.begin_due(*at)).collect();
        if start.is_empty() {
            let next = round.schedule.next_due();
            let wake = next.map(|due| Instant::from_std(clock.instant(due)));
            let due = async {
                match wake {
                    Some(wake) => tokio::time::sleep_until(wake).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = out.closed() => return,
                wish = wishes.recv() => match wish {
                    Some(wish) => start.extend(round.begin_wish(&wish)),
                    None => return,
                },
                Some((target, kind)) = suspicions.recv() => {
                    if let Err(mpsc::error::TrySendError::Full(_)) = out.try_send(Event::Suspected { target: target.clone(), kind }) {
                        start.extend(round.begin_wish(&(target, kind)));
                    }
                }
                Some(ended) = under_way.join_next_with_id() => match ended {
                    Ok((task, ended)) => {
                        tasks.remove(&task);
                        let (target, kind) = &round.probes[ended.at];
                        let (at, rest) = (ended.at, observer.rest(target, *kind));
                        if !rest.is_zero() {
                            round.schedule.put_off(at, clock.tick() + rest);
                        }
                        start.extend(round.end(ended, clock.tick()));
                    }
                    Err(error) => {
                        tracing::error!(%error, "a probe did not end by itself; it is asked again in its turn");
                        if let Some(at) = tasks.remove(&error.id()) {
                            round.states[at].under_way = false;
                        }
                    }
                },
                () = due => {
                    let now = clock.tick();
                    lateness.fired(next.unwrap_or(now), now);
                    observer.runs_late(lateness.now(now));
                }
            }
        }
        for at in start {
            let (observer, out, (target, kind)) = (Arc::clone(&observer), out.clone(), round.probes[at].clone());
            let task = under_way.spawn(async move {
                let observation = observer.probe(&target, kind).await;
                let runs = api_server_runs(&observation);
                // Where nobody listens any more the loop above ends, too.
                let _ = out.send(Event::Observed(observation)).await;
                Ended { at, runs }
            });
            tasks.insert(task.id(), at);
        }
    }
}

/// A probe that was asked and reported.
struct Ended {
    at: usize,
    /// Whether the API server's container runs, if that was seen.
    runs: Option<bool>,
}

/// What is under way and what comes next.
struct Round {
    probes: Vec<(Target, ProbeKind)>,
    places: BTreeMap<(Target, ProbeKind), usize>,
    states: Vec<State>,
    schedule: Schedule,
}

#[derive(Clone, Copy, Default)]
struct State {
    under_way: bool,
    /// Wished for since it left.
    again: bool,
    /// Its rounds are passed over.
    rests: bool,
}

impl Round {
    fn new(observer: &Observer) -> Round {
        let probes: Vec<_> = observer.wishes().into_iter().map(|(target, _, kind)| (target, kind)).collect();
        let every = probes.iter().map(|(_, kind)| kind.every()).collect();
        let rests = |kind| State { rests: kind == ProbeKind::TalosKubeletLog, ..State::default() };
        Round {
            places: probes.iter().cloned().enumerate().map(|(at, probe)| (probe, at)).collect(),
            states: probes.iter().map(|(_, kind)| rests(*kind)).collect(),
            schedule: Schedule::new(every, seed(), observer.clock().tick()),
            probes,
        }
    }

    /// May this probe, whose round is due, be asked now.
    fn begin_due(&mut self, at: usize) -> bool {
        let state = &mut self.states[at];
        let begins = !state.under_way && !state.rests;
        state.under_way |= begins;
        begins
    }

    /// The probe to ask now for a wish; none where one is under way, which is then followed by another.
    fn begin_wish(&mut self, wish: &(Target, ProbeKind)) -> Option<usize> {
        let Some(&at) = self.places.get(wish) else {
            tracing::debug!(target = %wish.0, kind = wish.1.name(), "wished for and not configured");
            return None;
        };
        let state = &mut self.states[at];
        state.again = state.under_way;
        let begins = !state.under_way;
        state.under_way = true;
        begins.then_some(at)
    }

    /// Takes note of an end; gives the same probe where it was wished for meanwhile.
    fn end(&mut self, ended: Ended, now: defib_engine::time::Tick) -> Option<usize> {
        if let Some(runs) = ended.runs {
            let log = (self.probes[ended.at].0.clone(), ProbeKind::TalosKubeletLog);
            if let Some(&log) = self.places.get(&log) {
                if self.states[log].rests && !runs {
                    self.schedule.hasten(log, now);
                }
                self.states[log].rests = runs;
            }
        }
        let state = &mut self.states[ended.at];
        state.under_way = std::mem::take(&mut state.again);
        state.under_way.then_some(ended.at)
    }
}

/// Whether the API server's container runs, where this observation says it.
fn api_server_runs(observation: &Observation) -> Option<bool> {
    match &observation.seen {
        Seen::Healthy(Facts::TalosContainers(containers)) => Some(apiserver_runs(containers)),
        _ => None,
    }
}

/// Another one for each process, so that instances do not fall into step.
fn seed() -> u64 {
    u64::from(std::process::id())
}

#[cfg(test)]
mod tests {
    use defib_engine::time::Tick;
    use defib_engine::view::APISERVER;

    use super::*;

    fn probe(kind: ProbeKind) -> (Target, ProbeKind) {
        (Target::Node("home".to_owned(), "cp1".to_owned()), kind)
    }

    /// Containers at 0, the kubelet's log at 1; the first rounds are over.
    fn round() -> Round {
        let probes = vec![probe(ProbeKind::TalosContainers), probe(ProbeKind::TalosKubeletLog)];
        let mut schedule = Schedule::new(vec![ProbeKind::TalosContainers.every(); 2], 1, Tick(0));
        while schedule.take_due(Tick(1_000)).is_some() {}
        let state = |rests| State { rests, ..State::default() };
        let places = probes.iter().cloned().enumerate().map(|(at, probe)| (probe, at)).collect();
        Round { probes, places, states: vec![state(false), state(true)], schedule }
    }

    #[test]
    fn the_log_is_asked_at_once_when_the_container_is_seen_gone_and_rests_when_it_runs() {
        let mut round = round();
        assert!(!round.begin_due(1));
        assert_eq!(round.end(Ended { at: 0, runs: None }, Tick(1_100)), None);
        assert!(round.states[1].rests);
        round.end(Ended { at: 0, runs: Some(false) }, Tick(1_200));
        assert_eq!(round.schedule.take_due(Tick(1_200)), Some(1));
        assert!(round.begin_due(1));
        round.end(Ended { at: 1, runs: None }, Tick(1_300));
        // Still gone: its own cadence goes on.
        round.end(Ended { at: 0, runs: Some(false) }, Tick(1_400));
        assert_eq!(round.schedule.take_due(Tick(1_400)), None);
        round.end(Ended { at: 0, runs: Some(true) }, Tick(1_500));
        assert!(!round.begin_due(1));
    }

    #[test]
    fn wishes_for_what_is_under_way_are_kept_as_one() {
        let mut round = round();
        let log = probe(ProbeKind::TalosKubeletLog);
        assert_eq!(round.begin_wish(&log), Some(1));
        assert_eq!(round.begin_wish(&log), None);
        assert_eq!(round.begin_wish(&log), None);
        assert_eq!(round.end(Ended { at: 1, runs: None }, Tick(0)), Some(1));
        assert_eq!(round.end(Ended { at: 1, runs: None }, Tick(0)), None);
        assert_eq!(round.begin_wish(&probe(ProbeKind::Vip)), None);
    }

    #[test]
    fn only_an_answer_about_containers_tells_whether_one_runs() {
        let container = |name: &str, running| defib_engine::observation::Container {
            name: name.to_owned(),
            running,
            ..Default::default()
        };
        let cases = [
            (vec![container(APISERVER, true)], true),
            (vec![container(APISERVER, false), container("etcd", true)], false),
            (vec![], false),
        ];
        for (containers, runs) in cases {
            let (target, kind) = probe(ProbeKind::TalosContainers);
            let seen = Seen::Healthy(Facts::TalosContainers(containers));
            let path = defib_engine::observation::Path::Talos;
            let mut observation = Observation { target, path, kind, sent: Tick(0), at: Tick(0), seen };
            assert_eq!(api_server_runs(&observation), Some(runs));
            observation.seen = Seen::Unhealthy(defib_engine::observation::Failure::Refused);
            assert_eq!(api_server_runs(&observation), None);
        }
    }
}
