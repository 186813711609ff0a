//! Finding an API server that takes a connection: the best first, the next beside it where it is slow, all within a bound.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// All attempts together end after this: a client that waits longer thinks that we are what is broken.
pub(super) const WITHIN: Duration = Duration::from_secs(3);
/// A machine that lives takes a connection within a round trip; after this the next is tried as well. Refused: at once.
const NEXT_AFTER: Duration = Duration::from_millis(300);

/// One that can be dialled: by its place in the configuration.
pub(super) type Candidate = (usize, SocketAddr);

/// The first of these that takes a connection, in their order as far as they are quick. `failed` hears of each that did
/// not. Attempts that are not needed any more are given up.
pub(super) async fn dial(candidates: &[Candidate], mut failed: impl FnMut(usize)) -> Option<(usize, TcpStream)> {
    let until = Instant::now() + WITHIN;
    let mut waiting = candidates.iter().copied();
    let mut attempts = JoinSet::new();
    loop {
        if let Some((number, address)) = waiting.next() {
            attempts.spawn(async move { (number, TcpStream::connect(address).await) });
        }
        let patience = if waiting.len() == 0 { until } else { until.min(Instant::now() + NEXT_AFTER) };
        match timeout_at(patience, attempts.join_next()).await {
            Ok(Some(Ok((number, Ok(stream))))) => return Some((number, stream)),
            Ok(Some(Ok((number, Err(_))))) => failed(number),
            Ok(Some(Err(_))) => {}
            Ok(None) => return None,
            Err(_) if Instant::now() >= until => return None,
            Err(_) => {}
        }
    }
}
