//! One entry under `clusters:`.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::lifeline::{self, Places};
use super::maintenance;
use super::read::path;
use super::snapshots;
use super::thresholds;
use super::{Cluster, Credential, EtcdMetrics, Node, Ports, Talos};
use crate::yaml::{self, Map, Place, Walk};
use defib_engine::threshold::Thresholds;

/// An etcd with more voters than this is slower and no safer, and no control plane has more.
const NODES_MAX: usize = 9;
/// As many playbooks as a folder may hold.
const ARM_MAX: usize = 64;
const PORTS: Ports = Ports { apiserver: 6443, etcd: 2379, talos: 50000 };

/// A cluster, as far as it could be read, and where its parts stand.
pub(super) struct Read {
    pub(super) cluster: Cluster,
    /// None where the name could not be read: then it is empty, and clashes with nothing.
    pub(super) name_place: Option<Place>,
    pub(super) vip_place: Option<Place>,
    /// One a node.
    pub(super) address_places: Vec<Place>,
    /// One a playbook in `arm`.
    pub(super) arm_places: Vec<Place>,
    pub(super) lifeline_places: Places,
}

/// Reads one entry. What could not be read is left out of the result, and is a problem in `walk`. `usual`: the thresholds of
/// the whole file.
pub(super) fn read(walk: &Walk<'_>, node: &yaml::Node, folder: &Path, usual: &Thresholds) -> Option<Read> {
    let keys = [
        "name",
        "vip",
        "arm",
        "maintenance",
        "ports",
        "nodes",
        "kubernetes",
        "etcd",
        "etcd-metrics",
        "talos",
        "snapshots",
        "lifeline",
        "thresholds",
    ];
    let map = walk.map(node, "a cluster", &keys)?;
    let name_node = walk.required(&map, "name");
    let name = name_node.and_then(|node| walk.name(node, "cluster name"));
    let vip_node = map.get("vip");
    let vip = vip_node.and_then(|node| socket(walk, node, "vip", Some(PORTS.apiserver)));
    let nodes = walk.required(&map, "nodes").map_or_else(Vec::new, |node| nodes(walk, node, vip));
    let armed = map.get("arm").map_or_else(Vec::new, |node| arm(walk, node));
    let maintenance = map.get("maintenance").map_or_else(Vec::new, |node| maintenance::read(walk, node));
    let thresholds = map.get("thresholds").map_or_else(|| usual.clone(), |node| thresholds::read(walk, node, usual));
    let asked = map.get("kubernetes").is_some();
    let lifeline = map.get("lifeline").map(|node| lifeline::read(walk, node, folder, asked));
    let (lifeline, lifeline_places) = lifeline.unwrap_or_default();
    let (nodes, address_places) = nodes.into_iter().unzip();
    let (arm, arm_places) = armed.into_iter().unzip();
    let snapshots =
        map.get("snapshots").and_then(|node| snapshots::read(walk, node, folder, map.get("etcd").is_some()));
    let ports = ports(walk, &map);
    let etcd = credential(walk, &map, "etcd", folder);
    Some(Read {
        name_place: name_node.filter(|_| name.is_some()).map(|node| node.place),
        vip_place: vip_node.map(|node| node.place),
        address_places,
        arm_places,
        lifeline_places,
        cluster: Cluster {
            name: name.unwrap_or_default(),
            vip,
            nodes,
            ports,
            kubernetes: credential(walk, &map, "kubernetes", folder),
            etcd_metrics: etcd_metrics(walk, &map, etcd.is_some(), ports.etcd),
            etcd,
            talos: talos(walk, &map, folder),
            arm,
            maintenance,
            thresholds,
            snapshots,
            lifeline,
        },
    })
}

/// An address with a port; `port` stands in where none is written.
pub(super) fn socket(walk: &Walk<'_>, node: &yaml::Node, what: &str, port: Option<u16>) -> Option<SocketAddr> {
    let text = walk.text(node, what)?;
    let bare = || port.and_then(|port| Some(SocketAddr::new(text.parse().ok()?, port)));
    let form = match port {
        Some(_) => "an address such as 192.0.2.1 or 192.0.2.1:6443",
        None => "an address with a port such as 192.0.2.1:9",
    };
    let address = bare().map_or_else(|| walk.parse(node, what, form), Some)?;
    if address.port() == 0 {
        walk.problem(node.place, format!("{what} {address} has port 0"));
        return None;
    }
    single(walk, node.place, what, address.ip()).then_some(address)
}

/// An address of one machine: neither a group's nor nobody's.
fn single(walk: &Walk<'_>, place: Place, what: &str, address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    let single = !(address.is_unspecified() || address.is_multicast() || broadcast);
    if !single {
        walk.problem(place, format!("{what} {address} is not the address of one machine"));
    }
    single
}

fn nodes(walk: &Walk<'_>, node: &yaml::Node, vip: Option<SocketAddr>) -> Vec<(Node, Place)> {
    let items = walk.list(node, "nodes").unwrap_or_default();
    if items.is_empty() {
        walk.problem(node.place, "nodes is empty; a cluster has at least one".to_owned());
    }
    if items.len() > NODES_MAX {
        let text = format!("{} nodes are more than {NODES_MAX}; only control-plane nodes are watched", items.len());
        walk.problem(node.place, text);
        return Vec::new();
    }
    let mut names = Vec::new();
    let mut addresses = Vec::new();
    let mut nodes = Vec::new();
    for item in items {
        let Some(map) = walk.map(item, "a node", &["name", "address"]) else { continue };
        let name = walk.required(&map, "name").and_then(|at| Some((walk.name(at, "node name")?, at.place)));
        let address = walk.required(&map, "address").and_then(|at| Some((address(walk, at, vip)?, at.place)));
        names.extend(name.clone());
        addresses.extend(address);
        if let (Some((name, _)), Some((address, place))) = (name, address) {
            nodes.push((Node { name, address }, place));
        }
    }
    walk.unique("node name", names);
    walk.unique("node address", addresses);
    nodes
}

fn address(walk: &Walk<'_>, node: &yaml::Node, vip: Option<SocketAddr>) -> Option<IpAddr> {
    let address: IpAddr = walk.parse(node, "node address", "an address such as 192.0.2.1, without a port")?;
    if vip.is_some_and(|vip| vip.ip() == address) {
        walk.problem(node.place, format!("node address {address} is the vip's own; a node needs its own address"));
        return None;
    }
    single(walk, node.place, "node address", address).then_some(address)
}

fn arm(walk: &Walk<'_>, node: &yaml::Node) -> Vec<(String, Place)> {
    let items = walk.list(node, "arm").unwrap_or_default();
    if items.len() > ARM_MAX {
        walk.problem(node.place, format!("{} armed playbooks are more than {ARM_MAX}", items.len()));
        return Vec::new();
    }
    let armed: Vec<_> = items.iter().filter_map(|item| Some((walk.name(item, "playbook name")?, item.place))).collect();
    walk.unique("playbook", armed.iter().map(|(name, place)| (name, *place)));
    armed
}

fn ports(walk: &Walk<'_>, map: &Map<'_>) -> Ports {
    let Some(map) = map.get("ports").and_then(|node| walk.map(node, "ports", &["apiserver", "etcd", "talos"])) else {
        return PORTS;
    };
    let port = |key: &str, usual: u16| {
        let Some(node) = map.get(key) else { return usual };
        walk.parse(node, key, "a port from 1 to 65535").map_or(usual, std::num::NonZeroU16::get)
    };
    Ports {
        apiserver: port("apiserver", PORTS.apiserver),
        etcd: port("etcd", PORTS.etcd),
        talos: port("talos", PORTS.talos),
    }
}

fn credential(walk: &Walk<'_>, map: &Map<'_>, key: &str, folder: &Path) -> Option<Credential> {
    let map = walk.map(map.get(key)?, "a credential", &["ca", "certificate", "key"])?;
    let (ca, certificate, key) =
        (path(walk, &map, "ca", folder), path(walk, &map, "certificate", folder), path(walk, &map, "key", folder));
    Some(Credential { ca: ca?, certificate: certificate?, key: key? })
}

/// `https://:2379`, `http://:2381`, `off`; over TLS on etcd's own port where it is left out and there is a credential.
fn etcd_metrics(walk: &Walk<'_>, map: &Map<'_>, credential: bool, usual: u16) -> Option<EtcdMetrics> {
    let Some(node) = map.get("etcd-metrics") else {
        return credential.then_some(EtcdMetrics { tls: true, port: usual });
    };
    let text = walk.text(node, "etcd-metrics")?;
    if text == "off" {
        return None;
    }
    let port =
        |scheme: &str| text.strip_prefix(scheme)?.trim_end_matches('/').parse().ok().map(std::num::NonZeroU16::get);
    let (tls, clear) = (port("https://:"), port("http://:"));
    if tls.is_some() && map.get("etcd").is_none() {
        walk.problem(node.place, format!("etcd-metrics {text} needs the key etcd: a certificate that etcd takes"));
        return None;
    }
    let found = tls.map(|port| EtcdMetrics { tls: true, port }).or(clear.map(|port| EtcdMetrics { tls: false, port }));
    if found.is_none() {
        let form = "https://:2379, http://:2381 or off; the address is each node's own";
        walk.problem(node.place, format!("etcd-metrics {text:?} is none of the forms {form}"));
    }
    found
}

fn talos(walk: &Walk<'_>, map: &Map<'_>, folder: &Path) -> Option<Talos> {
    let map = walk.map(map.get("talos")?, "talos", &["talosconfig", "context"])?;
    let talosconfig = path(walk, &map, "talosconfig", folder);
    let context = map.get("context").and_then(|node| walk.text(node, "context")).map(str::to_owned);
    Some(Talos { talosconfig: talosconfig?, context })
}
