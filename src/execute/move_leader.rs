//! Has the member that leads hand the leadership to another voter: a write waits for a moment, none is lost.
//!
//! It promises to ask nothing of anybody where the patient's member no longer leads, or the other does not follow it. Left
//! out: who is fit to lead (`engine`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use defib_engine::observation::EtcdStatus;
use defib_engine::record::Outcome;
use defib_engine::time::Human;

use super::ending::Stopped;
use crate::client::Trouble;
use crate::client::etcd::Member;

/// A member says what it knows of itself within this.
const ASK_WITHIN: Duration = Duration::from_secs(3);

pub(super) async fn run(members: &[(String, Arc<Member>)], from: &str, to: &str, deadline: Duration) -> Outcome {
    let until = Instant::now() + deadline;
    let member = |name: &str| {
        let found = members.iter().find(|(own, _)| own == name).map(|(_, member)| member);
        found
            .ok_or_else(|| Outcome::Failed(format!("no etcd is configured for {name}: the cluster needs the key etcd")))
    };
    let moved = async || -> Result<Outcome, Outcome> {
        let (leader, heir) = (member(from)?, member(to)?);
        let ask = async |name: &str, member: &Member| {
            let status = member.status(ASK_WITHIN).await;
            status.map_err(|trouble| Outcome::Failed(format!("{name} does not answer: {trouble}")))
        };
        let (own, other) = (ask(from, leader).await?, ask(to, heir).await?);
        may(from, &own, to, &other).map_err(Outcome::Failed)?;
        Ok(match leader.move_leader(other.member_id, until).await {
            Ok(()) => Outcome::Done(format!("{to} leads")),
            Err(trouble) => ended(from, to, &trouble),
        })
    };
    match tokio::time::timeout(deadline, moved()).await {
        Ok(ended) => ended.unwrap_or_else(|not_begun| not_begun),
        Err(_) => Outcome::Unknown(format!("not done within {}", Human(deadline))),
    }
}

/// What was true when the engine looked is true now.
fn may(from: &str, own: &EtcdStatus, to: &str, other: &EtcdStatus) -> Result<(), String> {
    if own.leader != own.member_id {
        return Err(format!("{from} no longer leads"));
    }
    if other.learner || other.leader != own.member_id || other.cluster_id != own.cluster_id {
        return Err(format!("{to} is no voter that follows {from}"));
    }
    Ok(())
}

fn ended(from: &str, to: &str, trouble: &Trouble) -> Outcome {
    Stopped::by(&format!("{from} hands over to {to}"), trouble).into()
}

#[cfg(test)]
mod tests {
    use defib_engine::observation::{Failure, Stage};

    use super::*;

    fn status(member_id: u64, leader: u64) -> EtcdStatus {
        EtcdStatus { cluster_id: 1, member_id, leader, ..EtcdStatus::default() }
    }

    #[test]
    fn only_a_leader_hands_over_and_only_to_a_voter_that_follows_it() {
        let may = |own, other| may("cp1", &own, "cp2", &other).err();
        assert_eq!(may(status(1, 1), status(2, 1)), None);
        assert_eq!(may(status(1, 2), status(2, 2)).as_deref(), Some("cp1 no longer leads"));
        let follows = "cp2 is no voter that follows cp1";
        for other in
            [status(2, 3), EtcdStatus { learner: true, ..status(2, 1) }, EtcdStatus { cluster_id: 9, ..status(2, 1) }]
        {
            assert_eq!(may(status(1, 1), other).as_deref(), Some(follows));
        }
    }

    #[test]
    fn a_call_that_may_have_worked_is_unknown() {
        let late = Trouble::Failed(Failure::Timeout(Stage::Response));
        assert!(matches!(ended("cp1", "cp2", &late), Outcome::Unknown(_)));
        assert!(matches!(ended("cp1", "cp2", &Trouble::Failed(Failure::Refused)), Outcome::Failed(_)));
    }
}
