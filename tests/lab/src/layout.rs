//! Where everything of the lab lies and what it is called: the one place that knows.
//!
//! A machine holds one lab, so names are fixed and need no handing around; only the run folder is a value. Promised: all
//! that the lab makes is found from here, which is what lets a teardown find it after a crash. Left out: making anything.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The folder of a lab's state. Short, because paths of Unix sockets end at 108 bytes.
const RUN: &str = "/run/defib-lab";
/// Held exclusively while a lab goes up or down; beside the run folder, because that one comes and goes.
pub const LOCK: &str = "/run/defib-lab.lock";
/// The cgroup of the whole lab, below the root of each hierarchy.
pub const CGROUP: &str = "defib-lab";
/// The virtual address of the API servers.
pub const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);
/// The address of the ops host, where defib runs.
pub const OPS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 200);
/// The bridge's own address: everybody's gateway, and the canary.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
/// The first address of the cluster's services, by which pods would reach the API server.
pub const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// The network device of a node and of the ops host.
pub const DEVICE: &str = "eth0";
/// The bridge's device, in the bridge's namespace.
pub const BRIDGE: &str = "br0";
/// Where defib's lifeline listens, on the ops host.
pub const LIFELINE: ([u8; 4], u16) = ([127, 0, 0, 1], 16443);
/// The port of an API server.
pub const API_PORT: u16 = 6443;
/// The port of a simulated machined.
pub const TALOS_PORT: u16 = 50000;
/// What an etcd may keep, in bytes: many times what the lab needs, and little enough to be filled in a test.
pub const ETCD_QUOTA_BYTES: u64 = 128 * 1024 * 1024;
/// The port of an etcd for its clients.
pub const ETCD_PORT: u16 = 2379;

/// What is not a node of the lab.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not one of cp1, cp2, cp3")]
pub struct NotANode(pub String);

/// A control-plane node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// 192.0.2.1
    Cp1,
    /// 192.0.2.2
    Cp2,
    /// 192.0.2.3
    Cp3,
}

impl Node {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Cp1, Self::Cp2, Self::Cp3];

    /// `cp1`, `cp2` or `cp3`: the node's name to Kubernetes, etcd and everybody.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cp1 => "cp1",
            Self::Cp2 => "cp2",
            Self::Cp3 => "cp3",
        }
    }

    /// The node's own address.
    pub fn address(self) -> Ipv4Addr {
        match self {
            Self::Cp1 => Ipv4Addr::new(192, 0, 2, 1),
            Self::Cp2 => Ipv4Addr::new(192, 0, 2, 2),
            Self::Cp3 => Ipv4Addr::new(192, 0, 2, 3),
        }
    }

    /// The node's own API server.
    pub fn api(self) -> SocketAddr {
        (self.address(), API_PORT).into()
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Node {
    type Err = NotANode;

    fn from_str(text: &str) -> Result<Self, NotANode> {
        Self::ALL.into_iter().find(|node| node.name() == text).ok_or_else(|| NotANode(text.to_owned()))
    }
}

/// A network namespace of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A node.
    Node(Node),
    /// The host from which defib observes.
    Ops,
    /// The bridge between them all.
    Bridge,
}

impl Place {
    /// All of them, the bridge first.
    pub const ALL: [Self; 5] =
        [Self::Bridge, Self::Ops, Self::Node(Node::Cp1), Self::Node(Node::Cp2), Self::Node(Node::Cp3)];

    /// Its name; also that of its bridge port.
    pub fn name(self) -> &'static str {
        match self {
            Self::Node(node) => node.name(),
            Self::Ops => "ops",
            Self::Bridge => "bridge",
        }
    }

    /// Its address.
    pub fn address(self) -> Ipv4Addr {
        match self {
            Self::Node(node) => node.address(),
            Self::Ops => OPS,
            Self::Bridge => GATEWAY,
        }
    }
}

impl FromStr for Place {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        Self::ALL.into_iter().find(|place| place.name() == text).ok_or_else(|| NotAPlace(text.to_owned()))
    }
}

/// What is neither a node nor another namespace of the lab.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not one of cp1, cp2, cp3, ops, bridge")]
pub struct NotAPlace(pub String);

/// A part of a node that can be broken by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The etcd member.
    Etcd,
    /// The container runtime; its containers live on without it.
    Containerd,
    /// The kubelet.
    Kubelet,
    /// The simulated machined.
    Machined,
    /// The agent of the virtual address.
    Vip,
    /// The API server, a static pod.
    KubeApiserver,
    /// The controller manager, a static pod.
    KubeControllerManager,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Etcd,
        Self::Containerd,
        Self::Kubelet,
        Self::Machined,
        Self::Vip,
        Self::KubeApiserver,
        Self::KubeControllerManager,
    ];

    /// Its name, as in `kill-etcd`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Containerd => "containerd",
            Self::Kubelet => "kubelet",
            Self::Machined => "machined",
            Self::Vip => "vip",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
        }
    }

    /// Whether it runs in a cgroup of its own below the node's; the others are containers of the kubelet's.
    pub fn has_cgroup(self) -> bool {
        !matches!(self, Self::KubeApiserver | Self::KubeControllerManager)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The files and folders of a lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    run: PathBuf,
}

impl Default for Layout {
    fn default() -> Self {
        Self { run: PathBuf::from(RUN) }
    }
}

impl Layout {
    /// The run folder: everything lies below it.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// Exists once the lab has come up whole; holds when, and what it runs.
    pub fn ready_mark(&self) -> PathBuf {
        self.run.join("ready.json")
    }

    /// The file by which a namespace is held and joined.
    pub fn namespace(&self, place: Place) -> PathBuf {
        self.run.join("namespaces").join(place.name())
    }

    /// Certificates and keys.
    pub fn pki(&self) -> PathBuf {
        self.run.join("pki")
    }

    /// The certificate of an authority or a holder, by its name: `kubernetes-ca`, `defib-etcd`, `admin`, …
    pub fn certificate(&self, name: &str) -> PathBuf {
        self.pki().join(format!("{name}.crt"))
    }

    /// The key beside [`Layout::certificate`].
    pub fn key(&self, name: &str) -> PathBuf {
        self.pki().join(format!("{name}.key"))
    }

    /// defib's configuration, mode observe.
    pub fn config(&self) -> PathBuf {
        self.run.join("defib.yaml")
    }

    /// defib's configuration for the drills: mode act, a journal and playbooks of its own.
    pub fn drill_config(&self) -> PathBuf {
        self.run.join("defib-drill.yaml")
    }

    /// The journal folder that [`Layout::drill_config`] names.
    pub fn drill_journal(&self) -> PathBuf {
        self.run.join("drill-journal")
    }

    /// The playbooks that [`Layout::drill_config`] names.
    pub fn drill_playbooks(&self) -> PathBuf {
        self.run.join("drill-playbooks")
    }

    /// A talosconfig with the contexts `lab` (os:operator) and `reader` (os:reader).
    pub fn talosconfig(&self) -> PathBuf {
        self.run.join("talosconfig")
    }

    /// A kubeconfig for an administrator, through the VIP.
    pub fn kubeconfig(&self) -> PathBuf {
        self.run.join("kubeconfig")
    }

    /// The image that all containers of the lab share.
    pub fn image(&self) -> PathBuf {
        self.run.join("image.tar")
    }

    /// A program of the control plane, such as `etcd`: a link to where it was found or built.
    pub fn program(&self, name: &str) -> PathBuf {
        self.run.join("programs").join(name)
    }

    /// A node's own folder.
    pub fn node(&self, node: Node) -> PathBuf {
        self.run.join(node.name())
    }

    /// What a part of a node writes: its stdout and stderr. Pods write elsewhere.
    pub fn log(&self, node: Node, part: Part) -> PathBuf {
        self.node(node).join(format!("{part}.log"))
    }

    /// The calls that a node's machined took, one JSON object a line: [`crate::CallRecord`].
    pub fn call_log(&self, node: Node) -> PathBuf {
        self.node(node).join("calls.jsonl")
    }

    /// By how much a node's clock is off, in ms; absent where it is right.
    pub fn clock_offset(&self, node: Node) -> PathBuf {
        self.node(node).join("clock-offset-ms")
    }

    /// The socket of a node's container runtime.
    pub fn containerd_socket(&self, node: Node) -> PathBuf {
        self.node(node).join("containerd.sock")
    }
}

/// The cgroup of a node, of one part of it where `part` has one; relative to the root of a hierarchy, without a slash.
pub fn cgroup(node: Node, part: Option<Part>) -> String {
    match part {
        Some(part) if part.has_cgroup() => format!("{CGROUP}/{node}/{part}"),
        _ => format!("{CGROUP}/{node}"),
    }
}
