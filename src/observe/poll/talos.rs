//! talos.services, talos.containers, talos.kubelet-log, talos.machine and talos.dmesg of one machine; and etcd.status and etcd.members
//! through it, where there is no credential for etcd itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use defib_engine::observation::{Facts, Failure, ProbeKind, Seen, Stage, Why};

use crate::client::Trouble;
use crate::client::talos::Talos;
use crate::observe::{dmesg, klog};

/// So many lines of the kubelet's log are read: a kubelet in trouble writes a few a second, and repeats its back-off some
/// ten seconds apart.
const TAIL_LINES: u16 = 400;

/// Asks one machine.
pub async fn poll(client: &Talos, kind: ProbeKind, deadline: Duration) -> Seen {
    match answer(client, kind, deadline).await {
        Ok(facts) => Seen::Healthy(facts),
        Err(trouble) => trouble.into(),
    }
}

async fn answer(client: &Talos, kind: ProbeKind, deadline: Duration) -> Result<Facts, Trouble> {
    match kind {
        ProbeKind::TalosContainers => client.containers(deadline).await.map(Facts::TalosContainers),
        ProbeKind::TalosKubeletLog => {
            // Ages are counted from when the question leaves.
            let sent = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
            let text = client.kubelet_log(TAIL_LINES, deadline).await?;
            let sent_unix_ms = i64::try_from(sent).unwrap_or(i64::MAX);
            Ok(Facts::TalosKubeletLog(klog::back_off(&text, sent_unix_ms)))
        }
        ProbeKind::TalosDmesg => {
            let sent = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
            let lines = client.kernel_log(&dmesg::SAID, deadline).await?;
            Ok(Facts::TalosDmesg(dmesg::kills(&lines, i64::try_from(sent).unwrap_or(i64::MAX))))
        }
        ProbeKind::EtcdStatus => client.etcd_status(deadline).await.map(Facts::EtcdStatus).map_err(of_etcd),
        ProbeKind::EtcdMembers => client.etcd_members(deadline).await.map(Facts::EtcdMembers).map_err(of_etcd),
        ProbeKind::TalosMachine => client.machine(deadline).await.map(|facts| Facts::TalosMachine(Box::new(facts))),
        _ => client.services(deadline).await.map(Facts::TalosServices),
    }
}

/// What trouble with Talos's answer says of etcd behind it: nothing, where it is Talos itself that failed.
fn of_etcd(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Failed(Failure::Status { detail, .. }) if detail.contains("connection refused") => {
            Failure::Refused.into()
        }
        // Of a silent machine etcd is a part; and a silent answer is as likely to be etcd's as Talos's.
        Trouble::Failed(
            Failure::Status { .. } | Failure::Unreachable | Failure::Timeout(Stage::Connect | Stage::Response),
        )
        | Trouble::Unknown(_) => trouble,
        Trouble::Failed(failure) => {
            Trouble::Unknown(Why::OwnSide(format!("asked through Talos, which failed: {failure}")))
        }
    }
}
