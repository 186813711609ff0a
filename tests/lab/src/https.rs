//! One bounded HTTPS exchange with an API server, over a connection of its own.
//!
//! Always a fresh connection: the lab asks whether somebody who comes anew is served, and a held connection would hide a
//! VIP that moved. Everything happens within one deadline and an answer's body is bounded. A client of the lifeline also *holds*
//! connections ([`Held`]). Left out: redirects.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The most bytes of an answer's body that are read; a Lease or a verbose `/readyz` is below 10 KiB.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// Why there was no answer, or no client.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// A certificate or key file could not be used.
    #[error("cannot read {}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// The certificate, key and authority do not make a client.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    /// Nobody took the connection.
    #[error("cannot connect to {address}")]
    Connect {
        /// Who was dialled.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The connection was taken, but TLS failed.
    #[error("tls handshake with {address} failed")]
    Handshake {
        /// Who was dialled.
        address: SocketAddr,
        /// The reason.
        source: std::io::Error,
    },
    /// The exchange broke off.
    #[error("http exchange with {address} failed")]
    Exchange {
        /// Who was asked.
        address: SocketAddr,
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing came within the deadline.
    #[error("no answer from {address} within {} ms", deadline.as_millis())]
    Silent {
        /// Who was asked.
        address: SocketAddr,
        /// The whole exchange's deadline.
        deadline: Duration,
    },
}

/// A status and a body.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The whole body.
    pub(crate) body: Bytes,
}

/// A client with a certificate of its own, which trusts one authority.
#[derive(Clone)]
pub(crate) struct HttpsClient {
    connector: TlsConnector,
}

impl HttpsClient {
    /// Reads three PEM files: the authority to trust, our certificate, its key.
    pub(crate) fn new(authority: &Path, certificate: &Path, key: &Path) -> Result<Self, HttpsError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(authority)? {
            roots.add(authority).map_err(HttpsError::Tls)?;
        }
        let key =
            PrivateKeyDer::from_pem_file(key).map_err(|source| HttpsError::Pem { path: key.to_owned(), source })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(HttpsError::Tls)?
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates(certificate)?, key)
            .map_err(HttpsError::Tls)?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)) })
    }

    /// Sends one request, `body` being JSON or empty, and reads the whole answer; all of it within `deadline`.
    pub(crate) async fn ask(
        &self,
        address: SocketAddr,
        (method, path, body): (Method, &str, Vec<u8>),
        deadline: Duration,
    ) -> Result<Answer, HttpsError> {
        self.ask_for(address, (method, path, body), BODY_BYTES_MAX, deadline).await
    }

    /// The same, for an answer whose body has at most `bytes_max`.
    pub(crate) async fn ask_for(
        &self,
        address: SocketAddr,
        (method, path, body): (Method, &str, Vec<u8>),
        bytes_max: usize,
        deadline: Duration,
    ) -> Result<Answer, HttpsError> {
        let request = request(address, method, path, body)?;
        tokio::time::timeout(deadline, self.exchange(address, request, bytes_max))
            .await
            .unwrap_or(Err(HttpsError::Silent { address, deadline }))
    }

    /// The certificate, in DER, that is shown at an address.
    pub(crate) async fn certificate(&self, address: SocketAddr) -> Result<Vec<u8>, HttpsError> {
        let tls = self.secure(address).await?;
        let shown = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        Ok(shown.map(|certificate| certificate.to_vec()).unwrap_or_default())
    }

    /// Opens a connection that is held for many questions.
    pub(crate) async fn hold(&self, address: SocketAddr) -> Result<Held, HttpsError> {
        let (sender, connection) = self.open(address).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async move { drop(connection.await) });
        Ok(Held { address, sender, _driver: driver })
    }

    async fn open(&self, address: SocketAddr) -> Result<(SendRequest<Full<Bytes>>, Driven), HttpsError> {
        http1::handshake(TokioIo::new(self.secure(address).await?)).await.map_err(|e| broke(address, e))
    }

    async fn secure(&self, address: SocketAddr) -> Result<TlsStream<TcpStream>, HttpsError> {
        let tcp = TcpStream::connect(address).await.map_err(|source| HttpsError::Connect { address, source })?;
        let name = ServerName::IpAddress(address.ip().into());
        self.connector.connect(name, tcp).await.map_err(|source| HttpsError::Handshake { address, source })
    }

    async fn exchange(
        &self,
        address: SocketAddr,
        request: Request<Full<Bytes>>,
        bytes_max: usize,
    ) -> Result<Answer, HttpsError> {
        let (mut sender, connection) = self.open(address).await?;
        let answer = whole(address, &mut sender, request, bytes_max);
        // The connection is driven beside the exchange and dropped with it: nothing outlives the deadline.
        tokio::pin!(answer, connection);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            end = &mut connection => match end {
                Ok(()) => answer.await,
                Err(e) => Err(broke(address, e)),
            },
        }
    }
}

/// A connection, as it is driven.
type Driven = http1::Connection<TokioIo<TlsStream<TcpStream>>, Full<Bytes>>;

/// A connection that is held open; closed when this is dropped.
pub(crate) struct Held {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
    /// Ends what drives the connection.
    _driver: JoinSet<()>,
}

impl Held {
    /// Asks and reads the whole answer; gives its status.
    pub(crate) async fn ask(&mut self, path: &str) -> Result<u16, HttpsError> {
        self.read(path, BODY_BYTES_MAX).await.map(|answer| answer.status)
    }

    /// Asks and reads the whole answer, whose body has at most `bytes_max`.
    pub(crate) async fn read(&mut self, path: &str, bytes_max: usize) -> Result<Answer, HttpsError> {
        let request = request(self.address, Method::GET, path, Vec::new())?;
        whole(self.address, &mut self.sender, request, bytes_max).await
    }

    /// Asks, and gives `heard` each piece of the answer, until it ends.
    pub(crate) async fn follow(&mut self, path: &str, mut heard: impl FnMut(&[u8])) -> Result<(), HttpsError> {
        let request = request(self.address, Method::GET, path, Vec::new())?;
        let mut answer = self.sender.send_request(request).await.map_err(|e| broke(self.address, e))?;
        while let Some(frame) = answer.frame().await {
            let frame = frame.map_err(|e| broke(self.address, e))?;
            heard(frame.data_ref().map_or(&[], Bytes::as_ref));
        }
        Ok(())
    }
}

fn request(address: SocketAddr, method: Method, path: &str, body: Vec<u8>) -> Result<Request<Full<Bytes>>, HttpsError> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", address.to_string())
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|e| broke(address, e))
}

/// Sends a request and reads the whole answer.
async fn whole(
    address: SocketAddr,
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
    bytes_max: usize,
) -> Result<Answer, HttpsError> {
    let answer = sender.send_request(request).await.map_err(|e| broke(address, e))?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), bytes_max);
    let body = body.collect().await.map_err(|source| HttpsError::Exchange { address, source })?.to_bytes();
    Ok(Answer { status, body })
}

fn broke(address: SocketAddr, e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> HttpsError {
    HttpsError::Exchange { address, source: e.into() }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, HttpsError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|source| HttpsError::Pem { path: path.to_owned(), source })
}
