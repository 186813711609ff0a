//! All clusters behind one face: fold events in, then poll until nothing more is ready.
//!
//! The contract: after [`Fleet::handle`] call [`Fleet::poll`] until it gives none; carry out each [`Ready`]; report
//! [`Event::Stored`] for every batch, in order, and [`Event::Ended`] for every step; come back at [`Fleet::wake_at`].
//! The same calls with the same times give the same answers. Left out: clocks, sockets, files, chance.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::burst::Allowance;
use crate::cluster::{Cluster, Seed};
use crate::command::{Command, Reply};
use crate::diagnosis::observer::isolated::answered;
use crate::event::{Event, Ready, Saved};
use crate::ledger::{Ledger, Used};
use crate::observation::{ClusterId, Observation, ProbeKind, Target};
use crate::settings::{Disruptive, Settings};
use crate::status::Status;
use crate::time::{Now, Tick};
use crate::view::Elsewhere;

/// Every cluster, and what is known of ourselves.
pub struct Fleet {
    clusters: BTreeMap<ClusterId, Slot>,
    /// When a target of each cluster last answered.
    answered: BTreeMap<ClusterId, Tick>,
    canaries: BTreeMap<String, Option<Observation>>,
    /// How late our own timers ran lately.
    late: Duration,
    desk: Desk,
    /// What the bursts of all clusters may still ask for.
    allowance: Allowance,
    /// How often machines may be taken down.
    disruptive: Disruptive,
}

impl Fleet {
    /// Starts from the settings and from what an earlier process left behind.
    #[must_use]
    pub fn restore(settings: &Settings, saved: &Saved, now: Now) -> Fleet {
        let playbooks: Arc<[_]> = settings.playbooks.iter().cloned().map(Arc::new).collect();
        let cluster = |id: &ClusterId| {
            let mine = saved.reservations.iter().filter(|row| row.cluster == *id).cloned().collect();
            let acks: Vec<_> = saved.acks.iter().filter(|ack| ack.what.cluster == *id).cloned().collect();
            Cluster::new(Seed {
                id: id.clone(),
                settings: settings.clusters.get(id).cloned().unwrap_or_default(),
                mode: settings.mode,
                seen_once: settings.seen_once,
                guards: settings.guards,
                playbooks: Arc::clone(&playbooks),
                ledger: Ledger::open(mine, &acks, now),
                last_incident: saved.last_incident.get(id).copied().unwrap_or(0),
                incidents: saved.incidents.get(id).cloned().unwrap_or_default(),
                left: saved.left.get(id).cloned().unwrap_or_default(),
                last_run: saved.last_run.get(id).copied().unwrap_or(0),
                pause: saved.pauses.get(id).cloned(),
                route: saved.routes.get(id).cloned().unwrap_or_default(),
                now,
            })
        };
        Fleet {
            clusters: settings.clusters.keys().map(|id| (id.clone(), Slot::of(cluster(id)))).collect(),
            answered: BTreeMap::new(),
            canaries: settings.canaries.iter().map(|address| (address.clone(), None)).collect(),
            late: Duration::ZERO,
            desk: Desk::default(),
            allowance: Allowance::default(),
            // One for all: the configuration has it once.
            disruptive: settings.clusters.values().next().map(|one| one.disruptive.clone()).unwrap_or_default(),
        }
    }

    /// Folds one event in. An event for a cluster that is not configured says nothing.
    pub fn handle(&mut self, event: Event, now: Now) {
        let cluster = match &event {
            Event::Observed(observation) => {
                let Some(cluster) = observation.target.cluster() else {
                    self.heard_canary(observation);
                    return;
                };
                if answered(&observation.seen) && !matches!(observation.target, Target::Own(_)) {
                    match self.answered.get_mut(cluster) {
                        Some(at) => *at = observation.at,
                        None => drop(self.answered.insert(cluster.clone(), observation.at)),
                    }
                }
                cluster
            }
            Event::Stored { cluster, .. } | Event::Ended { cluster, .. } => cluster,
            Event::Suspected { target, .. } => {
                let Some(cluster) = target.cluster() else { return };
                cluster
            }
            Event::Observer(health) => {
                self.late = health.late;
                self.clusters.values_mut().for_each(|slot| slot.change(|cluster| cluster.handle(event.clone(), now)));
                return;
            }
            Event::Asked(command) => return self.asked(command, now),
        };
        if let Some(slot) = self.clusters.get_mut(cluster) {
            slot.change(|cluster| cluster.handle(event, now));
        }
    }

    /// Hands a command to the cluster that it is for, or to all.
    fn asked(&mut self, command: &Command, now: Now) {
        let clusters: Vec<ClusterId> = match command.ask.cluster() {
            None => self.clusters.keys().cloned().collect(),
            Some(cluster) if self.clusters.contains_key(cluster) => vec![cluster.clone()],
            Some(cluster) => {
                self.desk.refuse(command.id, format!("there is no cluster {cluster}"));
                return;
            }
        };
        self.desk.expect(command.id, clusters.len());
        for cluster in clusters {
            if let Some(slot) = self.clusters.get_mut(&cluster) {
                slot.change(|cluster| cluster.handle(Event::Asked(command.clone()), now));
            }
        }
    }

    fn heard_canary(&mut self, observation: &Observation) {
        if let Target::Canary(address) = &observation.target
            && let Some(heard) = self.canaries.get_mut(address)
        {
            *heard = Some(observation.clone());
        }
    }

    /// The clusters that [`Fleet::poll`] judges at this time, in order.
    pub fn due(&self, now: Now) -> impl Iterator<Item = &ClusterId> {
        self.clusters.iter().filter(move |(_, slot)| slot.wake_at <= now.mono).map(|(id, _)| id)
    }

    /// What is ready in the next cluster that has anything; none when all are quiet.
    pub fn poll(&mut self, now: Now) -> Option<Ready> {
        if let Some(replies) = self.desk.take() {
            return Some(Ready { replies, ..Ready::default() });
        }
        let due: Vec<_> = self.due(now).cloned().collect();
        for id in due {
            let elsewhere = self.elsewhere(&id, now);
            let allowance = &mut self.allowance;
            let Some(slot) = self.clusters.get_mut(&id) else { continue };
            let Some(mut ready) = slot.change(|cluster| cluster.poll(now, elsewhere, allowance)) else { continue };
            if slot.cluster.looks_around() {
                ready.probes.extend(self.canaries_to_ask(now));
            }
            ready.replies = self.desk.gather(std::mem::take(&mut ready.replies));
            if !ready.is_empty() {
                return Some(ready);
            }
        }
        None
    }

    /// The canaries that were not asked lately: a target that falls silent may be ourselves cut off.
    fn canaries_to_ask(&mut self, now: Now) -> Vec<(Target, ProbeKind)> {
        let (canaries, allowance) = (&self.canaries, &mut self.allowance);
        let old = canaries.iter().filter(|(_, heard)| allowance.grants(heard.as_ref().map(|seen| seen.sent), now.mono));
        old.map(|(address, _)| (Target::Canary(address.clone()), ProbeKind::Canary)).collect()
    }

    fn elsewhere(&self, cluster: &ClusterId, now: Now) -> Elsewhere {
        let max_age = ProbeKind::Canary.max_age();
        let fresh = |seen: &&Observation| now.mono.since(seen.at) <= max_age;
        let heard = || self.canaries.values().flatten().filter(fresh);
        let canary = heard().any(|seen| answered(&seen.seen));
        let acted = || self.clusters.iter().filter(|(_, slot)| slot.acted);
        let other = |(id, at): (&ClusterId, &Tick)| id != cluster && now.mono.since(*at) <= max_age;
        Elsewhere {
            canaries: self.canaries.len(),
            canaries_mute: heard().filter(|seen| !answered(&seen.seen)).count(),
            answers: canary || self.answered.iter().any(other),
            late: self.late,
            disrupted: acted().any(|(id, other)| id != cluster && other.cluster.disrupts(now)),
            disruptions: Used::of(acted().flat_map(|(_, one)| one.cluster.disruptions(now)), self.disruptive.per_fleet),
        }
    }

    /// When to come back if nothing happens before.
    #[must_use]
    pub fn wake_at(&self) -> Option<Tick> {
        if self.desk.is_empty() { self.clusters.values().map(|slot| slot.wake_at).min() } else { Some(Tick(0)) }
    }

    /// What is made of one cluster; none when it is not configured.
    #[must_use]
    pub fn status(&self, id: &ClusterId) -> Option<&Status> {
        self.clusters.get(id).map(|slot| slot.cluster.status())
    }

    /// The clusters' names, in order.
    pub fn clusters(&self) -> impl Iterator<Item = &ClusterId> {
        self.clusters.keys()
    }
}

/// A cluster, and beside it what is looked for in all of them at every observation or judgement: hundreds of clusters do not
/// fit into a processor's cache.
struct Slot {
    /// When it is judged next ([`Cluster::wake_at`]).
    wake_at: Tick,
    /// Something is under way in it or was reserved ([`Cluster::has_acted`]): the others may have to wait for it.
    acted: bool,
    cluster: Box<Cluster>,
}

impl Slot {
    fn of(cluster: Cluster) -> Slot {
        Slot { wake_at: cluster.wake_at(), acted: cluster.has_acted(), cluster: Box::new(cluster) }
    }

    /// The one way to change it.
    fn change<T>(&mut self, how: impl FnOnce(&mut Cluster) -> T) -> T {
        let done = how(&mut self.cluster);
        (self.wake_at, self.acted) = (self.cluster.wake_at(), self.cluster.has_acted());
        done
    }
}

/// Answers to commands that concern several clusters, until each of them has answered.
#[derive(Default)]
struct Desk {
    /// By the command's number: how many clusters still owe an answer, and the answers so far.
    owed: BTreeMap<u64, (usize, Vec<Reply>)>,
    replies: Vec<(u64, Reply)>,
}

impl Desk {
    fn is_empty(&self) -> bool {
        self.replies.is_empty()
    }

    fn refuse(&mut self, id: u64, why: String) {
        self.replies.push((id, Reply::Refused(why)));
    }

    /// So many clusters were asked; with one of them its answer is the answer.
    fn expect(&mut self, id: u64, clusters: usize) {
        match clusters {
            0 => self.refuse(id, "no cluster is configured".to_owned()),
            1 => {}
            _ => drop(self.owed.insert(id, (clusters, Vec::new()))),
        }
    }

    fn take(&mut self) -> Option<Vec<(u64, Reply)>> {
        (!self.replies.is_empty()).then(|| std::mem::take(&mut self.replies))
    }

    /// Keeps back what is not answered by every cluster yet.
    fn gather(&mut self, replies: Vec<(u64, Reply)>) -> Vec<(u64, Reply)> {
        let mut whole = Vec::new();
        for (id, reply) in replies {
            match self.owed.get_mut(&id) {
                None => whole.push((id, reply)),
                Some((owed, answers)) => {
                    answers.push(reply);
                    *owed -= 1;
                    if *owed == 0
                        && let Some((_, answers)) = self.owed.remove(&id)
                    {
                        whole.push((id, all(answers)));
                    }
                }
            }
        }
        whole
    }
}

/// One answer of several: what was refused anywhere is refused; what was done anywhere is done.
fn all(answers: Vec<Reply>) -> Reply {
    let (mut refused, mut done, mut nothing) = (Vec::new(), Vec::new(), Vec::new());
    for answer in answers {
        match answer {
            Reply::Refused(text) => refused.push(text),
            Reply::Done(text) => done.push(text),
            Reply::Nothing(text) => nothing.push(text),
            other => return other,
        }
    }
    let words = |texts: Vec<String>| texts.join("; ");
    match (refused.is_empty(), done.is_empty()) {
        (false, _) => Reply::Refused(words(refused.into_iter().chain(done).collect())),
        (true, false) => Reply::Done(words(done)),
        (true, true) => Reply::Nothing(words(nothing)),
    }
}
