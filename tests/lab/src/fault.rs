//! What can be broken, and mended again.
//!
//! *Kill* ends a part's processes; what supervises it starts it anew. *Hang* stops processes without ending them: the
//! kernel goes on taking connections for them. *Freeze* also pulls the node's cable, because a frozen machine does not
//! answer ARP while a frozen cgroup's kernel does. *Starve* leaves a node a sliver of a processor, *slow-disk* lets its etcd
//! write a few times a second, *clock* puts the clock that its machined tells off. Left out: links that are slow or lossy.

use std::fmt;
use std::str::FromStr;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::layout::{Layout, Node, Part, Place, VIP, cgroup};
use crate::system::cgroup::{CgroupError, Cgroups};
use crate::system::network::{self, NetworkError};
use crate::system::process;
use crate::system::throttle::{self, ThrottleError};

/// What a starved node has of one processor, in percent: some third of what it takes when idle.
const STARVED_PERCENT: u32 = 4;

/// How often a second an etcd with a slow disk may write: its fsyncs then take half a second.
const SLOW_WRITES_PER_S: u32 = 10;

/// By how much a clock is put off where nothing else is said, in ms.
const CLOCK_OFF_MS: i64 = 5_000;

/// Something broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A part's processes are killed, once.
    Kill(Node, Part),
    /// A part, or a whole node for none, stands still until mended; its kernel goes on answering.
    Hang(Node, Option<Part>),
    /// A whole node stands still and is cut off until mended.
    Freeze(Node),
    /// A node has a sliver of a processor until mended.
    Starve(Node),
    /// A node's etcd writes a few times a second until mended.
    SlowDisk(Node),
    /// The clock that a node's machined tells is off by so many ms until mended.
    Clock(Node, i64),
    /// A node's VIP agent stands still, and does not carry the address, until mended. On every node: the VIP is lost.
    LoseVip(Node),
    /// The ops host is cut off until mended.
    IsolateOps,
}

/// Why a fault could not be made or mended.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// The cgroup did not obey.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The network did not obey.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The disk could not be slowed down.
    #[error(transparent)]
    Throttle(#[from] ThrottleError),
    /// The clock's offset could not be written.
    #[error("cannot put off the clock of {node}")]
    Clock {
        /// The node.
        node: Node,
        /// The system's reason.
        source: std::io::Error,
    },
    /// There is nothing to break.
    #[error("no {part} runs on {node}")]
    Absent {
        /// The part.
        part: Part,
        /// The node.
        node: Node,
    },
}

/// What is not the name of a fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a fault: freeze, hang, starve, slow-disk, lose-vip, clock, clock=MS, isolate-ops, or kill- or hang- with a part ({parts})", parts = parts())]
pub struct NotAFault(pub String);

fn parts() -> String {
    Part::ALL.map(Part::name).join(", ")
}

/// A kind of fault, as a person names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `kill-PART`
    Kill(Part),
    /// `hang-PART`, or `hang` for none.
    Hang(Option<Part>),
    /// `freeze`
    Freeze,
    /// `starve`
    Starve,
    /// `slow-disk`
    SlowDisk,
    /// `clock=MS`, or `clock`
    Clock(i64),
    /// `lose-vip`
    LoseVip,
    /// `isolate-ops`
    IsolateOps,
}

impl Kind {
    /// The fault of this kind on a node; none where a node is needed and not given.
    pub fn on(self, node: Option<Node>) -> Option<Fault> {
        match (self, node) {
            (Self::IsolateOps, _) => Some(Fault::IsolateOps),
            (Self::Kill(part), Some(node)) => Some(Fault::Kill(node, part)),
            (Self::Hang(part), Some(node)) => Some(Fault::Hang(node, part)),
            (Self::Freeze, Some(node)) => Some(Fault::Freeze(node)),
            (Self::Starve, Some(node)) => Some(Fault::Starve(node)),
            (Self::SlowDisk, Some(node)) => Some(Fault::SlowDisk(node)),
            (Self::Clock(off_ms), Some(node)) => Some(Fault::Clock(node, off_ms)),
            (Self::LoseVip, Some(node)) => Some(Fault::LoseVip(node)),
            (_, None) => None,
        }
    }
}

impl FromStr for Kind {
    type Err = NotAFault;

    fn from_str(text: &str) -> Result<Self, NotAFault> {
        let part = |name: &str| Part::ALL.into_iter().find(|part| part.name() == name);
        match text {
            "freeze" => Some(Self::Freeze),
            "hang" => Some(Self::Hang(None)),
            "starve" => Some(Self::Starve),
            "slow-disk" => Some(Self::SlowDisk),
            "clock" => Some(Self::Clock(CLOCK_OFF_MS)),
            "lose-vip" => Some(Self::LoseVip),
            "isolate-ops" => Some(Self::IsolateOps),
            _ => {
                if let Some(off_ms) = text.strip_prefix("clock=") {
                    return off_ms.parse().map(Self::Clock).map_err(|_| NotAFault(text.to_owned()));
                }
                let killed = text.strip_prefix("kill-").and_then(part).map(Self::Kill);
                killed.or_else(|| text.strip_prefix("hang-").and_then(part).map(|part| Self::Hang(Some(part))))
            }
        }
        .ok_or_else(|| NotAFault(text.to_owned()))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(node, part) => write!(f, "kill-{part} {node}"),
            Self::Hang(node, Some(part)) => write!(f, "hang-{part} {node}"),
            Self::Hang(node, None) => write!(f, "hang {node}"),
            Self::Freeze(node) => write!(f, "freeze {node}"),
            Self::Starve(node) => write!(f, "starve {node}"),
            Self::SlowDisk(node) => write!(f, "slow-disk {node}"),
            Self::Clock(node, off_ms) => write!(f, "clock={off_ms} {node}"),
            Self::LoseVip(node) => write!(f, "lose-vip {node}"),
            Self::IsolateOps => f.write_str("isolate-ops"),
        }
    }
}

/// Makes a fault; returns when it is so.
pub(crate) fn make(fault: Fault, layout: &Layout, cgroups: &Cgroups) -> Result<(), FaultError> {
    match fault {
        Fault::Kill(node, part) => kill_part(part, node, cgroups),
        Fault::Hang(node, Some(part)) => {
            let found = cgroups_of(part, node, cgroups);
            if found.is_empty() {
                return Err(FaultError::Absent { part, node });
            }
            Ok(found.iter().try_for_each(|name| cgroups.freeze(name))?)
        }
        Fault::Hang(node, None) => Ok(cgroups.freeze(&cgroup(node, None))?),
        Fault::Freeze(node) => {
            // The cable first: nothing that the node says while it freezes gets out.
            network::set_port(layout, Place::Node(node), false)?;
            Ok(cgroups.freeze(&cgroup(node, None))?)
        }
        Fault::Starve(node) => Ok(throttle::processor(cgroups, &cgroup(node, None), Some(STARVED_PERCENT))?),
        Fault::SlowDisk(node) => {
            let etcd = cgroup(node, Some(Part::Etcd));
            Ok(throttle::writes(cgroups, &etcd, &layout.node(node), Some(SLOW_WRITES_PER_S))?)
        }
        Fault::Clock(node, off_ms) => std::fs::write(layout.clock_offset(node), off_ms.to_string())
            .map_err(|source| FaultError::Clock { node, source }),
        Fault::LoseVip(node) => {
            // The agent first: it would put the address back.
            make(Fault::Hang(node, Some(Part::Vip)), layout, cgroups)?;
            Ok(network::drop_address(layout, Place::Node(node), VIP)?)
        }
        Fault::IsolateOps => Ok(network::set_port(layout, Place::Ops, false)?),
    }
}

/// Mends what lasts; a kill needs no mending.
pub(crate) fn mend(fault: Fault, layout: &Layout, cgroups: &Cgroups) -> Result<(), FaultError> {
    match fault {
        Fault::Kill(..) => Ok(()),
        Fault::LoseVip(node) => mend(Fault::Hang(node, Some(Part::Vip)), layout, cgroups),
        Fault::Hang(node, Some(part)) => {
            Ok(cgroups_of(part, node, cgroups).iter().try_for_each(|name| cgroups.thaw(name))?)
        }
        Fault::Hang(node, None) => Ok(cgroups.thaw(&cgroup(node, None))?),
        Fault::Freeze(node) => {
            cgroups.thaw(&cgroup(node, None))?;
            Ok(network::set_port(layout, Place::Node(node), true)?)
        }
        Fault::Starve(node) => Ok(throttle::processor(cgroups, &cgroup(node, None), None)?),
        Fault::SlowDisk(node) => {
            let etcd = cgroup(node, Some(Part::Etcd));
            // A lab in memory was never slowed down.
            if throttle::has_slow_writes(cgroups, &etcd) {
                throttle::writes(cgroups, &etcd, &layout.node(node), None)?;
            }
            Ok(())
        }
        Fault::Clock(node, _) => match std::fs::remove_file(layout.clock_offset(node)) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(FaultError::Clock { node, source }),
            _ => Ok(()),
        },
        Fault::IsolateOps => Ok(network::set_port(layout, Place::Ops, true)?),
    }
}

/// The faults that last at this moment, as the kernel shows them; a lost VIP as what it is, an agent that hangs.
pub(crate) fn lasting(layout: &Layout, cgroups: &Cgroups) -> Result<Vec<Fault>, FaultError> {
    let mut found = Vec::new();
    for node in Node::ALL {
        if throttle::has_quota(cgroups, &cgroup(node, None)) {
            found.push(Fault::Starve(node));
        }
        if throttle::has_slow_writes(cgroups, &cgroup(node, Some(Part::Etcd))) {
            found.push(Fault::SlowDisk(node));
        }
        let off_ms = std::fs::read_to_string(layout.clock_offset(node)).ok().and_then(|text| text.trim().parse().ok());
        found.extend(off_ms.map(|off_ms| Fault::Clock(node, off_ms)));
        let cut = !network::port_is_up(layout, Place::Node(node))?;
        if cgroups.is_frozen(&cgroup(node, None)) {
            found.push(if cut { Fault::Freeze(node) } else { Fault::Hang(node, None) });
            continue;
        }
        let hangs = |part: &Part| cgroups_of(*part, node, cgroups).iter().any(|name| cgroups.is_frozen(name));
        found.extend(Part::ALL.into_iter().filter(hangs).map(|part| Fault::Hang(node, Some(part))));
    }
    if !network::port_is_up(layout, Place::Ops)? {
        found.push(Fault::IsolateOps);
    }
    Ok(found)
}

/// Whether any process of a part runs on a node.
pub(crate) fn runs(part: Part, node: Node, cgroups: &Cgroups) -> bool {
    !processes_of(part, node, cgroups).is_empty()
}

fn processes_of(part: Part, node: Node, cgroups: &Cgroups) -> Vec<i32> {
    let mut found = cgroups.processes(&cgroup(node, Some(part)));
    found.retain(|pid| process::name(*pid).is_some_and(|comm| is(part, &comm)));
    found
}

fn kill_part(part: Part, node: Node, cgroups: &Cgroups) -> Result<(), FaultError> {
    let found = processes_of(part, node, cgroups);
    if found.is_empty() {
        return Err(FaultError::Absent { part, node });
    }
    for pid in found {
        // Gone between the two lines is as good.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    Ok(())
}

/// Whether a process of this kernel name is the part, where it shares a cgroup with others.
fn is(part: Part, comm: &str) -> bool {
    match part {
        // The shims are what keeps containers alive without it.
        Part::Containerd => comm == "containerd",
        // The kernel keeps 15 bytes of a name.
        Part::KubeApiserver | Part::KubeControllerManager => part.name().starts_with(comm) && comm.len() >= 14,
        _ => true,
    }
}

/// The cgroups in which a part runs: its own, or those of its containers.
fn cgroups_of(part: Part, node: Node, cgroups: &Cgroups) -> Vec<String> {
    if part.has_cgroup() {
        return vec![cgroup(node, Some(part))];
    }
    cgroups.holding(&cgroup(node, None), |comm| is(part, comm))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_named_as_they_are_shown() {
        let named = |text: &str, node| text.parse::<Kind>().unwrap().on(node).unwrap().to_string();
        assert_eq!(named("kill-etcd", Some(Node::Cp1)), "kill-etcd cp1");
        assert_eq!(named("hang-kube-apiserver", Some(Node::Cp2)), "hang-kube-apiserver cp2");
        assert_eq!(named("freeze", Some(Node::Cp3)), "freeze cp3");
        assert_eq!(named("starve", Some(Node::Cp1)), "starve cp1");
        assert_eq!(named("slow-disk", Some(Node::Cp1)), "slow-disk cp1");
        assert_eq!(named("clock", Some(Node::Cp1)), "clock=5000 cp1");
        assert_eq!(named("clock=-250", Some(Node::Cp1)), "clock=-250 cp1");
        assert_eq!(named("isolate-ops", None), "isolate-ops");
        assert!("freeze".parse::<Kind>().unwrap().on(None).is_none());
        assert!("kill-vm".parse::<Kind>().is_err() && "clock=soon".parse::<Kind>().is_err());
    }

    #[test]
    fn a_long_name_is_known_by_its_first_fifteen_bytes() {
        assert!(is(Part::KubeControllerManager, "kube-controller"));
        assert!(is(Part::KubeApiserver, "kube-apiserver"));
        assert!(!is(Part::KubeApiserver, "kube-controller") && !is(Part::KubeApiserver, "pause"));
        assert!(!is(Part::Containerd, "containerd-shim"));
    }
}
