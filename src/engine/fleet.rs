//! All clusters behind one face: fold events in, then poll until nothing more is ready.
//!
//! The contract: after [`Fleet::handle`] call [`Fleet::poll`] until it gives none; carry out each [`Ready`]; report
//! [`Event::Stored`] for every batch, in order, and [`Event::Ended`] for every step; come back at [`Fleet::wake_at`].
//! The same calls with the same times give the same answers. Left out: clocks, sockets, files, chance.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cluster::{Cluster, Seed};
use crate::diagnosis::observer::isolated::answered;
use crate::event::{Event, Ready, Saved};
use crate::ledger::Ledger;
use crate::observation::{ClusterId, Observation, ProbeKind, Target};
use crate::settings::Settings;
use crate::status::Status;
use crate::time::{Now, Tick};
use crate::view::Elsewhere;

/// Every cluster, and what is known of ourselves.
pub struct Fleet {
    clusters: BTreeMap<ClusterId, Cluster>,
    /// When a target of each cluster last answered.
    answered: BTreeMap<ClusterId, Tick>,
    canaries: BTreeMap<String, Option<Observation>>,
}

impl Fleet {
    /// Starts from the settings and from what an earlier process left behind.
    #[must_use]
    pub fn restore(settings: &Settings, saved: &Saved, now: Now) -> Fleet {
        let playbooks: Arc<[_]> = settings.playbooks.iter().cloned().map(Arc::new).collect();
        let cluster = |id: &ClusterId| {
            let mine = saved.reservations.iter().filter(|row| row.cluster == *id).cloned().collect();
            Cluster::new(Seed {
                id: id.clone(),
                settings: settings.clusters.get(id).cloned().unwrap_or_default(),
                mode: settings.mode,
                seen_once: settings.seen_once,
                playbooks: Arc::clone(&playbooks),
                ledger: Ledger::open(mine, now),
                last_incident: saved.last_incident.get(id).copied().unwrap_or(0),
                last_run: saved.last_run.get(id).copied().unwrap_or(0),
                route: saved.routes.get(id).cloned().unwrap_or_default(),
            })
        };
        Fleet {
            clusters: settings.clusters.keys().map(|id| (id.clone(), cluster(id))).collect(),
            answered: BTreeMap::new(),
            canaries: settings.canaries.iter().map(|address| (address.clone(), None)).collect(),
        }
    }

    /// Folds one event in. An event for a cluster that is not configured says nothing.
    pub fn handle(&mut self, event: Event, now: Now) {
        let cluster = match &event {
            Event::Observed(observation) => {
                let Some(cluster) = observation.target.cluster().cloned() else {
                    self.heard_canary(observation);
                    return;
                };
                if answered(&observation.seen) {
                    self.answered.insert(cluster.clone(), observation.at);
                }
                cluster
            }
            Event::Stored { cluster, .. } | Event::Ended { cluster, .. } => cluster.clone(),
        };
        if let Some(cluster) = self.clusters.get_mut(&cluster) {
            cluster.handle(event, now);
        }
    }

    fn heard_canary(&mut self, observation: &Observation) {
        if let Target::Canary(address) = &observation.target
            && let Some(heard) = self.canaries.get_mut(address)
        {
            *heard = Some(observation.clone());
        }
    }

    /// What is ready in the next cluster that has anything; none when all are quiet.
    pub fn poll(&mut self, now: Now) -> Option<Ready> {
        let due: Vec<_> =
            self.clusters.iter().filter(|(_, c)| c.wake_at() <= now.mono).map(|(id, _)| id.clone()).collect();
        for id in due {
            let elsewhere = self.elsewhere(&id, now);
            let ready = self.clusters.get_mut(&id).and_then(|cluster| cluster.poll(now, elsewhere));
            if let Some(ready) = ready.filter(|ready| !ready.is_empty()) {
                return Some(ready);
            }
        }
        None
    }

    fn elsewhere(&self, cluster: &ClusterId, now: Now) -> Elsewhere {
        let max_age = ProbeKind::Canary.max_age();
        let fresh = |seen: &&Observation| now.mono.since(seen.at) <= max_age;
        let heard = || self.canaries.values().flatten().filter(fresh);
        let canary = heard().any(|seen| answered(&seen.seen));
        let other = |(id, at): (&ClusterId, &Tick)| id != cluster && now.mono.since(*at) <= max_age;
        Elsewhere {
            canaries: self.canaries.len(),
            canaries_mute: heard().filter(|seen| !answered(&seen.seen)).count(),
            answers: canary || self.answered.iter().any(other),
        }
    }

    /// When to come back if nothing happens before.
    #[must_use]
    pub fn wake_at(&self) -> Option<Tick> {
        self.clusters.values().map(Cluster::wake_at).min()
    }

    /// What is made of one cluster; none when it is not configured.
    #[must_use]
    pub fn status(&self, id: &ClusterId) -> Option<&Status> {
        self.clusters.get(id).map(Cluster::status)
    }

    /// The clusters' names, in order.
    pub fn clusters(&self) -> impl Iterator<Item = &ClusterId> {
        self.clusters.keys()
    }
}
