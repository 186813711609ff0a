//! Asking the clusters: the only part of defib that looks at the world.
//!
//! An [`Observer`] knows everything that the configuration allows to be asked, holds a client for each, and asks one thing
//! at a time of each target and kind. [`run`] asks all of it at its cadence, and at once whatever the engine wishes for.
//! Promised: a probe ends by its deadline, in an [`Observation`]; it never panics and never delays another.
//! Left out: what is made of an observation (the engine).

pub mod dmesg;
pub mod klog;
pub mod lateness;
pub mod patience;
pub mod poll;
pub mod run;
pub mod schedule;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use defib_engine::observation::{Facts, Failure, Observation, Path, ProbeKind, Seen, Stage, Target, Why};
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

use self::patience::{Deadlines, Patience};
use crate::client::Trouble;
use crate::client::bell::Bell;
use crate::client::etcd::Member;
use crate::client::exposition::Exposition;
use crate::client::kept::Kept;
use crate::client::kubernetes::Kubernetes;
use crate::client::talos::{Credential, Talos};
use crate::client::tls::Files;
use crate::clock::Clock;
use crate::config::{Cluster, Node};
use crate::snapshot::Shelf;
use poll::credentials::Own;

/// A poll keeps its own deadline; one that overran it by this much is given up, so that no fault of ours hangs a probe.
const GRACE: Duration = Duration::from_millis(250);

/// A deadline that was noticed this much later than it passed is our own slowness: an answer may have come meanwhile.
const NOTICED_WITHIN: Duration = Duration::from_millis(400);

/// Ends of held connections that wait to be told. What finds no room is seen at its own cadence.
const SUSPICIONS_MAX: usize = 64;

/// Who asks.
#[derive(Debug)]
pub struct Observer {
    probes: BTreeMap<(Target, ProbeKind), Probe>,
    machines: BTreeMap<(String, String), Arc<Talos>>,
    clock: Clock,
    /// How late our own timers ran lately, in milliseconds.
    late_ms: AtomicU64,
    bell: mpsc::Sender<(Target, ProbeKind)>,
    /// Taken by the one who listens.
    rung: std::sync::Mutex<Option<mpsc::Receiver<(Target, ProbeKind)>>>,
}

/// One thing that can be asked.
#[derive(Debug)]
struct Probe {
    path: Path,
    client: Client,
    /// Held while it is asked: one in flight a target and kind.
    turn: Mutex<()>,
    patience: std::sync::Mutex<Patience>,
}

/// Through what it is asked.
#[derive(Debug)]
enum Client {
    Talos(Arc<Talos>),
    Etcd(Arc<Member>),
    Apiserver(Kubernetes),
    Vip(Kubernetes),
    Metrics(Exposition),
    Own(Own),
    Snapshots(Arc<Shelf>),
    Canary(SocketAddr),
}

impl Observer {
    /// Prepares a client for everything that the configuration allows. Opens no file and dials nobody.
    #[must_use]
    pub fn new(clusters: &[Cluster], canaries: &[SocketAddr], clock: Clock) -> Observer {
        let (bell, rung) = mpsc::channel(SUSPICIONS_MAX);
        let mut observer = Observer {
            probes: BTreeMap::new(),
            machines: BTreeMap::new(),
            clock,
            late_ms: AtomicU64::default(),
            bell,
            rung: std::sync::Mutex::new(Some(rung)),
        };
        for canary in canaries {
            let target = Target::Canary(canary.to_string());
            observer.add(&target, Path::Outside, ProbeKind::Canary, Client::Canary(*canary));
        }
        for cluster in clusters {
            observer.add_cluster(cluster);
        }
        observer
    }

    fn add_cluster(&mut self, cluster: &Cluster) {
        let kubernetes = cluster.kubernetes.as_ref().map(|credential| Arc::new(Kept::new(Files::new(credential))));
        let etcd = cluster.etcd.as_ref().map(|credential| Arc::new(Kept::new(Files::new(credential))));
        let talos = cluster.talos.as_ref().map(|talos| Arc::new(Kept::new(Credential::new(talos))));
        for node in &cluster.nodes {
            let target = Target::Node(cluster.name.clone(), node.name.clone());
            if let Some(files) = &kubernetes {
                let address = SocketAddr::new(node.address, cluster.ports.apiserver);
                let client = Client::Apiserver(
                    Kubernetes::new(address, Arc::clone(files)).with_bell(self.bell(&target, ProbeKind::Apiserver)),
                );
                self.add(&target, Path::Direct, ProbeKind::Apiserver, client);
            }
            let machine = talos.as_ref().map(|credential| self.add_machine(cluster, node, &target, credential));
            if let Some(files) = &etcd {
                let address = SocketAddr::new(node.address, cluster.ports.etcd);
                let member = Arc::new(
                    Member::new(Arc::clone(files), address).with_bell(self.bell(&target, ProbeKind::EtcdStatus)),
                );
                let kinds = [
                    ProbeKind::EtcdStatus,
                    ProbeKind::EtcdReadSerializable,
                    ProbeKind::EtcdReadLinearizable,
                    ProbeKind::EtcdMembers,
                ];
                for kind in kinds {
                    self.add(&target, Path::Direct, kind, Client::Etcd(Arc::clone(&member)));
                }
            } else if let Some(machine) = machine {
                for kind in [ProbeKind::EtcdStatus, ProbeKind::EtcdMembers] {
                    self.add(&target, Path::Talos, kind, Client::Talos(Arc::clone(&machine)));
                }
            }
            if let Some(metrics) = cluster.etcd_metrics {
                let address = SocketAddr::new(node.address, metrics.port);
                let client = Exposition::new(address, etcd.clone().filter(|_| metrics.tls));
                self.add(&target, Path::Direct, ProbeKind::EtcdMetrics, Client::Metrics(client));
            }
        }
        if let (Some(address), Some(files)) = (cluster.vip, &kubernetes) {
            let client = Client::Vip(Kubernetes::new(address, Arc::clone(files)));
            self.add(&Target::Vip(cluster.name.clone()), Path::Vip, ProbeKind::Vip, client);
        }
        if kubernetes.is_some() || etcd.is_some() || talos.is_some() {
            let client = Client::Own(Own { kubernetes, etcd, talos, vip: cluster.vip.map(|vip| vip.ip()) });
            self.add(&Target::Own(cluster.name.clone()), Path::Own, ProbeKind::Credentials, client);
        }
        self.add_snapshots(cluster);
    }

    fn add_snapshots(&mut self, cluster: &Cluster) {
        if let Some(schedule) = &cluster.snapshots {
            let client = Client::Snapshots(Arc::new(Shelf::new(&cluster.name, schedule)));
            self.add(&Target::Own(cluster.name.clone()), Path::Own, ProbeKind::Snapshots, client);
        }
    }

    fn add_machine(&mut self, cluster: &Cluster, node: &Node, target: &Target, credential: &Arc<Kept>) -> Arc<Talos> {
        let address = SocketAddr::new(node.address, cluster.ports.talos);
        let machine = Arc::new(Talos::new(Arc::clone(credential), address));
        for kind in [
            ProbeKind::TalosServices,
            ProbeKind::TalosContainers,
            ProbeKind::TalosKubeletLog,
            ProbeKind::TalosMachine,
            ProbeKind::TalosDmesg,
        ] {
            self.add(target, Path::Talos, kind, Client::Talos(Arc::clone(&machine)));
        }
        self.machines.insert((cluster.name.clone(), node.name.clone()), Arc::clone(&machine));
        machine
    }

    fn add(&mut self, target: &Target, path: Path, kind: ProbeKind, client: Client) {
        self.probes.insert(
            (target.clone(), kind),
            Probe { path, client, turn: Mutex::default(), patience: std::sync::Mutex::default() },
        );
    }

    /// What a held connection of this target rings when it ends by itself; `kind` is what tells best whether that means
    /// anything.
    fn bell(&self, target: &Target, kind: ProbeKind) -> Bell {
        let (bell, suspected) = (self.bell.clone(), (target.clone(), kind));
        // Without room, or a listener, its own cadence tells.
        Bell::new(move || drop(bell.try_send(suspected.clone())))
    }

    /// The ends of held connections as they come; given once, to the first who asks.
    fn suspicions(&self) -> Option<mpsc::Receiver<(Target, ProbeKind)>> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// How late our own timers ran lately, as [`run`] has seen it; deadlines are stretched by it.
    #[must_use]
    pub fn late(&self) -> Duration {
        Duration::from_millis(self.late_ms.load(Ordering::Relaxed))
    }

    fn runs_late(&self, late: Duration) {
        self.late_ms.store(u64::try_from(late.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long this target wants its rounds put off.
    fn rest(&self, target: &Target, kind: ProbeKind) -> Duration {
        self.probes.get(&(target.clone(), kind)).map_or(Duration::ZERO, |probe| probe.patience().rest())
    }

    /// Everything that can be asked, in order.
    #[must_use]
    pub fn wishes(&self) -> Vec<(Target, Path, ProbeKind)> {
        self.probes.iter().map(|((target, kind), probe)| (target.clone(), probe.path, *kind)).collect()
    }

    /// The client for a machine, for whoever acts on it; none where Talos is not configured, or there is no such node.
    #[must_use]
    pub fn talos(&self, cluster: &str, node: &str) -> Option<&Talos> {
        self.machines.get(&(cluster.to_owned(), node.to_owned())).map(Arc::as_ref)
    }

    /// Where snapshots are kept, of every cluster that has a schedule for them.
    pub fn shelves(&self) -> impl Iterator<Item = &Arc<Shelf>> {
        self.probes.values().filter_map(|probe| match &probe.client {
            Client::Snapshots(shelf) => Some(shelf),
            _ => None,
        })
    }

    /// The members of etcd of a cluster with their nodes' names, for whoever acts on them; none where no certificate for
    /// etcd is configured.
    #[must_use]
    pub fn members(&self, cluster: &str) -> Vec<(String, Arc<Member>)> {
        let member = |((target, kind), probe): (&(Target, ProbeKind), &Probe)| match (target, &probe.client) {
            (Target::Node(of, node), Client::Etcd(member)) if of == cluster && *kind == ProbeKind::EtcdStatus => {
                Some((node.clone(), Arc::clone(member)))
            }
            _ => None,
        };
        self.probes.iter().filter_map(member).collect()
    }

    /// The clock that stamps observations.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Asks one thing once and says what was seen. The question leaves after this was called: whoever finds it in flight
    /// waits for its end and asks again. What is not configured is unknown, by our own side's doing.
    pub async fn probe(&self, target: &Target, kind: ProbeKind) -> Observation {
        let observed = |path, sent, seen| {
            let (target, at) = (target.clone(), self.clock.tick());
            Observation { target, path, kind, sent, at, seen }
        };
        let Some(probe) = self.probes.get(&(target.clone(), kind)) else {
            let why = Why::OwnSide(format!("no source is configured for {} of {target}", kind.name()));
            return observed(Path::Direct, self.clock.tick(), Seen::Unknown(why));
        };
        let _turn = probe.turn.lock().await;
        let sent = self.clock.tick();
        let asked = Instant::now();
        let late = self.late();
        let deadlines = probe.patience().deadlines(kind, late);
        let seen = tokio::time::timeout(deadlines.whole + GRACE, probe.client.ask(kind, deadlines)).await;
        let seen = seen.unwrap_or(Seen::Unhealthy(Failure::Timeout(Stage::Response)));
        let took = asked.elapsed();
        let seen = match (seen, overslept(asked + deadlines.whole)) {
            (Seen::Unhealthy(Failure::Timeout(_)), Some(why)) => Seen::Unknown(why),
            (seen, _) => seen,
        };
        probe.learn(&seen, took);
        observed(probe.path, sent, seen)
    }
}

/// Why a deadline that has passed proves nothing: it was noticed too late.
fn overslept(deadline: Instant) -> Option<Why> {
    let late = Instant::now().saturating_duration_since(deadline);
    let why = || format!("no answer, but our own timers run {} ms late", late.as_millis());
    (late > NOTICED_WITHIN).then(|| Why::OwnSide(why()))
}

/// The answer to a question with a deadline within a probe's own; a silence that was noticed late is none.
fn in_time<T>(answer: Result<T, Trouble>, deadline: Instant) -> Result<T, Trouble> {
    match (answer, overslept(deadline)) {
        (Err(Trouble::Failed(Failure::Timeout(_))), Some(why)) => Err(Trouble::Unknown(why)),
        (answer, _) => answer,
    }
}

impl Probe {
    fn patience(&self) -> std::sync::MutexGuard<'_, Patience> {
        self.patience.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of how long a sign of life took.
    fn learn(&self, seen: &Seen, took: Duration) {
        let mut patience = self.patience();
        match seen {
            // What waits for etcd says nothing of the way to the API server.
            Seen::Healthy(Facts::Apiserver(facts)) if !facts.ready => {}
            Seen::Healthy(Facts::Vip(vip)) => patience.answered(vip.connect + vip.handshake),
            Seen::Healthy(_) => patience.answered(took),
            Seen::Unhealthy(Failure::Timeout(_)) => patience.was_silent(),
            Seen::Unhealthy(Failure::Status { code: 429, .. }) => {
                let asked = match &self.client {
                    Client::Apiserver(client) => client.asked_for_rest(),
                    _ => None,
                };
                patience.was_turned_away(asked);
            }
            Seen::Unhealthy(_) | Seen::Unknown(_) => {}
        }
    }
}

impl Client {
    async fn ask(&self, kind: ProbeKind, deadlines: Deadlines) -> Seen {
        let deadline = deadlines.whole;
        match self {
            Client::Talos(client) => poll::talos::poll(client, kind, deadline).await,
            Client::Etcd(client) => poll::etcd::poll(client, kind, deadline).await,
            Client::Apiserver(client) => poll::apiserver::poll(client, kind, deadlines).await,
            Client::Vip(client) => poll::vip::poll(client, kind, deadlines).await,
            Client::Metrics(client) => poll::etcd_metrics::poll(client, kind, deadline).await,
            Client::Own(own) => poll::credentials::poll(own, kind, deadline).await,
            Client::Snapshots(shelf) => poll::snapshots::poll(shelf, kind, deadline).await,
            Client::Canary(address) => poll::canary::poll(address, kind, deadline).await,
        }
    }
}
