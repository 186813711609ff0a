//! One trouble alone, on a cluster that defib may recover: within how long it is over.
//!
//! A bound counts from the fault where the cluster, or defib, can undo it; from the end of the fault where only somebody else
//! can (a disk, a network, a person who meant it), and each of those says why. It is the sum of what has to happen, each at
//! its longest: no measurement. Every shipped playbook that cures has a trouble here that nothing else ends, but four kinds: what
//! only a person begins; `move-leader`, for the members elect another by themselves; `release-vip`, whose holder another
//! playbook cures as soon; and `reboot-unrevived`, for in the model a new kubelet always helps where there was a wait.

use defib::model::Model;
use defib::model::fault::{BENEATH, Fault, KINDS, Kind};
use defib::model::lottery::Lottery;
use defib::model::vip::Way;

/// A trouble alone: when it comes, when it ends, and until when it must be over.
#[derive(Clone, Debug)]
pub(crate) struct Single {
    pub(crate) name: &'static str,
    pub(crate) faults: Vec<Fault>,
    pub(crate) from_s: u64,
    /// When somebody else ends it; none: nobody does.
    pub(crate) to_s: Option<u64>,
    pub(crate) bound_s: u64,
    over: Over,
}

/// When it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// All is well.
    Well,
    /// Users reach the cluster at its usual address, whatever else is still starting.
    Served,
    /// All is well, and no machine waits for its host.
    Unhindered,
}

/// Who can undo a fault.
#[derive(Clone, Copy)]
enum Undone {
    /// The cluster by itself, or defib.
    Inside,
    /// Nobody here: it ends.
    Outside,
}

/// The kubelet's longest wait, and an API server's start.
const BACK_OFF_S: u64 = 310;
/// A machine's boot, and what starts on it.
const BOOT_S: u64 = 60;
/// Until a kubelet is believed to be wedged, and `unwedge-kubelet` begins.
const WEDGED_S: u64 = 210;
/// A boot comes so long after any run on that machine, and is announced a minute before.
const COOLDOWN_S: u64 = 660 + 60;
/// Troubles of several nodes at once.
const VIP_AGENTS: &str = "every kill-vip-agent";
const BACK_OFF: &str = "back-off";

/// Whoever can undo it, and the bound in seconds.
fn bound(kind: Kind) -> (Undone, u64) {
    match kind {
        // Whoever runs it starts it again.
        Kind::KillApiserver | Kind::KillEtcd | Kind::KillKubelet => (Undone::Inside, 15),
        Kind::Reboot => (Undone::Inside, BOOT_S),
        // Another holder is elected: kube-vip's after 15 s, Talos's after a minute.
        Kind::KillVipAgent => (Undone::Inside, 120),
        // restart-apiserver after 30 s, or the kubelet's liveness probe after 80 s.
        Kind::HangApiserver => (Undone::Inside, 90),
        // unwedge-kubelet.
        Kind::WedgeKubelet => (Undone::Inside, WEDGED_S + 30),
        // unwedge-kubelet does not help, and reboot-wedged follows.
        Kind::LosePods => (Undone::Inside, WEDGED_S + COOLDOWN_S + BOOT_S + 30),
        // reboot-runtime after 5 minutes, announced a minute before.
        Kind::HangRuntime => (Undone::Inside, 310 + 60 + BOOT_S + 30),
        // reboot-hung-etcd after 2 minutes, announced a minute before.
        Kind::HangEtcd => (Undone::Inside, 180 + BOOT_S + 60),
        // reclaim-space after half a minute.
        Kind::NoSpace => (Undone::Inside, 90),
        // start-kubelet after 5 minutes.
        Kind::StopKubelet => (Undone::Inside, 330),
        // revive-vm after 2 minutes, announced a minute before.
        Kind::VmStopped => (Undone::Inside, 180 + BOOT_S + 40),
        // resume-vm after 5 minutes, announced two before.
        Kind::VmPaused => (Undone::Inside, 420 + 60),
        // reset-frozen-vm after 3 minutes, announced a minute before.
        Kind::VmFrozen => (Undone::Inside, 240 + BOOT_S + 70),
        // prioritise-control-plane after 10 minutes: the host stays busy, and the machine no longer waits.
        Kind::HostBusy => (Undone::Inside, 690),
        // A host that is off: with two of three machines the quorum is gone, and nobody but its operators can switch it on.
        Kind::HostDown => (Undone::Outside, BOOT_S + BACK_OFF_S + 10),
        // What is broken there a restart does not mend, and others serve: nobody cuts the back-off of one API server short.
        // A network, an overcommitted host without a hypervisor that is asked, and a machine too small are a person's.
        Kind::ApiserverCannotStart | Kind::EtcdCannotStart | Kind::CutPeers | Kind::Overcommit | Kind::SmallMachine => {
            (Undone::Outside, BACK_OFF_S + 10)
        }
        // A person meant it; and a disk that failed takes a person.
        Kind::PowerOff | Kind::Upgrade | Kind::VmStoppedByPerson | Kind::VmDiskFailed => (Undone::Outside, BOOT_S),
        // What is on the way cannot be mended from here, nor a machine without a hypervisor that is asked; a step that was
        // begun for what it looked like takes its time.
        Kind::SwallowApiserver | Kind::FreezeMachine | Kind::HangMachine => (Undone::Outside, 60),
        // It takes nothing down. Where the leader is late move-leader is there, but the members elect another themselves;
        // what makes it late is a disk or a host, and what is short of memory or has a wrong clock is a machine: a person's.
        Kind::SlowDisk | Kind::Starve | Kind::ShortMemory | Kind::WrongClock => (Undone::Outside, 15),
        // Only our own sight is gone, or our hands.
        Kind::HideNode
        | Kind::Isolate
        | Kind::RefuseUs
        | Kind::HideOthers
        | Kind::StallProbes
        | Kind::VmBackup
        | Kind::HypervisorHung => (Undone::Outside, 15),
    }
}

impl Single {
    pub(crate) fn of(lottery: &mut Lottery, nodes: u64, way: Way, from_s: u64) -> Single {
        let all = u64::try_from(KINDS.len()).unwrap_or(u64::MAX);
        match lottery.between(0, all + 1) {
            0 => Single::vip_agents(lottery, nodes, way, from_s),
            1 => Single::back_off(lottery, nodes, from_s),
            _ => Single::one_of(&KINDS, lottery, nodes, from_s),
        }
    }

    /// The same for what happens beneath a machine.
    pub(crate) fn beneath(lottery: &mut Lottery, nodes: u64, from_s: u64) -> Single {
        Single::one_of(&BENEATH, lottery, nodes, from_s)
    }

    fn one_of(kinds: &[(Kind, &'static str)], lottery: &mut Lottery, nodes: u64, from_s: u64) -> Single {
        let (kind, name) = lottery.pick(kinds).copied().unwrap_or((Kind::KillEtcd, Kind::KillEtcd.name()));
        // The machine of the member that leads, cp1's, is taken down by nothing that leaves it the lead: that is a person's.
        let first = if matches!(kind, Kind::LosePods | Kind::HangRuntime) { 2 } else { 1 };
        let node = format!("cp{}", lottery.between(first, nodes));
        let lasts_s = lottery.between(1, 400);
        let (undone, bound_s) = bound(kind);
        let to_s = match undone {
            Undone::Inside => None,
            Undone::Outside => Some(from_s + lasts_s),
        };
        let over = if kind == Kind::HostBusy { Over::Unhindered } else { Over::Well };
        let besides = kind.shown_by().map(|kind| Fault { kind, node: node.clone() });
        let faults = std::iter::once(Fault { kind, node }).chain(besides).collect();
        Single { name, faults, from_s, to_s, bound_s, over }
    }

    /// Nobody keeps the virtual address. Of kube-vip's one is restarted by revive-vip after 75 s; Talos's own agent is a part of
    /// Talos, and no playbook restarts that.
    fn vip_agents(lottery: &mut Lottery, nodes: u64, way: Way, from_s: u64) -> Single {
        let lasts_s = lottery.between(1, 400);
        let (to_s, bound_s) = match way {
            Way::KubeVip => (None, 120),
            Way::Talos => (Some(from_s + lasts_s), 15),
        };
        let faults =
            (1..=nodes).map(|number| Fault { kind: Kind::KillVipAgent, node: format!("cp{number}") }).collect();
        Single { name: VIP_AGENTS, faults, from_s, to_s, bound_s, over: Over::Well }
    }

    /// A quorum that is back while every API server waits: restart-kubelet has one of them start at once. It is not worth it for
    /// less than 45 s of waiting.
    fn back_off(lottery: &mut Lottery, nodes: u64, from_s: u64) -> Single {
        let of = |kind: Kind, last: u64| (1..=last).map(move |number| Fault { kind, node: format!("cp{number}") });
        // Each of them starts without its store, gives up, and waits for longer than before.
        let faults = of(Kind::HangEtcd, nodes / 2 + 1).chain(of(Kind::KillApiserver, nodes)).collect();
        let to_s = Some(from_s + lottery.between(120, 500));
        Single { name: BACK_OFF, faults, from_s, to_s, bound_s: 75, over: Over::Served }
    }

    /// From when the bound counts.
    pub(crate) fn counts_from_s(&self) -> u64 {
        self.to_s.unwrap_or(self.from_s)
    }

    /// After that all must be well, whatever the bound is about.
    pub(crate) fn calm_s(&self) -> u64 {
        if self.over == Over::Served { self.bound_s + BACK_OFF_S } else { self.bound_s }
    }

    /// It is over, as far as this moment tells.
    pub(crate) fn is_over(&self, model: &Model) -> bool {
        match self.over {
            Over::Well => model.is_well(),
            Over::Served => model.serves(),
            Over::Unhindered => model.is_well() && model.nodes.values().all(|node| !node.ills.lacks_cpu()),
        }
    }
}
