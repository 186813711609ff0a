//! Are we ourselves connected? A TCP connection to something outside every cluster, closed at once.

use std::net::SocketAddr;
use std::time::Duration;

use defib_engine::observation::{Facts, Failure, ProbeKind, Seen};
use tokio::time::Instant;

use crate::client::Trouble;
use crate::client::failure::dial;

/// Dials `canary`. A closed port is an answer too: somebody there has sent it.
pub async fn poll(canary: &SocketAddr, _: ProbeKind, deadline: Duration) -> Seen {
    match dial(*canary, Instant::now() + deadline).await {
        Ok(_) | Err(Trouble::Failed(Failure::Refused | Failure::Reset)) => Seen::Healthy(Facts::Canary),
        Err(trouble) => trouble.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connected_and_refused_are_both_an_answer() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let healthy = Seen::Healthy(Facts::Canary);
        assert_eq!(poll(&address, ProbeKind::Canary, Duration::from_secs(1)).await, healthy);
        drop(listener);
        assert_eq!(poll(&address, ProbeKind::Canary, Duration::from_secs(1)).await, healthy);
    }
}
