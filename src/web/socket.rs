//! The Unix socket beside the journal: how the command line speaks with the daemon.
//!
//! The file's mode is the whole of its security: 0600 from its first moment, in a folder of mode 0700. Whoever may open it
//! may command, and is written down by the user's id that the kernel tells. It is made while the journal's lock is held,
//! so a socket that was left behind is nobody's and is removed. Bounded: [`CONNECTIONS_MAX`], [`HEADER_WITHIN`], and the
//! bytes of a command.

use std::convert::Infallible;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;

use super::{Door, api};
use crate::hub::Hub;

const FILE: &str = "defib.sock";
const CONNECTIONS_MAX: usize = 32;
const HEADER_WITHIN: Duration = Duration::from_secs(5);
/// A command's body must have come within this time.
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// Where the socket of a journal lies.
#[must_use]
pub fn path(journal: &Path) -> PathBuf {
    journal.join(FILE)
}

/// The socket; its file is removed with it.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Which file it is: device and inode.
    file: (u64, u64),
}

impl Socket {
    /// Binds the socket in the journal's folder. Only for the holder of the journal's lock: a file that is there is removed.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(journal: &Path) -> std::io::Result<Socket> {
        let path = path(journal);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Bound under another name and moved when nobody else may open it: there is no moment in which it is open to all.
        let hidden = journal.join(format!(".{FILE}.{}", std::process::id()));
        let _ = std::fs::remove_file(&hidden);
        let listener = UnixListener::bind(&hidden)?;
        std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(0o600))?;
        let own = std::fs::metadata(&hidden)?;
        std::fs::rename(&hidden, &path)?;
        Ok(Socket { listener, path, file: (own.dev(), own.ino()) })
    }

    /// Serves until it is dropped.
    pub async fn serve(self, hub: Arc<Hub>, door: Option<Arc<Door>>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection to the socket");
                    // Out of file descriptors, most likely: others must end first.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let by = stream.peer_cred().map_or_else(|_| "unknown".to_owned(), |peer| user(peer.uid()));
            let (hub, door) = (Arc::clone(&hub), door.clone());
            tokio::spawn(async move {
                let answer = hyper::service::service_fn(move |request| {
                    let (hub, door, by) = (Arc::clone(&hub), door.clone(), by.clone());
                    async move { Ok::<_, Infallible>(respond(&hub, door.as_deref(), by, request).await) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_WITHIN)
                    .serve_connection(TokioIo::new(stream), answer);
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to the socket ended badly");
                }
                drop(place);
            });
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Another process may have the journal, and a socket of its own here, by the time that this one has ended.
        if std::fs::metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.file) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

async fn respond(hub: &Arc<Hub>, door: Option<&Door>, by: String, request: Request<Incoming>) -> api::Reply {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    match head.method {
        Method::POST if path.strip_prefix(api::ROOT) == Some("dashboard") => {
            let absent = "this daemon serves no dashboard";
            api::linked(door.map(|door| door.link(&by)).ok_or(absent))
        }
        Method::GET => api::get(hub, by, path, &api::query(head.uri.query())).await,
        Method::POST => {
            let whole = Limited::new(body, api::COMMAND_BYTES_MAX).collect();
            match tokio::time::timeout(BODY_WITHIN, whole).await {
                Ok(Ok(body)) => api::post(hub, by, path, &body.to_bytes()).await,
                _ => api::refused(StatusCode::PAYLOAD_TOO_LARGE, "the command is too large or too slow".to_owned()),
            }
        }
        _ => api::refused(StatusCode::METHOD_NOT_ALLOWED, "only GET and POST".to_owned()),
    }
}

/// `root@ops1`: the user's name where the machine knows it, and this machine's name.
fn user(id: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.unwrap_or_else(|| format!("uid {id}"));
    match host.trim() {
        "" => name,
        host => format!("{name}@{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_for_its_owner_alone_and_replaces_one_that_was_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(path(folder.path()), "left behind").unwrap();
        let socket = Socket::bind(folder.path()).unwrap();
        let mode = std::fs::metadata(path(folder.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(socket);
        assert!(!path(folder.path()).exists(), "it goes with the daemon");
    }

    #[test]
    fn a_user_is_named() {
        assert!(user(0).starts_with("root"), "{}", user(0));
        assert!(user(4_000_000_000).starts_with("uid 4000000000"));
    }
}
