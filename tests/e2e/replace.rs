//! A real member of etcd whose store was changed behind its back joins anew, by a person's word; one that is only called
//! corrupt is left alone.
//!
//! etcd compares its members' stores now and then, and raises the alarm itself; here the alarm is raised by hand, at once. The
//! store is really changed, and really compared. That Talos's machined erases a machine and joins is the lab's, simulated.

use std::path::PathBuf;
use std::time::Duration;

use defib_lab::fault::Fault;
use defib_lab::{Node, Part};
use etcd_client::{AlarmAction, AlarmOptions, AlarmType, GetOptions};

use crate::space::Store;
use crate::support::{Config, Stage, await_that};

const NODE: Node = Node::Cp3;
const KEY: &str = "defib/e2e/replaced";
const VALUE: &[u8] = b"what every member of this etcd keeps";
const CHANGED: &[u8] = b"what one member of this etcd changed";
/// For a member to be back, on a busy machine.
const BACK: Duration = Duration::from_secs(120);

/// A member by its name and id, and whether it is a learner.
type Listed = (String, u64, bool);

fn members(stage: &Stage) -> Vec<Listed> {
    let mut members: Vec<Listed> = stage.in_ops(async || {
        let list = |client: etcd_client::Client| async move { client.cluster_client().member_list().await };
        let list = Store::of(stage, Node::Cp1).ask(list).await.unwrap();
        list.members().iter().map(|member| (member.name().to_owned(), member.id(), member.is_learner())).collect()
    });
    members.sort();
    members
}

/// What this member's own store has.
fn own_value(stage: &Stage, node: Node) -> Option<Vec<u8>> {
    stage.in_ops(async || {
        let options = || Some(GetOptions::new().with_serializable());
        let get = |client: etcd_client::Client| async move { client.kv_client().get(KEY, options()).await };
        let answer = Store::of(stage, node).ask(get).await.ok()?;
        answer.kvs().first().map(|kv| kv.value().to_vec())
    })
}

fn call_corrupt(stage: &Stage, id: u64) {
    stage.in_ops(async || {
        let raise = |client: etcd_client::Client| async move {
            let mut of = AlarmOptions::new();
            of.with_member(id);
            client.maintenance_client().alarm(AlarmAction::Activate, AlarmType::Corrupt, Some(of)).await
        };
        Store::of(stage, Node::Cp1).ask(raise).await.unwrap();
    });
}

/// Where a text is in a member's database, wherever it is.
fn places(database: &PathBuf, text: &[u8]) -> Vec<usize> {
    let bytes = std::fs::read(database).unwrap();
    let first = text[0];
    let begins = bytes.iter().enumerate().filter(|(_, byte)| **byte == first).map(|(at, _)| at);
    begins.filter(|at| bytes[*at..].starts_with(text)).collect()
}

/// Kills the member, and changes its database before it is started again.
fn change_store(stage: &Stage) {
    use std::os::unix::fs::FileExt;

    let database = stage.lab.layout().node(NODE).join("etcd/member/snap/db");
    // Until then a restart would write it again from the log.
    await_that("the member's database has the value", BACK, || !places(&database, VALUE).is_empty());
    stage.lab.break_(Fault::Kill(NODE, Part::Etcd)).unwrap();
    let file = std::fs::File::options().write(true).open(&database).unwrap();
    let places = places(&database, VALUE);
    places.iter().for_each(|at| file.write_all_at(CHANGED, *at as u64).unwrap());
    file.sync_all().unwrap();
    await_that("the member serves what nobody wrote", BACK, || own_value(stage, NODE).as_deref() == Some(CHANGED));
}

pub(crate) fn joins_anew(stage: &Stage) {
    assert_eq!(VALUE.len(), CHANGED.len());
    let config = |name| stage.config(name, &[("context: lab", "context: admin")]);
    let erased =
        || stage.lab.call_log(NODE).unwrap().into_iter().filter(|call| call.rpc == "Reset").collect::<Vec<_>>();
    let (before, earlier) = (members(stage), erased().len());
    let (others, own): (Vec<Listed>, Vec<Listed>) = before.iter().cloned().partition(|(name, ..)| *name != NODE.name());
    let [(_, id, false)] = own.as_slice() else { panic!("{before:?}") };
    stage.in_ops(async || {
        let put = |client: etcd_client::Client| async move { client.kv_client().put(KEY, VALUE, None).await.map(drop) };
        Store::of(stage, Node::Cp1).ask(put).await.unwrap();
    });
    let recover = |config: &Config, more: &str| {
        let line =
            format!("recover --playbook replace-corrupt-member --node cp3 --waive-for --wait 6m --output json{more}");
        let output = stage.run(config, &line.split(' ').collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr).into_owned();
        let ended: serde_json::Value =
            serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}{complained}"));
        (output.status.code(), ended["result"].as_str().unwrap().to_owned(), format!("{ended:#}\n{complained}"))
    };

    call_corrupt(stage, *id);
    let first = config("replace-called");
    let (code, result, told) = recover(&first, " --yes");
    assert_eq!((code, result.as_str()), (Some(2), "declined"), "nobody typed the node's name: {told}");
    let (code, result, told) = recover(&first, " --yes --confirm cp3");
    assert_eq!((code, result.as_str()), (Some(1), "not-recovered"), "{told}");
    assert!(told.contains("is like those of its peers") && told.contains("nothing was changed"), "{told}");
    assert_eq!(
        (members(stage), erased().len()),
        (before.clone(), earlier),
        "a member that is called corrupt and is not"
    );

    change_store(stage);
    // The first journal has its one run in six hours spent.
    let second = config("replace");
    let (code, result, told) = recover(&second, " --yes --confirm cp3");
    assert_eq!((code, result.as_str()), (Some(0), "recovered"), "{told}");
    await_that("it votes", BACK, || members(stage).len() == 3 && members(stage).iter().all(|(.., learner)| !learner));
    let after = members(stage);
    assert!(others.iter().all(|other| after.contains(other)), "{before:?} {after:?}");
    assert!(after.iter().all(|(_, other, _)| other != id), "it is another member: {after:?}");
    assert_eq!(own_value(stage, NODE).as_deref(), Some(VALUE), "with the others' data");
    let calls: Vec<_> =
        erased().split_off(earlier).into_iter().map(|call| (call.argument, call.role, call.answer)).collect();
    assert_eq!(calls, [("EPHEMERAL".to_owned(), "os:admin".to_owned(), "OK".to_owned())]);
    let evidence = std::fs::read_dir(second.journal.join("evidence")).unwrap().flatten().map(|entry| entry.path());
    let snapshots: Vec<PathBuf> = evidence.filter(|path| path.extension().is_some_and(|end| end == "db")).collect();
    let [snapshot] = snapshots.as_slice() else { panic!("{snapshots:?}") };
    assert!(!places(snapshot, VALUE).is_empty(), "the snapshot has it");
}
