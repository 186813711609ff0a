//! Speaking with the daemon over the socket beside its journal.
//!
//! A connection a question, each with one deadline and bounded bytes. That nobody listens is told apart from everything
//! else, for then a command may do its work itself. A daemon holds the journal before it listens: while somebody holds it,
//! nobody listens *yet*, and is waited for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::net::UnixStream;

use super::{Exit, error_line};
use crate::api::{Answer, Said};
use crate::config::Config;
use crate::journal;
use crate::web::api::{Asked, OTHERWISE, ROOT};
use crate::web::socket;

/// Longer than the daemon waits for its own loop.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// For whoever holds the journal to listen. A start reads the journal between the two, which takes seconds where it is long
/// and the machine busy.
const LISTENS_WITHIN: Duration = Duration::from_secs(10);
const LISTENS_EVERY: Duration = Duration::from_millis(100);
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why the daemon did not answer.
#[derive(Debug, Error)]
pub(super) enum CallError {
    /// Nobody listens: no daemon, or one that has just died.
    #[error("no daemon listens on {}", .0.display())]
    Absent(PathBuf),
    /// We may not.
    #[error("{} is not ours to open; run as the daemon's user", .0.display())]
    Denied(PathBuf),
    /// It says that it cannot.
    #[error("the daemon refuses: {0}")]
    Refused(String),
    /// It did not answer, or not in time, or not so that it can be understood.
    #[error("the daemon behind {} did not answer: {why}", socket.display())]
    Failed {
        /// The socket.
        socket: PathBuf,
        /// Why.
        why: String,
    },
}

/// Asks the daemon of one journal.
#[derive(Debug)]
pub(super) struct Caller {
    journal: PathBuf,
    socket: PathBuf,
}

impl Caller {
    pub(super) fn new(journal: &Path) -> Caller {
        Caller { journal: journal.to_owned(), socket: socket::path(journal) }
    }

    /// The journal's folder.
    pub(super) fn journal(&self) -> &Path {
        &self.journal
    }

    /// Asks for what lies at this path below the root.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.call(Method::GET, path, Bytes::new()).await
    }

    /// Commands, and waits until it is done or refused.
    pub(super) async fn command(&self, name: &str, asked: &Asked) -> Result<Answer, CallError> {
        let body = serde_json::to_vec(asked).map_err(|error| self.failed(error.to_string()))?;
        self.call(Method::POST, name, Bytes::from(body)).await
    }

    /// Asks what would be done. An answer without plans is none: nobody knows them, or nobody may.
    pub(super) async fn preview(&self, asked: &Asked) -> Result<Answer, CallError> {
        let answer = self.command("recover", asked).await?;
        match answer.answer {
            Said::Refused | Said::Unknown => Err(CallError::Refused(answer.text)),
            _ => Ok(answer),
        }
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T, CallError> {
        let began = tokio::time::Instant::now();
        loop {
            let exchange = self.exchange(method.clone(), path, body.clone());
            match tokio::time::timeout(ANSWER_WITHIN, exchange).await {
                Ok(Err(CallError::Absent(_))) if self.starting(began.elapsed()) => {
                    tokio::time::sleep(LISTENS_EVERY).await;
                }
                Ok(answer) => return serde_json::from_slice(&answer?).map_err(|error| self.failed(error.to_string())),
                Err(_) => return Err(self.failed(format!("nothing came within {} s", ANSWER_WITHIN.as_secs()))),
            }
        }
    }

    /// Somebody holds the journal and may listen soon.
    fn starting(&self, waited: Duration) -> bool {
        waited < LISTENS_WITHIN && journal::holder(&self.journal).is_some()
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, CallError> {
        use std::io::ErrorKind::{ConnectionRefused, InvalidInput, NotFound, PermissionDenied};
        let failed = |error: &dyn std::error::Error| self.failed(error.to_string());
        let asks = method == Method::GET;
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| match error.kind() {
            // A path that is too long for a socket: nobody can listen there.
            NotFound | ConnectionRefused | InvalidInput => CallError::Absent(self.socket.clone()),
            PermissionDenied => CallError::Denied(self.socket.clone()),
            _ => failed(&error),
        })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(format!("{ROOT}{path}"))
            .header(hyper::header::HOST, "defib")
            .body(Full::new(body))
            .map_err(|error| failed(&error))?;
        let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
        let missing = asks && response.status() == StatusCode::NOT_FOUND;
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).map_err(|error| self.failed(error.to_string()))?;
        if !missing {
            return Ok(body);
        }
        let answer: Answer = serde_json::from_slice(&body).map_err(|error| failed(&error))?;
        Err(CallError::Refused(answer.text))
    }

    fn failed(&self, why: String) -> CallError {
        CallError::Failed { socket: self.socket.clone(), why }
    }
}

/// The clusters of the configuration that whoever answers does not watch, each with a line that says so.
pub(super) fn unwatched<'a>(config: &Config, watched: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let names = config.clusters.iter().map(|cluster| cluster.name.as_str());
    let missing = names.filter(|name| !watched.clone().any(|one| one == *name));
    missing.map(|name| format!("? {name}: the process that answers does not watch it: {OTHERWISE}")).collect()
}

/// Says why a command did not reach a daemon that it needs.
pub(super) fn unreached(error: &CallError, config: &Config) -> Exit {
    match (error, journal::holder(&config.journal)) {
        (CallError::Absent(_), Some(pid)) => held(config, pid),
        (CallError::Absent(socket), None) => {
            error_line(&format!("defib: no daemon runs: nobody listens on {}; start it: defib run", socket.display()));
            Exit::CannotTell
        }
        (error, _) => {
            error_line(&format!("defib: {error}"));
            Exit::CannotTell
        }
    }
}

/// Somebody holds the journal and does not listen.
fn held(config: &Config, pid: u32) -> Exit {
    let journal = config.journal.display();
    error_line(&format!(
        "defib: process {pid} holds {journal} and does not answer; nothing was done. It may still be reading a long journal, \
         or have no socket: its log tells. Look at it before you end it"
    ));
    Exit::Held
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;
    use crate::journal::Journal;
    use defib_engine::time::UnixMs;

    #[tokio::test]
    async fn whoever_holds_the_journal_is_given_time_to_listen() {
        let folder = tempfile::tempdir().unwrap();
        let caller = Caller::new(folder.path());
        let absent = caller.get::<u32>("status").await;
        assert!(matches!(absent, Err(CallError::Absent(_))), "{absent:?}");

        let _held = Journal::open(folder.path(), UnixMs(0)).unwrap();
        let listens = async {
            let listener = UnixListener::bind(socket::path(folder.path())).unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n7").await.unwrap();
        };
        // In this order: the first look finds nobody.
        let (answer, ()) = tokio::join!(biased; caller.get::<u32>("status"), listens);
        assert_eq!(answer.unwrap(), 7);
    }
}
