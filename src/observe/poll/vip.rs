//! The virtual address, always over a fresh connection: a held one would go on speaking with a node that has lost it.
//!
//! The stages are timed apart, and the certificate that is shown tells which node answered: each has its own. `/readyz` may
//! wait for etcd, and the address may be lost meanwhile: while the answer is waited for, somebody must go on taking
//! connections there, tried as often as the address is asked anyway.

use defib_engine::observation::{Facts, Failure, ProbeKind, Seen, Vip};
use tokio::time::{Instant, sleep};

use crate::client::Trouble;
use crate::client::kubernetes::Kubernetes;
use crate::observe::in_time;
use crate::observe::patience::Deadlines;

/// Connects, asks `/readyz`, and closes. 200 and 500 are answers, every other status is a failure.
pub async fn poll(client: &Kubernetes, kind: ProbeKind, deadlines: Deadlines) -> Seen {
    match ask(client, kind, deadlines).await {
        Ok(facts) => Seen::Healthy(Facts::Vip(facts)),
        Err(trouble) => trouble.into(),
    }
}

async fn ask(client: &Kubernetes, kind: ProbeKind, deadlines: Deadlines) -> Result<Vip, Trouble> {
    let began = Instant::now();
    let until = began + deadlines.whole;
    // A finished handshake is the sign that somebody holds the address; `/readyz` may wait for etcd.
    let sign_by = began + deadlines.sign;
    let mut connection = in_time(client.open(sign_by).await, sign_by)?;
    let asked = Instant::now();
    let answer = tokio::select! {
        biased;
        answer = connection.get("/readyz", until) => answer?.authorized()?,
        lost = lost(client, kind, deadlines, until) => return Err(lost.into()),
    };
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

/// Tries, once an interval of this kind, whether somebody still takes connections; ends when nobody does.
async fn lost(client: &Kubernetes, kind: ProbeKind, deadlines: Deadlines, until: Instant) -> Failure {
    loop {
        sleep(kind.every()).await;
        let by = Instant::now() + deadlines.sign;
        if by >= until {
            return std::future::pending().await;
        }
        match in_time(client.open(by).await, by) {
            Ok(_) | Err(Trouble::Unknown(_)) => {}
            Err(Trouble::Failed(failure)) => return failure,
        }
    }
}
