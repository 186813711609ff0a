//! Bytes both ways between two connections, each way ending by itself.
//!
//! Where one side has said its last, the other is told so and may go on. A side that reads slowly holds up only the other
//! side's sending. Nothing is kept for a connection that is idle.

use std::io;

use metrics::Counter;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

/// The most that is read at once, and held while the other side does not take it.
pub(super) const CHUNK: usize = 64 * 1024;
/// After so many chunks without a pause the others have their turn.
const CHUNKS_IN_A_ROW: usize = 16;

/// Carries bytes until both sides have said their last.
///
/// # Errors
/// The first failure of either side; then both are to be reset.
pub(super) async fn relay(
    client: &mut TcpStream,
    server: &mut TcpStream,
    sent: &Counter,
    received: &Counter,
) -> io::Result<()> {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(pump(from_client, to_server, sent), pump(from_server, to_client, received))?;
    Ok(())
}

async fn pump(from: ReadHalf<'_>, mut to: WriteHalf<'_>, moved: &Counter) -> io::Result<()> {
    loop {
        from.readable().await?;
        // Made when there is something to read, and gone with it: hundreds of watches wait for hours.
        let mut chunk = Vec::with_capacity(CHUNK);
        for _ in 0..CHUNKS_IN_A_ROW {
            match from.try_read_buf(&mut chunk) {
                Ok(0) => {
                    // Whoever reset its side meanwhile needs no farewell.
                    return to.shutdown().await.or_else(|error| match error.kind() {
                        io::ErrorKind::NotConnected => Ok(()),
                        _ => Err(error),
                    });
                }
                Ok(count) => {
                    to.write_all(&chunk).await?;
                    moved.increment(count as u64);
                    chunk.clear();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        tokio::task::yield_now().await;
    }
}
