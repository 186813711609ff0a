//! One etcd member, asked directly.
//!
//! etcd-client does the talking, over a connection of ours ([`Held`]): its own would balance over several members and
//! dial again by itself. It is made once a connection, for it holds a client of each of etcd's services. Answers are bounded
//! by tonic's 4 MiB. What changes etcd is `change`'s.

mod change;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use defib_engine::observation::{EtcdMember, EtcdMembers, EtcdStatus, Failure, Stage};
use etcd_client::{Channel, Client, Error, GetOptions};
use tonic::Status;

use super::bell::Bell;
use super::channel::{Held, of_status};
use super::kept::Kept;
use super::{Trouble, detail};

/// The key that is read. It need not exist: reading nothing proves the same.
const KEY: &str = "defib/probe";
/// So many of a member's complaints are kept.
const COMPLAINTS_MAX: usize = 16;
/// So many members of a cluster are kept; etcd advises seven at most.
pub(super) const MEMBERS_MAX: usize = 64;
/// So many addresses of one member are kept.
const URLS_MAX: usize = 16;

/// What a read waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// This member's own store.
    Serializable,
    /// A quorum, which confirms that the answer is the newest.
    Linearizable,
}

/// One member of one etcd.
#[derive(Debug)]
pub struct Member {
    credential: Arc<Kept>,
    held: Held<Arc<Client>>,
}

impl Member {
    /// The member whose clients are served at this address. Nothing is dialled yet.
    #[must_use]
    pub fn new(credential: Arc<Kept>, address: SocketAddr) -> Member {
        Member { credential, held: Held::speaking(address, |channel| Box::pin(client(channel))) }
    }

    /// Rings this bell when the held connection ends by itself.
    #[must_use]
    pub fn with_bell(self, bell: Bell) -> Member {
        Member { held: self.held.with_bell(bell), ..self }
    }

    /// Asks over the held connection, or over a new one.
    async fn ask<T, F: Future<Output = Result<T, Status>>>(
        &self,
        deadline: Duration,
        question: impl Fn(Arc<Client>) -> F,
    ) -> Result<T, Trouble> {
        self.held.ask(|until| self.credential.client_config(until), deadline, question).await
    }

    /// What the member says of itself. It answers alone: without quorum too.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn status(&self, deadline: Duration) -> Result<EtcdStatus, Trouble> {
        self.ask(deadline, |client| async move {
            let answer = client.maintenance_client().status().await.map_err(status_of)?;
            let header = answer.header();
            Ok(EtcdStatus {
                cluster_id: header.map_or(0, etcd_client::ResponseHeader::cluster_id),
                member_id: header.map_or(0, etcd_client::ResponseHeader::member_id),
                leader: answer.leader(),
                term: answer.raft_term(),
                index: answer.raft_index(),
                applied_index: answer.raft_applied_index(),
                db_size_bytes: u64::try_from(answer.db_size()).unwrap_or(0),
                db_in_use_bytes: u64::try_from(answer.raft_used_db_size()).unwrap_or(0),
                learner: answer.is_learner(),
                errors: complaints(answer.errors()),
                version: detail(answer.version()),
            })
        })
        .await
    }

    /// Who is in the cluster, from the member's own store: without quorum too.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn members(&self, deadline: Duration) -> Result<EtcdMembers, Trouble> {
        self.ask(deadline, |client| async move {
            // etcd-client asks for the serializable form.
            let answer = client.cluster_client().member_list().await.map_err(status_of)?;
            let member = |member: &etcd_client::Member| EtcdMember {
                id: member.id(),
                name: detail(member.name()),
                learner: member.is_learner(),
                peer_urls: urls(member.peer_urls()),
                client_urls: urls(member.client_urls()),
            };
            Ok(EtcdMembers {
                cluster_id: answer.header().map_or(0, etcd_client::ResponseHeader::cluster_id),
                members: answer.members().iter().take(MEMBERS_MAX).map(member).collect(),
            })
        })
        .await
    }

    /// Reads one key.
    ///
    /// # Errors
    /// [`Trouble`]; a lost quorum shows as a deadline that passed, or as etcd's own words when `deadline` is longer than
    /// its 7 s.
    pub async fn read(&self, read: Read, deadline: Duration) -> Result<(), Trouble> {
        let options = match read {
            Read::Serializable => GetOptions::new().with_serializable(),
            Read::Linearizable => GetOptions::new(),
        };
        // The length of the value is nobody's business: only the answer counts.
        let options = options.with_count_only();
        self.ask(deadline, |client| {
            let options = Some(options.clone());
            async move { client.kv_client().get(KEY, options).await.map(drop).map_err(status_of) }
        })
        .await
    }

    /// The newest revision that a quorum knows of, by a read through this member.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn revision(&self, deadline: Duration) -> Result<i64, Trouble> {
        self.ask(deadline, |client| async move {
            let options = GetOptions::new().with_count_only();
            let answer = client.kv_client().get(KEY, Some(options)).await.map_err(status_of)?;
            Ok(answer.header().map_or(0, etcd_client::ResponseHeader::revision))
        })
        .await
    }

    /// What the member's own store holds up to this revision, as a hash; it reads all of it.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn hash(&self, revision: i64, deadline: Duration) -> Result<StoreHash, Trouble> {
        self.ask(deadline, |client| async move {
            let answer = client.maintenance_client().hash_kv(revision).await.map_err(status_of)?;
            Ok(StoreHash { hash: answer.hash(), compacted: answer.compact_version() })
        })
        .await
    }

    /// Begins a snapshot of the member's own store; without quorum too. `deadline` is until the stream begins.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn snapshot(&self, deadline: Duration) -> Result<Snapshot, Trouble> {
        let stream = self
            .ask(deadline, |client| async move { client.maintenance_client().snapshot().await.map_err(status_of) })
            .await?;
        Ok(Snapshot { stream })
    }
}

/// The hash of one member's store; comparable only where both were compacted at the same revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreHash {
    /// Of every key and value that is left, up to the revision that was asked for.
    pub hash: u32,
    /// The revision at which the store was compacted last.
    pub compacted: i64,
}

/// A snapshot on its way: the store's file, then the SHA-256 of it.
#[derive(Debug)]
pub struct Snapshot {
    stream: etcd_client::SnapshotStreaming,
}

impl Snapshot {
    /// The next part, or none at the end.
    ///
    /// # Errors
    /// [`Trouble`]; silence for as long as `deadline` is one.
    pub async fn part(&mut self, deadline: Duration) -> Result<Option<Vec<u8>>, Trouble> {
        match tokio::time::timeout(deadline, self.stream.message()).await {
            Ok(Ok(part)) => Ok(part.map(|part| part.blob().to_vec())),
            Ok(Err(error)) => Err(of_status(&status_of(error))),
            Err(_) => Err(Failure::Timeout(Stage::Response).into()),
        }
    }
}

/// What a member complains of, bounded: the first few, each by its beginning.
pub(crate) fn complaints(said: &[String]) -> Vec<String> {
    said.iter().take(COMPLAINTS_MAX).map(|one| detail(one)).collect()
}

/// The beginnings of a member's addresses.
pub(super) fn urls(said: &[String]) -> Vec<String> {
    said.iter().take(URLS_MAX).map(|one| detail(one)).collect()
}

async fn client(channel: tonic::transport::Channel) -> Result<Arc<Client>, Status> {
    Client::from_channel(Channel::Tonic(channel), None).await.map(Arc::new).map_err(status_of)
}

fn status_of(error: Error) -> Status {
    match error {
        Error::GRpcStatus(status) => status,
        other => Status::from_error(Box::new(other)),
    }
}
