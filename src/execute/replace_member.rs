//! Has a member of etcd that is of no more use join anew: removed, where it is still listed, and its machine's data erased.
//!
//! It promises to change nothing before every other member has answered, all of them agree on who is in etcd, and a snapshot
//! of it is whole here; to remove a member that is listed only where the alarm CORRUPT names it alone and its store, compared
//! at one revision, differs from those of all others, which are equal; and to erase only after that, and after the others
//! have a leader. What is erased is Talos's partition EPHEMERAL of that one machine. Left out: joining, which Talos does by
//! itself when the machine boots, and a credential for it: erasing takes `os:admin`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use defib_engine::event::Step;
use defib_engine::observation::EtcdStatus;
use defib_engine::record::Outcome;

use super::ending::{self, Stopped};
use crate::client::etcd::{Member, StoreHash};
use crate::client::talos::Talos;
use crate::snapshot;

/// A member says what it knows of itself within this.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// A member reads its whole store within this; etcd advises 8 GiB at the most.
const HASH_WITHIN: Duration = Duration::from_secs(120);
/// Stores are compared so many times: a follower may not have a revision yet, or may be compacting.
const HASHED_TIMES: u32 = 5;
const BETWEEN: Duration = Duration::from_millis(500);
/// Talos begins within this.
const ERASE_WITHIN: Duration = Duration::from_secs(30);
/// Without this role Talos erases nothing.
const ROLE: &str = "os:admin";

type Named = (String, Arc<Member>);
/// The ids of a list of members, and whether each is a learner.
type List = Vec<(u64, bool)>;
/// A member's name, what it says of itself, and whom it lists.
type Word<'a> = (&'a str, &'a EtcdStatus, &'a List);

/// What the others know.
struct Known {
    /// The others, the one to ask for a snapshot first.
    others: Vec<Named>,
    /// The patient's member, where they still list it.
    listed: Option<u64>,
    /// Members that the alarm CORRUPT names and nobody lists any more: an earlier attempt may have ended after a removal.
    gone: Vec<u64>,
}

pub(super) async fn run(members: &[Named], talos: &Talos, step: &Step, folder: &Path, deadline: Duration) -> Outcome {
    let until = Instant::now() + deadline;
    ending::of_parts(deadline, async |done| replace(members, talos, step, folder, until, done).await).await
}

async fn replace(
    members: &[Named],
    talos: &Talos,
    step: &Step,
    folder: &Path,
    until: Instant,
    done: &mut Vec<String>,
) -> Result<(), Stopped> {
    let patient = step.node().as_str();
    if !talos.roles((Instant::now() + ASK_WITHIN).into()).await.iter().any(|role| role == ROLE) {
        return Err(Stopped::Ended(format!("Talos erases a machine for {ROLE} alone, which our credential is not")));
    }
    let known = look(members, patient).await.map_err(Stopped::Ended)?;
    let (name, other) = known.others.first().ok_or_else(|| Stopped::Ended("it has no peers".to_owned()))?;
    if known.listed.is_some() {
        let own = members.iter().find(|(node, _)| node == patient).map(|(_, member)| member);
        let own = own.ok_or_else(|| Stopped::Ended(format!("no etcd is configured for {patient}")))?;
        differs(&known.others, patient, own).await.map_err(Stopped::Ended)?;
    }
    let file = super::kept(folder, step, "db");
    std::fs::create_dir_all(folder).map_err(|error| Stopped::Ended(format!("{}: {error}", folder.display())))?;
    snapshot::save(other, &file).await.map_err(|error| Stopped::Ended(error.to_string()))?;
    done.push(format!("a snapshot of {name} is kept in {}", file.display()));

    // Minutes may have passed since anybody looked.
    if look(members, patient).await.map_err(Stopped::Ended)?.listed != known.listed {
        return Err(Stopped::Ended("etcd's members changed meanwhile".to_owned()));
    }
    if let Some(id) = known.listed {
        other.remove(id, until).await.map_err(|trouble| Stopped::by(&format!("removal by {name}"), &trouble))?;
        done.push(format!("member {id:x} removed"));
    }
    for &id in known.listed.iter().chain(&known.gone) {
        other
            .disarm_corrupt(id, until)
            .await
            .map_err(|trouble| Stopped::by(&format!("disarming by {name}"), &trouble))?;
        done.push(format!("CORRUPT of {id:x} disarmed"));
    }
    led(&known.others, until).await.map_err(Stopped::Ended)?;
    let within = ERASE_WITHIN.min(until.saturating_duration_since(Instant::now()));
    let actor = talos.erase(until.into(), within).await?;
    done.push(format!("Talos of {patient} erases and reboots{}", by(&actor)));
    Ok(())
}

fn by(actor: &str) -> String {
    if actor.is_empty() { String::new() } else { format!(" as {actor}") }
}

/// What every other member says; anything that is not as it should be ends the step.
async fn look(members: &[Named], patient: &str) -> Result<Known, String> {
    let mut heard: Vec<(Named, EtcdStatus, List)> = Vec::new();
    for (name, member) in members.iter().filter(|(node, _)| node != patient) {
        let mute = |trouble| format!("{name} does not answer: {trouble}");
        let status = member.status(ASK_WITHIN).await.map_err(mute)?;
        let list = member.members(ASK_WITHIN).await.map_err(mute)?;
        let mut ids: List = list.members.iter().map(|member| (member.id, member.learner)).collect();
        ids.sort_unstable();
        heard.push(((name.clone(), Arc::clone(member)), status, ids));
    }
    let mut own = None;
    if let Some((_, member)) = members.iter().find(|(node, _)| node == patient) {
        own = member.status(ASK_WITHIN).await.ok().map(|status| status.member_id);
    }
    let words: Vec<_> = heard.iter().map(|((name, _), status, list)| (name.as_str(), status, list)).collect();
    let (listed, gone) = (judged(&words, own)?, gone(&words));
    // A follower before the leader, the newest first.
    heard.sort_by_key(|(_, status, _)| (status.leader == status.member_id, u64::MAX - status.applied_index));
    Ok(Known { others: heard.into_iter().map(|(named, ..)| named).collect(), listed, gone })
}

/// Whom the alarm CORRUPT names and nobody lists.
fn gone(heard: &[Word<'_>]) -> Vec<u64> {
    let listed = |id: u64| heard.iter().any(|(.., list)| list.iter().any(|(other, _)| *other == id));
    let told = heard.iter().flat_map(|(_, status, _)| status.corrupt()).flatten();
    told.filter(|id| !listed(*id)).collect::<BTreeSet<u64>>().into_iter().collect()
}

/// Which member of those that all others list is the patient's; none: it is none of them any more. `own`: as what it answers.
fn judged(heard: &[Word<'_>], own: Option<u64>) -> Result<Option<u64>, String> {
    let Some((_, first, list)) = heard.first() else { return Err("it has no peers".to_owned()) };
    for (name, status, other) in heard {
        if status.leader == 0 {
            return Err(format!("{name} follows no leader"));
        }
        if status.cluster_id != first.cluster_id || other != list {
            return Err(format!("{name} is in another cluster than its peers, or lists other members"));
        }
        if !list.iter().any(|(id, _)| *id == status.member_id) {
            return Err(format!("{name} is not among the members that it lists"));
        }
    }
    if let Some((id, _)) = list.iter().find(|(_, learner)| *learner) {
        return Err(format!("member {id:x} is a learner"));
    }
    let strange = |(id, _): &&(u64, bool)| !heard.iter().any(|(_, status, _)| status.member_id == *id);
    let strangers: Vec<u64> = list.iter().filter(strange).map(|(id, _)| *id).collect();
    match (strangers.as_slice(), own) {
        ([], None) => Ok(None),
        ([], Some(own)) => Err(format!("it answers as member {own:x}, which its peers do not list")),
        ([id], own) => {
            if own != Some(*id) {
                return Err(format!("its peers list member {id:x}, and it does not answer as that"));
            }
            let mut alarms = heard.iter().flat_map(|(_, status, _)| status.corrupt()).peekable();
            if alarms.peek().is_none() || !alarms.all(|named| named == Some(*id)) {
                return Err(format!("the alarm CORRUPT does not name member {id:x} alone"));
            }
            Ok(Some(*id))
        }
        (several, _) => Err(format!("etcd has {} members that are not configured", several.len() - 1)),
    }
}

/// The patient's store is unlike those of all others, which are equal, at one revision.
async fn differs(others: &[Named], patient: &str, own: &Member) -> Result<(), String> {
    let mut why = String::new();
    for _ in 0..HASHED_TIMES {
        match hashes(others, own).await {
            Ok((theirs, its)) => match compared(&theirs, its) {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    return Err(format!("the store of {patient} is like those of its peers: nothing is corrupt"));
                }
                Err(not_yet) => why = not_yet,
            },
            Err(error) => why = error,
        }
        tokio::time::sleep(BETWEEN).await;
    }
    Err(format!("the stores were not compared: {why}"))
}

async fn hashes(others: &[Named], own: &Member) -> Result<(Vec<StoreHash>, StoreHash), String> {
    let (_, first) = others.first().ok_or("it has no peers")?;
    let revision = first.revision(ASK_WITHIN).await.map_err(|trouble| trouble.to_string())?;
    let mut theirs = Vec::new();
    for (name, member) in others {
        theirs.push(member.hash(revision, HASH_WITHIN).await.map_err(|trouble| format!("{name}: {trouble}"))?);
    }
    let its = own.hash(revision, HASH_WITHIN).await.map_err(|trouble| trouble.to_string())?;
    Ok((theirs, its))
}

/// Whether its store differs from the others'; an error where that cannot be said.
fn compared(theirs: &[StoreHash], its: StoreHash) -> Result<bool, String> {
    let Some(first) = theirs.first().filter(|_| theirs.len() > 1) else {
        return Err("two others are needed to tell which store is right".to_owned());
    };
    if theirs.iter().any(|one| one.compacted != its.compacted) {
        return Err("they are compacted at different revisions".to_owned());
    }
    if theirs.iter().any(|one| one.hash != first.hash) {
        return Err("the stores of its peers differ from each other".to_owned());
    }
    Ok(first.hash != its.hash)
}

/// The others have a leader among them: the one that was removed may have been it.
async fn led(others: &[Named], until: Instant) -> Result<(), String> {
    loop {
        let mut leaders = Vec::new();
        let mut own = Vec::new();
        for (_, member) in others {
            if let Ok(status) = member.status(ASK_WITHIN).await {
                leaders.push(status.leader);
                own.push(status.member_id);
            }
        }
        let first = leaders.first().copied().unwrap_or(0);
        if leaders.len() == others.len() && own.contains(&first) && leaders.iter().all(|leader| *leader == first) {
            return Ok(());
        }
        if Instant::now() + BETWEEN >= until {
            return Err("the others found no leader".to_owned());
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORRUPT: &str = "memberID:3 alarm:CORRUPT ";

    fn status(member_id: u64, alarms: &[&str]) -> EtcdStatus {
        let errors = alarms.iter().map(|&alarm| alarm.to_owned()).collect();
        EtcdStatus { cluster_id: 1, member_id, leader: 1, errors, ..EtcdStatus::default() }
    }

    fn said(one: &EtcdStatus, two: &EtcdStatus, list: &[u64], own: Option<u64>) -> Result<Option<u64>, String> {
        let list: Vec<_> = list.iter().map(|id| (*id, false)).collect();
        judged(&[("cp1", one, &list), ("cp2", two, &list)], own)
    }

    #[test]
    fn a_member_is_lost_where_nobody_lists_it_or_the_alarm_names_it_alone() {
        let well = |id| status(id, &[]);
        let corrupt = |id| status(id, &[CORRUPT]);
        assert_eq!(said(&well(1), &well(2), &[1, 2], None), Ok(None));
        assert_eq!(said(&corrupt(1), &corrupt(2), &[1, 2, 3], Some(3)), Ok(Some(3)));
        assert_eq!(said(&corrupt(1), &well(2), &[1, 2, 3], Some(3)), Ok(Some(3)), "one tells it later");
    }

    #[test]
    fn an_alarm_that_outlived_its_member_is_known() {
        let list = vec![(1, false), (2, false)];
        let (one, two) = (status(1, &[CORRUPT]), status(2, &[CORRUPT, "memberID:2 alarm:CORRUPT ", "alarm:CORRUPT"]));
        assert_eq!(gone(&[("cp1", &one, &list), ("cp2", &two, &list)]), [3]);
        assert_eq!(gone(&[("cp1", &status(1, &[]), &list)]), [0; 0]);
    }

    #[test]
    fn what_is_not_as_it_should_be_ends_it() {
        let well = |id| status(id, &[]);
        let refused = |one: EtcdStatus, two: EtcdStatus, list: &[u64], own, why: &str| {
            let told = said(&one, &two, list, own).unwrap_err();
            assert!(told.contains(why), "{told}");
        };
        refused(well(1), well(2), &[1, 2, 3], Some(3), "does not name member 3 alone");
        let both = status(1, &[CORRUPT, "memberID:2 alarm:CORRUPT "]);
        let named = status(2, &["memberID:2 alarm:CORRUPT "]);
        refused(both, named, &[1, 2, 3], Some(3), "does not name member 3 alone");
        refused(status(1, &["memberID:33 alarm:CORRUPT "]), well(2), &[1, 2, 3], Some(3), "member 3 alone");
        refused(status(1, &[CORRUPT]), well(2), &[1, 2, 3], Some(4), "does not answer as that");
        refused(status(1, &[CORRUPT]), well(2), &[1, 2, 3], None, "does not answer as that");
        refused(well(1), well(2), &[1, 2], Some(3), "its peers do not list");
        refused(well(1), well(2), &[1, 2, 3, 4], None, "1 members that are not configured");
        refused(well(1), well(9), &[1, 2], None, "cp2 is not among");
        refused(EtcdStatus { leader: 0, ..well(1) }, well(2), &[1, 2], None, "cp1 follows no leader");
        refused(well(1), EtcdStatus { cluster_id: 7, ..well(2) }, &[1, 2], None, "another cluster");
        let learner = vec![(1, false), (2, true)];
        let told = judged(&[("cp1", &well(1), &learner), ("cp2", &well(2), &learner)], None);
        assert_eq!(told.unwrap_err(), "member 2 is a learner");
        let (one, other) = (vec![(1, false), (2, false)], vec![(1, false)]);
        assert!(judged(&[("cp1", &well(1), &one), ("cp2", &well(2), &other)], None).is_err());
        assert!(judged(&[], None).is_err());
    }

    #[test]
    fn a_store_is_wrong_where_two_others_are_alike_and_it_is_not() {
        let of = |hash| StoreHash { hash, compacted: 5 };
        assert_eq!(compared(&[of(1), of(1)], of(2)), Ok(true));
        assert_eq!(compared(&[of(1), of(1)], of(1)), Ok(false));
        assert!(compared(&[of(1), of(2)], of(2)).unwrap_err().contains("differ from each other"));
        assert!(compared(&[of(1)], of(2)).unwrap_err().contains("two others"));
        assert!(compared(&[], of(2)).is_err());
        let later = StoreHash { hash: 2, compacted: 9 };
        assert!(compared(&[of(1), of(1)], later).unwrap_err().contains("compacted"));
        assert!(compared(&[of(1), later], of(2)).unwrap_err().contains("compacted"));
    }
}
