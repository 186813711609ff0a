//! A node whose etcd lost its data joins anew, as Talos has it: added as a learner by another member, promoted once it has
//! caught up.
//!
//! That it is due is a file beside its data, which outlives reboots: etcd looks at what it says only where it has no data.
//! Left out: finding the others, which are fixed here.

use std::path::PathBuf;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use crate::https::{HttpsClient, HttpsError};
use crate::layout::{ETCD_PORT, Layout, Node};

/// For an answer of another member; a change of membership waits for a quorum.
const DEADLINE: Duration = Duration::from_secs(5);
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
    let name = "machined-etcd";
    let client = HttpsClient::new(&layout.certificate("etcd-ca"), &layout.certificate(name), &layout.key(name))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(JoinError::Begin)?;
    runtime.block_on(async {
        let peer = format!("https://{}:2380", node.address());
        let mut said = String::new();
        for other in Node::ALL.into_iter().filter(|other| *other != node) {
            match ask(&client, other, "list", &json!({})).await {
                Ok(list) if list.to_string().contains(&peer) => return Ok(()),
                Ok(_) => {}
                Err(why) => {
                    said = why;
                    continue;
                }
            }
            match ask(&client, other, "add", &json!({ "peerURLs": [&peer], "isLearner": true })).await {
                Ok(_) => return Ok(()),
                Err(why) => said = why,
            }
        }
        Err(JoinError::Refused { node, said })
    })
}

/// Has the others promote this node's learner as soon as it has caught up; ends when it votes.
pub(crate) async fn promote(client: HttpsClient, node: Node) {
    let peer = format!("https://{}:2380", node.address());
    for _ in 0..ATTEMPTS {
        for other in Node::ALL.into_iter().filter(|other| *other != node) {
            let Ok(list) = ask(&client, other, "list", &json!({})).await else { continue };
            let members = list["members"].as_array().map(Vec::as_slice).unwrap_or_default();
            let own = members.iter().find(|member| member["peerURLs"].to_string().contains(&peer));
            let Some(own) = own else { continue };
            if own["isLearner"] != true {
                return;
            }
            // Refused until it has caught up.
            let _ = ask(&client, other, "promote", &json!({ "ID": own["ID"] })).await;
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

async fn ask(client: &HttpsClient, other: Node, what: &str, body: &Value) -> Result<Value, String> {
    let path = format!("/v3/cluster/member/{what}");
    let question = (Method::POST, path.as_str(), body.to_string().into_bytes());
    let answer = client.ask((other.address(), ETCD_PORT).into(), question, DEADLINE).await;
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.status != 200 {
        return Err(String::from_utf8_lossy(&answer.body).trim().to_owned());
    }
    serde_json::from_slice(&answer.body).map_err(|error| error.to_string())
}
