//! `defib.yaml` → [`Config`], with every mistake found in one go.
//!
//! ```yaml
//! mode: observe                # observe | act; observe where it is left out
//! journal: journal             # folder; ./journal where it is left out
//! listen: 127.0.0.1:9870       # loopback only; this where it is left out
//! names: [ops.example]         # of the dashboard, besides the loopback's own; none where it is left out
//! playbooks: playbooks         # folder; none where it is left out
//! canaries: ["192.0.2.254:9"]
//! disruptive: { per-node: 3 per 24h, per-fleet: 6 per 1h }       # how often machines may be taken down; this where it is left out
//! thresholds: { host-busy: { raised-above-percent: 90 } }      # of every cluster; a cluster's own go before
//! clusters:
//!   - name: lab
//!     vip: 192.0.2.100:6443    # port 6443 where it is left out
//!     arm: [restart-kubelet]
//!     ports: { apiserver: 6443, etcd: 2379, talos: 50000 }
//!     nodes:
//!       - { name: cp1, address: 192.0.2.1 }
//!     kubernetes: { ca: pki/a.crt, certificate: pki/b.crt, key: pki/b.key }
//!     etcd: { ca: pki/c.crt, certificate: pki/d.crt, key: pki/d.key }
//!     etcd-metrics: https://:2379       # https://:PORT | http://:PORT | off
//!     talos: { talosconfig: talosconfig, context: lab }
//!     lifeline: { listen: 127.0.0.1:16443, kubeconfig: { file: lifeline.kubeconfig, from: admin.kubeconfig } }
//! ```
//!
//! Relative paths count from the file's folder.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use defib_engine::playbook::Playbook;
use defib_engine::settings::Disruptive;
use defib_engine::threshold::Thresholds;

use super::cluster::{self, Read};
use super::lifeline::{Lifeline, Places};
use super::thresholds;
use super::{Cluster, Config, Mode};
use crate::playbook::{limit, too_short};
use crate::yaml::{self, Map, Node, Place, Problems, Walk};

/// The file may be so large.
const BYTES_MAX: u64 = 1024 * 1024;
const CLUSTERS_MAX: usize = 500;
/// Canaries are asked all the time; more of them tell nothing more.
const CANARIES_MAX: usize = 16;
const NAMES_MAX: usize = 16;
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9870);

/// Reads and validates the file. Whether the armed playbooks exist is not checked: see [`read_with`].
///
/// # Errors
/// Everything that is wrong, in the order of the file.
pub fn read(file: &Path) -> Result<Config, Problems> {
    let source = yaml::text(file, BYTES_MAX)?;
    let walk = Walk::new(file, &source);
    let config = document(&walk, file).map(|(config, _)| config);
    walk.end(config)
}

/// Reads and validates the file, has `load` load the playbooks of the folder that it names, and checks that every armed
/// one is among them.
///
/// # Errors
/// Everything that is wrong, in this file and in the playbooks.
pub fn read_with(
    file: &Path,
    load: impl FnOnce(Option<&Path>) -> Result<Vec<Playbook>, Problems>,
) -> Result<(Config, Vec<Playbook>), Problems> {
    let source = yaml::text(file, BYTES_MAX)?;
    let walk = Walk::new(file, &source);
    let read = document(&walk, file);
    let loaded = load(read.as_ref().and_then(|(config, _)| config.playbooks.as_deref()));
    if let (Ok(playbooks), Some((_, armed))) = (&loaded, &read) {
        let names = || playbooks.iter().map(|playbook| playbook.name.as_str());
        for (name, place, thresholds) in armed {
            let known = |name: &str| playbooks.iter().find(|playbook| playbook.name == name);
            let playbook = walk.word(*place, name, "playbook", known, names());
            if playbook.is_some_and(Playbook::only_by_hand) {
                let text =
                    format!("{name} erases what a machine keeps: it cannot be armed, only asked for (defib recover)");
                walk.problem(*place, text);
            }
            let short = playbook.and_then(|playbook| too_short(&playbook.steps, &playbook.verify, thresholds));
            if let Some(why) = short {
                walk.problem(*place, format!("{name} could never be verified: {why}"));
            }
        }
    }
    match (walk.end(read), loaded) {
        (Ok((config, _)), Ok(playbooks)) => Ok((config, playbooks)),
        (Ok(_), Err(problems)) | (Err(problems), Ok(_)) => Err(problems),
        (Err(mut problems), Err(others)) => {
            problems.0.extend(others.0);
            Err(problems)
        }
    }
}

/// The playbooks that are armed anywhere, each with its place and what its cluster's findings are judged by.
type Armed = Vec<(String, Place, Thresholds)>;

fn document(walk: &Walk<'_>, file: &Path) -> Option<(Config, Armed)> {
    let root = yaml::parse(walk)?;
    let keys = ["mode", "journal", "listen", "names", "playbooks", "canaries", "thresholds", "disruptive", "clusters"];
    let map = walk.map(&root, "the file", &keys)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let path = |key: &str| map.get(key).and_then(|node| walk.text(node, key)).map(|text| folder.join(text));
    let mode = mode(walk, &map);
    let listen = map.get("listen").map_or(Some(LISTEN), |node| listen(walk, node));
    let names = map.get("names").map_or_else(Vec::new, |node| names(walk, node));
    let canaries = map.get("canaries").map_or_else(Vec::new, |node| canaries(walk, node));
    let usual = Thresholds::default();
    let usual = map.get("thresholds").map_or(usual.clone(), |node| thresholds::read(walk, node, &usual));
    let disruptive = map.get("disruptive").map_or_else(Disruptive::default, |node| disruptive(walk, node));
    let journal = path("journal").unwrap_or_else(|| folder.join("journal"));
    let playbooks = path("playbooks");
    let read = walk.required(&map, "clusters").map_or_else(Vec::new, |node| clusters(walk, node, folder, &usual));
    across(walk, &read, &canaries, listen);

    let mut armed = Vec::new();
    let mut clusters: Vec<Cluster> = Vec::new();
    for read in read {
        let arm = read.cluster.arm.iter().cloned().zip(read.arm_places);
        armed.extend(arm.map(|(name, place)| (name, place, read.cluster.thresholds.clone())));
        clusters.push(read.cluster);
    }
    let canaries = canaries.into_iter().map(|(address, _)| address).collect();
    Some((
        Config {
            file: file.to_owned(),
            mode: mode?,
            journal,
            listen: listen?,
            names,
            playbooks,
            canaries,
            disruptive,
            clusters,
        },
        armed,
    ))
}

fn mode(walk: &Walk<'_>, map: &Map<'_>) -> Option<Mode> {
    let Some(node) = map.get("mode") else { return Some(Mode::default()) };
    let find = |text: &str| match text {
        "observe" => Some(Mode::Observe),
        "ask" => Some(Mode::Ask),
        "act" => Some(Mode::Act),
        _ => None,
    };
    walk.word(node.place, walk.text(node, "mode")?, "mode", find, ["observe", "ask", "act"].into_iter())
}

/// The keys of `disruptive`.
const DISRUPTIVE: [&str; 2] = ["per-node", "per-fleet"];

/// How often machines may be taken down; what is left out has its default.
fn disruptive(walk: &Walk<'_>, node: &Node) -> Disruptive {
    let usual = Disruptive::default();
    let Some(map) = walk.map(node, "disruptive", &DISRUPTIVE) else { return usual };
    let limit = |key: &str, usual| map.get(key).and_then(|node| limit(walk, node, key)).unwrap_or(usual);
    Disruptive { per_node: limit("per-node", usual.per_node), per_fleet: limit("per-fleet", usual.per_fleet) }
}

/// Changes one of these limits, written as in the file.
///
/// # Errors
/// What is wrong with the key or the value.
pub(crate) fn set_disruptive(disruptive: &mut Disruptive, key: &str, value: &str) -> Result<(), Problems> {
    let file = format!("disruptive.{key}");
    let walk = Walk::new(Path::new(&file), value);
    let read = yaml::parse(&walk).and_then(|node| {
        match key {
            "per-node" => disruptive.per_node = limit(&walk, &node, key)?,
            "per-fleet" => disruptive.per_fleet = limit(&walk, &node, key)?,
            _ => walk.problem(node.place, format!("no figure {key}; there are {}", DISRUPTIVE.join(", "))),
        }
        Some(())
    });
    walk.end(read)
}

fn listen(walk: &Walk<'_>, node: &Node) -> Option<SocketAddr> {
    let address: SocketAddr = walk.parse(node, "listen", "an address with a port, such as 127.0.0.1:9870")?;
    if !address.ip().is_loopback() {
        let text = format!("listen {address} is reachable from outside; only a loopback address is served");
        walk.problem(node.place, text);
        return None;
    }
    Some(address)
}

/// Names of hosts, without ports.
fn names(walk: &Walk<'_>, node: &Node) -> Vec<String> {
    let items = walk.list(node, "names").unwrap_or_default();
    if items.len() > NAMES_MAX {
        walk.problem(node.place, format!("{} names are more than {NAMES_MAX}", items.len()));
    }
    let read = |node: &Node| {
        let name = walk.text(node, "name")?;
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-');
        if name.is_empty() || !name.chars().all(plain) {
            walk.problem(node.place, format!("name {name} is no host's name, such as ops.example (without a port)"));
            return None;
        }
        Some((name.to_owned(), node.place))
    };
    let names: Vec<_> = items.iter().filter_map(read).collect();
    walk.unique("name", names.iter().map(|(name, place)| (name, *place)));
    names.into_iter().map(|(name, _)| name).collect()
}

fn canaries(walk: &Walk<'_>, node: &Node) -> Vec<(SocketAddr, Place)> {
    let items = walk.list(node, "canaries").unwrap_or_default();
    if items.len() > CANARIES_MAX {
        walk.problem(node.place, format!("{} canaries are more than {CANARIES_MAX}", items.len()));
    }
    let read = |node| cluster::socket(walk, node, "canary", None).map(|address| (address, node.place));
    let canaries: Vec<_> = items.iter().filter_map(read).collect();
    walk.unique("canary", canaries.iter().copied());
    canaries
}

fn clusters(walk: &Walk<'_>, node: &Node, folder: &Path, usual: &Thresholds) -> Vec<Read> {
    let items = walk.list(node, "clusters").unwrap_or_default();
    if items.is_empty() {
        walk.problem(node.place, "clusters is empty; at least one is watched".to_owned());
    }
    if items.len() > CLUSTERS_MAX {
        walk.problem(node.place, format!("{} clusters are more than {CLUSTERS_MAX}", items.len()));
        return Vec::new();
    }
    items.iter().filter_map(|item| cluster::read(walk, item, folder, usual)).collect()
}

/// What only shows where the clusters lie side by side. One machine in two clusters would have two budgets.
fn across(walk: &Walk<'_>, read: &[Read], canaries: &[(SocketAddr, Place)], listen: Option<SocketAddr>) {
    walk.unique("cluster", read.iter().filter_map(|read| Some((&read.cluster.name, read.name_place?))));
    let mut owners = BTreeMap::new();
    for (number, read) in read.iter().enumerate() {
        let vip = read.cluster.vip.zip(read.vip_place).map(|(vip, place)| (vip, "vip", place));
        let nodes = read.cluster.nodes.iter().zip(&read.address_places);
        let nodes = nodes
            .map(|(node, place)| (SocketAddr::new(node.address, read.cluster.ports.talos), "node address", *place));
        for (address, what, place) in vip.into_iter().chain(nodes) {
            let &mut (owner, line) = owners.entry(address).or_insert((number, place.line));
            if owner != number {
                let text = format!("{what} {} belongs to another cluster, on line {line}, already", address.ip());
                walk.problem(place, text);
            }
        }
    }
    let lifelines = || read.iter().filter_map(|read| Some((read.cluster.lifeline.as_ref()?, read.lifeline_places)));
    walk.unique("lifeline", lifelines().filter_map(|(lifeline, places)| Some((lifeline.listen?, places.listen?))));
    let file = |(lifeline, places): (&'_ Lifeline, Places)| {
        Some((lifeline.kubeconfig.as_ref()?.file.display().to_string(), places.kubeconfig?))
    };
    walk.unique("kubeconfig", lifelines().filter_map(file));
    for (lifeline, places) in lifelines() {
        if let (Some(address), Some(place)) = (lifeline.listen, places.listen)
            && Some(address) == listen
        {
            walk.problem(place, format!("lifeline {address} is where defib itself listens; give it a port of its own"));
        }
    }
    let inside = |canary: &SocketAddr| {
        let mut all = read.iter().map(|read| &read.cluster);
        all.any(|cluster| {
            cluster.vip.is_some_and(|vip| vip.ip() == canary.ip())
                || cluster.nodes.iter().any(|node| node.address == canary.ip())
        })
    };
    for (canary, place) in canaries.iter().filter(|(canary, _)| inside(canary)) {
        let text =
            format!("canary {canary} is part of a cluster; it must lie outside to tell whether we are connected");
        walk.problem(*place, text);
    }
}

/// A path as it is written, from the file's folder.
pub(super) fn path(walk: &Walk<'_>, map: &Map<'_>, key: &str, folder: &Path) -> Option<PathBuf> {
    walk.required(map, key).and_then(|node| walk.text(node, key)).map(|text| folder.join(text))
}
