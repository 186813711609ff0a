//! `defib snapshot`: the store of one member of etcd in a file, without the daemon.
//!
//! Every member is asked for its status; the newest follower is taken, for a leader has more to do. Left out: a schedule,
//! and members that are reached through Talos alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Exit, complain, error_line, known_node, out, runtime, the_one};
use crate::client::etcd::Member;
use crate::client::kept::Kept;
use crate::client::tls::Files;
use crate::config::{Cluster, Config};
use crate::snapshot;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    defib snapshot prod-$(date +%F).db\n  \
    defib snapshot --cluster prod --node cp2 prod.db\n\n\
    It holds every secret of the cluster: it is readable by its owner alone. It is what etcd sends, as `etcdctl snapshot\n\
    save` keeps it, hash included; restoring it with `etcdutl` is yours, and was not tried here.\n\n\
    Exit codes: 0 saved, 2 misuse, 4 no member can be asked or it could not be saved")]
pub(super) struct Typed {
    /// Where it is saved; nothing that is there is written over
    file: PathBuf,
    /// Of this cluster; needed where there are several
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Of this node's member, whatever it says of itself
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
}

/// A member says what it knows of itself within this.
const ASK_WITHIN: Duration = Duration::from_secs(3);

pub(super) fn main(typed: &Typed, config: &Config) -> Exit {
    let cluster = match the_one(typed.cluster.as_deref(), config) {
        Ok(cluster) => cluster,
        Err(exit) => return exit,
    };
    if let Some(Err(exit)) = typed.node.as_deref().map(|name| known_node(name, cluster)) {
        return exit;
    }
    let Some(credential) = &cluster.etcd else {
        error_line(&format!(
            "defib: {} has no certificate for etcd, and a snapshot needs one; give the cluster the key `etcd`",
            cluster.name
        ));
        return Exit::Misuse;
    };
    let credential = Arc::new(Kept::new(Files::new(credential)));
    match runtime() {
        Ok(runtime) => runtime.block_on(take(typed, cluster, &credential)),
        Err(exit) => exit,
    }
}

async fn take(typed: &Typed, cluster: &Cluster, credential: &Arc<Kept>) -> Exit {
    let mut members = Vec::new();
    for node in cluster.nodes.iter().filter(|node| typed.node.as_ref().is_none_or(|name| *name == node.name)) {
        let member = Member::new(Arc::clone(credential), SocketAddr::new(node.address, cluster.ports.etcd));
        match member.status(ASK_WITHIN).await {
            Ok(status) => members.push((&node.name, member, status)),
            Err(trouble) => error_line(&format!("defib: {} is left out: {trouble}", node.name)),
        }
    }
    let statuses: Vec<_> = members.iter().map(|(_, _, status)| status).collect();
    let named = typed.node.is_some() && !members.is_empty();
    let Some((name, member, status)) =
        (if named { Some(0) } else { snapshot::source(&statuses) }).map(|at| &members[at])
    else {
        error_line(&format!("defib: no member of {} can give a snapshot", cluster.name));
        return Exit::CannotTell;
    };
    for complaint in &status.errors {
        error_line(&format!("defib: {name} complains: {complaint}"));
    }
    if status.leader == 0 {
        error_line(&format!("defib: {name} follows no leader: another member may have what it lacks"));
    }
    match snapshot::save(member, &typed.file).await {
        Ok(saved) => {
            let (bytes, sha256) = (saved.bytes, saved.sha256);
            out(&format!("{}: {bytes} bytes of {name}, checked against SHA-256 {sha256}", typed.file.display()));
            Exit::Well
        }
        Err(error) => {
            complain(&error);
            if matches!(error, snapshot::SnapshotError::Exists(_)) { Exit::Misuse } else { Exit::CannotTell }
        }
    }
}
