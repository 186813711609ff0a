//! `lifeline:` in a cluster: the way to its API servers that does not need the virtual address.
//!
//! ```yaml
//! lifeline:
//!   listen: 127.0.0.1:16443      # forwards to the best ready API server; none where it is left out
//!   connections: 256             # at most so many at once; this where it is left out
//!   kubeconfig:                  # written for people whenever the route changes; none where it is left out
//!     file: lifeline.kubeconfig
//!     from: admin.kubeconfig     # whose context, user and authority are taken over; without it there is no user
//!     context: admin@prod        # which of its contexts; its current one where it is left out
//!     tls-server-name: prod.example   # what the certificates are checked against; see `Kubeconfig::server_name`
//! ```

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::read::path;
use crate::yaml::{Map, Node, Place, Walk};

/// Connections where nothing else is written. Each takes two file descriptors, and 1024 is what a process may usually have.
const CONNECTIONS: usize = 256;
const CONNECTIONS_MAX: usize = 8192;
const LISTEN_FORM: &str = "an address with a port, such as 127.0.0.1:16443";

/// How a cluster's API servers are reached past the virtual address. It has a listener, a kubeconfig, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifeline {
    /// Where connections are taken that are forwarded to the best ready API server. Whoever reaches it reaches the API
    /// servers; TLS goes through untouched, so it gives nobody a credential.
    pub listen: Option<SocketAddr>,
    /// At most so many connections at once; 1 to 8192.
    pub connections: usize,
    /// The file that is written for people.
    pub kubeconfig: Option<Kubeconfig>,
}

/// A kubeconfig that is kept up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubeconfig {
    /// Where it is written.
    pub file: PathBuf,
    /// The kubeconfig whose context, user and authority are taken over; it is only read.
    pub from: Option<PathBuf>,
    /// Which of its contexts; none: its current one.
    pub context: Option<String>,
    /// What the API servers' certificates are checked against; none: what `from` has them checked against, or else the
    /// virtual address, or else the node's own address.
    pub server_name: Option<String>,
}

/// What stands where, for comparing with the rest of the file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Places {
    pub(super) listen: Option<Place>,
    pub(super) kubeconfig: Option<Place>,
}

/// Reads it. `asked`: the cluster has a credential for its API servers.
pub(super) fn read(walk: &Walk<'_>, node: &Node, folder: &Path, asked: bool) -> (Option<Lifeline>, Places) {
    let Some(map) = walk.map(node, "a lifeline", &["listen", "connections", "kubeconfig"]) else {
        return (None, Places::default());
    };
    if !asked {
        let text =
            "a lifeline needs the key \"kubernetes\" beside it: without it nobody asks which API server is ready";
        walk.problem(node.place, text.to_owned());
    }
    let (listen, kubeconfig) = (map.get("listen"), map.get("kubeconfig"));
    if listen.is_none() && kubeconfig.is_none() {
        walk.problem(node.place, "a lifeline has the key \"listen\", \"kubeconfig\", or both".to_owned());
    }
    let places = Places { listen: listen.map(|at| at.place), kubeconfig: kubeconfig.map(|at| at.place) };
    let lifeline = Lifeline {
        listen: listen.and_then(|node| address(walk, node)),
        connections: connections(walk, &map),
        kubeconfig: kubeconfig.and_then(|node| self::kubeconfig(walk, node, folder)),
    };
    (Some(lifeline), places)
}

fn address(walk: &Walk<'_>, node: &Node) -> Option<SocketAddr> {
    let address: SocketAddr = walk.parse(node, "listen", LISTEN_FORM)?;
    if address.port() == 0 {
        walk.problem(node.place, format!("listen {address} has port 0"));
        return None;
    }
    if address.ip().is_unspecified() || address.ip().is_multicast() {
        let text =
            format!("listen {address} is not one address of this machine; write out the one that may be reached");
        walk.problem(node.place, text);
        return None;
    }
    Some(address)
}

fn connections(walk: &Walk<'_>, map: &Map<'_>) -> usize {
    let Some(node) = map.get("connections") else { return CONNECTIONS };
    let form = format!("a number from 1 to {CONNECTIONS_MAX}");
    let Some(number) = walk.parse::<usize>(node, "connections", &form) else { return CONNECTIONS };
    if !(1..=CONNECTIONS_MAX).contains(&number) {
        walk.problem(node.place, format!("connections {number} is not {form}"));
    }
    number
}

fn kubeconfig(walk: &Walk<'_>, node: &Node, folder: &Path) -> Option<Kubeconfig> {
    let map = walk.map(node, "a kubeconfig", &["file", "from", "context", "tls-server-name"])?;
    let text = |key: &str| map.get(key).and_then(|node| walk.text(node, key)).map(str::to_owned);
    let file = path(walk, &map, "file", folder)?;
    let from = text("from").map(|from| folder.join(from));
    if from.as_ref() == Some(&file) {
        let text = "a kubeconfig is not written over the one that it is made from; name another file";
        walk.problem(node.place, text.to_owned());
    }
    if let (None, Some(context)) = (&from, map.get("context")) {
        walk.problem(context.place, "a context is one of the file that the key \"from\" names".to_owned());
    }
    Some(Kubeconfig { file, from, context: text("context"), server_name: text("tls-server-name") })
}
