//! Playbooks other than the drills' own, on real parts: what they order is done, and what they wait for comes true.

use std::time::Duration;

use defib::client::talos::Talos;
use defib_engine::observation::Container;
use defib_lab::{Fault, Node, Part};

use crate::support::{Stage, await_that};
use crate::wire::{WITHIN, soon, talos};

async fn apiserver(talos: &Talos) -> Option<Container> {
    let containers = talos.containers(WITHIN).await.ok()?;
    containers.into_iter().find(|one| one.name == "kube-apiserver" && one.running)
}

/// The call alone: the container that runs is stopped, and the kubelet makes another. A kubelet that runs is left alone.
pub(crate) fn container(stage: &Stage) {
    stage.in_ops(async || {
        let talos = talos(stage, Node::Cp3, "lab");
        let before = apiserver(&talos).await.unwrap();
        talos.restart_container(&before, soon(), Duration::from_secs(30)).await.unwrap();
        let since = std::time::Instant::now();
        loop {
            if apiserver(&talos).await.is_some_and(|now| now.id != before.id) {
                break;
            }
            assert!(since.elapsed() < Duration::from_secs(120), "the kubelet makes no other container");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let said = talos.start_service("kubelet", soon(), WITHIN).await.unwrap();
        assert!(said.contains("kubelet"), "{said}");
    });
    let calls = stage.lab.call_log(Node::Cp3).unwrap();
    let restart = calls.iter().rfind(|call| call.rpc == "Restart").unwrap();
    assert!(
        restart.mutating && restart.argument.starts_with("kube-system/kube-apiserver-cp3:kube-apiserver:"),
        "{restart:?}"
    );
}

/// An API server that stands still is found, its container is stopped by Talos, and another one serves.
pub(crate) fn hung_apiserver(stage: &Stage) {
    let config = stage.config(
        "restart-apiserver",
        &[("mode: observe", "mode: act"), ("arm: [restart-kubelet]", "arm: [restart-apiserver]")],
    );
    let mut daemon = stage.daemon(&config);
    await_that("the daemon watches", Duration::from_secs(30), || !daemon.records("start").is_empty());
    let before = stage.changes();
    stage.lab.break_(Fault::Hang(Node::Cp2, Some(Part::KubeApiserver))).unwrap();
    await_that("apiserver-hung is found", Duration::from_secs(60), || {
        daemon.found_on("apiserver-hung", "cp2", "raised")
    });
    await_that("the run recovers it", Duration::from_secs(240), || {
        daemon.records("run").iter().any(|row| row.body["state"] == "recovered")
    });
    assert_eq!((daemon.intents(), stage.changes() - before), (1, 1), "one intent, one call that changes something");
    let calls = stage.lab.call_log(Node::Cp2).unwrap();
    assert!(calls.iter().rfind(|call| call.mutating).is_some_and(|call| call.rpc == "Restart" && call.answer == "OK"));
    assert!(daemon.terminate().success());
}
