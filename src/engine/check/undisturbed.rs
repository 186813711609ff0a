//! Guard: nobody else is at work on the machine, nor, before one is taken down, anywhere in the cluster.
//!
//! A service that Talos is moving from one state to another is being handled by somebody: a person, an upgrade, machined
//! itself. So is a machine that is being upgraded, reset or booted by its own word, one that Cluster API has paused or is about
//! to replace, a machine that booted a moment ago, and a membership that changed a moment ago. Beneath, a lock, a task and
//! the resource manager on its way are somebody's work; a machine that a person stopped, or whose disk failed, is theirs.

use std::time::Duration;

use super::{Case, Check, Hold, Lift};
use crate::diagnosis::host::vm_busy;
use crate::observation::{ClusterApi, NodeName, ProbeKind, Target, VmState};
use crate::playbook::ActionClass;
use crate::time::Human;
use crate::view::Look;

pub(crate) static CHECK: Check = Check {
    name: "undisturbed",
    meaning: "no service of the machine is between two states, its machine is not being upgraded, rebooted, installed or reset, and Cluster API has neither paused it nor is about to replace it; before a machine is taken down, none of any machine is, none booted within five minutes, and etcd's members have not changed within ten; its virtual machine is neither locked nor worked on, stopped by a person or paused for a disk error",
    takes_duration: false,
    needs,
    judge,
};

/// Talos's words for a service on its way.
const ON_ITS_WAY: [&str; 6] = ["Initialized", "Preparing", "Waiting", "Pre", "Starting", "Stopping"];

/// The stages in which somebody works on a machine, or in which it comes and goes (Talos, `MachineStage`).
const AT_WORK: [&str; 6] = ["upgrading", "rebooting", "installing", "resetting", "shutting down", "booting"];

/// A machine that booted this recently is still coming up.
const BOOTED_WITHIN: Duration = Duration::from_secs(5 * 60);

/// After a change of membership the cluster is let settle.
const MEMBERS_WITHIN: Duration = Duration::from_secs(10 * 60);

fn needs(case: &Case<'_>) -> Vec<(Target, ProbeKind)> {
    let own = (case.target(), ProbeKind::TalosServices);
    match case.playbook.class() {
        ActionClass::Harmless => Vec::new(),
        ActionClass::Service => {
            vec![own, (case.target(), ProbeKind::HypervisorVm), (case.target(), ProbeKind::TalosStage)]
        }
        ActionClass::Data | ActionClass::Disruptive | ActionClass::Erasing => {
            let kinds = [
                ProbeKind::TalosServices,
                ProbeKind::TalosMachine,
                ProbeKind::EtcdMembers,
                ProbeKind::HypervisorVm,
                ProbeKind::TalosStage,
            ];
            case.view.nodes().iter().flat_map(|node| kinds.map(|kind| (case.view.node(node), kind))).collect()
        }
    }
}

fn judge(case: &Case<'_>) -> Result<String, Hold> {
    let (view, patient) = (&case.view, case.patient);
    let hold = |text: String, lifts: Lift| Err(Hold { check: CHECK.name, text, lifts });
    let class = case.playbook.class();
    if class == ActionClass::Harmless {
        return Ok("no step changes anything".to_owned());
    }
    let look = view.look_node(patient, ProbeKind::TalosServices);
    let mut not_asked = Vec::new();
    let disruptive = class >= ActionClass::Disruptive;
    // What stands still, or turns in a circle, by its hypervisor is asked in vain what it does.
    let still = disruptive && view.vm(patient).is_ok_and(|vm| vm.ill().is_some());
    match look {
        Look::NotAsked => not_asked.push(ProbeKind::TalosServices.name()),
        _ if look.facts().is_none() && !still => {
            let why = view.why(patient, ProbeKind::TalosServices);
            return hold(
                format!("what happens on {patient} is not known: {why}"),
                Lift::Fresh(ProbeKind::TalosServices),
            );
        }
        _ => {}
    }
    let everywhere = class >= ActionClass::Data;
    let machines: Vec<&NodeName> = view.nodes().iter().filter(|node| everywhere || *node == patient).collect();
    for node in &machines {
        let services = view.services(node).map(|services| services.services.as_slice()).unwrap_or_default();
        if let Some(service) = services.iter().find(|service| ON_ITS_WAY.contains(&service.state.as_str())) {
            return hold(format!("Talos of {node} says {} is {}", service.id, service.state), Lift::Patient);
        }
    }
    for node in &machines {
        nobody_has_marked_it(case, node, still)?;
    }
    let beneath = view.settings.sources.contains(&ProbeKind::HypervisorVm);
    if beneath {
        for node in &machines {
            beneath_is_quiet(case, node)?;
        }
    }
    if everywhere {
        for node in &machines {
            if let Some(up) = up_for(case, node).filter(|up| *up < BOOTED_WITHIN) {
                return hold(
                    format!("{node} booted {} ago", Human(up)),
                    Lift::At(case.now.mono + (BOOTED_WITHIN - up)),
                );
            }
        }
        if let Some(age) =
            view.world.membership.changed().map(|at| view.now.since(at)).filter(|age| *age < MEMBERS_WITHIN)
        {
            let text = format!("etcd's members changed {} ago", Human(age));
            return hold(text, Lift::At(case.now.mono + (MEMBERS_WITHIN - age)));
        }
        for kind in [ProbeKind::TalosMachine, ProbeKind::EtcdMembers] {
            if !view.settings.sources.contains(&kind) {
                not_asked.push(kind.name());
            }
        }
    }
    let where_ = if everywhere { "anywhere".to_owned() } else { format!("on {patient}") };
    let mut text = format!("nobody is seen at work {where_}");
    if !not_asked.is_empty() {
        text.push_str(&format!(" ({}: not asked)", not_asked.join(", ")));
    }
    Ok(text)
}

/// Neither Talos's own stage nor a mark of Cluster API says that somebody works on a node. That the stage is not told holds
/// for the patient, unless it stands still; that marks are not told holds nothing, for they are told by an API server.
fn nobody_has_marked_it(case: &Case<'_>, node: &NodeName, still: bool) -> Result<(), Hold> {
    let hold = |text: String, lifts: Lift| Err(Hold { check: CHECK.name, text, lifts });
    let kind = ProbeKind::TalosStage;
    match case.view.stage(node) {
        Ok(stage) if AT_WORK.contains(&stage) => {
            return hold(format!("Talos of {node} says that the machine is {stage}"), Lift::Patient);
        }
        Err(why) if node == case.patient && !still && case.view.settings.sources.contains(&kind) => {
            return hold(format!("in which stage {node} is, is not known: {why}"), Lift::Fresh(kind));
        }
        _ => {}
    }
    match case.view.cluster_api(node) {
        Some(ClusterApi { paused: Some(what), .. }) => {
            hold(format!("Cluster API: {what} of {node} is paused"), Lift::Person)
        }
        Some(ClusterApi { remediated: true, .. }) => {
            hold(format!("Cluster API is about to replace the machine of {node}"), Lift::Patient)
        }
        _ => Ok(()),
    }
}

/// Nobody works on a node's virtual machine, as far as its hypervisor tells. That it does not tell holds up what takes that
/// very machine down; a service may be helped while the hypervisor is silent, for it hangs in the same outages.
fn beneath_is_quiet(case: &Case<'_>, node: &NodeName) -> Result<(), Hold> {
    let kind = ProbeKind::HypervisorVm;
    let hold = |text: String, lifts: Lift| Err(Hold { check: CHECK.name, text, lifts });
    let vm = match case.view.vm(node) {
        Ok(vm) => vm,
        Err(why) if node == case.patient && case.playbook.class() >= ActionClass::Disruptive => {
            return hold(format!("what happens beneath {node} is not known: {why}"), Lift::Fresh(kind));
        }
        Err(_) => return Ok(()),
    };
    if let Some(what) = vm.busy() {
        return hold(format!("{} says of {node}: {what}", vm.host), Lift::Clears(vm_busy::RULE.name));
    }
    if node != case.patient {
        return Ok(());
    }
    match (&vm.state, &vm.stopped_by) {
        (VmState::Stopped, Some(who)) => hold(format!("{who} stopped {node} on {}", vm.host), Lift::Person),
        (VmState::IoError, _) => {
            hold(format!("{} paused {node} for a disk error, which no step cures", vm.host), Lift::Person)
        }
        _ => Ok(()),
    }
}

/// How long a machine has been up, by its own boot time and our clock.
fn up_for(case: &Case<'_>, node: &NodeName) -> Option<Duration> {
    let machine = case.view.machine(node)?;
    let booted_ms = i64::try_from(machine.boot_time_s).ok()?.checked_mul(1_000)?;
    let its_now = case.now.wall.0.saturating_add(machine.clock_offset_ms.unwrap_or(0));
    Some(Duration::from_millis(u64::try_from(its_now.saturating_sub(booted_ms)).unwrap_or(0)))
}
