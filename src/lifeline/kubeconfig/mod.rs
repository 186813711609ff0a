//! The kubeconfig for people, kept as the route says: through the lifeline where there is one; else straight to a node
//! while the virtual address is dead, and as people are used to while it is well.
//!
//! Context, user and authority come from a kubeconfig that the operator names, and are read again each time; only the
//! server and the name that its certificate is checked against are ours. The file is looked at whenever the route
//! changes, and every minute, and written only where it differs. A trouble is said once, and stops nothing.
//! A file that defib did not write is never written over.

mod file;
mod origin;
mod text;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use defib_engine::observation::NodeName;
use defib_engine::route::Route;
use tokio::sync::watch;

use crate::config::{Cluster, Kubeconfig};
use origin::Origin;

/// How often it is looked at where nothing changes: somebody may have removed it, or renewed what it is made from.
const EVERY: Duration = Duration::from_secs(60);
/// And after a trouble.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// A kubeconfig may be so large.
const BYTES_MAX: u64 = 1024 * 1024;

/// Why there is no kubeconfig for people.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// What it is made from is missing, or may not be read.
    #[error("cannot read {}", .file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What it is made from is no kubeconfig: every problem with its place, without the lines, which may hold a key.
    #[error("{0}")]
    Content(String),
    /// Somebody else's file stands where it should be written.
    #[error("{} was not written by defib; move it away, or name another file for the lifeline's kubeconfig", .0.display())]
    Foreign(PathBuf),
    /// It cannot be written.
    #[error("cannot write {}", .file.display())]
    Write {
        /// The file, or the temporary one beside it.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Where clients are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Goal {
    /// Wherever they always went.
    AsConfigured,
    /// Here; with why, for whoever reads the file.
    There(SocketAddr, String),
}

/// Keeps one cluster's kubeconfig.
#[derive(Clone, Debug)]
pub(super) struct Keeper {
    cluster: String,
    kubeconfig: Kubeconfig,
    lifeline: Option<SocketAddr>,
    vip: Option<SocketAddr>,
    nodes: Vec<(NodeName, SocketAddr)>,
    /// The authority that stands in where no kubeconfig is named.
    ca: Option<PathBuf>,
}

impl Keeper {
    /// None where none is to be written.
    pub(super) fn new(cluster: &Cluster) -> Option<Keeper> {
        let lifeline = cluster.lifeline.as_ref()?;
        let node =
            |node: &crate::config::Node| (node.name.clone(), SocketAddr::new(node.address, cluster.ports.apiserver));
        Some(Keeper {
            cluster: cluster.name.clone(),
            kubeconfig: lifeline.kubeconfig.clone()?,
            lifeline: lifeline.listen,
            vip: cluster.vip,
            nodes: cluster.nodes.iter().map(node).collect(),
            ca: cluster.kubernetes.as_ref().map(|credential| credential.ca.clone()),
        })
    }

    /// Keeps it until nobody leads any more.
    pub(super) async fn keep(self, mut routes: watch::Receiver<Route>) {
        let mut goal = None;
        let mut said = String::new();
        loop {
            goal = Some(self.goal(&routes.borrow_and_update(), goal));
            let (keeper, now) = (self.clone(), goal.clone().unwrap_or(Goal::AsConfigured));
            let wrote = tokio::task::spawn_blocking(move || keeper.write(&now)).await;
            let pause = match wrote {
                Ok(Ok(())) => {
                    said.clear();
                    EVERY
                }
                Ok(Err(error)) => {
                    let text = causes(&error);
                    if said != text {
                        tracing::error!(cluster = self.cluster, "no kubeconfig for people: {text}");
                        said = text;
                    }
                    AGAIN_AFTER
                }
                Err(_) => AGAIN_AFTER,
            };
            tokio::select! {
                changed = routes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// `before`: where it led so far; it stays so while there is no better place.
    fn goal(&self, route: &Route, before: Option<Goal>) -> Goal {
        if let Some(address) = self.lifeline {
            return Goal::There(address, "through the lifeline, which leads to a ready API server".to_owned());
        }
        let usual = self.vip.is_some() || self.kubeconfig.from.is_some();
        if usual && !route.direct {
            return Goal::AsConfigured;
        }
        let named = |name: &NodeName| self.nodes.iter().find(|(node, _)| node == name);
        match (route.ready.iter().find_map(named), before) {
            (Some((name, address)), _) if usual => {
                Goal::There(*address, format!("straight to {name}, since the virtual address is dead"))
            }
            (Some((name, address)), _) => Goal::There(*address, format!("to {name}, which is ready")),
            (None, Some(before)) => before,
            (None, None) => match self.nodes.first() {
                Some((name, address)) => Goal::There(*address, format!("to {name}")),
                None => Goal::AsConfigured,
            },
        }
    }

    /// Makes the file so, where it is not.
    fn write(&self, goal: &Goal) -> Result<(), KubeconfigError> {
        let mut origin = match &self.kubeconfig.from {
            Some(from) => Origin::read(from, self.kubeconfig.context.as_deref())?,
            None => Origin::bare(&self.cluster, self.vip, &self.nodes, self.ca.as_deref())?,
        };
        if let Some(name) = &self.kubeconfig.server_name {
            origin.check_against(name);
        }
        let why = match goal {
            Goal::AsConfigured => "as configured",
            Goal::There(address, why) => {
                if let Some(usual) = origin.host().filter(|_| !origin.names_server()) {
                    origin.check_against(&usual);
                }
                origin.server = format!("https://{address}");
                why
            }
        };
        let head = format!("{} for the cluster {}: leads {why}. Changes are written over.\n", file::MARK, self.cluster);
        file::keep(&self.kubeconfig.file, &(head + &origin.text()))
    }
}

/// An error with its causes on one line.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}
