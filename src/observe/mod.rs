//! Asking the clusters: the only part of defib that looks at the world.
//!
//! An [`Observer`] knows everything that the configuration allows to be asked, holds a client for each, and asks one thing
//! at a time of each target and kind. [`run`] asks all of it at its cadence, and at once whatever the engine wishes for.
//! Promised: a probe ends by its deadline, in an [`Observation`]; it never panics and never delays another.
//! Left out: what is made of an observation (the engine).

pub mod klog;
pub mod poll;
pub mod run;
pub mod schedule;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use defib_engine::observation::{Failure, Observation, Path, ProbeKind, Seen, Stage, Target, Why};
use tokio::sync::Mutex;

use crate::client::etcd::Member;
use crate::client::exposition::Exposition;
use crate::client::kept::Kept;
use crate::client::kubernetes::Kubernetes;
use crate::client::talos::{Credential, Talos};
use crate::client::tls::Files;
use crate::clock::Clock;
use crate::config::{Cluster, Node};
use poll::credentials::Own;

/// A poll keeps its own deadline; one that overran it by this much is given up, so that no fault of ours hangs a probe.
const GRACE: Duration = Duration::from_millis(250);

/// Who asks.
#[derive(Debug)]
pub struct Observer {
    probes: BTreeMap<(Target, ProbeKind), Probe>,
    machines: BTreeMap<(String, String), Arc<Talos>>,
    clock: Clock,
}

/// One thing that can be asked.
#[derive(Debug)]
struct Probe {
    path: Path,
    client: Client,
    /// Held while it is asked: one in flight a target and kind.
    turn: Mutex<()>,
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
    Canary(SocketAddr),
}

impl Observer {
    /// Prepares a client for everything that the configuration allows. Opens no file and dials nobody.
    #[must_use]
    pub fn new(clusters: &[Cluster], canaries: &[SocketAddr], clock: Clock) -> Observer {
        let mut observer = Observer { probes: BTreeMap::new(), machines: BTreeMap::new(), clock };
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
                let client = Client::Apiserver(Kubernetes::new(address, Arc::clone(files)));
                self.add(&target, Path::Direct, ProbeKind::Apiserver, client);
            }
            let machine = talos.as_ref().map(|credential| self.add_machine(cluster, node, &target, credential));
            if let Some(files) = &etcd {
                let address = SocketAddr::new(node.address, cluster.ports.etcd);
                let member = Arc::new(Member::new(Arc::clone(files), address));
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
            let client = Client::Own(Own { kubernetes, etcd, talos });
            self.add(&Target::Own(cluster.name.clone()), Path::Own, ProbeKind::Credentials, client);
        }
    }

    fn add_machine(&mut self, cluster: &Cluster, node: &Node, target: &Target, credential: &Arc<Kept>) -> Arc<Talos> {
        let address = SocketAddr::new(node.address, cluster.ports.talos);
        let machine = Arc::new(Talos::new(Arc::clone(credential), address));
        for kind in
            [ProbeKind::TalosServices, ProbeKind::TalosContainers, ProbeKind::TalosKubeletLog, ProbeKind::TalosMachine]
        {
            self.add(target, Path::Talos, kind, Client::Talos(Arc::clone(&machine)));
        }
        self.machines.insert((cluster.name.clone(), node.name.clone()), Arc::clone(&machine));
        machine
    }

    fn add(&mut self, target: &Target, path: Path, kind: ProbeKind, client: Client) {
        self.probes.insert((target.clone(), kind), Probe { path, client, turn: Mutex::default() });
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
        let deadline = kind.deadline();
        let seen = tokio::time::timeout(deadline + GRACE, probe.client.ask(kind, deadline)).await;
        observed(probe.path, sent, seen.unwrap_or(Seen::Unhealthy(Failure::Timeout(Stage::Response))))
    }
}

impl Client {
    async fn ask(&self, kind: ProbeKind, deadline: Duration) -> Seen {
        match self {
            Client::Talos(client) => poll::talos::poll(client, kind, deadline).await,
            Client::Etcd(client) => poll::etcd::poll(client, kind, deadline).await,
            Client::Apiserver(client) => poll::apiserver::poll(client, kind, deadline).await,
            Client::Vip(client) => poll::vip::poll(client, kind, deadline).await,
            Client::Metrics(client) => poll::etcd_metrics::poll(client, kind, deadline).await,
            Client::Own(own) => poll::credentials::poll(own, kind, deadline).await,
            Client::Canary(address) => poll::canary::poll(address, kind, deadline).await,
        }
    }
}
