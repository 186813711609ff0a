//! A machine is rebooted by the call, and no other with it.

use std::time::Duration;

use defib::client::Trouble;
use defib::client::talos::ActError;
use defib_engine::observation::Why;
use defib_engine::playbook::RebootMode;
use defib_lab::Node;

use crate::figures::machine;
use crate::support::{Stage, await_that};
use crate::wire::{WITHIN, soon, talos};

/// For a node to be back, on a busy machine.
const BACK: Duration = Duration::from_secs(120);

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
