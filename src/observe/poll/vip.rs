//! The virtual address, always over a fresh connection: a held one would go on speaking with a node that has lost it.
//!
//! The stages are timed apart, and the certificate that is shown tells which node answered: each has its own.

use defib_engine::observation::{Facts, ProbeKind, Seen, Vip};
use tokio::time::Instant;

use crate::client::Trouble;
use crate::client::kubernetes::Kubernetes;
use crate::observe::patience::Deadlines;

/// Connects, asks `/readyz`, and closes. 200 and 500 are answers, every other status is a failure.
pub async fn poll(client: &Kubernetes, _: ProbeKind, deadlines: Deadlines) -> Seen {
    match ask(client, deadlines).await {
        Ok(facts) => Seen::Healthy(Facts::Vip(facts)),
        Err(trouble) => trouble.into(),
    }
}

async fn ask(client: &Kubernetes, deadlines: Deadlines) -> Result<Vip, Trouble> {
    let began = Instant::now();
    let until = began + deadlines.whole;
    // A finished handshake is the sign that somebody holds the address; `/readyz` may wait for etcd.
    let mut connection = client.open(began + deadlines.sign).await?;
    let asked = Instant::now();
    let answer = connection.get("/readyz", until).await?.authorized()?;
    let response = asked.elapsed();
    if !matches!(answer.status, 200 | 500) {
        return Err(answer.into_failure().into());
    }
    Ok(Vip {
        ready: answer.status == 200,
        certificate_sha256: connection.certificate.sha256.clone(),
        certificate_not_after: connection.certificate.not_after,
        connect: connection.connect,
        handshake: connection.handshake,
        response,
    })
}
