//! What ends and what falls silent, seen by the running daemon: by the path that each is meant to be seen by.

use std::time::Duration;

use defib_lab::fault::Fault;
use defib_lab::layout::Part;
use defib_lab::{Lab, Node};

use crate::daemon::fetch;
use crate::support::{Stage, await_that};

/// For what takes seconds, on a busy machine.
const WITHIN: Duration = Duration::from_secs(60);

/// Mends when it is dropped, so that a failed test leaves nothing that stands still.
struct Broken<'a>(&'a Lab, Fault);

impl Drop for Broken<'_> {
    fn drop(&mut self) {
        let _ = self.0.mend(self.1);
    }
}

/// One of the daemon's counters, of a node and a kind of probe; 0 while there is none. `with` stands in its labels.
fn counted(stage: &Stage, name: &str, node: Node, kind: &str, with: &str) -> f64 {
    let answer = stage.in_ops(async || fetch("http://127.0.0.1:9870/metrics").await);
    let (_, text) = answer.unwrap_or_default();
    let labels = [format!("target=\"{node}\""), format!("kind=\"{kind}\""), with.to_owned()];
    let wanted = |line: &&str| {
        line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label.as_str()))
    };
    text.lines().find(wanted).map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

fn suspicions(stage: &Stage, node: Node, kind: &str) -> f64 {
    counted(stage, "defib_suspicions_total", node, kind, "")
}

pub(crate) fn death_and_silence(stage: &Stage) {
    let config = stage.config("detect", &[]);
    let mut daemon = stage.daemon(&config);
    let (dies, stands_still) = (Node::Cp2, Node::Cp3);
    await_that("both are known to be well", WITHIN, || {
        counted(stage, "defib_probe_outcome_total", dies, "etcd.status", "healthy") > 0.0
            && counted(stage, "defib_probe_outcome_total", stands_still, "apiserver", "healthy") > 0.0
    });
    let before = suspicions(stage, dies, "etcd.status");

    stage.lab.break_(Fault::Kill(dies, Part::Etcd)).unwrap();
    let still = Fault::Hang(stands_still, Some(Part::KubeApiserver));
    stage.lab.break_(still).unwrap();
    let mends = Broken(&stage.lab, still);
    await_that("the death is a finding", WITHIN, || daemon.found_on("etcd-member-down", dies.name(), "raised"));
    await_that("the silence is a finding", WITHIN, || daemon.found_on("apiserver-hung", stands_still.name(), "raised"));
    // A death closes what was held, and that is what is heard first; a kernel goes on holding what stands still.
    assert!(suspicions(stage, dies, "etcd.status") > before, "the end of the held connection was heard");
    assert_eq!(suspicions(stage, stands_still, "apiserver"), 0.0, "who stands still ends nothing");
    drop(mends);
    await_that("both are well again", WITHIN * 2, || {
        daemon.found_on("etcd-member-down", dies.name(), "cleared")
            && daemon.found_on("apiserver-hung", stands_still.name(), "cleared")
    });
    assert_eq!(daemon.intents(), 0, "nothing was done: what stands still has no playbook, and etcd came back");
    assert!(daemon.terminate().success());
}
