//! How machined judges whether a service is healthy: the same questions, at the same pace, as Talos asks.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::cri;
use super::etcd::Etcd;

/// How long to wait between two looks at something that must come first.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// For the kubelet's answer.
const KUBELET_DEADLINE: Duration = Duration::from_secs(2);

/// A question whose good answer means health.
#[derive(Clone)]
pub(super) enum Health {
    /// A linearizable read of etcd, every 20 s: so it falls with the quorum.
    Etcd(Etcd),
    /// An answer of containerd on its socket, every 5 s.
    Containerd(PathBuf),
    /// `/healthz` of the kubelet, every 5 s.
    Kubelet(SocketAddr),
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Health {
    /// Whose health it is.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Etcd(_) => "etcd",
            Self::Containerd(_) => "containerd",
            Self::Kubelet(_) => "kubelet",
        }
    }

    /// Waits for one period, then asks; the error says what is wrong.
    pub(super) async fn after_period(&self) -> Result<(), String> {
        let period = match self {
            Self::Etcd(_) => Duration::from_secs(20),
            Self::Containerd(_) | Self::Kubelet(_) => Duration::from_secs(5),
        };
        tokio::time::sleep(period).await;
        self.ask().await
    }

    /// Returns at the first good answer.
    pub(super) async fn until_healthy(&self) {
        while self.ask().await.is_err() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn ask(&self) -> Result<(), String> {
        match self {
            Self::Etcd(etcd) => etcd.read().await.map_err(|e| e.message().to_owned()),
            Self::Containerd(socket) => cri::answers(socket).await.map_err(|e| e.message().to_owned()),
            Self::Kubelet(address) => match tokio::time::timeout(KUBELET_DEADLINE, healthz(*address)).await {
                Ok(Ok(true)) => Ok(()),
                Ok(Ok(false)) => Err("the kubelet calls itself unhealthy".to_owned()),
                Ok(Err(e)) => Err(e.to_string()),
                Err(_) => Err("context deadline exceeded".to_owned()),
            },
        }
    }
}

async fn healthz(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n").await?;
    let mut answer = Vec::new();
    // The status line is enough.
    stream.take(64).read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.0 200") || answer.starts_with(b"HTTP/1.1 200"))
}
