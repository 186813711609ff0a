//! One trouble alone, on a cluster that defib may recover: within how long everything works again.
//!
//! A bound counts from the fault where the cluster, or defib, can undo it; from the end of the fault where only somebody else
//! can (a disk, a hypervisor, a network). It is the sum of what has to happen, each at its longest: no measurement.

use defib::model::fault::{BENEATH, Fault, KINDS, Kind};
use defib::model::lottery::Lottery;

/// A trouble alone: when it comes, when it ends, and until when all must be well.
#[derive(Clone, Debug)]
pub(crate) struct Single {
    pub(crate) fault: Fault,
    pub(crate) from_s: u64,
    /// When somebody else ends it; none: nobody does.
    pub(crate) to_s: Option<u64>,
    pub(crate) bound_s: u64,
}

/// Who can undo a fault.
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

/// Whoever can undo it, and the bound in seconds.
fn bound(kind: Kind) -> (Undone, u64) {
    match kind {
        // Whoever runs it starts it again.
        Kind::KillApiserver | Kind::KillEtcd | Kind::KillKubelet => (Undone::Inside, 15),
        Kind::Reboot => (Undone::Inside, BOOT_S),
        // Another holder is elected, or, after 75 s, revived.
        Kind::KillVipAgent => (Undone::Inside, 120),
        // restart-apiserver after 30 s, or the kubelet's liveness probe after 80 s.
        Kind::HangApiserver => (Undone::Inside, 90),
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
        // With two of three machines the quorum is gone.
        Kind::HostDown => (Undone::Outside, BOOT_S + BACK_OFF_S + 10),
        // Others serve: nobody cuts the back-off of one API server short.
        Kind::ApiserverCannotStart | Kind::EtcdCannotStart | Kind::CutPeers | Kind::Overcommit | Kind::SmallMachine => {
            (Undone::Outside, BACK_OFF_S + 10)
        }
        Kind::PowerOff | Kind::Upgrade | Kind::VmStoppedByPerson | Kind::VmDiskFailed => (Undone::Outside, BOOT_S),
        // A step that was begun for what it looked like takes its time.
        Kind::SwallowApiserver | Kind::FreezeMachine | Kind::HangMachine => (Undone::Outside, 60),
        // It takes nothing down, or only our own sight; a wedged kubelet is not seen while its API server runs.
        Kind::SlowDisk
        | Kind::WedgeKubelet
        | Kind::Starve
        | Kind::ShortMemory
        | Kind::WrongClock
        | Kind::HideNode
        | Kind::Isolate
        | Kind::RefuseUs
        | Kind::HideOthers
        | Kind::StallProbes
        | Kind::VmBackup
        | Kind::HostBusy
        | Kind::HypervisorHung => (Undone::Outside, 15),
    }
}

impl Single {
    pub(crate) fn of(lottery: &mut Lottery, nodes: u64, from_s: u64) -> Single {
        Single::one_of(&KINDS, lottery, nodes, from_s)
    }

    /// The same for what happens beneath a machine.
    pub(crate) fn beneath(lottery: &mut Lottery, nodes: u64, from_s: u64) -> Single {
        Single::one_of(&BENEATH, lottery, nodes, from_s)
    }

    fn one_of(kinds: &[(Kind, &str)], lottery: &mut Lottery, nodes: u64, from_s: u64) -> Single {
        let kind = lottery.pick(kinds).map_or(Kind::KillEtcd, |(kind, _)| *kind);
        let node = format!("cp{}", lottery.between(1, nodes));
        let lasts_s = lottery.between(1, 400);
        let (undone, bound_s) = bound(kind);
        let to_s = match undone {
            Undone::Inside => None,
            Undone::Outside => Some(from_s + lasts_s),
        };
        Single { fault: Fault { kind, node }, from_s, to_s, bound_s }
    }

    /// From when the bound counts.
    pub(crate) fn counts_from_s(&self) -> u64 {
        self.to_s.unwrap_or(self.from_s)
    }
}
