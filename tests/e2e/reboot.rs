//! A machine is rebooted: by the call, and by a person's word through a playbook.

use std::time::Duration;

use defib::client::Trouble;
use defib::client::talos::ActError;
use defib_engine::observation::Why;
use defib_engine::playbook::RebootMode;
use defib_lab::Node;
use defib_lab::fault::{Fault, Kind};

use crate::figures::machine;
use crate::support::{Stage, await_that};
use crate::wire::{WITHIN, soon, talos};

/// For a node to be back, on a busy machine.
const BACK: Duration = Duration::from_secs(120);

/// A member that hangs is healed by nothing less, for Talos restarts no etcd. It replaces the shipped playbook of its name.
const PLAYBOOK: &str = "\
name: reboot-hung-etcd
when: { finding: etcd-member-hung, for: 5s }
limits: { per-node: 1 per 6h, per-cluster: 1 per 6h, cooldown: 10m }
steps:
  - collect-evidence
  - reboot-node: { mode: powercycle, deadline: 30s }
verify: { cleared: etcd-member-hung, within: 5m, steady-for: 5s }
otherwise: notify
";

/// When each node booted, in seconds since 1970.
fn booted(stage: &Stage) -> Vec<u64> {
    stage.in_ops(async || {
        let mut booted = Vec::new();
        for node in Node::ALL {
            booted.push(machine(stage, node).await.boot_time_s);
        }
        booted
    })
}

/// The calls for a reboot that a node has taken, as (mode, role, answer).
fn calls(stage: &Stage, node: Node) -> Vec<(String, String, String)> {
    let calls = stage.lab.call_log(node).unwrap().into_iter().filter(|call| call.rpc == "Reboot");
    calls.map(|call| (call.argument, call.role, call.answer)).collect()
}

pub(crate) fn by_the_call(stage: &Stage) {
    let node = Node::Cp2;
    let (before, earlier) = (booted(stage), calls(stage, node).len());
    stage.in_ops(async || {
        let error = talos(stage, node, "reader").reboot(RebootMode::Default, soon(), WITHIN).await.unwrap_err();
        assert!(matches!(&error, ActError::Refused(Trouble::Unknown(Why::Unauthorized(_)))), "{error:?}");
        let actor = talos(stage, node, "lab").reboot(RebootMode::Powercycle, soon(), WITHIN).await.unwrap();
        assert!(!actor.is_empty());
    });
    let asked = calls(stage, node).split_off(earlier);
    let told: Vec<_> = asked.iter().map(|(mode, role, _)| (mode.as_str(), role.as_str())).collect();
    assert_eq!(told, [("DEFAULT", "os:reader"), ("POWERCYCLE", "os:operator")]);
    assert!(asked[0].2.contains("not authorized") && asked[1].2 == "OK", "{asked:?}");
    await_that("the machine has booted and its services run", BACK, || {
        stage.in_ops(async || {
            let talos = talos(stage, node, "reader");
            let (Ok(machine), Ok(services)) = (talos.machine(WITHIN).await, talos.services(WITHIN).await) else {
                return false;
            };
            let run = |id| services.service(id).is_some_and(|service| service.is_running());
            machine.boot_time_s > before[1] && ["etcd", "containerd", "kubelet"].into_iter().all(run)
        })
    });
    stage.healed();
    let after = booted(stage);
    assert_eq!((after[0], after[2]), (before[0], before[2]), "the others went on");
}

pub(crate) fn by_a_person(stage: &Stage) {
    let node = Node::Cp3;
    let folder = stage.lab.layout().run().join("e2e-playbooks");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("reboot-hung-etcd.yaml"), PLAYBOOK).unwrap();
    let listen = "listen: 127.0.0.1:9870\n";
    let config = stage.config("reboot", &[(listen, &format!("{listen}playbooks: e2e-playbooks\n"))]);
    let (before, taken) = (booted(stage), Node::ALL.map(|node| calls(stage, node).len()));
    let changes = stage.changes();

    let fault: Kind = "hang-etcd".parse().unwrap();
    let fault: Fault = fault.on(Some(node)).unwrap();
    stage.lab.break_(fault).unwrap();
    // One view alone takes no machine down, and machined looks at its etcd every 20 s.
    await_that("the node's own Talos calls its etcd unhealthy", BACK, || {
        let services = stage.in_ops(async || talos(stage, node, "reader").services(WITHIN).await);
        services.is_ok_and(|services| services.service("etcd").is_some_and(|etcd| etcd.healthy == Some(false)))
    });
    // A guard holds for as long as any machine booted within five minutes: then this waits.
    let line = "recover --playbook reboot-hung-etcd --node cp3 --yes --confirm cp3 --wait 6m --output json";
    let output = stage.run(&config, &line.split(' ').collect::<Vec<_>>());
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    let ended: serde_json::Value =
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}{complained}"));
    assert_eq!((output.status.code(), &ended["result"]), (Some(0), &"recovered".into()), "{ended:#}\n{complained}");

    let after = booted(stage);
    assert_eq!((after[0], after[1]), (before[0], before[1]), "the others went on");
    assert!(after[2] > before[2], "{before:?} {after:?}");
    let more: Vec<usize> = Node::ALL.iter().zip(taken).map(|(node, old)| calls(stage, *node).len() - old).collect();
    assert_eq!(more, [0, 0, 1], "one machine was rebooted, once");
    assert_eq!(calls(stage, node).last().unwrap().0, "POWERCYCLE");
    assert_eq!(stage.changes(), changes + 1, "and nothing else was done");
}
