//! What can go wrong in the model, each with a name that a person can type, and how it is mended from outside.

use std::fmt;

use defib_engine::observation::NodeName;

use super::Model;
use super::hypervisor::Beneath;
use super::node::{Machine, Process};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A member's process ends; Talos starts it again.
    KillEtcd,
    /// A member's process ends whenever it starts.
    EtcdCannotStart,
    /// A member's process does nothing.
    HangEtcd,
    /// A member's disk is slow.
    SlowDisk,
    /// A member's database is full.
    NoSpace,
    /// An API server ends once.
    KillApiserver,
    /// An API server ends two seconds after each start.
    ApiserverCannotStart,
    /// An API server does nothing.
    HangApiserver,
    /// A kubelet ends; Talos starts it again.
    KillKubelet,
    /// A person stops a kubelet.
    StopKubelet,
    /// A kubelet runs, says that it is healthy, and does nothing.
    WedgeKubelet,
    /// An API server ends, and no kubelet there starts it again until the machine boots.
    LosePods,
    /// A container runtime does nothing.
    HangRuntime,
    /// A machine stands still, its kernel too.
    FreezeMachine,
    /// A machine's kernel answers, nothing else.
    HangMachine,
    /// A machine is switched off.
    PowerOff,
    /// A machine boots.
    Reboot,
    /// A machine gets a tenth of the CPU that it wants.
    Starve,
    /// A machine's hypervisor is overcommitted: its etcd misses every heartbeat.
    Overcommit,
    /// A machine has 3 GiB: the kernel kills its API server again and again.
    SmallMachine,
    /// A machine's memory is nearly used up.
    ShortMemory,
    /// A machine's clock is wrong by ten seconds.
    WrongClock,
    /// The observer does not reach a node that is well.
    HideNode,
    /// The observer reaches nothing.
    Isolate,
    /// A node's peers do not reach it.
    CutPeers,
    /// The VIP's agent on a node does nothing.
    KillVipAgent,
    /// A node refuses our credentials.
    RefuseUs,
    /// A person upgrades a machine: its services stop, and it boots.
    Upgrade,
    /// Something between us and a node accepts what is meant for its API server, and swallows it.
    SwallowApiserver,
    /// Of all machines the observer reaches this one alone.
    HideOthers,
    /// Our own probes of a node's etcd and API server hang: they neither answer nor fail.
    StallProbes,
    /// The machine's VM ends by itself.
    VmStopped,
    /// A person stops the machine's VM.
    VmStoppedByPerson,
    /// The machine's VM is left paused.
    VmPaused,
    /// The machine's VM is paused by its hypervisor, for a disk error.
    VmDiskFailed,
    /// What runs in the machine's VM turns in a circle, and answers nothing.
    VmFrozen,
    /// A backup holds a lock on the machine's VM.
    VmBackup,
    /// The host is off, with every machine on it; when it boots it starts them.
    HostDown,
    /// The host has no time to give, and the machine no larger share than other guests.
    HostBusy,
    /// The host's interface answers nothing.
    HypervisorHung,
}

/// Every kind that needs no hypervisor, with its name.
pub const KINDS: [(Kind, &str); 31] = [
    (Kind::KillEtcd, "kill-etcd"),
    (Kind::EtcdCannotStart, "etcd-cannot-start"),
    (Kind::HangEtcd, "hang-etcd"),
    (Kind::SlowDisk, "slow-disk"),
    (Kind::NoSpace, "no-space"),
    (Kind::KillApiserver, "kill-apiserver"),
    (Kind::ApiserverCannotStart, "apiserver-cannot-start"),
    (Kind::HangApiserver, "hang-apiserver"),
    (Kind::KillKubelet, "kill-kubelet"),
    (Kind::StopKubelet, "stop-kubelet"),
    (Kind::WedgeKubelet, "wedge-kubelet"),
    (Kind::FreezeMachine, "freeze-machine"),
    (Kind::HangMachine, "hang-machine"),
    (Kind::PowerOff, "power-off"),
    (Kind::Reboot, "reboot"),
    (Kind::Starve, "starve"),
    (Kind::Overcommit, "overcommit"),
    (Kind::SmallMachine, "small-machine"),
    (Kind::ShortMemory, "short-memory"),
    (Kind::WrongClock, "wrong-clock"),
    (Kind::HideNode, "hide-node"),
    (Kind::Isolate, "isolate"),
    (Kind::CutPeers, "cut-peers"),
    (Kind::KillVipAgent, "kill-vip-agent"),
    (Kind::RefuseUs, "refuse-us"),
    (Kind::Upgrade, "upgrade"),
    (Kind::SwallowApiserver, "swallow-apiserver"),
    (Kind::HideOthers, "hide-others"),
    (Kind::StallProbes, "stall-probes"),
    (Kind::LosePods, "lose-pods"),
    (Kind::HangRuntime, "hang-runtime"),
];

/// What can happen beneath a machine, with its name: only to a model that has a hypervisor.
pub const BENEATH: [(Kind, &str); 9] = [
    (Kind::VmStopped, "vm-stopped"),
    (Kind::VmStoppedByPerson, "vm-stopped-by-person"),
    (Kind::VmPaused, "vm-paused"),
    (Kind::VmDiskFailed, "vm-disk-failed"),
    (Kind::VmFrozen, "vm-frozen"),
    (Kind::VmBackup, "vm-backup"),
    (Kind::HostDown, "host-down"),
    (Kind::HostBusy, "host-busy"),
    (Kind::HypervisorHung, "hypervisor-hung"),
];

impl Kind {
    /// Every kind with its name.
    pub fn all() -> impl Iterator<Item = (Kind, &'static str)> {
        KINDS.into_iter().chain(BENEATH)
    }

    /// It happens to what a machine stands on.
    #[must_use]
    pub fn is_beneath(self) -> bool {
        BENEATH.iter().any(|(kind, _)| *kind == self)
    }

    /// The public name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Kind::all().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// What it is, in a few words that a node's name can follow.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Kind::KillEtcd => "etcd ends once",
            Kind::EtcdCannotStart => "etcd ends whenever it starts",
            Kind::HangEtcd => "etcd does nothing",
            Kind::SlowDisk => "etcd's disk is slow",
            Kind::NoSpace => "etcd's database is full",
            Kind::KillApiserver => "the API server ends once",
            Kind::ApiserverCannotStart => "the API server ends two seconds after each start",
            Kind::HangApiserver => "the API server does nothing",
            Kind::KillKubelet => "the kubelet ends once",
            Kind::StopKubelet => "a person stops the kubelet",
            Kind::WedgeKubelet => "the kubelet says that it is healthy, and does nothing",
            Kind::LosePods => "the API server ends, and no kubelet starts it again until the machine boots",
            Kind::HangRuntime => "the container runtime does nothing: no pod is started or stopped",
            Kind::FreezeMachine => "the machine stands still, its kernel too",
            Kind::HangMachine => "the machine's kernel answers, nothing else does",
            Kind::PowerOff => "the machine is switched off",
            Kind::Reboot => "the machine boots",
            Kind::Starve => "the machine gets a tenth of the processor time that it wants",
            Kind::Overcommit => "the machine's hypervisor is overcommitted, and etcd misses every heartbeat",
            Kind::SmallMachine => "the machine has 3 GiB, and the kernel kills the API server again and again",
            Kind::ShortMemory => "the machine's memory is nearly used up",
            Kind::WrongClock => "the machine's clock is wrong by ten seconds",
            Kind::HideNode => "we do not reach the machine, which is well",
            Kind::Isolate => "we reach nothing at all",
            Kind::CutPeers => "the machine's peers do not reach it",
            Kind::KillVipAgent => "the VIP's agent does nothing",
            Kind::RefuseUs => "the machine refuses our credentials",
            Kind::Upgrade => "a person upgrades the machine: its services stop, and it boots",
            Kind::SwallowApiserver => "something on our way accepts what is meant for the API server and swallows it",
            Kind::HideOthers => "we reach this machine alone, and the others are well",
            Kind::StallProbes => "our own probes of etcd and the API server hang",
            Kind::VmStopped => "the machine's virtual machine ends, and nobody stopped it",
            Kind::VmStoppedByPerson => "a person stops the machine's virtual machine",
            Kind::VmPaused => "the machine's virtual machine is left paused",
            Kind::VmDiskFailed => "the hypervisor pauses the machine for a disk error",
            Kind::VmFrozen => "the machine turns in a circle: its kernel answers, nothing else does",
            Kind::VmBackup => "a backup holds a lock on the machine's virtual machine",
            Kind::HostDown => "the host is off, with every machine on it",
            Kind::HostBusy => "other guests take the host's time, and the machine has no larger share than they",
            Kind::HypervisorHung => "the hypervisor's interface answers nothing; the machine is well",
        }
    }

    /// What goes wrong besides where it is to be seen: whatever runs already goes on without a kubelet and a runtime.
    #[must_use]
    pub fn shown_by(self) -> Option<Kind> {
        matches!(self, Kind::WedgeKubelet | Kind::HangRuntime).then_some(Kind::KillApiserver)
    }

    /// The kind with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Kind> {
        Kind::all().find(|(_, known)| *known == name).map(|(kind, _)| kind)
    }
}

/// A fault on a node; for those that have no node any will do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// Where.
    pub node: NodeName,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Isolate => f.write_str(self.kind.name()),
            kind => write!(f, "{} {}", kind.name(), self.node),
        }
    }
}

impl Model {
    /// Breaks something.
    pub fn inflict(&mut self, fault: &Fault) {
        self.turn(fault, true);
        self.settle_beneath();
    }

    /// Mends it, as a person or a hypervisor would.
    pub fn mend(&mut self, fault: &Fault) {
        self.turn(fault, false);
        self.settle_beneath();
    }

    fn turn(&mut self, fault: &Fault, ill: bool) {
        let now = self.now;
        if fault.kind == Kind::Isolate {
            self.isolated = ill;
            return;
        }
        if fault.kind == Kind::CutPeers {
            let others = self.nodes.keys().filter(|name| **name != fault.node).cloned();
            let pairs: Vec<_> = others.map(|other| (fault.node.clone(), other)).collect();
            for pair in pairs {
                if ill {
                    self.cut.insert(pair);
                } else {
                    self.cut.remove(&pair);
                }
            }
            return;
        }
        if fault.kind == Kind::HideOthers {
            let others = self.nodes.keys().filter(|name| **name != fault.node).cloned();
            self.hidden = if ill { others.collect() } else { Default::default() };
            return;
        }
        let ours = match fault.kind {
            Kind::HideNode => Some(&mut self.hidden),
            Kind::SwallowApiserver => Some(&mut self.swallowed),
            Kind::StallProbes => Some(&mut self.stalled),
            _ => None,
        };
        if let Some(nodes) = ours {
            if ill {
                nodes.insert(fault.node.clone());
            } else {
                nodes.remove(&fault.node);
            }
            return;
        }
        if let Some(what) = beneath(fault.kind, self.hypervisor.is_some()) {
            self.turn_beneath(&fault.node, what, ill);
            return;
        }
        let Some(node) = self.nodes.get_mut(&fault.node) else { return };
        let running = Process::Running(now);
        match fault.kind {
            Kind::KillEtcd if ill => node.kill_etcd(now),
            Kind::EtcdCannotStart => {
                node.ills.etcd_cannot_start = ill;
                if ill {
                    node.kill_etcd(now);
                }
            }
            // What does not run cannot hang, nor go on.
            Kind::HangEtcd if ill && node.etcd.runs() => node.etcd = Process::Hung,
            Kind::HangEtcd if !ill && node.etcd == Process::Hung => node.etcd = running,
            Kind::HangEtcd => {}
            Kind::SlowDisk => node.ills.slow_disk = ill,
            Kind::NoSpace => node.ills.no_space = ill,
            Kind::KillApiserver if ill => node.kill_apiserver(now),
            Kind::ApiserverCannotStart => {
                node.ills.apiserver_cannot_start = ill;
                if ill {
                    node.kill_apiserver(now);
                }
            }
            Kind::HangApiserver if ill && node.apiserver.runs() => node.apiserver = Process::Hung,
            Kind::HangApiserver if node.apiserver == Process::Hung => node.apiserver = running,
            Kind::KillKubelet if ill => node.kill_kubelet(now),
            Kind::StopKubelet => {
                node.ills.kubelet_stopped = ill;
                if ill {
                    node.kill_kubelet(now);
                }
            }
            Kind::WedgeKubelet if ill && node.kubelet.runs() => node.kubelet = Process::Hung,
            Kind::WedgeKubelet if node.kubelet == Process::Hung => node.kubelet = running,
            Kind::LosePods => {
                node.ills.pods_lost = ill;
                if ill {
                    node.kill_apiserver(now);
                }
            }
            Kind::HangRuntime => node.ills.runtime_hangs = ill,
            Kind::FreezeMachine if ill && node.machine == Machine::Up => node.machine = Machine::Frozen,
            Kind::HangMachine if ill && node.machine == Machine::Up => node.machine = Machine::Hung,
            Kind::FreezeMachine | Kind::HangMachine
                if !ill && matches!(node.machine, Machine::Frozen | Machine::Hung) =>
            {
                node.machine = Machine::Up;
            }
            Kind::PowerOff if ill => node.switch_off(now),
            Kind::PowerOff if node.machine == Machine::Off => node.reboot(now),
            // What is off stays so until it is switched on.
            Kind::Reboot if ill && node.machine != Machine::Off => node.reboot(now),
            Kind::Starve => node.ills.starved = ill,
            Kind::Overcommit => node.ills.overcommitted = ill,
            Kind::SmallMachine => node.ills.small_since = ill.then_some(now),
            Kind::ShortMemory => node.ills.memory_short = ill,
            Kind::WrongClock => node.ills.clock_offset_ms = if ill { 10_000 } else { 0 },
            Kind::KillVipAgent if ill && node.vip_agent.runs() => node.vip_agent = Process::Hung,
            Kind::KillVipAgent if !ill && node.vip_agent == Process::Hung => node.vip_agent = running,
            Kind::RefuseUs => node.ills.refuses_us = ill,
            Kind::Upgrade => {
                node.ills.upgrading = ill;
                if ill {
                    node.kill_apiserver(now);
                } else if node.machine != Machine::Off {
                    node.reboot(now);
                }
            }
            _ => {}
        }
    }
}

/// What a fault does beneath a machine, where there is a hypervisor: whoever switches a machine off there is a person.
fn beneath(kind: Kind, has_hypervisor: bool) -> Option<Beneath> {
    Some(match kind {
        Kind::PowerOff if has_hypervisor => Beneath::Stopped { on_purpose: true },
        Kind::VmStopped => Beneath::Stopped { on_purpose: false },
        Kind::VmStoppedByPerson => Beneath::Stopped { on_purpose: true },
        Kind::VmPaused => Beneath::Halted(Machine::Paused),
        Kind::VmDiskFailed => Beneath::Halted(Machine::DiskFailed),
        Kind::VmFrozen => Beneath::Pegged,
        Kind::VmBackup => Beneath::Backup,
        Kind::HostDown => Beneath::HostDown,
        Kind::HostBusy => Beneath::HostBusy,
        Kind::HypervisorHung => Beneath::Hung,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use defib_engine::time::Tick;

    use super::super::vip::Way;
    use super::*;

    #[test]
    fn every_fault_is_over_some_minutes_after_it_was_mended() {
        for way in [Way::KubeVip, Way::Talos] {
            for (kind, name) in Kind::all() {
                let mut model = Model::well(3, way, 3).on_hypervisor(false);
                model.advance(Tick(20_000));
                let fault = Fault { kind, node: "cp1".to_owned() };
                model.inflict(&fault);
                model.advance(Tick(80_000));
                model.mend(&fault);
                let well = (80..900).any(|second| {
                    model.advance(Tick(second * 1_000));
                    model.is_well()
                });
                assert!(well, "{name} with {way:?}: {model:?}");
            }
        }
    }

    #[test]
    fn names_are_unique_and_found() {
        for (kind, name) in Kind::all() {
            assert_eq!(Kind::named(name), Some(kind));
            assert_eq!(kind.name(), name);
        }
    }
}
