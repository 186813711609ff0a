//! Being asked: the socket beside the journal, and the listener where there is one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::DaemonError;
use crate::hub::Hub;
use crate::web::socket::Socket;
use crate::web::{self, Health, Listening, Site};

/// A socket that could not be made is tried again this often.
const TRY_SOCKET_EVERY: Duration = Duration::from_secs(5);

/// Answers those who ask: over the socket beside the journal, and through the listener where there is one. A daemon goes on
/// without the socket and tries again; where the journal is not `kept`, one that cannot be made surprises nobody.
pub(super) fn serve(
    hub: &Arc<Hub>,
    health: &Arc<Health>,
    journal: &Path,
    listening: Option<Listening>,
    kept: bool,
) -> Result<(), DaemonError> {
    let door = listening.as_ref().map(|listening| Arc::clone(&listening.door));
    let (hub_of_socket, folder) = (Arc::clone(hub), journal.to_owned());
    match Socket::bind(journal) {
        Ok(socket) => drop(tokio::spawn(socket.serve(hub_of_socket, door))),
        Err(source) if listening.is_none() => {
            return Err(DaemonError::Socket { path: web::socket::path(journal), source });
        }
        Err(error) if kept => {
            tracing::error!(%error, journal = %journal.display(), "no socket: commands cannot reach this daemon");
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(TRY_SOCKET_EVERY).await;
                    if let Ok(socket) = Socket::bind(&folder) {
                        tracing::warn!("the socket is there: commands reach this daemon again");
                        return socket.serve(hub_of_socket, door).await;
                    }
                }
            });
        }
        Err(_) => {}
    }
    if let Some(Listening { listener, metrics, guard, door }) = listening {
        let site = Site::new(Arc::clone(hub), Arc::clone(health), metrics, (guard, door), journal.to_owned());
        tokio::spawn(web::serve(listener, Arc::new(site)));
    }
    Ok(())
}
