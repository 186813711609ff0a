//! A way from this machine's loopback to a port of the ops host, for a browser.
//!
//! A socket keeps the namespace in which it was made: the listener is made here, then the process goes over, and what it
//! connects is made there. It counts among the lab's processes, so a teardown ends it. Bounded: [`CONNECTIONS_MAX`].

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::exec::{ExecError, Joined, join};
use crate::layout::Place;

/// More are turned away at once.
const CONNECTIONS_MAX: usize = 128;

/// Why there is no relay.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The port is taken here.
    #[error("cannot listen on 127.0.0.1:{port}; is it taken? another can be named")]
    Listen {
        /// The port.
        port: u16,
        /// The system's reason.
        source: io::Error,
    },
    /// The ops host could not be entered.
    #[error(transparent)]
    Join(#[from] ExecError),
}

/// Relays `127.0.0.1:port` of this machine to the same port of the ops host until it is ended. For processes of one thread.
///
/// # Errors
/// Before anything was relayed.
pub fn relay(port: u16) -> Result<(), RelayError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(address).map_err(|source| RelayError::Listen { port, source })?;
    join(Joined { place: Place::Ops, part: None, detach: false })?;
    let open = Arc::new(AtomicUsize::new(0));
    for here in listener.incoming().flatten() {
        if open.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS_MAX {
            open.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let open = Arc::clone(&open);
        std::thread::spawn(move || {
            if let Ok(there) = TcpStream::connect(address) {
                both(&here, &there);
            }
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
    Ok(())
}

/// Copies both ways until both have ended.
fn both(here: &TcpStream, there: &TcpStream) {
    std::thread::scope(|scope| {
        scope.spawn(|| one(here, there));
        one(there, here);
    });
}

fn one(mut from: &TcpStream, mut to: &TcpStream) {
    // However it ends, the other side is told.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
