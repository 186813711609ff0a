//! What the modelled machines stand on: hosts, and what their hypervisor tells of each node's virtual machine and does with it.
//!
//! Where a model has one, a node's machine is the only truth about it: that it is off, stands still or runs is read from
//! there. A host that boots starts its machines, but what a person stopped. Steps end as Proxmox VE ends them: a lock refuses
//! each of them, and whoever does not answer leaves a step unknown. Left out: other guests, but for what they take.

use std::collections::BTreeMap;
use std::time::Duration;

use defib_engine::observation::{
    Facts, Failure, HypervisorHost, NodeName, ProbeKind, Seen, Stage, VirtualMachine, VmState,
};
use defib_engine::playbook::VmDeed;
use defib_engine::record::Outcome;

use super::Model;
use super::node::{Machine, Node};

/// The share of a guest for which none is written down, under cgroup v2.
const UNITS_DEFAULT: u64 = 100;
/// The share of a control plane that was given one, as after incident A.
const UNITS_GIVEN: u64 = 1_024;
/// A host's threads, and its memory.
const THREADS: u64 = 16;
const MEMORY_BYTES: u64 = 64 << 30;
/// What each guest, and all the others of a host together, are promised.
const GUEST_THREADS: u64 = 4;
const GUEST_BYTES: u64 = 8 << 30;
const OTHERS_THREADS: u64 = 8;
const OTHERS_BYTES: u64 = 16 << 30;
/// A dial waits so long for a silent host.
const DIAL: Duration = Duration::from_secs(1);
/// Who stops a machine on purpose.
const PERSON: &str = "root@pam";

/// One host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// It is off, and its kernel silent.
    pub down: bool,
    /// Its kernel answers, its interface does not.
    pub hung: bool,
    /// Other guests take what they can get.
    pub busy: bool,
}

/// One node's virtual machine, as far as its machine does not say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The host that it is on.
    pub host: String,
    /// A person stopped it.
    pub stopped_on_purpose: bool,
    /// The lock on its configuration.
    pub lock: Option<String>,
    /// Its share of the host's processors.
    pub cpu_units: u64,
    /// What hangs in it turns in a circle, rather than doing nothing.
    pub pegged: bool,
}

/// The hosts and what is on them.
#[derive(Clone, Debug, Default)]
pub struct Hypervisor {
    /// By name.
    pub hosts: BTreeMap<String, Host>,
    /// By the node that each is.
    pub guests: BTreeMap<NodeName, Guest>,
}

impl Hypervisor {
    /// Three hosts that carry these nodes in turn; or, if `shared`, one that carries the first two.
    #[must_use]
    pub fn of<'a>(nodes: impl Iterator<Item = &'a NodeName>, shared: bool) -> Hypervisor {
        let mut beneath = Hypervisor::default();
        for (place, node) in nodes.enumerate() {
            let place = if shared { place.saturating_sub(1) } else { place };
            let host = format!("pve{}", place % 3 + 1);
            beneath.hosts.entry(host.clone()).or_default();
            let guest = Guest { host, stopped_on_purpose: false, lock: None, cpu_units: UNITS_GIVEN, pegged: false };
            beneath.guests.insert(node.clone(), guest);
        }
        beneath
    }

    /// The host beneath a node.
    #[must_use]
    pub fn host(&self, node: &NodeName) -> Option<&Host> {
        self.hosts.get(&self.guests.get(node)?.host)
    }

    fn host_mut(&mut self, node: &NodeName) -> Option<&mut Host> {
        self.hosts.get_mut(&self.guests.get(node)?.host)
    }

    /// Its host is busy, and its share is no larger than the others'.
    fn is_short(&self, node: &NodeName) -> bool {
        let share = self.guests.get(node).map_or(0, |guest| guest.cpu_units);
        share <= UNITS_DEFAULT && self.host(node).is_some_and(|host| host.busy)
    }
}

/// What breaks beneath a node, or is mended there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beneath {
    /// The machine ends.
    Stopped { on_purpose: bool },
    /// The machine is halted so.
    Halted(Machine),
    /// What runs in the machine turns in a circle.
    Pegged,
    /// A backup holds a lock on it.
    Backup,
    /// The host is off.
    HostDown,
    /// The host has no time to give, and the machine no larger share of it than others.
    HostBusy,
    /// The host's interface hangs.
    Hung,
}

impl Model {
    /// Breaks or mends something beneath a node; nothing, where there is no hypervisor.
    pub(super) fn turn_beneath(&mut self, name: &NodeName, what: Beneath, ill: bool) {
        let now = self.now;
        let Some(beneath) = &mut self.hypervisor else { return };
        let (Some(node), Some(guest)) = (self.nodes.get_mut(name), beneath.guests.get_mut(name)) else { return };
        match what {
            Beneath::Stopped { on_purpose } if ill => {
                node.switch_off(now);
                guest.stopped_on_purpose = on_purpose;
            }
            Beneath::Stopped { .. } => {
                guest.stopped_on_purpose = false;
                if node.machine == Machine::Off {
                    node.reboot(now);
                }
            }
            // What is off cannot be halted.
            Beneath::Halted(how) if ill && node.machine != Machine::Off => node.machine = how,
            Beneath::Halted(how) if !ill && node.machine == how => node.machine = Machine::Up,
            Beneath::Halted(_) => {}
            Beneath::Pegged => {
                guest.pegged = ill;
                if ill && node.machine == Machine::Up {
                    node.machine = Machine::Hung;
                } else if !ill && node.machine == Machine::Hung {
                    node.machine = Machine::Up;
                }
            }
            Beneath::Backup => guest.lock = ill.then(|| "backup".to_owned()),
            Beneath::HostBusy => {
                if ill {
                    guest.cpu_units = UNITS_DEFAULT;
                }
                beneath.host_mut(name).into_iter().for_each(|host| host.busy = ill);
            }
            Beneath::Hung => beneath.host_mut(name).into_iter().for_each(|host| host.hung = ill),
            Beneath::HostDown => {
                let own = guest.host.clone();
                beneath.host_mut(name).into_iter().for_each(|host| host.down = ill);
                let stay = |guest: &Guest| guest.host != own || guest.stopped_on_purpose;
                for (name, _) in beneath.guests.iter().filter(|(_, guest)| !ill && !stay(guest)) {
                    if let Some(node) = self.nodes.get_mut(name).filter(|node| node.machine == Machine::Off) {
                        node.reboot(now);
                    }
                }
            }
        }
    }

    /// Whatever happened to a machine: it is off while its host is, and lacks what its host does not give.
    pub(super) fn settle_beneath(&mut self) {
        let Some(beneath) = &self.hypervisor else { return };
        for (name, node) in &mut self.nodes {
            node.ills.host_short = beneath.is_short(name);
            if beneath.host(name).is_some_and(|host| host.down) && node.machine != Machine::Off {
                node.switch_off(self.now);
            }
        }
    }

    /// What the hypervisor beneath a node says, and after how long.
    pub(super) fn beneath(&self, name: &NodeName, kind: ProbeKind) -> (Duration, Seen) {
        let silent = |stage, after: Duration| (after.min(kind.deadline()), Seen::Unhealthy(Failure::Timeout(stage)));
        let known = self
            .hypervisor
            .as_ref()
            .and_then(|beneath| Some((beneath, beneath.guests.get(name)?, beneath.host(name)?, self.nodes.get(name)?)));
        match known {
            None => silent(Stage::Connect, DIAL),
            Some((_, _, host, _)) if host.down => silent(Stage::Connect, DIAL),
            Some((_, _, host, _)) if host.hung => silent(Stage::Response, kind.deadline()),
            Some((beneath, guest, host, _)) if kind == ProbeKind::HypervisorHost => {
                let facts = self.host_facts(beneath, &guest.host, host);
                (Duration::ZERO, Seen::Healthy(Facts::HypervisorHost(Box::new(facts))))
            }
            Some((_, guest, _, node)) => {
                (Duration::ZERO, Seen::Healthy(Facts::HypervisorVm(Box::new(virtual_machine(guest, node)))))
            }
        }
    }

    fn host_facts(&self, beneath: &Hypervisor, name: &str, host: &Host) -> HypervisorHost {
        let on = beneath.guests.iter().filter(|(_, guest)| guest.host == name);
        let on: Vec<&Node> = on.filter_map(|(node, _)| self.nodes.get(node)).collect();
        let running = u64::try_from(on.iter().filter(|node| node.machine != Machine::Off).count()).unwrap_or(0);
        let busy = host.busy || on.iter().any(|node| node.ills.lacks_cpu());
        let promised_bytes = OTHERS_BYTES + running * GUEST_BYTES;
        HypervisorHost {
            name: name.to_owned(),
            cpu_percent: if busy { 99.0 } else { 30.0 },
            cpus: THREADS,
            cpus_promised: OTHERS_THREADS + running * GUEST_THREADS + if busy { 4 * THREADS } else { 0 },
            memory_total_bytes: MEMORY_BYTES,
            memory_used_bytes: promised_bytes,
            memory_promised_bytes: promised_bytes,
            pressure_cpu_percent: Some(if busy { 60.0 } else { 0.5 }),
            pressure_memory_percent: Some(0.0),
        }
    }

    /// Has the hypervisor do something with a node's machine: after how long that ends, and how.
    pub(super) fn order_beneath(&mut self, name: &NodeName, deed: VmDeed) -> (Duration, Outcome) {
        let now = self.now;
        let failed = |after_ms, why: String| (Duration::from_millis(after_ms), Outcome::Failed(why));
        let done = |what: &str| (Duration::from_millis(300), Outcome::Done(what.to_owned()));
        let Some(beneath) = &mut self.hypervisor else { return failed(1, "no hypervisor is modelled".to_owned()) };
        let Some(host) = beneath.host(name).cloned() else { return failed(1, format!("{name} is not known")) };
        let (Some(node), Some(guest)) = (self.nodes.get_mut(name), beneath.guests.get_mut(name)) else {
            return failed(1, format!("{name} is not known"));
        };
        if self.isolated || host.down {
            return failed(1_000, format!("cannot dial {}: connect-timeout", guest.host));
        }
        if host.hung {
            return (Duration::from_secs(30), Outcome::Unknown(format!("{}: response-timeout", guest.host)));
        }
        if let Some(lock) = &guest.lock {
            return failed(5, format!("VM is locked ({lock})"));
        }
        let outcome = match (deed, node.machine) {
            (VmDeed::Prioritise, _) => {
                guest.cpu_units = UNITS_DEFAULT * 10;
                done("given")
            }
            (VmDeed::Start, Machine::Off) => {
                guest.stopped_on_purpose = false;
                node.reboot(now);
                done("started")
            }
            (VmDeed::Start, _) => failed(5, "VM is already running".to_owned()),
            (_, Machine::Off) => failed(5, "VM is not running".to_owned()),
            (VmDeed::Resume, Machine::Paused) => {
                node.machine = Machine::Up;
                done("woken")
            }
            // Its disk fails again at once; what runs is not woken.
            (VmDeed::Resume, _) => done("woken"),
            // The processors are reset, and stay halted.
            (VmDeed::Reset, Machine::Paused | Machine::DiskFailed) => done("reset"),
            (VmDeed::Reset, _) => {
                guest.pegged = false;
                node.reboot(now);
                done("reset")
            }
        };
        self.settle_beneath();
        outcome
    }
}

fn virtual_machine(guest: &Guest, node: &Node) -> VirtualMachine {
    let state = match node.machine {
        Machine::Off => VmState::Stopped,
        Machine::Paused => VmState::Paused,
        Machine::DiskFailed => VmState::IoError,
        Machine::Up | Machine::Frozen | Machine::Hung | Machine::Booting(_) => VmState::Running,
    };
    let cpu_percent = match node.machine {
        Machine::Up if node.ills.lacks_cpu() => 30.0,
        Machine::Up => 20.0,
        Machine::Booting(_) => 60.0,
        Machine::Hung if guest.pegged => 100.0,
        Machine::Hung | Machine::Frozen => 0.2,
        Machine::Off | Machine::Paused | Machine::DiskFailed => 0.0,
    };
    let by_person = state == VmState::Stopped && guest.stopped_on_purpose;
    VirtualMachine {
        host: guest.host.clone(),
        state,
        stopped_by: by_person.then(|| PERSON.to_owned()),
        lock: guest.lock.clone(),
        task: guest.lock.as_ref().map(|_| "vzdump".to_owned()),
        ha: None,
        cpu_units: guest.cpu_units,
        cpu_units_default: UNITS_DEFAULT,
        cpu_percent: Some(cpu_percent),
        memory_bytes: GUEST_BYTES,
        balloon_bytes: None,
    }
}

#[cfg(test)]
mod tests {
    use defib_engine::time::Tick;

    use super::super::vip::Way;
    use super::*;

    fn model(shared: bool) -> Model {
        let mut model = Model::well(3, Way::KubeVip, 5).on_hypervisor(shared);
        model.advance(Tick(10_000));
        model
    }

    fn vm(model: &Model, node: &str) -> VirtualMachine {
        match model.beneath(&node.to_owned(), ProbeKind::HypervisorVm).1 {
            Seen::Healthy(Facts::HypervisorVm(vm)) => *vm,
            other => panic!("{other:?}"),
        }
    }

    fn is_done(model: &mut Model, deed: VmDeed) -> bool {
        matches!(model.order_beneath(&"cp1".to_owned(), deed), (_, Outcome::Done(_)))
    }

    #[test]
    fn each_step_does_to_the_machine_what_its_name_says_and_a_lock_refuses_them_all() {
        let cases = [
            (Beneath::Stopped { on_purpose: false }, VmDeed::Start),
            (Beneath::Halted(Machine::Paused), VmDeed::Resume),
            (Beneath::Pegged, VmDeed::Reset),
        ];
        for (what, deed) in cases {
            let mut model = model(false);
            model.turn_beneath(&"cp1".to_owned(), what, true);
            assert!(vm(&model, "cp1").ill().is_some(), "{what:?}");
            model.turn_beneath(&"cp1".to_owned(), Beneath::Backup, true);
            assert!(!is_done(&mut model, deed) && vm(&model, "cp1").busy().is_some(), "{deed:?}");
            model.turn_beneath(&"cp1".to_owned(), Beneath::Backup, false);
            assert!(is_done(&mut model, deed), "{deed:?}");
            model.advance(Tick(200_000));
            assert!(model.is_well() && vm(&model, "cp1").ill().is_none(), "{deed:?}: {model:?}");
        }
        let mut model = model(false);
        model.turn_beneath(&"cp1".to_owned(), Beneath::Halted(Machine::DiskFailed), true);
        assert!(is_done(&mut model, VmDeed::Resume) && vm(&model, "cp1").state == VmState::IoError);
    }

    #[test]
    fn a_larger_share_ends_what_a_busy_host_denied() {
        let mut model = model(false);
        model.turn_beneath(&"cp1".to_owned(), Beneath::HostBusy, true);
        model.settle_beneath();
        assert!(model.nodes["cp1"].ills.lacks_cpu() && !model.nodes["cp2"].ills.lacks_cpu());
        assert!(is_done(&mut model, VmDeed::Prioritise) && !model.nodes["cp1"].ills.lacks_cpu());
    }

    #[test]
    fn a_host_takes_its_machines_with_it_and_starts_them_again_but_what_a_person_stopped() {
        let mut model = model(true);
        model.turn_beneath(&"cp2".to_owned(), Beneath::Stopped { on_purpose: true }, true);
        model.turn_beneath(&"cp1".to_owned(), Beneath::HostDown, true);
        model.settle_beneath();
        assert!(["cp1", "cp2"].iter().all(|name| model.nodes[*name].machine == Machine::Off));
        assert!(model.nodes["cp3"].executes() && !is_done(&mut model, VmDeed::Start));
        let (_, seen) = model.beneath(&"cp1".to_owned(), ProbeKind::HypervisorHost);
        assert_eq!(seen, Seen::Unhealthy(Failure::Timeout(Stage::Connect)));
        model.turn_beneath(&"cp1".to_owned(), Beneath::HostDown, false);
        model.advance(Tick(200_000));
        assert!(model.nodes["cp1"].executes() && model.nodes["cp2"].machine == Machine::Off);
        assert!(vm(&model, "cp2").stopped_by.is_some());
    }
}
