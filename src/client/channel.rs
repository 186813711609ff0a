//! One held gRPC connection to one address, over TLS with our own certificate.
//!
//! tonic's channel dials again by itself and hides that a connection ended, so it is handed a connection that is already
//! made, once, and is thrown away at the first trouble. A held connection that turns out to be closed is no news of the
//! other side: it is dialled anew, once, within the same deadline. One that falls silent does not tell whether the process
//! or the machine is gone: the address is dialled beside it, and the failure names what truly failed. No HTTP/2 pings:
//! Talos answers them with GOAWAY. The end of a held connection rings the [`Bell`]: it is read from the stream itself,
//! which HTTP/2 always reads, also while nothing is asked.

use std::convert::Infallible;
use std::error::Error as _;
use std::fmt;
use std::future::{Ready, pending, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use defib_engine::observation::{Failure, Stage, Why};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codegen::{Service, http};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::bell::{Bell, Line};
use super::{CONNECT_WITHIN, Trouble, detail, failure, tls};

/// The largest message that is read.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A silent server's address is dialled anew at most so long before the deadline: a little longer than a dial may take.
const LEAD_MAX: Duration = CONNECT_WITHIN.saturating_add(Duration::from_millis(100));

/// An address and the connection to it that is held, if there is one, as the `Speaker` through which it is asked.
pub struct Held<Speaker = Channel> {
    address: SocketAddr,
    bell: Bell,
    speaker: fn(Channel) -> Made<Speaker>,
    open: Mutex<Option<Open<Speaker>>>,
}

/// What makes a speaker of a fresh connection, once a connection.
pub type Made<Speaker> = Pin<Box<dyn Future<Output = Result<Speaker, Status>> + Send>>;

/// A connection that is held; dropped, it is let go of.
struct Open<Speaker> {
    speaker: Speaker,
    line: Line,
}

impl<Speaker> Drop for Open<Speaker> {
    fn drop(&mut self) {
        self.line.let_go();
    }
}

impl<Speaker> fmt::Debug for Held<Speaker> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("address", &self.address).field("bell", &self.bell).finish_non_exhaustive()
    }
}

impl Held {
    /// Asks through the channel itself. Nothing is dialled yet.
    #[must_use]
    pub fn new(address: SocketAddr) -> Held {
        Held::speaking(address, |channel| Box::pin(ready(Ok(channel))))
    }
}

impl<Speaker: Clone> Held<Speaker> {
    /// Asks through what is made of each connection. Nothing is dialled yet.
    #[must_use]
    pub fn speaking(address: SocketAddr, speaker: fn(Channel) -> Made<Speaker>) -> Held<Speaker> {
        Held { address, bell: Bell::default(), speaker, open: Mutex::default() }
    }

    /// Rings this bell when the held connection ends by itself.
    #[must_use]
    pub fn with_bell(self, bell: Bell) -> Held<Speaker> {
        Held { bell, ..self }
    }

    /// Asks over the held connection, or over one that is made for it with what `config` gives. Two callers at once share
    /// the connection, or make one each when there is none.
    ///
    /// # Errors
    /// [`Trouble`]; `deadline` covers the dial too.
    pub async fn ask<
        T,
        F: Future<Output = Result<T, Status>>,
        C: Future<Output = Result<Arc<ClientConfig>, Trouble>>,
    >(
        &self,
        config: impl Fn(Instant) -> C,
        deadline: Duration,
        question: impl Fn(Speaker) -> F,
    ) -> Result<T, Trouble> {
        let until = Instant::now() + deadline;
        let held = self.held().as_ref().map(|open| open.speaker.clone());
        if let Some(speaker) = held {
            let lead = LEAD_MAX.min(deadline * 2 / 3);
            match self.unless_mute(self.answer(until, question(speaker)), until, lead).await {
                Err(Trouble::Failed(Failure::Reset)) => {}
                answer => return answer,
            }
        }
        let speaker = self.connect(config(until).await?, until).await?;
        self.answer(until, question(speaker)).await
    }

    /// Waits for an answer over a held connection. When it is late, the address is dialled beside it, `lead` before the
    /// end: where that fails too, its failure counts, for then not even the machine's kernel answers.
    async fn unless_mute<T>(
        &self,
        answer: impl Future<Output = Result<T, Trouble>>,
        until: Instant,
        lead: Duration,
    ) -> Result<T, Trouble> {
        let mut dialled = None;
        let beside = async {
            sleep_until(until.checked_sub(lead).unwrap_or(until)).await;
            dialled = failure::dial(self.address, until).await.err();
            pending::<Infallible>().await
        };
        let answer = tokio::select! {
            biased;
            never = beside => match never {},
            answer = answer => answer,
        };
        match (answer, dialled) {
            (Err(Trouble::Failed(Failure::Timeout(_))), Some(Trouble::Failed(failure))) => Err(failure.into()),
            (answer, _) => answer,
        }
    }

    /// Makes a connection and holds it from then on, whatever was held before.
    ///
    /// # Errors
    /// [`Trouble`], and nothing was asked.
    pub async fn connect(&self, config: Arc<ClientConfig>, until: Instant) -> Result<Speaker, Trouble> {
        let line = self.bell.line();
        let channel = dial(self.address, &config, until, line.clone()).await?;
        let made = timeout_at(until, (self.speaker)(channel)).await;
        let made = made.map_err(|_| Failure::Timeout(Stage::Handshake))?;
        let speaker = made.map_err(|status| of_status(&status))?;
        *self.held() = Some(Open { speaker: speaker.clone(), line });
        Ok(speaker)
    }

    /// Waits for the answer to one question, and lets go of the connection at trouble with it.
    ///
    /// # Errors
    /// [`Trouble`]; the question may have arrived all the same.
    pub async fn answer<T>(
        &self,
        until: Instant,
        question: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Trouble> {
        let status = match timeout_at(until, question).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(status)) => status,
            Err(_) => {
                // The next one dials: that tells a silent process from a silent machine.
                *self.held() = None;
                return Err(Failure::Timeout(Stage::Response).into());
            }
        };
        if status.source().is_some() {
            *self.held() = None;
        }
        Err(of_status(&status))
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Open<Speaker>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// TCP, then TLS with the address as the name, then HTTP/2.
async fn dial(address: SocketAddr, config: &ClientConfig, until: Instant, line: Line) -> Result<Channel, Trouble> {
    let tcp = failure::dial(address, until).await?;
    let mut config = config.clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::from(address.ip());
    let stream = match timeout_at(until, TlsConnector::from(Arc::new(config)).connect(name, tcp)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(failure::trouble_of_io(&error, Stage::Handshake)),
        Err(_) => return Err(Failure::Timeout(Stage::Handshake).into()),
    };
    let origin = http::Uri::try_from(format!("https://{address}")).map_err(Trouble::own_side)?;
    // The scheme of the endpoint itself is plain: its TLS is ours, not tonic's.
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(Trouble::own_side)?.origin(origin);
    let made = endpoint.connect_with_connector(Once(Some(Watched { stream, line })));
    match timeout_at(until, made).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(error)) => Err(of_status(&Status::from_error(Box::new(error)))),
        Err(_) => Err(Failure::Timeout(Stage::Handshake).into()),
    }
}

/// Hands out one connection, and then none.
struct Once(Option<Watched>);

impl Service<http::Uri> for Once {
    type Response = TokioIo<Watched>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        ready(self.0.take().map(TokioIo::new).ok_or_else(|| io::ErrorKind::ConnectionReset.into()))
    }
}

/// A stream whose end, as the other side makes it, is told.
struct Watched {
    stream: TlsStream<TcpStream>,
    line: Line,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (before, room) = (buffer.filled().len(), buffer.remaining());
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        match &read {
            Poll::Ready(Ok(())) if room == 0 || buffer.filled().len() > before => {}
            Poll::Ready(_) => self.line.ended(),
            Poll::Pending => {}
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Whoever shuts down has no more to ask.
        self.line.let_go();
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What a gRPC status says. One with a source was made on our side of the wire, from a connection in trouble.
pub(crate) fn of_status(status: &Status) -> Trouble {
    let mut source = status.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            // HTTP/2 keeps an error's kind and text, not the error of rustls itself.
            if tls::refuses_us_in_words(&error.to_string()) {
                return Trouble::Unknown(Why::Unauthorized(detail(&error.to_string())));
            }
            return failure::trouble_of_io(error, Stage::Response);
        }
        if error.downcast_ref::<hyper::Error>().is_some_and(|error| error.is_closed() || error.is_canceled()) {
            return Failure::Reset.into();
        }
        source = error.source();
    }
    if status.source().is_some() {
        return Failure::Protocol(detail(status.message())).into();
    }
    said(status.code(), status.message())
}

/// What the other side says with a gRPC code and a text.
pub(crate) fn said(code: Code, text: &str) -> Trouble {
    let text = detail(text);
    match code {
        Code::Unauthenticated | Code::PermissionDenied => Trouble::Unknown(Why::Unauthorized(text)),
        // tonic's own words for a message beyond the bound; it has no other way to say so.
        Code::OutOfRange if text.starts_with("Error, decoded message length too large") => Failure::TooLarge.into(),
        code => {
            let code = u16::try_from(i32::from(code)).unwrap_or(u16::MAX);
            Failure::Status { code, detail: text }.into()
        }
    }
}

#[cfg(test)]
mod tests;
