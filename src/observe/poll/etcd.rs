//! etcd.status, etcd.read-serializable, etcd.read-linearizable and etcd.members of one member.

use std::time::{Duration, Instant};

use defib_engine::observation::{Facts, ProbeKind, Seen};

use crate::client::etcd::{Member, Read};

/// Asks one member.
pub async fn poll(client: &Member, kind: ProbeKind, deadline: Duration) -> Seen {
    let sent = Instant::now();
    let answer = match kind {
        ProbeKind::EtcdReadSerializable => client.read(Read::Serializable, deadline).await.map(|()| read(sent)),
        ProbeKind::EtcdReadLinearizable => client.read(Read::Linearizable, deadline).await.map(|()| read(sent)),
        ProbeKind::EtcdMembers => client.members(deadline).await.map(Facts::EtcdMembers),
        _ => client.status(deadline).await.map(Facts::EtcdStatus),
    };
    answer.map_or_else(Seen::from, Seen::Healthy)
}

fn read(sent: Instant) -> Facts {
    Facts::EtcdRead { took: sent.elapsed() }
}
