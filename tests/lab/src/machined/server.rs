//! The calls of Talos's machine API that the lab answers, in front of the real parts.
//!
//! Each call is checked against the caller's role, carried out in a task of its own (so that a caller who hangs up does
//! not leave half a restart behind, nor a gap in the log), and logged before it is answered. Left out: forwarding to
//! other nodes; `node` and `nodes` in a call's metadata are refused.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tonic::{Code, Request, Response, Status};

use super::Caller;
use super::calls::{CallLog, CallRecord, now_ms};
use super::etcd::Etcd;
use super::figures::Figures;
use super::supervise::{Event, Order, Service, Told};
use super::wire::machine_service_server::MachineService;
use super::wire::state::state_server::State;
use super::wire::state::{GetRequest, GetResponse};
use super::wire::time::time_service_server::TimeService;
use super::{cri, kmsg, logs, roles, wire};
use crate::layout::{Layout, Node, Part};
use crate::power;

/// What the lab says it is: a Talos that keeps static pods without etcd, and whose API servers take nobody anonymous.
const VERSION: &str = "v1.13.0-lab";
/// How much of a log goes into one message.
const CHUNK: usize = 32 << 10;
/// Between the answer to a reboot and the reboot.
const REBOOT_AFTER: Duration = Duration::from_millis(500);

/// One node's machined.
#[derive(Clone)]
pub(super) struct Machined {
    pub(super) node: Node,
    pub(super) layout: Layout,
    pub(super) services: Arc<Vec<Service>>,
    pub(super) etcd: Etcd,
    pub(super) calls: Arc<CallLog>,
    pub(super) figures: Figures,
}

type Answer<T> = Result<Response<T>, Status>;

impl Machined {
    /// Checks, carries out, logs and answers one call.
    async fn answer<T, R, W>(&self, request: &Request<R>, rpc: &str, argument: &str, work: W) -> Answer<T>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Status>> + Send + 'static,
    {
        let caller = request.extensions().get::<Caller>().cloned().unwrap_or_default();
        let mut call = CallRecord {
            at_ms: now_ms(),
            node: self.node.to_string(),
            rpc: rpc.to_owned(),
            argument: argument.to_owned(),
            role: caller.roles.join(","),
            peer: caller.peer,
            answer: String::new(),
            mutating: roles::is_mutating(rpc),
        };
        let metadata = request.metadata();
        let forwarded = metadata.contains_key("node") || metadata.contains_key("nodes");
        let may = roles::may(&caller.roles, rpc);
        let calls = Arc::clone(&self.calls);
        let task = tokio::spawn(async move {
            let result = if !may {
                Err(Status::permission_denied("not authorized"))
            } else if forwarded {
                Err(Status::permission_denied("no request forwarding"))
            } else {
                work.await
            };
            call.answer = match &result {
                Ok(_) => "OK".to_owned(),
                Err(e) => format!("{:?}: {}", e.code(), e.message()),
            };
            calls.add(&call).map_err(|e| Status::internal(format!("cannot write the call log: {e}")))?;
            result.map(Response::new)
        });
        task.await.unwrap_or_else(|e| Err(Status::internal(e.to_string())))
    }

    /// Has the node rebooted a moment later, and its data erased meanwhile.
    fn boot_soon(&self, erase: bool) -> Result<(), Status> {
        let program = crate::lab::program().map_err(|e| Status::internal(e.to_string()))?;
        let (node, layout) = (self.node, self.layout.clone());
        tokio::spawn(async move {
            // Nothing tells when the answer is out, and Talos takes longer to stop its services.
            tokio::time::sleep(REBOOT_AFTER).await;
            if let Err(e) = power::ask(&layout, node, program, erase) {
                use std::io::Write;
                let _ = writeln!(std::io::stderr(), "cannot reboot: {e}");
            }
        });
        Ok(())
    }

    fn actor(&self) -> String {
        format!("lab-{}-{}", self.node, now_ms())
    }

    fn metadata(&self) -> Option<wire::Metadata> {
        Some(wire::Metadata { hostname: self.node.to_string(), ..wire::Metadata::default() })
    }

    fn service(&self, id: &str) -> Result<Service, Status> {
        let found = self.services.iter().find(|service| service.part.name() == id);
        found.cloned().ok_or_else(|| Status::unknown(format!("service {id:?} not defined")))
    }

    /// Carries out an order where Talos lets a service be ordered over the API: the kubelet alone.
    async fn order(self, id: String, order: Order, verb: &str) -> Result<String, Status> {
        let service = self.service(&id)?;
        if service.part != Part::Kubelet {
            return Err(Status::unknown(format!("service {id:?} doesn't support {verb} operation via API")));
        }
        if service.order(order).await { Ok(id) } else { Err(Status::internal("the service's keeper is gone")) }
    }

    fn log_path(&self, request: &wire::LogsRequest) -> Result<PathBuf, Status> {
        if request.follow {
            return Err(Status::unimplemented("the lab's machined does not follow logs; ask for tail_lines"));
        }
        if request.namespace != "system" {
            return Err(Status::unimplemented("the lab's machined keeps logs of namespace \"system\" alone"));
        }
        let part = self.service(&request.id)?.part;
        Ok(self.layout.log(self.node, part))
    }
}

fn service_info(service: &Service) -> wire::ServiceInfo {
    let Told { state, events, healthy, health_text, health_changed_ms } = service.told();
    let event = |event: Event| wire::ServiceEvent {
        msg: event.text,
        state: event.state.to_owned(),
        ts: Some(timestamp(event.at_ms)),
    };
    wire::ServiceInfo {
        id: service.part.name().to_owned(),
        state: state.to_owned(),
        events: Some(wire::ServiceEvents { events: events.into_iter().map(event).collect() }),
        health: Some(wire::ServiceHealth {
            unknown: healthy.is_none(),
            healthy: healthy.unwrap_or(false),
            last_message: health_text,
            last_change: Some(timestamp(health_changed_ms)),
        }),
    }
}

fn timestamp(ms: u64) -> wire::Timestamp {
    let nanos = i32::try_from(ms % 1000 * 1_000_000).unwrap_or(0);
    wire::Timestamp { seconds: i64::try_from(ms / 1000).unwrap_or(i64::MAX), nanos }
}

#[tonic::async_trait]
impl MachineService for Machined {
    async fn version(&self, request: Request<wire::Empty>) -> Answer<wire::VersionResponse> {
        let version = wire::VersionInfo { tag: VERSION.to_owned(), sha: "lab".to_owned() };
        let message = wire::Version { metadata: self.metadata(), version: Some(version) };
        self.answer(&request, "Version", "", async { Ok(wire::VersionResponse { messages: vec![message] }) }).await
    }

    async fn service_list(&self, request: Request<wire::Empty>) -> Answer<wire::ServiceListResponse> {
        let services = self.services.iter().map(service_info).collect();
        let message = wire::ServiceList { metadata: self.metadata(), services };
        let work = async { Ok(wire::ServiceListResponse { messages: vec![message] }) };
        self.answer(&request, "ServiceList", "", work).await
    }

    async fn service_start(&self, request: Request<wire::ServiceStartRequest>) -> Answer<wire::ServiceStartResponse> {
        let (own, id, metadata) = (self.clone(), request.get_ref().id.clone(), self.metadata());
        let work = async {
            let resp = format!("Service {:?} started", own.order(id, Order::Start, "start").await?);
            Ok(wire::ServiceStartResponse { messages: vec![wire::ServiceStart { metadata, resp }] })
        };
        self.answer(&request, "ServiceStart", &request.get_ref().id, work).await
    }

    async fn service_stop(&self, request: Request<wire::ServiceStopRequest>) -> Answer<wire::ServiceStopResponse> {
        let (own, id, metadata) = (self.clone(), request.get_ref().id.clone(), self.metadata());
        let work = async {
            let resp = format!("Service {:?} stopped", own.order(id, Order::Stop, "stop").await?);
            Ok(wire::ServiceStopResponse { messages: vec![wire::ServiceStop { metadata, resp }] })
        };
        self.answer(&request, "ServiceStop", &request.get_ref().id, work).await
    }

    async fn service_restart(
        &self,
        request: Request<wire::ServiceRestartRequest>,
    ) -> Answer<wire::ServiceRestartResponse> {
        let (own, id, metadata) = (self.clone(), request.get_ref().id.clone(), self.metadata());
        let work = async {
            let resp = format!("Service {:?} restarted", own.order(id, Order::Restart, "restart").await?);
            Ok(wire::ServiceRestartResponse { messages: vec![wire::ServiceRestart { metadata, resp }] })
        };
        self.answer(&request, "ServiceRestart", &request.get_ref().id, work).await
    }

    async fn restart(&self, request: Request<wire::RestartRequest>) -> Answer<wire::RestartResponse> {
        let (metadata, socket) = (self.metadata(), self.layout.containerd_socket(self.node));
        let asked = request.get_ref();
        let (pods, id) =
            (asked.namespace == "k8s.io" && asked.driver() == wire::ContainerDriver::Cri, asked.id.clone());
        let work = async move {
            if !pods {
                return Err(Status::unimplemented("the lab's machined restarts containers of pods alone"));
            }
            cri::stop(&socket, &id).await?;
            Ok(wire::RestartResponse { messages: vec![wire::Restart { metadata }] })
        };
        self.answer(&request, "Restart", &asked.id, work).await
    }

    async fn reboot(&self, request: Request<wire::RebootRequest>) -> Answer<wire::RebootResponse> {
        let mode = request.get_ref().mode().as_str_name();
        let own = self.clone();
        let work = async move {
            own.boot_soon(false)?;
            let reboot = wire::Reboot { metadata: own.metadata(), actor_id: own.actor() };
            Ok(wire::RebootResponse { messages: vec![reboot] })
        };
        self.answer(&request, "Reboot", mode, work).await
    }

    async fn reset(&self, request: Request<wire::ResetRequest>) -> Answer<wire::ResetResponse> {
        let asked = request.get_ref();
        let labels: Vec<&str> =
            asked.system_partitions_to_wipe.iter().filter(|one| one.wipe).map(|one| one.label.as_str()).collect();
        let ephemeral = labels == ["EPHEMERAL"] && asked.reboot && !asked.graceful;
        let own = self.clone();
        let work = async move {
            if !ephemeral {
                return Err(Status::unimplemented(
                    "the lab's machined erases EPHEMERAL alone, ungracefully, and reboots",
                ));
            }
            own.boot_soon(true)?;
            let reset = wire::Reset { metadata: own.metadata(), actor_id: own.actor() };
            Ok(wire::ResetResponse { messages: vec![reset] })
        };
        self.answer(&request, "Reset", &labels.join(","), work).await
    }

    async fn containers(&self, request: Request<wire::ContainersRequest>) -> Answer<wire::ContainersResponse> {
        let (metadata, socket) = (self.metadata(), self.layout.containerd_socket(self.node));
        let asked = request.get_ref();
        // Talos's own containers, in namespace `system`, have no counterpart here.
        let pods = asked.namespace == "k8s.io" && asked.driver() == wire::ContainerDriver::Cri;
        let work = async move {
            let containers = if pods { cri::list(&socket).await? } else { Vec::new() };
            Ok(wire::ContainersResponse { messages: vec![wire::Container { metadata, containers }] })
        };
        self.answer(&request, "Containers", &asked.namespace, work).await
    }

    type LogsStream = Pin<Box<dyn tokio_stream::Stream<Item = Result<wire::Data, Status>> + Send>>;

    async fn logs(&self, request: Request<wire::LogsRequest>) -> Answer<Self::LogsStream> {
        let asked = request.get_ref();
        let argument = format!("{}/{}", asked.namespace, asked.id);
        let path = self.log_path(asked);
        // Zero and minus one both mean the whole of it, as with Talos.
        let lines = usize::try_from(asked.tail_lines).ok().filter(|lines| *lines > 0);
        let metadata = self.metadata();
        let work = async move {
            let path = path?;
            let text = tokio::task::spawn_blocking(move || logs::tail(&path, lines)).await;
            let text = text.map_err(|e| Status::internal(e.to_string()))?;
            let text = text.map_err(|e| Status::new(Code::Unknown, e.to_string()))?;
            let data = |chunk: &[u8]| Ok(wire::Data { metadata: metadata.clone(), bytes: chunk.to_vec() });
            let chunks: Vec<_> = text.chunks(CHUNK).map(data).collect();
            let stream: Self::LogsStream = Box::pin(tokio_stream::iter(chunks));
            Ok(stream)
        };
        self.answer(&request, "Logs", &argument, work).await
    }

    type DmesgStream = Self::LogsStream;

    async fn dmesg(&self, request: Request<wire::DmesgRequest>) -> Answer<Self::DmesgStream> {
        let asked = *request.get_ref();
        let metadata = self.metadata();
        let work = async move {
            if asked.follow || asked.tail {
                return Err(Status::unimplemented("the lab's machined tells the kernel's log as it is, whole"));
            }
            let lines = tokio::task::spawn_blocking(kmsg::lines).await.map_err(|e| Status::internal(e.to_string()))?;
            let lines = lines.map_err(|e| Status::internal(format!("/dev/kmsg: {e}")))?;
            let data = move |line: String| Ok(wire::Data { metadata: metadata.clone(), bytes: line.into_bytes() });
            let stream: Self::DmesgStream = Box::pin(tokio_stream::iter(lines.into_iter().map(data)));
            Ok(stream)
        };
        self.answer(&request, "Dmesg", "", work).await
    }

    async fn etcd_status(&self, request: Request<wire::Empty>) -> Answer<wire::EtcdStatusResponse> {
        let (metadata, etcd) = (self.metadata(), self.etcd.clone());
        let work = async move {
            let member_status = Some(etcd.status().await?);
            Ok(wire::EtcdStatusResponse { messages: vec![wire::EtcdStatus { metadata, member_status }] })
        };
        self.answer(&request, "EtcdStatus", "", work).await
    }

    async fn etcd_member_list(
        &self,
        request: Request<wire::EtcdMemberListRequest>,
    ) -> Answer<wire::EtcdMemberListResponse> {
        let (metadata, etcd) = (self.metadata(), self.etcd.clone());
        let work = async move {
            let members = etcd.members().await?;
            let message = wire::EtcdMembers { metadata, members, ..wire::EtcdMembers::default() };
            Ok(wire::EtcdMemberListResponse { messages: vec![message] })
        };
        self.answer(&request, "EtcdMemberList", "", work).await
    }

    async fn memory(&self, request: Request<wire::Empty>) -> Answer<wire::MemoryResponse> {
        let (metadata, figures) = (self.metadata(), self.figures.clone());
        let work = async move {
            let meminfo = Some(figures.memory()?);
            Ok(wire::MemoryResponse { messages: vec![wire::Memory { metadata, meminfo }] })
        };
        self.answer(&request, "Memory", "", work).await
    }

    async fn system_stat(&self, request: Request<wire::Empty>) -> Answer<wire::SystemStatResponse> {
        let (metadata, figures) = (self.metadata(), self.figures.clone());
        let work = async move {
            let stat = wire::SystemStat { metadata, ..figures.stat()? };
            Ok(wire::SystemStatResponse { messages: vec![stat] })
        };
        self.answer(&request, "SystemStat", "", work).await
    }

    async fn load_avg(&self, request: Request<wire::Empty>) -> Answer<wire::LoadAvgResponse> {
        let metadata = self.metadata();
        let work = async move {
            let [load1, load5, load15] = Figures::load()?;
            Ok(wire::LoadAvgResponse { messages: vec![wire::LoadAvg { metadata, load1, load5, load15 }] })
        };
        self.answer(&request, "LoadAvg", "", work).await
    }

    async fn disk_stats(&self, request: Request<wire::Empty>) -> Answer<wire::DiskStatsResponse> {
        let metadata = self.metadata();
        let work = async move {
            let (total, devices) = Figures::disks()?;
            Ok(wire::DiskStatsResponse { messages: vec![wire::DiskStats { metadata, total: Some(total), devices }] })
        };
        self.answer(&request, "DiskStats", "", work).await
    }

    async fn mounts(&self, request: Request<wire::Empty>) -> Answer<wire::MountsResponse> {
        let metadata = self.metadata();
        let work = async move {
            let stats = vec![Figures::mount()];
            Ok(wire::MountsResponse { messages: vec![wire::Mounts { metadata, stats }] })
        };
        self.answer(&request, "Mounts", "", work).await
    }
}

#[tonic::async_trait]
impl State for Machined {
    /// A node of the lab has no hardware: that its watchdog is fed is made up.
    async fn get(&self, request: Request<GetRequest>) -> Answer<GetResponse> {
        let asked = request.get_ref();
        let argument = format!("{}/{}/{}", asked.namespace, asked.r#type, asked.id);
        let known = argument == "runtime/WatchdogTimerStatuses.runtime.talos.dev/timer";
        let work = async move {
            let none = || Status::not_found("the lab's machined keeps no such resource");
            known.then_some(GetResponse { resource: None }).ok_or_else(none)
        };
        self.answer(&request, "Get", &argument, work).await
    }
}

#[tonic::async_trait]
impl TimeService for Machined {
    async fn time(&self, request: Request<wire::Empty>) -> Answer<wire::time::TimeResponse> {
        let (metadata, figures) = (self.metadata(), self.figures.clone());
        let work = async move {
            let (local_ms, true_ms) = figures.clock();
            let (localtime, remotetime) = (Some(timestamp(local_ms)), Some(timestamp(true_ms)));
            let message = wire::time::Time { metadata, server: "lab".to_owned(), localtime, remotetime };
            Ok(wire::time::TimeResponse { messages: vec![message] })
        };
        self.answer(&request, "Time", "", work).await
    }
}
