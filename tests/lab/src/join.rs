//! A node whose etcd lost its data joins anew, as Talos has it: added as a learner by another member, promoted once it has
//! caught up.
//!
//! That it is due is a file beside its data, which outlives reboots: etcd looks at what it says only where it has no data.
//! Left out: finding the others, which are fixed here.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tonic::Status;

use crate::https::HttpsError;
use crate::layout::{Layout, Node};
use crate::machined::etcd::Etcd;
use crate::node::etcd::peer;

/// Between two attempts to be promoted, so many times.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 600;

/// Why a node did not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// No client could be made.
    #[error(transparent)]
    Client(#[from] HttpsError),
    /// The runtime could not be made.
    #[error("cannot begin")]
    Begin(#[source] std::io::Error),
    /// No other member added it.
    #[error("no other member adds {node}: {said}")]
    Refused {
        /// Who would join.
        node: Node,
        /// What the last of them said.
        said: String,
    },
}

/// Forgets a node's data, so that it joins anew when it boots next.
pub(crate) fn forget(layout: &Layout, node: Node) -> Result<(), (PathBuf, std::io::Error)> {
    let (data, due) = (data(layout, node), due(layout, node));
    match std::fs::remove_dir_all(&data) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err((data, error)),
        _ => {}
    }
    std::fs::write(&due, "").map_err(|error| (due, error))
}

/// It lost its data once.
pub(crate) fn is_due(layout: &Layout, node: Node) -> bool {
    due(layout, node).exists()
}

fn data(layout: &Layout, node: Node) -> PathBuf {
    layout.node(node).join("etcd")
}

fn due(layout: &Layout, node: Node) -> PathBuf {
    layout.node(node).join("etcd-joins")
}

/// Has another member add this node as a learner, unless it has data or is listed already.
pub fn run(node: Node) -> Result<(), JoinError> {
    let layout = Layout::default();
    if data(&layout, node).exists() {
        return Ok(());
    }
    let own = Etcd::of(&layout, node)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(JoinError::Begin)?;
    runtime.block_on(async {
        let peer = peer(node);
        let mut said = String::new();
        for other in others(&own, node) {
            match add(&other, &peer).await {
                Ok(()) => return Ok(()),
                Err(why) => why.message().clone_into(&mut said),
            }
        }
        Err(JoinError::Refused { node, said })
    })
}

/// Has a member add the peer at this address, unless it lists it already.
async fn add(other: &Etcd, peer: &str) -> Result<(), Status> {
    let list: Value = other.membership("list", "{}").await?;
    if list.to_string().contains(peer) {
        return Ok(());
    }
    let learner = json!({ "peerURLs": [peer], "isLearner": true });
    other.membership::<Value>("add", &learner.to_string()).await.map(drop)
}

fn others(own: &Etcd, node: Node) -> impl Iterator<Item = Etcd> {
    Node::ALL.into_iter().filter(move |other| *other != node).map(|other| own.beside(other))
}

/// Has the others promote this node's learner as soon as it has caught up; ends when it votes.
pub(crate) async fn promote(own: Etcd, node: Node) {
    let peer = peer(node);
    for _ in 0..ATTEMPTS {
        for other in others(&own, node) {
            let Ok(list) = other.membership::<Value>("list", "{}").await else { continue };
            let members = list["members"].as_array().map(Vec::as_slice).unwrap_or_default();
            let listed = members.iter().find(|member| member["peerURLs"].to_string().contains(&peer));
            let Some(listed) = listed else { continue };
            if listed["isLearner"] != true {
                return;
            }
            // Refused until it has caught up.
            let _ = other.membership::<Value>("promote", &json!({ "ID": listed["ID"] }).to_string()).await;
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}
