//! What the operator wants, read once at the border: `defib.yaml` → [`Config`].
//!
//! Everything here is validated: addresses are addresses, names are unique, files are named (they are opened, and
//! reread, by whoever uses them). All errors are found at once, each with its place. Left out: the playbooks'
//! language (`playbook`), and the meaning of any of it (`engine`).

mod cluster;
mod lifeline;
mod maintenance;
mod read;
mod snapshots;
mod thresholds;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

pub use defib_engine::maintenance::Maintenance;
use defib_engine::settings::Disruptive;
pub use defib_engine::settings::Mode;
use defib_engine::threshold::Thresholds;
pub use lifeline::{Kubeconfig, Lifeline};
pub(crate) use read::set_disruptive;
pub use read::{read, read_with};
pub use snapshots::Schedule;
pub use thresholds::set as set_threshold;

/// A whole `defib.yaml`, validated.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it came from, as given.
    pub file: PathBuf,
    /// May it act.
    pub mode: Mode,
    /// The folder that holds the journal.
    pub journal: PathBuf,
    /// Where the dashboard, `/metrics`, `/healthz` and `/readyz` are served; a loopback address.
    pub listen: SocketAddr,
    /// Names under which the dashboard is reached besides the loopback's own: through a proxy or a tunnel.
    pub names: Vec<String>,
    /// A folder of playbooks that add to the shipped ones, or replace them by name.
    pub playbooks: Option<PathBuf>,
    /// Addresses outside the clusters that tell whether we ourselves are connected.
    pub canaries: Vec<SocketAddr>,
    /// How often machines may be taken down, whatever the playbooks say.
    pub disruptive: Disruptive,
    /// What is watched; at least one, names unique.
    pub clusters: Vec<Cluster>,
}

/// One cluster to watch.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its name, unique in the file.
    pub name: String,
    /// Its virtual address and the API servers' port there, if it has one.
    pub vip: Option<SocketAddr>,
    /// Its control-plane nodes; 1 to 9, names and addresses unique.
    pub nodes: Vec<Node>,
    /// The ports of every node.
    pub ports: Ports,
    /// How to ask the API servers; none: not asked.
    pub kubernetes: Option<Credential>,
    /// How to ask etcd; none: asked through Talos where that is configured.
    pub etcd: Option<Credential>,
    /// Where etcd shows its figures; none: not asked.
    pub etcd_metrics: Option<EtcdMetrics>,
    /// How to ask, and to act on, the machines; none: not asked.
    pub talos: Option<Talos>,
    /// The playbooks that may run here in mode `act`.
    pub arm: Vec<String>,
    /// When nothing, or nothing disruptive, is started by itself; at most 16.
    pub maintenance: Vec<Maintenance>,
    /// Figures and waits of findings that differ from the usual: the file's, and over them the cluster's own.
    pub thresholds: Thresholds,
    /// When snapshots of etcd are taken, and where they are kept; none: none are.
    pub snapshots: Option<Schedule>,
    /// The way to the API servers past the virtual address; none: there is none.
    pub lifeline: Option<Lifeline>,
}

/// One control-plane node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name in Kubernetes, Talos and etcd.
    pub name: String,
    /// Its own address, never the virtual one.
    pub address: IpAddr,
}

/// Where the parts of a node listen.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// kube-apiserver: 6443.
    pub apiserver: u16,
    /// etcd's clients: 2379.
    pub etcd: u16,
    /// Talos: 50000.
    pub talos: u16,
}

/// A client certificate with the authority that the other side must show: paths to PEM files, opened and reread when
/// they are used, so that a rotated certificate is picked up.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The authority that the server's certificate must come from.
    pub ca: PathBuf,
    /// Our certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Where every node's etcd shows its figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EtcdMetrics {
    /// Over TLS with etcd's credential; otherwise in the clear.
    pub tls: bool,
    /// On which port.
    pub port: u16,
}

/// Where the credential for Talos lies.
#[derive(Clone, Debug)]
pub struct Talos {
    /// A talosconfig, as `talosctl` writes it.
    pub talosconfig: PathBuf,
    /// Which of its contexts; none: its own current one.
    pub context: Option<String>,
}
