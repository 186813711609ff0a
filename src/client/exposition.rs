//! Reading etcd's figures: `GET /metrics`, HTTP/1.1, over TLS with etcd's credential or in the clear.
//!
//! The body goes through the scanner as it comes and is never held. A fresh connection each time: at one scrape in ten
//! seconds a held one would save nothing that counts, and would have to be watched. Promised: one deadline for everything
//! and [`BODY_BYTES_MAX`] of an answer. Left out: what a sample means (`observe::poll`).

use std::net::SocketAddr;
use std::sync::Arc;

use defib_engine::observation::{Failure, Stage, Why};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::Builder;
use hyper::header::{ACCEPT, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::failure::{dial, trouble_of_io};
use super::kept::Kept;
use super::kubernetes::{HEAD_BYTES_MAX, of_hyper};
use super::{DETAIL_CHARS, Trouble, detail};
use crate::promtext::{Sample, Scanner};

/// An exposition may be so large; an idle etcd's has some 150 KiB.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Where one member shows its figures.
#[derive(Debug)]
pub struct Exposition {
    address: SocketAddr,
    credential: Option<Arc<Kept>>,
}

impl Exposition {
    /// Nothing is dialled yet. Without a credential it is asked in the clear.
    #[must_use]
    pub fn new(address: SocketAddr, credential: Option<Arc<Kept>>) -> Exposition {
        Exposition { address, credential }
    }

    /// Hands every sample with one of these names to `found`, in the order in which they come.
    ///
    /// # Errors
    /// [`Trouble`], also in the middle: then what was found so far is to be forgotten. Every status but 200 is a failure;
    /// 401 and 403 are [`Why::Unauthorized`].
    pub async fn scrape(&self, names: &[&str], until: Instant, found: impl FnMut(Sample<'_>)) -> Result<(), Trouble> {
        let Some(credential) = &self.credential else {
            let stream = dial(self.address, until).await?;
            return self.ask(stream, names, until, found).await;
        };
        let config = credential.client_config(until).await?;
        let stream = dial(self.address, until).await?;
        let shake = TlsConnector::from(config).connect(ServerName::from(self.address.ip()), stream);
        let stream = timeout_at(until, shake)
            .await
            .map_err(|_| Failure::Timeout(Stage::Handshake))?
            .map_err(|error| trouble_of_io(&error, Stage::Handshake))?;
        self.ask(stream, names, until, found).await
    }

    async fn ask(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        names: &[&str],
        until: Instant,
        mut found: impl FnMut(Sample<'_>),
    ) -> Result<(), Trouble> {
        let request = hyper::Request::get("/metrics")
            .header(HOST, self.address.to_string())
            .header(USER_AGENT, concat!("defib/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "text/plain;version=0.0.4")
            .body(Empty::<Bytes>::new())
            .map_err(Trouble::own_side)?;
        let exchange = async {
            let handshake = Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream)).await;
            let (mut sender, connection) = handshake.map_err(|error| of_hyper(&error))?;
            let answer = async {
                let response = sender.send_request(request).await.map_err(|error| of_hyper(&error))?;
                let status = response.status().as_u16();
                let mut body = response.into_body();
                let mut scanner = Scanner::new(names);
                let (mut bytes, mut said) = (0, Vec::new());
                while let Some(frame) = body.frame().await {
                    let frame = frame.map_err(|error| of_hyper(&error))?;
                    let Some(chunk) = frame.data_ref() else { continue };
                    bytes += chunk.len();
                    if bytes > BODY_BYTES_MAX {
                        return Err(Trouble::Failed(Failure::TooLarge));
                    }
                    if status == 200 {
                        scanner.feed(chunk, &mut found);
                    } else if said.len() < DETAIL_CHARS {
                        said.extend_from_slice(&chunk[..chunk.len().min(DETAIL_CHARS)]);
                    }
                }
                scanner.end(&mut found);
                Ok((status, said))
            };
            // The connection is driven here: it ends with the exchange, however that ends.
            tokio::pin!(connection);
            tokio::pin!(answer);
            tokio::select! {
                biased;
                answer = &mut answer => answer,
                // It ended first: the answer is there already, or never comes.
                _ = &mut connection => answer.await,
            }
        };
        let exchanged = timeout_at(until, exchange).await;
        let (status, said) = exchanged.unwrap_or(Err(Failure::Timeout(Stage::Response).into()))?;
        match status {
            200 => Ok(()),
            401 | 403 => Err(Trouble::Unknown(Why::Unauthorized(format!("status {status}")))),
            code => Err(Failure::Status { code, detail: detail(&String::from_utf8_lossy(&said)) }.into()),
        }
    }
}
