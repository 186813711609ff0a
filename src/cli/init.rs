//! `defib init`: from a talosconfig to a configuration to begin with, with comments that say what is missing.
//!
//! The members of etcd are the control plane's nodes: the first endpoint that answers within [`ASK_WITHIN`] is asked for
//! them, once, with the talosconfig's own credential, which may only need to read. Where nobody answers, what the file says
//! is taken, and names of nodes are guesses and marked as such.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use defib_engine::observation::EtcdMembers;

use super::{Exit, complain, error_line, out, runtime};
use crate::client::kept::Kept;
use crate::client::talos::{self as machine, Credential, Outline, outline};
use crate::config::Talos;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    defib init --talosconfig ~/.talos/config\n  \
    defib init --talosconfig talosconfig --context prod --output -    print it\n  \
    defib init --talosconfig talosconfig --offline                    ask nobody\n\n\
    Exit codes: 0 written, 2 misuse")]
pub(super) struct Typed {
    /// A talosconfig, as `talosctl` writes it
    #[arg(long, value_name = "FILE")]
    talosconfig: PathBuf,
    /// Which of its contexts; its current one where none is named
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Where the configuration is written; `-` prints it
    #[arg(short, long, value_name = "FILE", default_value = super::CONFIG)]
    output: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
    /// Ask no node who its peers are: take what the file says
    #[arg(long)]
    offline: bool,
}

/// All endpoints together have this long to say who the control plane is.
const ASK_WITHIN: Duration = Duration::from_secs(3);

/// Talos's port where an endpoint names none.
const TALOS_PORT: u16 = 50_000;

/// A node of the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    name: String,
    address: IpAddr,
}

pub(super) fn main(typed: &Typed) -> Exit {
    let outline = match outline(&typed.talosconfig, typed.context.as_deref()) {
        Ok(outline) => outline,
        Err(error) => {
            complain(&error);
            return Exit::Misuse;
        }
    };
    let found = if typed.offline {
        Err("nobody was asked".to_owned())
    } else {
        ask(&outline, Talos { talosconfig: typed.talosconfig.clone(), context: typed.context.clone() })
    };
    if let (Err(why), false) = (&found, typed.offline) {
        error_line(&format!("defib: the nodes' names are guesses: {why}"));
    }
    let sure = found.is_ok();
    let text = written(&outline, &typed.talosconfig, typed.context.is_some(), found);
    if typed.output == Path::new("-") {
        out(text.trim_end());
        return Exit::Well;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    if typed.force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let output = typed.output.display();
    match options.open(&typed.output).and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => {
            let names = if sure { "" } else { ", correct the nodes' names" };
            out(&format!("wrote {output}: read it{names}, then: defib check --config {output}"));
            Exit::Well
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            error_line(&format!("defib: {output} is there already; name another with --output, or say --force"));
            Exit::Misuse
        }
        Err(error) => {
            error_line(&format!("defib: cannot write {output}: {error}"));
            Exit::Misuse
        }
    }
}

/// Who the control plane is, as the first endpoint that answers has it; or why nobody could be asked.
fn ask(outline: &Outline, talos: Talos) -> Result<Vec<Found>, String> {
    let endpoint = |text: &String| {
        let address = text.parse::<SocketAddr>().ok();
        address.or_else(|| Some(SocketAddr::new(text.trim_matches(['[', ']']).parse().ok()?, TALOS_PORT)))
    };
    let endpoints: Vec<SocketAddr> = outline.endpoints.iter().filter_map(endpoint).collect();
    if endpoints.is_empty() {
        return Err("the talosconfig names no endpoint by its address".to_owned());
    }
    let runtime = runtime().map_err(|_| "nobody can be asked here".to_owned())?;
    let credential = Arc::new(Kept::new(Credential::new(&talos)));
    let until = Instant::now() + ASK_WITHIN;
    let mut why = String::new();
    for address in endpoints {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let asking = machine::Talos::new(Arc::clone(&credential), address);
        match runtime.block_on(async { tokio::time::timeout(left, asking.etcd_members(left)).await }) {
            Ok(Ok(list)) => return members(&list).ok_or_else(|| format!("{address} names members without addresses")),
            Ok(Err(trouble)) => why = format!("{address}: {trouble}"),
            Err(_) => why = format!("{address}: no answer within {} s", ASK_WITHIN.as_secs()),
        }
    }
    Err(why)
}

/// The nodes of etcd's members, each at the address where its peers reach it; none where one has no name or no address.
fn members(list: &EtcdMembers) -> Option<Vec<Found>> {
    let address = |url: &String| {
        let host = url.split_once("://")?.1.rsplit_once(':')?.0;
        host.trim_matches(['[', ']']).parse::<IpAddr>().ok()
    };
    let found = list.members.iter().map(|member| {
        let address = member.peer_urls.iter().chain(&member.client_urls).find_map(address)?;
        (!member.name.is_empty()).then(|| Found { name: member.name.clone(), address })
    });
    let mut found = found.collect::<Option<Vec<_>>>().filter(|found| !found.is_empty())?;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Some(found)
}

/// The configuration with its comments.
fn written(outline: &Outline, talosconfig: &Path, named: bool, found: Result<Vec<Found>, String>) -> String {
    let begun = match &found {
        Ok(_) => "# defib.yaml, begun by `defib init`: the nodes are the members of etcd, as one of them named them.",
        Err(_) => "# defib.yaml, begun by `defib init` from a talosconfig alone: no node said who its peers are.",
    };
    let (nodes, others) = match found {
        Ok(nodes) => (nodes.into_iter().map(|node| (node, "")).collect(), Vec::new()),
        Err(_) => guessed(outline),
    };
    let mut lines = vec![
        begun.to_owned(),
        "mode: observe                 # says what it would do; `act` runs the armed playbooks".to_owned(),
        "listen: 127.0.0.1:9870".to_owned(),
        "# canaries: [\"192.0.2.254:53\"]  # something outside the cluster that answers: am I myself connected?"
            .to_owned(),
        "clusters:".to_owned(),
        format!("  - name: {}", name(&outline.context)),
        "    # vip: 192.0.2.100:6443   # not in a talosconfig; without it the virtual address is not watched"
            .to_owned(),
        "    # arm: [restart-kubelet]".to_owned(),
        "    nodes:                    # the control plane alone, each at its own address".to_owned(),
    ];
    for (Found { name, address }, comment) in nodes.iter().take(9) {
        lines.push(format!(
            "      - {{ name: {}, address: \"{address}\" }}{comment}",
            serde_json::Value::from(name.as_str())
        ));
    }
    if nodes.is_empty() {
        lines.push("      # - { name: cp1, address: 192.0.2.1 }   # the talosconfig names no address".to_owned());
    }
    for other in others {
        lines.push(format!("      # {} is no address: write the node's own", other.escape_debug()));
    }
    let file = std::path::absolute(talosconfig).unwrap_or_else(|_| talosconfig.to_owned());
    let file = serde_json::Value::from(file.display().to_string());
    let context =
        if named { format!(", context: {}", serde_json::Value::from(outline.context.as_str())) } else { String::new() };
    lines.push(format!("    talos: {{ talosconfig: {file}{context} }}"));
    lines.push(
        "    # Without these the API servers and the virtual address are not asked, and etcd only through Talos:"
            .to_owned(),
    );
    lines.push("    # kubernetes: { ca: kubernetes-ca.crt, certificate: defib.crt, key: defib.key }".to_owned());
    lines.push("    # etcd: { ca: etcd-ca.crt, certificate: defib-etcd.crt, key: defib-etcd.key }".to_owned());
    lines.join("\n") + "\n"
}

/// The nodes that a talosconfig speaks of, or the endpoints, with names made up; and what in it is no address.
fn guessed(outline: &Outline) -> (Vec<(Found, &'static str)>, Vec<&str>) {
    let given = if outline.nodes.is_empty() { &outline.endpoints } else { &outline.nodes };
    let (mut nodes, mut others): (Vec<(Found, &'static str)>, Vec<&str>) = (Vec::new(), Vec::new());
    for text in given {
        match text.trim_matches(['[', ']']).parse() {
            Ok(address) if !nodes.iter().any(|(known, _)| known.address == address) => {
                let name = format!("cp{}", nodes.len() + 1);
                nodes.push((Found { name, address }, "   # correct the name: the one in Kubernetes"));
            }
            Ok(_) => {}
            Err(_) => others.push(text.as_str()),
        }
    }
    (nodes, others)
}

/// A cluster's name is of small letters, digits, dots and dashes.
fn name(context: &str) -> String {
    let sound = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    let name: String = context.to_ascii_lowercase().chars().map(sound).take(63).collect();
    let name = name.trim_matches(['-', '.']).to_owned();
    if name.is_empty() { "cluster".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use defib_engine::observation::EtcdMember;

    use super::*;
    use crate::config;

    #[test]
    fn what_is_written_is_a_configuration() {
        let outline = Outline {
            context: "admin@Prod".to_owned(),
            endpoints: vec![
                "192.0.2.1".to_owned(),
                "192.0.2.2".to_owned(),
                "192.0.2.1".to_owned(),
                "cp.example".to_owned(),
            ],
            nodes: Vec::new(),
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("defib.yaml");
        std::fs::write(&file, written(&outline, Path::new("/tmp/a \"b\"/talosconfig"), true, Err(String::new())))
            .unwrap();
        let config = config::read(&file).unwrap();
        assert_eq!(config.clusters[0].name, "admin-prod");
        assert_eq!(config.clusters[0].nodes.len(), 2);
        let talos = config.clusters[0].talos.as_ref().unwrap();
        assert_eq!(talos.talosconfig, Path::new("/tmp/a \"b\"/talosconfig"));
        assert_eq!(talos.context.as_deref(), Some("admin@Prod"));
    }

    #[test]
    fn members_are_nodes_and_one_that_never_started_is_none() {
        let member = |name: &str, url: &str| EtcdMember {
            name: name.to_owned(),
            peer_urls: vec![url.to_owned()],
            ..EtcdMember::default()
        };
        let of = |members: &[EtcdMember]| super::members(&EtcdMembers { cluster_id: 0, members: members.to_vec() });
        let (cp2, cp1) = (member("cp2", "https://192.0.2.2:2380"), member("cp1", "https://[2001:db8::1]:2380"));
        let found = of(&[cp2.clone(), cp1.clone()]).unwrap();
        let said: Vec<_> = found.iter().map(|one| format!("{} {}", one.name, one.address)).collect();
        assert_eq!(said, ["cp1 2001:db8::1", "cp2 192.0.2.2"]);
        assert_eq!(of(&[cp2, member("", "https://192.0.2.3:2380")]), None);
        assert_eq!(of(&[]), None);
    }
}
