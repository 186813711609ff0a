//! One address that works whatever happens to the virtual address: connections that are taken here are forwarded to the
//! best ready API server, always directly, so that losing the virtual address does not hurt whoever is connected.
//!
//! Bytes go through untouched. TLS is between the client and the API server: nothing here can read it, needs a
//! credential, or gives one. What it promises:
//!
//! - A new connection goes to the first of the [`Route`] that takes it; others are tried beside one that is slow to
//!   answer, and in the end those too that nobody calls ready: an API server that lives says better than we could what it
//!   lacks. Where nobody takes it within [`dial::WITHIN`], it is reset, which `kubectl get` tries again by itself.
//! - A connection is cut only when its API server was given up while another is ready; then it is reset, so that its
//!   client comes back at once and is led elsewhere. It may be idle for as long as it lives: watches are.
//! - It has a thread of its own, so that no amount of traffic delays a probe. Bounded: connections (one more is reset),
//!   [`relay::CHUNK`] of memory for each direction that has bytes under way and none for one that has not.
//! - Before the first look it leads where an earlier process led.
//!
//! [`kubeconfig`] writes the file for people. Left out: which way to lead (the engine's [`Route`]).

mod dial;
pub mod kubeconfig;
mod line;
mod relay;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use defib_engine::observation::ClusterId;
use defib_engine::route::Route;
use tokio::sync::watch;

use crate::config::Cluster;
use line::Line;

/// So many descriptors are for everything but lifelines.
const DESCRIPTORS_FOR_US: usize = 256;

/// The lifelines of all clusters. They end when this is dropped.
#[derive(Debug, Default)]
pub struct Lifelines {
    routes: BTreeMap<ClusterId, watch::Sender<Route>>,
}

impl Lifelines {
    /// Starts the thread that carries them, with the routes that an earlier process left. An address that cannot be
    /// listened on is said once and tried again: it stops nothing else.
    ///
    /// # Errors
    /// What the system says where it gives no thread or no event loop.
    pub fn start(clusters: &[Cluster], saved: &BTreeMap<ClusterId, Route>) -> std::io::Result<Lifelines> {
        let mut lifelines = Lifelines { routes: BTreeMap::new() };
        let mut tasks: Vec<(Cluster, watch::Receiver<Route>)> = Vec::new();
        for cluster in clusters.iter().filter(|cluster| cluster.lifeline.is_some()) {
            let (sender, receiver) = watch::channel(saved.get(&cluster.name).cloned().unwrap_or_default());
            lifelines.routes.insert(cluster.name.clone(), sender);
            tasks.push((cluster.clone(), receiver));
        }
        if tasks.is_empty() {
            return Ok(lifelines);
        }
        within_descriptors(&mut tasks);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("lifeline".to_owned()).spawn(move || runtime.block_on(carry(tasks)))?;
        Ok(lifelines)
    }

    /// Leads a cluster's clients this way from now on.
    pub fn lead(&self, cluster: &str, route: Route) {
        if let Some(sender) = self.routes.get(cluster) {
            sender.send_replace(route);
        }
    }
}

/// Lowers the bounds to what the process has file descriptors for: probes and the journal must never lack one because
/// somebody opens connections.
fn within_descriptors(tasks: &mut [(Cluster, watch::Receiver<Route>)]) {
    let Some(limit) = descriptors() else { return };
    // The client's, and one for each server that is tried at the same time.
    let at_once = 1 + tasks.iter().map(|(cluster, _)| cluster.nodes.len()).max().unwrap_or(1);
    let listening = tasks.iter_mut().filter_map(|(cluster, _)| Some((&cluster.name, cluster.lifeline.as_mut()?)));
    let listening: Vec<_> = listening.filter(|(_, lifeline)| lifeline.listen.is_some()).collect();
    let each = limit.saturating_sub(DESCRIPTORS_FOR_US) / at_once / listening.len().max(1);
    for (cluster, lifeline) in listening.into_iter().filter(|(_, lifeline)| lifeline.connections > each) {
        let asked = lifeline.connections;
        tracing::warn!(cluster, asked, each, limit, "the lifeline takes fewer connections: too few file descriptors");
        lifeline.connections = each;
    }
}

/// How many files this process may open; none where the system does not say.
fn descriptors() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Carries everything until the senders are gone.
async fn carry(clusters: Vec<(Cluster, watch::Receiver<Route>)>) {
    let mut tasks = tokio::task::JoinSet::new();
    for (cluster, routes) in clusters {
        if let Some(line) = Line::new(&cluster) {
            tasks.spawn(line::serve(Arc::new(line), routes.clone()));
        }
        if let Some(keeper) = kubeconfig::Keeper::new(&cluster) {
            tasks.spawn(keeper.keep(routes));
        }
    }
    tasks.join_all().await;
}

/// Waits until nobody leads any more: the program ends.
async fn ended(routes: &mut watch::Receiver<Route>) {
    while routes.changed().await.is_ok() {}
}
