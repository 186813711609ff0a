//! etcd.status, etcd.read-serializable and etcd.read-linearizable of one member.

use std::time::{Duration, Instant};

use defib_engine::observation::{Facts, ProbeKind, Seen};

use crate::client::etcd::{Member, Read};

/// Asks one member.
pub async fn poll(client: &Member, kind: ProbeKind, deadline: Duration) -> Seen {
    let sent = Instant::now();
    let answer = match kind {
        ProbeKind::EtcdReadSerializable => client.read(Read::Serializable, deadline).await.map(|()| None),
        ProbeKind::EtcdReadLinearizable => client.read(Read::Linearizable, deadline).await.map(|()| None),
        _ => client.status(deadline).await.map(Some),
    };
    match answer {
        Ok(Some(status)) => Seen::Healthy(Facts::EtcdStatus(status)),
        Ok(None) => Seen::Healthy(Facts::EtcdRead { took: sent.elapsed() }),
        Err(trouble) => trouble.into(),
    }
}
