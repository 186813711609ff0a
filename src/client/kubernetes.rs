//! Asking one API server: `GET`, HTTP/1.1, over one held TLS connection.
//!
//! Held, because that is a sixth of the work of a fresh one, and HTTP/1.1, because it costs less than HTTP/2 and shows its
//! end as well. A held connection that falls silent does not tell whether the process or the machine is gone: so before
//! the deadline passes, the address is dialled once more beside it, and the failure names the stage that truly failed.
//! The end of a held connection while nothing is asked rings the [`Bell`].
//! Promised: one deadline for everything, [`BODY_BYTES_MAX`] of an answer, and no second try of a question that was sent.
//! Left out: what a path's answer means (`observe::poll`).

#[cfg(test)]
pub(crate) mod tests;

use std::convert::Infallible;
use std::error::Error;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use defib_engine::observation::{Failure, Stage, Why};
use defib_engine::time::UnixMs;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper_util::rt::TokioIo;
use ring::digest::{SHA256, digest};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_rustls::TlsConnector;

use super::bell::{Bell, Line};
use super::certificate::not_after;
use super::failure::{dial, of_io, trouble_of_io};
use super::kept::Kept;
use super::tls;
use super::{CONNECT_WITHIN, Trouble, detail};

/// An answer's body may be so large; a verbose `/readyz` has 2 KiB.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// An answer's head may be so large.
pub(super) const HEAD_BYTES_MAX: usize = 16 * 1024;

/// A silent server's address is dialled once more at most so long before the deadline; a little longer than a dial may
/// take, so that its end comes first.
const BESIDE_MAX: Duration = CONNECT_WITHIN.saturating_add(Duration::from_millis(100));

/// What an API server answered, with a status other than 401 and 403.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, at most [`BODY_BYTES_MAX`]; bytes that are not UTF-8 are replaced.
    pub body: String,
    /// The certificate of the connection that it came over.
    pub certificate: Shown,
    /// How long it asks to be left alone: what it says after `Retry-After`, in whole seconds.
    pub retry_after: Option<Duration>,
}

/// The certificate that a server showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The SHA-256 of its DER form, in hex.
    pub sha256: String,
    /// Until when it is valid; none where it cannot be read.
    pub not_after: Option<UnixMs>,
}

impl Shown {
    /// What is worth knowing of a certificate in DER.
    #[must_use]
    pub fn of(der: &[u8]) -> Shown {
        let mut sha256 = String::with_capacity(2 * SHA256.output_len());
        for byte in digest(&SHA256, der).as_ref() {
            for half in [byte >> 4, byte & 0xf] {
                sha256.extend(char::from_digit(u32::from(half), 16));
            }
        }
        let since_epoch = not_after(der).and_then(|until| until.duration_since(UNIX_EPOCH).ok());
        let not_after = since_epoch.and_then(|since| i64::try_from(since.as_millis()).ok()).map(UnixMs);
        Shown { sha256, not_after }
    }
}

/// One API server, or whatever stands at its address.
#[derive(Debug)]
pub struct Kubernetes {
    address: SocketAddr,
    credential: Arc<Kept>,
    bell: Bell,
    /// The newest `Retry-After`, in milliseconds; 0 for none.
    rest_ms: AtomicU64,
    held: Mutex<Option<Connection>>,
}

impl Kubernetes {
    /// Nothing is opened or dialled yet.
    #[must_use]
    pub fn new(address: SocketAddr, credential: Arc<Kept>) -> Kubernetes {
        Kubernetes { address, credential, bell: Bell::default(), rest_ms: AtomicU64::default(), held: Mutex::default() }
    }

    /// Rings this bell when the held connection ends by itself.
    #[must_use]
    pub fn with_bell(self, bell: Bell) -> Kubernetes {
        Kubernetes { bell, ..self }
    }

    /// Asks for `path` over the held connection, or over a fresh one where none is held, or where the credential has
    /// changed since. After a failure none is held.
    ///
    /// # Errors
    /// [`Trouble`]: how the server failed, or why nothing can be said of it. 401 and 403 are [`Why::Unauthorized`].
    pub async fn get(&self, path: &str, until: Instant) -> Result<Answer, Trouble> {
        let config = self.credential.client_config(until).await?;
        let held = self.held().take().filter(|held| held.is_open() && Arc::ptr_eq(&held.config, &config));
        let mut connection = match held {
            Some(held) => held,
            None => open(self.address, config, until, self.bell.line()).await?,
        };
        let answer = self.unless_silent(connection.get(path, until), until).await?;
        *self.held() = Some(connection);
        let rest = answer.retry_after.map_or(0, |rest| u64::try_from(rest.as_millis()).unwrap_or(u64::MAX));
        self.rest_ms.store(rest, Ordering::Relaxed);
        answer.authorized()
    }

    /// How long the newest answer of [`Kubernetes::get`] asks to be left alone, if it does.
    #[must_use]
    pub fn asked_for_rest(&self) -> Option<Duration> {
        Some(self.rest_ms.load(Ordering::Relaxed)).filter(|rest| *rest > 0).map(Duration::from_millis)
    }

    /// Opens a connection of its own, for a probe that wants to see who answers *now*.
    ///
    /// # Errors
    /// As [`Kubernetes::get`].
    pub async fn open(&self, until: Instant) -> Result<Connection, Trouble> {
        let config = self.credential.client_config(until).await?;
        open(self.address, config, until, Bell::default().line()).await
    }

    /// Asks for `path` over a connection that the caller keeps: over `kept` where it is still open, else over a fresh one,
    /// which is kept from then on. A kept one that turns out to be closed is no news of the server. After a failure none
    /// is kept.
    ///
    /// # Errors
    /// As [`Kubernetes::get`].
    pub async fn get_over(&self, kept: &mut Option<Connection>, path: &str, until: Instant) -> Result<Answer, Trouble> {
        if let Some(mut connection) = kept.take().filter(Connection::is_open) {
            match self.unless_silent(connection.get(path, until), until).await {
                Err(Trouble::Failed(Failure::Reset)) => {}
                answer => {
                    *kept = Some(connection).filter(|_| answer.is_ok());
                    return answer?.authorized();
                }
            }
        }
        let mut connection = self.open(until).await?;
        let answer = self.unless_silent(connection.get(path, until), until).await?;
        *kept = Some(connection);
        answer.authorized()
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Connection>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the answer; where it does not come, says whether the machine still takes connections.
    async fn unless_silent(
        &self,
        answer: impl Future<Output = Result<Answer, Trouble>>,
        until: Instant,
    ) -> Result<Answer, Trouble> {
        let mut trouble = None;
        let beside = async {
            let lead = BESIDE_MAX.min(until.saturating_duration_since(Instant::now()) * 2 / 3);
            sleep_until(until.checked_sub(lead).unwrap_or(until)).await;
            trouble = dial(self.address, until).await.err();
            pending::<Infallible>().await
        };
        let answer = tokio::select! {
            biased;
            never = beside => match never {},
            answer = answer => answer,
        };
        match (answer, trouble) {
            (Err(Trouble::Failed(Failure::Timeout(_))), Some(trouble @ Trouble::Failed(_))) => Err(trouble),
            (answer, _) => answer,
        }
    }
}

/// An open connection, and how it came to be. Closed when it is dropped.
#[derive(Debug)]
pub struct Connection {
    host: HeaderValue,
    config: Arc<ClientConfig>,
    sender: SendRequest<Empty<Bytes>>,
    driver: AbortHandle,
    line: Line,
    /// A question was asked and is not answered yet.
    busy: Arc<AtomicBool>,
    /// How long TCP took.
    pub connect: Duration,
    /// How long TLS took after that.
    pub handshake: Duration,
    /// The certificate that the server showed.
    pub certificate: Shown,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.line.let_go();
        self.driver.abort();
    }
}

async fn open(
    address: SocketAddr,
    config: Arc<ClientConfig>,
    until: Instant,
    line: Line,
) -> Result<Connection, Trouble> {
    let began = Instant::now();
    let stream = dial(address, until).await?;
    let connected = Instant::now();
    let name = ServerName::from(address.ip());
    let shake = TlsConnector::from(Arc::clone(&config)).connect(name, stream);
    let stream = timeout_at(until, shake)
        .await
        .map_err(|_| Failure::Timeout(Stage::Handshake))?
        .map_err(|error| trouble_of_io(&error, Stage::Handshake))?;
    let agreed = Instant::now();
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|leaf| Shown::of(leaf));
    let (sender, connection) = Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| of_hyper(&error))?;
    let busy = Arc::new(AtomicBool::new(false));
    let (end, asked) = (line.clone(), Arc::clone(&busy));
    let driver = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::trace!(%address, %error, "a held connection ended");
        }
        // Whoever waits for an answer is told by its failure.
        if !asked.load(Ordering::Relaxed) {
            end.ended();
        }
    });
    Ok(Connection {
        host: HeaderValue::from_maybe_shared(Bytes::from(address.to_string())).map_err(Trouble::own_side)?,
        config,
        sender,
        driver: driver.abort_handle(),
        line,
        busy,
        connect: connected - began,
        handshake: agreed - connected,
        certificate: certificate.unwrap_or_default(),
    })
}

impl Connection {
    fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Asks for `path`, which begins with `/`, and reads the whole answer.
    ///
    /// # Errors
    /// As [`Kubernetes::get`], except that any status is an answer.
    pub async fn get(&mut self, path: &str, until: Instant) -> Result<Answer, Trouble> {
        let request = hyper::Request::get(path)
            .header(HOST, self.host.clone())
            .header(USER_AGENT, HeaderValue::from_static(concat!("defib/", env!("CARGO_PKG_VERSION"))))
            .header(ACCEPT, HeaderValue::from_static("*/*"))
            .body(Empty::new())
            .map_err(Trouble::own_side)?;
        self.busy.store(true, Ordering::Relaxed);
        let exchange = async {
            let response = self.sender.send_request(request).await.map_err(|error| of_hyper(&error))?;
            let status = response.status().as_u16();
            let retry_after = retry_after(response.headers());
            if response.headers().get(CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close")) {
                self.line.let_go();
            }
            let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
            let body = body.map_err(|error| of_body(error.as_ref()))?.to_bytes();
            self.busy.store(false, Ordering::Relaxed);
            if self.sender.is_closed() {
                self.line.ended();
            }
            Ok(Answer {
                status,
                body: String::from_utf8_lossy(&body).into_owned(),
                certificate: self.certificate.clone(),
                retry_after,
            })
        };
        timeout_at(until, exchange).await.unwrap_or(Err(Failure::Timeout(Stage::Response).into()))
    }
}

/// `Retry-After` in its form of seconds; a date is not worth a clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

impl Answer {
    /// The answer, unless it says that we may not know.
    ///
    /// # Errors
    /// 401 and 403 are [`Why::Unauthorized`].
    pub fn authorized(self) -> Result<Answer, Trouble> {
        match self.status {
            401 | 403 => Err(Trouble::Unknown(Why::Unauthorized(format!("status {}", self.status)))),
            _ => Ok(self),
        }
    }

    /// The answer as the failure that it is to whoever hoped for another status.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        Failure::Status { code: self.status, detail: detail(&self.body) }
    }
}

fn of_body(error: &(dyn Error + Send + Sync + 'static)) -> Trouble {
    if error.is::<LengthLimitError>() {
        return Failure::TooLarge.into();
    }
    match error.downcast_ref::<hyper::Error>() {
        Some(error) => of_hyper(error),
        None => Failure::Protocol(detail(&error.to_string())).into(),
    }
}

pub(super) fn of_hyper(error: &hyper::Error) -> Trouble {
    // The cause first: hyper wraps what the kernel and rustls say.
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            if tls::behind(io).is_some_and(tls::refuses_us) {
                return Trouble::Unknown(Why::Unauthorized(detail(&io.to_string())));
            }
            return of_io(io, Stage::Response).into();
        }
        cause = inner.source();
    }
    let text = || detail(&error.to_string());
    if error.is_parse_too_large() {
        Failure::TooLarge.into()
    } else if error.is_parse() {
        Failure::Garbage(text()).into()
    } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        Failure::Reset.into()
    } else {
        Failure::Protocol(text()).into()
    }
}
