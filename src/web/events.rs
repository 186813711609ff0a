//! Server-sent events: a beat a second, and one at every change, so that an open page knows whether what it shows is true.
//!
//! A beat says when the loop last went round and the revision of what it found; the page fetches itself again when that
//! grew. So nothing is kept for a slow reader but one beat: one that has not taken the beat before is dropped, and comes
//! back by itself. Bounded: [`LISTENERS_MAX`] at once, each for [`LIFE`] at most.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::hub::Hub;

/// So many pages can listen at once.
pub(super) const LISTENERS_MAX: usize = 16;
/// Twice within the time after which a page calls itself stale.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// Changes are told at most this often.
const PAUSE: Duration = Duration::from_millis(250);
/// A listener that is gone without a word gives its place back after this long at the latest.
const LIFE: Duration = Duration::from_secs(5 * 60);

/// A stream of beats.
#[derive(Debug)]
pub(super) struct Beats {
    beats: mpsc::Receiver<Bytes>,
}

impl Beats {
    /// Beats about one cluster, or about all where none is named, until the listener or its time is gone.
    pub(super) fn start(cluster: String, hub: Arc<Hub>, place: OwnedSemaphorePermit) -> Beats {
        let (sender, beats) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut changes = hub.changes();
            let until = tokio::time::Instant::now() + LIFE;
            let mut first = true;
            while tokio::time::Instant::now() < until {
                // Full: the one before was not taken, so the reader is too slow to be live.
                let beat = beat(&hub, &cluster, std::mem::take(&mut first));
                if sender.try_send(beat).is_err() {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
                let _ = tokio::time::timeout(BEAT_EVERY.saturating_sub(PAUSE), changes.changed()).await;
            }
            drop(place);
        });
        Beats { beats }
    }
}

fn beat(hub: &Hub, cluster: &str, first: bool) -> Bytes {
    let late = hub.late();
    let as_of_ms = hub.clock().now().wall.before(late).0;
    let retry = if first { "retry: 1000\n" } else { "" };
    let (revision, late_ms) = (hub.revision(cluster), late.as_millis());
    let data = format!(r#"{{"revision":{revision},"as_of_ms":{as_of_ms},"late_ms":{late_ms}}}"#);
    Bytes::from(format!("{retry}event: beat\ndata: {data}\n\n"))
}

impl Body for Beats {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.beats.poll_recv(context).map(|beat| beat.map(|beat| Ok(Frame::data(beat))))
    }
}
