//! Real members of etcd hand the leadership over, once, and only from the one that leads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use defib::client::etcd::Member;
use defib::client::kept::Kept;
use defib::client::tls::Files;
use defib::config;
use defib_engine::observation::EtcdStatus;

use crate::support::Stage;

const WITHIN: Duration = Duration::from_secs(20);

async fn status(member: &Member) -> EtcdStatus {
    member.status(WITHIN).await.unwrap()
}

pub(crate) fn is_handed_over(stage: &Stage) {
    let config = config::read(&stage.lab.layout().config()).unwrap();
    let cluster = &config.clusters[0];
    let credential = Arc::new(Kept::new(Files::new(cluster.etcd.as_ref().unwrap())));
    stage.in_ops(async || {
        let of = |node: &config::Node| {
            Member::new(Arc::clone(&credential), SocketAddr::new(node.address, cluster.ports.etcd))
        };
        let members: Vec<Member> = cluster.nodes.iter().map(of).collect();
        let leads = status(&members[0]).await.leader;
        let (mut leader, mut heir) = (None, None);
        for member in &members {
            let own = status(member).await;
            if own.member_id == leads { leader = Some(member) } else { heir = Some((member, own)) }
        }
        let (leader, (heir, before)) = (leader.unwrap(), heir.unwrap());

        leader.move_leader(before.member_id, Instant::now() + WITHIN).await.unwrap();
        let after = status(heir).await;
        assert_eq!(after.leader, after.member_id, "it leads");
        assert!(after.term > before.term && after.index >= before.index, "by an election, and with everything");
        assert_eq!(status(leader).await.leader, after.member_id, "the other follows");

        let again = leader.move_leader(before.member_id, Instant::now() + WITHIN).await.unwrap_err();
        assert!(again.to_string().contains("not leader"), "{again}");
        assert_eq!(status(heir).await.term, after.term, "nothing more happened");
    });
}
