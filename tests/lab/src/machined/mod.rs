//! The simulated machined of a node: Talos's init, as far as defib meets it.
//!
//! It keeps etcd, containerd and the kubelet running ([`supervise`]) and answers Talos's machine API on port 50000
//! ([`server`]) over mutual TLS. It lives in the node's namespace and cgroup, so what freezes the node freezes it too.
//! As on Talos, a client without a certificate may connect and fails at its first call. Left out: everything of Talos
//! that defib does not use yet.

mod calls;
mod cri;
pub(crate) mod etcd;
mod figures;
mod health;
mod kmsg;
mod logs;
mod roles;
mod server;
mod supervise;

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

pub use calls::CallRecord;
pub(crate) use calls::read as read_calls;

use crate::https::HttpsError;
use crate::join;
use crate::layout::{Layout, Node, Part, TALOS_PORT};
use crate::node;
use crate::system::cgroup::{CgroupError, Cgroups};
use figures::Figures;
use health::Health;
use server::Machined;
use supervise::{Plan, Service};
use wire::machine_service_server::MachineServiceServer;
use wire::state::state_server::StateServer;
use wire::time::time_service_server::TimeServiceServer;

/// The messages of the two protocols, compiled from their .proto files.
#[expect(unreachable_pub, clippy::allow_attributes, clippy::allow_attributes_without_reason, reason = "generated")]
mod wire {
    mod machine {
        tonic::include_proto!("machine");
    }

    pub mod time {
        tonic::include_proto!("time");
    }

    pub mod state {
        tonic::include_proto!("cosi.resource");
    }

    pub use machine::*;

    pub mod runtime {
        tonic::include_proto!("runtime.v1");
    }
}

/// For a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections that wait to be served; more wait in the kernel's queue.
const CONNECTIONS_WAITING: usize = 64;

/// Why a machined does not serve.
#[derive(Debug, thiserror::Error)]
pub enum MachinedError {
    /// A certificate, key or log could not be used.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The certificates do not make a server.
    #[error("cannot set up TLS")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The certificates do not make a client of etcd.
    #[error("cannot set up the client of etcd")]
    Etcd(#[source] HttpsError),
    /// The machine's cgroups cannot be read.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The port is not to be had, or no event loop.
    #[error("cannot listen on port {TALOS_PORT} of {node}")]
    Listen {
        /// The node.
        node: Node,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The server broke off.
    #[error("the server ended")]
    Serve(#[source] tonic::transport::Error),
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug, Default)]
struct Caller {
    roles: Vec<String>,
    peer: String,
}

/// Boots a node and serves its API until the process is killed. To be called in the node's namespace and cgroup;
/// `program` is this program, by which the parts are started in cgroups of their own.
pub fn run(node: Node, program: &Path) -> Result<(), MachinedError> {
    let listen = |source| MachinedError::Listen { node, source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(listen)?;
    runtime.block_on(async {
        let layout = Layout::default();
        let listener = TcpListener::bind((node.address(), TALOS_PORT)).await.map_err(listen)?;
        let acceptor = acceptor(&layout, node)?;
        let etcd = etcd::Etcd::of(&layout, node).map_err(MachinedError::Etcd)?;
        let path = layout.call_log(node);
        let calls = calls::CallLog::open(&path).map_err(|e| MachinedError::File { path, source: e.into() })?;
        let services = boot(&layout, node, program, &etcd);
        let figures = Figures::new(&layout, node, Cgroups::of_this_machine()?);
        let machined = Machined { node, layout, services: Arc::new(services), etcd, calls: Arc::new(calls), figures };
        let (accepted, connections) = mpsc::channel(CONNECTIONS_WAITING);
        tokio::spawn(accept(listener, acceptor, accepted));
        tonic::transport::Server::builder()
            .add_service(MachineServiceServer::new(machined.clone()))
            .add_service(StateServer::new(machined.clone()))
            .add_service(TimeServiceServer::new(machined))
            .serve_with_incoming(ReceiverStream::new(connections))
            .await
            .map_err(MachinedError::Serve)
    })
}

/// Starts the services, in Talos's order: the kubelet waits for its runtime.
fn boot(layout: &Layout, node: Node, program: &Path, etcd: &etcd::Etcd) -> Vec<Service> {
    let containerd = Health::Containerd(layout.containerd_socket(node));
    let plan = |part: Part, line: Vec<String>, health| Plan {
        part,
        program: line.first().cloned().unwrap_or_default(),
        line: [
            program.display().to_string(),
            "exec".into(),
            "--part".into(),
            part.to_string(),
            node.to_string(),
            "--".into(),
        ]
        .into_iter()
        .chain(line)
        .collect(),
        log: layout.log(node, part),
        health,
        after: None,
        first: None,
    };
    let mut kubelet =
        plan(Part::Kubelet, node::kubelet::command(layout, node), Health::Kubelet(([127, 0, 0, 1], 10248).into()));
    kubelet.after = Some(containerd.clone());
    kubelet.first = Some(node::containerd::import_command(layout, node));
    let mut member = plan(Part::Etcd, node::etcd::command(layout, node), Health::Etcd(etcd.clone()));
    if join::is_due(layout, node) {
        member.first = Some([&program.display().to_string(), "join", node.name()].map(str::to_owned).to_vec());
        tokio::spawn(join::promote(etcd.clone(), node));
    }
    let plans = [member, plan(Part::Containerd, node::containerd::command(layout, node), containerd), kubelet];
    plans.into_iter().map(Service::begin).collect()
}

fn acceptor(layout: &Layout, node: Node) -> Result<TlsAcceptor, MachinedError> {
    let name = format!("machined-{node}");
    let mut roots = RootCertStore::empty();
    let authority = layout.certificate("talos-ca");
    for certificate in certificates(&authority)? {
        roots.add(certificate).map_err(|e| MachinedError::File { path: authority.clone(), source: e.into() })?;
    }
    let tls = |e: rustls::Error| MachinedError::Tls(e.into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let verifier = verifier.build().map_err(|e| MachinedError::Tls(e.into()))?;
    let path = layout.key(&name);
    let key = PrivateKeyDer::from_pem_file(&path).map_err(|e| MachinedError::File { path, source: e.into() })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&layout.certificate(&name))?, key)
        .map_err(tls)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, MachinedError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|e| MachinedError::File { path: path.to_owned(), source: e.into() })
}

/// Takes connections for ever; each handshake in a task of its own, so that a slow one delays nobody.
async fn accept(listener: TcpListener, acceptor: TlsAcceptor, accepted: mpsc::Sender<std::io::Result<Authenticated>>) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of file descriptors: the connection waits in the kernel until one is free.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (acceptor, accepted) = (acceptor.clone(), accepted.clone());
        tokio::spawn(async move {
            let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
            let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let roles = certificate.map(|certificate| roles::organizations(certificate)).unwrap_or_default();
            let caller = Caller { roles, peer: peer.to_string() };
            // Nobody serves any more: the process ends.
            let _ = accepted.send(Ok(Authenticated { stream, caller })).await;
        });
    }
}

/// A connection whose other end is known.
struct Authenticated {
    stream: TlsStream<TcpStream>,
    caller: Caller,
}

impl Connected for Authenticated {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Authenticated {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Authenticated {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
