//! The node's own etcd, asked over its JSON gateway: the same answers as over gRPC, by the HTTPS client that is here.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tonic::Status;

use super::wire::{EtcdMember, EtcdMemberStatus};
use crate::https::{HttpsClient, HttpsError};
use crate::layout::{ETCD_PORT, Layout, Node};

/// For an answer of the status or the member list.
const DEADLINE: Duration = Duration::from_secs(5);
/// For the linearizable read that is etcd's health, as Talos has it.
const HEALTH_DEADLINE: Duration = Duration::from_secs(15);

/// One etcd.
#[derive(Clone)]
pub(crate) struct Etcd {
    client: HttpsClient,
    address: SocketAddr,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct StatusAnswer {
    header: Header,
    version: String,
    db_size: String,
    db_size_in_use: String,
    leader: String,
    raft_index: String,
    raft_term: String,
    raft_applied_index: String,
    errors: Vec<String>,
    is_learner: bool,
    storage_version: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Header {
    member_id: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MembersAnswer {
    members: Vec<MemberAnswer>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MemberAnswer {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    #[serde(rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(rename = "clientURLs")]
    client_urls: Vec<String>,
    #[serde(rename = "isLearner")]
    is_learner: bool,
}

impl Etcd {
    /// The etcd of this node, asked with the machineds' certificate.
    pub(crate) fn of(layout: &Layout, node: Node) -> Result<Etcd, HttpsError> {
        let name = "machined-etcd";
        let client = HttpsClient::new(&layout.certificate("etcd-ca"), &layout.certificate(name), &layout.key(name))?;
        Ok(Etcd { client, address: (node.address(), ETCD_PORT).into() })
    }

    /// The etcd of another node, asked with the same.
    pub(crate) fn beside(&self, node: Node) -> Etcd {
        Etcd { client: self.client.clone(), address: (node.address(), ETCD_PORT).into() }
    }

    /// One exchange about who is a member; a change of membership waits for a quorum.
    pub(crate) async fn membership<T: DeserializeOwned>(&self, what: &str, body: &str) -> Result<T, Status> {
        self.ask(&format!("/v3/cluster/member/{what}"), body, DEADLINE).await
    }

    /// The member's own status; needs no leader.
    pub(super) async fn status(&self) -> Result<EtcdMemberStatus, Status> {
        let answer: StatusAnswer = self.ask("/v3/maintenance/status", "{}", DEADLINE).await?;
        Ok(EtcdMemberStatus {
            protocol_version: answer.version,
            db_size: number(&answer.db_size),
            db_size_in_use: number(&answer.db_size_in_use),
            leader: number(&answer.leader),
            raft_index: number(&answer.raft_index),
            raft_term: number(&answer.raft_term),
            raft_applied_index: number(&answer.raft_applied_index),
            errors: answer.errors,
            is_learner: answer.is_learner,
            member_id: number(&answer.header.member_id),
            storage_version: answer.storage_version,
        })
    }

    /// The members; needs a leader, like Talos's.
    pub(super) async fn members(&self) -> Result<Vec<EtcdMember>, Status> {
        let answer: MembersAnswer = self.membership("list", r#"{"linearizable":true}"#).await?;
        let member = |member: MemberAnswer| EtcdMember {
            id: number(&member.id),
            hostname: member.name,
            peer_urls: member.peer_urls,
            client_urls: member.client_urls,
            is_learner: member.is_learner,
        };
        Ok(answer.members.into_iter().map(member).collect())
    }

    /// Talos's health of etcd: one linearizable read.
    pub(super) async fn read(&self) -> Result<(), Status> {
        // The key is `health`.
        let question = r#"{"key":"aGVhbHRo"}"#;
        self.ask::<serde_json::Value>("/v3/kv/range", question, HEALTH_DEADLINE).await.map(drop)
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str, body: &str, deadline: Duration) -> Result<T, Status> {
        let question = (Method::POST, path, body.as_bytes().to_vec());
        let answer = self.client.ask(self.address, question, deadline).await;
        let answer = answer.map_err(|e| Status::unavailable(e.to_string()))?;
        if answer.status != 200 {
            return Err(Status::unavailable(String::from_utf8_lossy(&answer.body).trim().to_owned()));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|e| Status::internal(format!("etcd's answer is not understood: {e}")))
    }
}

/// The gateway writes 64-bit numbers as text and leaves zeros out.
fn number<T: std::str::FromStr + Default>(text: &str) -> T {
    text.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_gateway_leaves_out_is_zero() {
        let text =
            r#"{"header":{"member_id":"17"},"version":"3.6.16","dbSize":"20480","leader":"18446744073709551615"}"#;
        let answer: StatusAnswer = serde_json::from_str(text).unwrap();
        assert_eq!(number::<u64>(&answer.header.member_id), 17);
        assert_eq!(number::<u64>(&answer.leader), u64::MAX);
        assert_eq!(number::<i64>(&answer.db_size_in_use), 0);
    }
}
