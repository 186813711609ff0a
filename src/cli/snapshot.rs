//! `defib snapshot`: the store of one member of etcd in a file, without the daemon.
//!
//! Every member is asked for its status; the newest follower is taken, for a leader has more to do. Left out: a schedule,
//! and members that are reached through Talos alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use defib_engine::observation::EtcdStatus;

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
/// A follower that has applied so many entries fewer than the newest member is left behind, and not taken.
const BEHIND_MAX: u64 = 1_000;

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
    let Some((name, member, status)) = (if named { Some(0) } else { best(&statuses) }).map(|at| &members[at]) else {
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

/// Whom to take it from: a voter whose data nobody calls corrupt and who is not left behind; a follower before the leader,
/// the newest first.
fn best(members: &[&EtcdStatus]) -> Option<usize> {
    let sound = |status: &EtcdStatus| {
        !status.learner && !status.errors.iter().any(|error| error.to_ascii_uppercase().contains("CORRUPT"))
    };
    let fit = || members.iter().enumerate().filter(|(_, status)| sound(status));
    let newest = fit().map(|(_, status)| status.applied_index).max()?;
    fit()
        .filter(|(_, status)| newest - status.applied_index <= BEHIND_MAX)
        .max_by_key(|(_, status)| (status.leader != status.member_id, status.applied_index))
        .map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(member_id: u64, applied_index: u64) -> EtcdStatus {
        EtcdStatus {
            cluster_id: 1,
            member_id,
            leader: 1,
            term: 2,
            index: applied_index,
            applied_index,
            db_size_bytes: 0,
            db_in_use_bytes: 0,
            learner: false,
            errors: Vec::new(),
            version: "3.6.0".to_owned(),
        }
    }

    #[test]
    fn the_newest_sound_follower_is_taken_and_the_leader_where_all_others_lag() {
        let (leader, follower, lags) = (member(1, 9_000), member(2, 8_990), member(3, 7_000));
        assert_eq!(best(&[&leader, &follower, &lags]), Some(1));
        assert_eq!(best(&[&leader, &lags]), Some(0));
        let corrupt = EtcdStatus { errors: vec!["memberID:2 alarm:CORRUPT".to_owned()], ..follower.clone() };
        let learner = EtcdStatus { learner: true, ..follower };
        assert_eq!(best(&[&leader, &corrupt, &learner]), Some(0));
        assert_eq!(best(&[&corrupt]), None);
    }
}
