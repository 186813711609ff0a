//! The pods and containers of a node, as its real containerd tells them and in the words in which Talos's CRI inspector
//! passes them on.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::wire::ContainerInfo;
use super::wire::runtime::runtime_service_client::RuntimeServiceClient;
use super::wire::runtime::{
    ContainerState, ContainerStatusRequest, ListContainersRequest, ListPodSandboxRequest, PodSandboxStatusRequest,
    StopContainerRequest,
};

/// For each question to containerd.
const DEADLINE: Duration = Duration::from_secs(4);
/// Between SIGTERM and SIGKILL, as Talos has it.
const GRACE_S: i64 = 10;
/// For a stop, its grace included.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// The most pods or containers that are described; a node of the lab has two pods and a handful of dead containers.
const ENTRIES_MAX: usize = 256;

/// What containerd says about a process when asked verbosely.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Info {
    pid: u32,
}

/// The sandboxes, each followed by its containers, in the order of their names.
pub(super) async fn list(socket: &Path) -> Result<Vec<ContainerInfo>, Status> {
    let mut client = RuntimeServiceClient::new(connect(socket).await?);
    let sandboxes = client.list_pod_sandbox(asked(ListPodSandboxRequest {})).await?.into_inner().items;
    let containers = client.list_containers(asked(ListContainersRequest {})).await?.into_inner().containers;
    let mut pods = BTreeMap::new();
    let mut entries = Vec::new();
    for sandbox in sandboxes.into_iter().take(ENTRIES_MAX) {
        let Some(metadata) = sandbox.metadata.clone() else { continue };
        let pod = format!("{}/{}", metadata.namespace, metadata.name);
        pods.insert(sandbox.id.clone(), (pod.clone(), metadata.uid.clone()));
        let question = PodSandboxStatusRequest { pod_sandbox_id: sandbox.id.clone(), verbose: true };
        let info = client.pod_sandbox_status(asked(question)).await.map(|answer| answer.into_inner().info);
        entries.push(ContainerInfo {
            namespace: "k8s.io".to_owned(),
            id: pod.clone(),
            pid: pid(info.as_ref().ok()),
            status: sandbox.state().as_str_name().to_owned(),
            pod_id: pod,
            name: metadata.name,
            internal_id: sandbox.id.clone(),
            uid: metadata.uid,
            ..ContainerInfo::default()
        });
    }
    for container in containers.into_iter().take(ENTRIES_MAX) {
        let Some((pod, uid)) = pods.get(&container.pod_sandbox_id) else { continue };
        let name = container.metadata.clone().map(|metadata| metadata.name).unwrap_or_default();
        let question = ContainerStatusRequest { container_id: container.id.clone(), verbose: true };
        // A container that is removed between the two questions has no process; it is told as it was listed.
        let info = client.container_status(asked(question)).await.map(|answer| answer.into_inner().info);
        let running = container.state() == ContainerState::ContainerRunning;
        let short = container.id.get(..12).unwrap_or(&container.id);
        entries.push(ContainerInfo {
            namespace: "k8s.io".to_owned(),
            id: format!("{pod}:{name}:{short}"),
            image: container.image.clone().map(|image| image.image).unwrap_or_default(),
            pid: if running { pid(info.as_ref().ok()) } else { 0 },
            status: container.state().as_str_name().to_owned(),
            pod_id: pod.clone(),
            name,
            internal_id: container.id.clone(),
            uid: uid.clone(),
            ..ContainerInfo::default()
        });
    }
    entries.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(entries)
}

/// Stops the container of this id (`namespace/pod:name[:fragment]`) with Talos's grace of 10 s. Without a fragment the
/// first of that name is meant, as Talos has it.
pub(super) async fn stop(socket: &Path, id: &str) -> Result<(), Status> {
    let meant = |entry: &&ContainerInfo| entry.id == id || entry.id.starts_with(&format!("{id}:"));
    let listed = list(socket).await?;
    // A sandbox has no colon in its id: whole pods are not stopped here.
    let entry = listed.iter().filter(|entry| entry.id.contains(':')).find(meant);
    let entry = entry.ok_or_else(|| Status::not_found(format!("container {id:?} not found")))?;
    let mut client = RuntimeServiceClient::new(connect(socket).await?);
    let request = StopContainerRequest { container_id: entry.internal_id.clone(), timeout: GRACE_S };
    let mut request = Request::new(request);
    request.set_timeout(STOP_WITHIN);
    client.stop_container(request).await.map(drop)
}

/// Whether containerd takes connections and answers.
pub(super) async fn answers(socket: &Path) -> Result<(), Status> {
    let mut client = RuntimeServiceClient::new(connect(socket).await?);
    client.list_pod_sandbox(asked(ListPodSandboxRequest {})).await.map(drop)
}

async fn connect(socket: &Path) -> Result<Channel, Status> {
    let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()));
    let endpoint = endpoint.map_err(|e| Status::internal(e.to_string()))?.connect_timeout(DEADLINE);
    endpoint.connect().await.map_err(|e| Status::unavailable(format!("containerd does not answer: {e}")))
}

fn asked<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

fn pid(info: Option<&std::collections::HashMap<String, String>>) -> u32 {
    let text = info.and_then(|info| info.get("info")).map_or("{}", String::as_str);
    serde_json::from_str::<Info>(text).unwrap_or_default().pid
}
