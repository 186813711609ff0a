//! Makes room in etcd's database, in the order of etcd's maintenance guide: compact, defragment, disarm; a snapshot first.
//!
//! It promises to change nothing before every member has answered and the snapshot is whole here; to defragment one member
//! after another, the leader last, each only while every member answers and follows a leader; and to disarm the alarm only
//! where the largest database is then smaller by a fifth: where it is not, what fills it is in use, and the alarm would be
//! back. The alarm is raised at the quota, so what was the largest is the measure. Left out: a larger quota, and what to
//! delete.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use defib_engine::event::Step;
use defib_engine::observation::EtcdStatus;
use defib_engine::record::Outcome;

use super::ending::{self, Stopped};
use crate::client::etcd::Member;
use crate::snapshot;

/// A member says what it knows of itself within this.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// Percent of the largest database before that the largest may have afterwards.
const LEFT_AT_MOST: u64 = 80;
const MIB: u64 = 1024 * 1024;

type Named = (String, Arc<Member>);

pub(super) async fn run(members: &[Named], step: &Step, folder: &Path, deadline: Duration) -> Outcome {
    let until = Instant::now() + deadline;
    ending::of_parts(deadline, async |done| reclaim(members, step, folder, until, done).await).await
}

async fn reclaim(
    members: &[Named],
    step: &Step,
    folder: &Path,
    until: Instant,
    done: &mut Vec<String>,
) -> Result<(), Stopped> {
    let before = statuses(members).await.map_err(Stopped::Ended)?;
    let source = snapshot::source(&before.iter().collect::<Vec<_>>());
    let (name, member) = source
        .and_then(|at| members.get(at))
        .ok_or_else(|| Stopped::Ended("no member can give a snapshot".to_owned()))?;
    let file = super::kept(folder, step, "db");
    std::fs::create_dir_all(folder).map_err(|error| Stopped::Ended(format!("{}: {error}", folder.display())))?;
    snapshot::save(member, &file).await.map_err(|error| Stopped::Ended(error.to_string()))?;
    done.push(format!("a snapshot of {name} is kept in {}", file.display()));

    // Minutes may have passed since anybody looked.
    statuses(members).await.map_err(Stopped::Ended)?;
    let revision =
        member.compact(until).await.map_err(|trouble| Stopped::by(&format!("compaction by {name}"), &trouble))?;
    done.push(format!("compacted at revision {revision}"));
    for (name, member) in leader_last(members, &before) {
        statuses(members).await.map_err(Stopped::Ended)?;
        member
            .defragment(until)
            .await
            .map_err(|trouble| Stopped::by(&format!("defragmentation by {name}"), &trouble))?;
        done.push(format!("{name} defragmented"));
    }
    let after = statuses(members).await.map_err(Stopped::Ended)?;
    let (was, is) = (largest(&before), largest(&after));
    let sizes = format!("{} MiB of {} MiB are left", is / MIB, was / MIB);
    if is.saturating_mul(100) > was.saturating_mul(LEFT_AT_MOST) {
        let why = format!("{sizes}: it is in use, so NOSPACE stays; delete something or raise the quota");
        return Err(Stopped::Ended(why));
    }
    done.push(sizes);
    let disarmed = member
        .disarm_no_space(until)
        .await
        .map_err(|trouble| Stopped::by(&format!("disarming by {name}"), &trouble))?;
    done.push(format!("NOSPACE of {disarmed} members disarmed"));
    Ok(())
}

/// What every member says of itself; anything that is not as it should be ends the step.
async fn statuses(members: &[Named]) -> Result<Vec<EtcdStatus>, String> {
    let mut statuses = Vec::new();
    for (name, member) in members {
        let status = member.status(ASK_WITHIN).await.map_err(|trouble| format!("{name} does not answer: {trouble}"))?;
        statuses.push(sound(name, status)?);
    }
    if statuses.is_empty() {
        return Err("no etcd is configured: the cluster needs the key etcd".to_owned());
    }
    let first = statuses.first().map(|status| status.cluster_id);
    if statuses.iter().any(|status| Some(status.cluster_id) != first) {
        return Err("the members belong to different clusters".to_owned());
    }
    Ok(statuses)
}

fn sound(name: &str, status: EtcdStatus) -> Result<EtcdStatus, String> {
    if let Some(error) = snapshot::called_corrupt(&status) {
        return Err(format!("{name} complains: {error}"));
    }
    if status.learner {
        return Err(format!("{name} is a learner"));
    }
    if status.leader == 0 {
        return Err(format!("{name} follows no leader"));
    }
    Ok(status)
}

/// Followers first: while the leader stands still, nobody writes.
fn leader_last<'a>(members: &'a [Named], statuses: &[EtcdStatus]) -> Vec<&'a Named> {
    let mut order: Vec<_> = members.iter().zip(statuses).collect();
    order.sort_by_key(|(_, status)| status.member_id == status.leader);
    order.into_iter().map(|(member, _)| member).collect()
}

fn largest(statuses: &[EtcdStatus]) -> u64 {
    statuses.iter().map(|status| status.db_size_bytes).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(member_id: u64, leader: u64) -> EtcdStatus {
        EtcdStatus {
            cluster_id: 1,
            member_id,
            leader,
            term: 2,
            index: 9,
            applied_index: 9,
            db_size_bytes: member_id * MIB,
            db_in_use_bytes: 0,
            learner: false,
            errors: Vec::new(),
            version: "3.6.0".to_owned(),
        }
    }

    #[test]
    fn what_is_not_sound_ends_it() {
        let corrupt = EtcdStatus { errors: vec!["memberID:1 alarm:CORRUPT ".to_owned()], ..status(1, 1) };
        let cases = [
            (corrupt, "cp1 complains: memberID:1 alarm:CORRUPT "),
            (EtcdStatus { learner: true, ..status(1, 1) }, "cp1 is a learner"),
            (status(1, 0), "cp1 follows no leader"),
        ];
        for (status, why) in cases {
            assert_eq!(sound("cp1", status).err().as_deref(), Some(why));
        }
        let full = EtcdStatus { errors: vec!["memberID:1 alarm:NOSPACE ".to_owned()], ..status(1, 1) };
        assert!(sound("cp1", full).is_ok());
    }

    #[test]
    fn the_largest_counts() {
        assert_eq!(largest(&[status(1, 1), status(3, 1), status(2, 1)]), 3 * MIB);
    }
}
