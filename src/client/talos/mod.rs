//! One Talos machine, asked directly at its own address, never through another one.
//!
//! Replies come as a list with one message a machine; a failure may hide inside an OK reply, in the message's metadata,
//! and is read as the failure that it is. The calls that change anything are [`Talos::restart_service`],
//! [`Talos::start_service`], [`Talos::restart_container`], [`Talos::reboot`] and [`Talos::erase`], which dial for themselves, so that each is sent once or not at all.

mod credential;
mod machine;
mod wire;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use defib_engine::observation::{Container, EtcdMember, EtcdMembers, EtcdStatus, Failure, Service, TalosServices, Why};
use defib_engine::playbook::RebootMode;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Status};

pub use self::credential::{Credential, CredentialError, Outline, outline};
use super::channel::{Held, MESSAGE_BYTES_MAX, said};
use super::kept::Kept;
use super::{Trouble, detail, etcd};
use wire::machine_service_client::MachineServiceClient;

/// So many services, or containers, of one machine are kept.
const ITEMS_MAX: usize = 1_024;
/// So many bytes of one log are read.
const LOG_BYTES_MAX: usize = 1024 * 1024;
/// So many bytes of the kernel's log are read: its ring holds far less.
const KERNEL_LOG_BYTES_MAX: usize = 8 * 1024 * 1024;
/// So many lines of interest are kept, the newest.
const KERNEL_LINES_MAX: usize = 64;

/// Talos names a container by so much of its id.
const ID_FRAGMENT: usize = 12;

/// The Talos API of one machine.
#[derive(Debug)]
pub struct Talos {
    credential: Arc<Kept>,
    held: Held,
}

/// How an attempt to change something ended, where it did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The request never left: nothing was done.
    #[error("nothing was sent: {0}")]
    NotSent(Trouble),
    /// Talos said no: nothing was done.
    #[error("refused: {0}")]
    Refused(Trouble),
    /// No clear answer: it may have been done.
    #[error("no clear answer: {0}")]
    Unanswered(Trouble),
}

impl Talos {
    /// The machine at this address. Nothing is dialled yet.
    #[must_use]
    pub fn new(credential: Arc<Kept>, address: SocketAddr) -> Talos {
        Talos { credential, held: Held::new(address) }
    }

    /// The machine's services and its version.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn services(&self, deadline: Duration) -> Result<TalosServices, Trouble> {
        let (list, version) = self
            .ask(deadline, |machine| async move {
                let (mut one, mut other) = (machine.clone(), machine);
                let (list, version) =
                    tokio::try_join!(one.service_list(wire::Empty {}), other.version(wire::Empty {}))?;
                Ok((list.into_inner().messages, version.into_inner().messages))
            })
            .await?;
        let list = only(list, |list| list.metadata.as_ref())?;
        let version = only(version, |version| version.metadata.as_ref())?;
        Ok(TalosServices {
            version: detail(&version.version.unwrap_or_default().tag),
            services: list.services.into_iter().take(ITEMS_MAX).map(service).collect(),
        })
    }

    /// The containers and sandboxes of the pods in `kube-system`, dead ones included.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn containers(&self, deadline: Duration) -> Result<Vec<Container>, Trouble> {
        let messages = self
            .ask(deadline, |mut machine| async move {
                let driver = wire::ContainerDriver::Cri.into();
                let request = wire::ContainersRequest { namespace: "k8s.io".to_owned(), driver };
                Ok(machine.containers(request).await?.into_inner().messages)
            })
            .await?;
        let all = only(messages, |message| message.metadata.as_ref())?.containers;
        Ok(all.into_iter().map(container).filter(|one| one.pod.starts_with("kube-system/")).take(ITEMS_MAX).collect())
    }

    /// The last lines of the kubelet's log, at most 1 MiB of them.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn kubelet_log(&self, tail_lines: u16, deadline: Duration) -> Result<String, Trouble> {
        let chunks = self
            .ask(deadline, |mut machine| async move {
                let request = wire::LogsRequest {
                    namespace: "system".to_owned(),
                    id: "kubelet".to_owned(),
                    driver: wire::ContainerDriver::Containerd.into(),
                    follow: false,
                    tail_lines: i32::from(tail_lines),
                };
                let mut stream = machine.logs(request).await?.into_inner();
                let (mut chunks, mut bytes) = (Vec::new(), 0);
                while bytes <= LOG_BYTES_MAX
                    && let Some(chunk) = stream.message().await?
                {
                    bytes += chunk.bytes.len();
                    chunks.push(chunk);
                }
                Ok(chunks)
            })
            .await?;
        let mut log = Vec::new();
        for chunk in chunks {
            log.extend(only(vec![chunk], |chunk| chunk.metadata.as_ref())?.bytes);
        }
        if log.len() > LOG_BYTES_MAX {
            return Err(Failure::TooLarge.into());
        }
        Ok(String::from_utf8_lossy(&log).into_owned())
    }

    /// The lines of the kernel's log that hold one of these texts, the newest 64, in order. The whole log is read, at most
    /// 8 MiB of it.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn kernel_log(
        &self,
        wanted: &'static [&'static str],
        deadline: Duration,
    ) -> Result<Vec<String>, Trouble> {
        let (chunks, bytes) = self
            .ask(deadline, |mut machine| async move {
                let request = wire::DmesgRequest { follow: false, tail: false };
                let mut stream = machine.dmesg(request).await?.into_inner();
                let (mut kept, mut bytes) = (VecDeque::new(), 0);
                while bytes <= KERNEL_LOG_BYTES_MAX
                    && let Some(chunk) = stream.message().await?
                {
                    bytes += chunk.bytes.len();
                    let text = String::from_utf8_lossy(&chunk.bytes);
                    // Talos sends a line a message. One that carries a failure is kept, to be told.
                    if chunk.metadata.as_ref().is_some_and(|metadata| !metadata.error.is_empty())
                        || wanted.iter().any(|wanted| text.contains(wanted))
                    {
                        kept.push_back(chunk);
                    }
                    if kept.len() > KERNEL_LINES_MAX {
                        kept.pop_front();
                    }
                }
                Ok((kept, bytes))
            })
            .await?;
        if bytes > KERNEL_LOG_BYTES_MAX {
            return Err(Failure::TooLarge.into());
        }
        let mut lines = Vec::new();
        for chunk in chunks {
            let chunk = only(vec![chunk], |chunk| chunk.metadata.as_ref())?.bytes;
            let text = String::from_utf8_lossy(&chunk);
            lines.extend(
                text.lines().filter(|line| wanted.iter().any(|wanted| line.contains(wanted))).map(str::to_owned),
            );
        }
        Ok(lines)
    }

    /// etcd's `Status` of the member on this machine, as Talos relays it. The cluster's id is not among it.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn etcd_status(&self, deadline: Duration) -> Result<EtcdStatus, Trouble> {
        let messages =
            self.ask(deadline, |mut machine| async move {
                Ok(machine.etcd_status(wire::Empty {}).await?.into_inner().messages)
            })
            .await?;
        let status = only(messages, |message| message.metadata.as_ref())?.member_status.unwrap_or_default();
        Ok(EtcdStatus {
            cluster_id: 0,
            member_id: status.member_id,
            leader: status.leader,
            term: status.raft_term,
            index: status.raft_index,
            applied_index: status.raft_applied_index,
            db_size_bytes: u64::try_from(status.db_size).unwrap_or(0),
            db_in_use_bytes: u64::try_from(status.db_size_in_use).unwrap_or(0),
            learner: status.is_learner,
            errors: etcd::complaints(&status.errors),
            version: detail(&status.protocol_version),
        })
    }

    /// The members of etcd, as Talos relays them. The cluster's id is not among it. Talos asks a quorum, whatever it is told:
    /// without one there is no answer, which says nothing of this machine.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn etcd_members(&self, deadline: Duration) -> Result<EtcdMembers, Trouble> {
        let messages = self
            .ask(deadline, |mut machine| async move {
                let request = wire::EtcdMemberListRequest { query_local: true };
                Ok(machine.etcd_member_list(request).await?.into_inner().messages)
            })
            .await?;
        let list = only(messages, |message| message.metadata.as_ref())?;
        let member = |member: wire::EtcdMember| EtcdMember {
            id: member.id,
            name: detail(&member.hostname),
            learner: member.is_learner,
            peer_urls: etcd::urls(&member.peer_urls),
            client_urls: etcd::urls(&member.client_urls),
        };
        let members = list.members.into_iter().take(etcd::MEMBERS_MAX).map(member).collect();
        Ok(EtcdMembers { cluster_id: 0, members })
    }

    /// Restarts a service, and returns what Talos says of it. Sent at most once, over a connection made for it, and not
    /// at all where that is not there at `send_before`: a slow handshake must not outlive a permission. Talos answers when the service was told to start, not when it is healthy.
    ///
    /// # Errors
    /// [`ActError`] tells whether it may have been done.
    pub async fn restart_service(
        &self,
        id: &str,
        send_before: Instant,
        deadline: Duration,
    ) -> Result<String, ActError> {
        let messages = self
            .act(send_before, deadline, |mut machine| async move {
                let request = wire::ServiceRestartRequest { id: id.to_owned() };
                Ok(machine.service_restart(request).await?.into_inner().messages)
            })
            .await?;
        accepted(messages, |message| message.metadata.as_ref(), |message| &message.resp)
    }

    /// Starts a service; one that runs is left alone. Sent at most once, as [`Talos::restart_service`] is.
    ///
    /// # Errors
    /// [`ActError`] tells whether it may have been done.
    pub async fn start_service(&self, id: &str, send_before: Instant, deadline: Duration) -> Result<String, ActError> {
        let messages = self
            .act(send_before, deadline, |mut machine| async move {
                let request = wire::ServiceStartRequest { id: id.to_owned() };
                Ok(machine.service_start(request).await?.into_inner().messages)
            })
            .await?;
        accepted(messages, |message| message.metadata.as_ref(), |message| &message.resp)
    }

    /// Stops one container of a pod, with Talos's own grace of 10 s; the kubelet makes another. Sent at most once, as
    /// [`Talos::restart_service`] is.
    ///
    /// # Errors
    /// [`ActError`] tells whether it may have been done.
    pub async fn restart_container(
        &self,
        container: &Container,
        send_before: Instant,
        deadline: Duration,
    ) -> Result<(), ActError> {
        // As `Containers` lists it: without the fragment Talos takes the first of that name, one that is dead as well.
        let fragment = container.id.get(..ID_FRAGMENT).unwrap_or(&container.id);
        let id = format!("{}:{}:{fragment}", container.pod, container.name);
        let messages = self
            .act(send_before, deadline, |mut machine| async move {
                let driver = wire::ContainerDriver::Cri.into();
                let request = wire::RestartRequest { namespace: "k8s.io".to_owned(), id, driver };
                Ok(machine.restart(request).await?.into_inner().messages)
            })
            .await?;
        accepted(messages, |message| message.metadata.as_ref(), |_| "").map(drop)
    }

    /// Reboots the machine. Sent at most once, as [`Talos::restart_service`] is. Talos answers when it has begun; a
    /// connection that breaks instead leaves it unanswered.
    ///
    /// # Errors
    /// [`ActError`] tells whether it may have been done.
    pub async fn reboot(&self, mode: RebootMode, send_before: Instant, deadline: Duration) -> Result<String, ActError> {
        let mode = match mode {
            RebootMode::Default => wire::reboot_request::Mode::Default,
            RebootMode::Powercycle => wire::reboot_request::Mode::Powercycle,
        };
        let messages = self
            .act(send_before, deadline, |mut machine| async move {
                let request = wire::RebootRequest { mode: mode.into() };
                Ok(machine.reboot(request).await?.into_inner().messages)
            })
            .await?;
        accepted(messages, |message| message.metadata.as_ref(), |message| &message.actor_id)
    }

    /// Has Talos erase the machine's partition EPHEMERAL, which holds etcd's data, images and the volumes of pods, and reboot;
    /// nothing else is erased, and it takes leave of nobody. Gives the name under which Talos tells of it, empty where it
    /// gave none. It answers when it has begun.
    ///
    /// # Errors
    /// [`ActError`] tells whether it may have been done.
    pub async fn erase(&self, send_before: Instant, deadline: Duration) -> Result<String, ActError> {
        let messages = self
            .act(send_before, deadline, |mut machine| async move {
                // With no partition named Talos erases all of them.
                let ephemeral = wire::ResetPartitionSpec { label: "EPHEMERAL".to_owned(), wipe: true };
                let request =
                    wire::ResetRequest { graceful: false, reboot: true, system_partitions_to_wipe: vec![ephemeral] };
                Ok(machine.reset(request).await?.into_inner().messages)
            })
            .await?;
        accepted(messages, |message| message.metadata.as_ref(), |message| &message.actor_id)
    }

    /// The roles of our own certificate; none where it cannot be read.
    pub async fn roles(&self, until: Instant) -> Vec<String> {
        self.credential.look(until).await.holds.groups
    }

    /// One call over a connection made for it.
    async fn act<T, F: Future<Output = Result<T, Status>>>(
        &self,
        send_before: Instant,
        deadline: Duration,
        call: impl FnOnce(MachineServiceClient<Channel>) -> F,
    ) -> Result<T, ActError> {
        let until = Instant::now() + deadline;
        let connect_by = send_before.min(until);
        let config = self.credential.client_config(connect_by).await.map_err(ActError::NotSent)?;
        let channel = self.held.connect(config, connect_by).await.map_err(ActError::NotSent)?;
        self.held.answer(until, call(machine(channel))).await.map_err(refused_or_unanswered)
    }

    async fn ask<T, F: Future<Output = Result<T, Status>>>(
        &self,
        deadline: Duration,
        question: impl Fn(MachineServiceClient<Channel>) -> F,
    ) -> Result<T, Trouble> {
        self.held
            .ask(|until| self.credential.client_config(until), deadline, |channel| question(machine(channel)))
            .await
    }
}

fn machine(channel: Channel) -> MachineServiceClient<Channel> {
    MachineServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// The one message of a reply, if it is not a failure in disguise.
fn only<T>(messages: Vec<T>, metadata: impl Fn(&T) -> Option<&wire::Metadata>) -> Result<T, Trouble> {
    let Some(message) = messages.into_iter().next() else {
        return Err(Failure::Protocol("a reply without a message".to_owned()).into());
    };
    let failure = metadata(&message).and_then(|metadata| {
        let status = metadata.status.clone().unwrap_or_default();
        let text = if metadata.error.is_empty() { &status.message } else { &metadata.error };
        let code = if status.code == 0 { Code::Unknown } else { Code::from_i32(status.code) };
        (!metadata.error.is_empty() || status.code != 0).then(|| said(code, text))
    });
    failure.map_or(Ok(message), Err)
}

/// What Talos said where it accepted an order; it may do so without a word.
fn accepted<T>(
    messages: Vec<T>,
    metadata: impl Fn(&T) -> Option<&wire::Metadata>,
    said: impl Fn(&T) -> &str,
) -> Result<String, ActError> {
    if messages.is_empty() {
        return Ok(String::new());
    }
    only(messages, metadata).map(|message| detail(said(&message))).map_err(refused_or_unanswered)
}

/// Only a status that speaks of the request itself proves that nothing was done: a restart is a stop and a start, and
/// whatever else went wrong may have gone wrong between the two.
fn refused_or_unanswered(trouble: Trouble) -> ActError {
    const REFUSALS: [Code; 4] = [Code::InvalidArgument, Code::NotFound, Code::FailedPrecondition, Code::Unimplemented];
    match &trouble {
        Trouble::Failed(Failure::Status { code, .. })
            if REFUSALS.iter().any(|refusal| i32::from(*refusal) == i32::from(*code)) =>
        {
            ActError::Refused(trouble)
        }
        Trouble::Unknown(Why::Unauthorized(_)) => ActError::Refused(trouble),
        _ => ActError::Unanswered(trouble),
    }
}

fn service(info: wire::ServiceInfo) -> Service {
    let healthy = info.health.filter(|health| !health.unknown).map(|health| health.healthy);
    Service { id: detail(&info.id), state: detail(&info.state), healthy }
}

fn container(info: wire::ContainerInfo) -> Container {
    Container {
        running: matches!(info.status.as_str(), "CONTAINER_RUNNING" | "SANDBOX_READY"),
        name: detail(&info.name),
        pod: detail(&info.pod_id),
        pod_uid: detail(&info.uid),
        id: detail(&info.internal_id),
    }
}
