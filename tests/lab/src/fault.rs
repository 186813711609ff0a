//! What can be broken, and mended again.
//!
//! *Kill* ends a part's processes; what supervises it starts it anew. *Hang* stops processes without ending them: the
//! kernel goes on taking connections for them. *Freeze* also pulls the node's cable, because a frozen machine does not
//! answer ARP while a frozen cgroup's kernel does. Left out: everything slow or partial.

use std::fmt;
use std::str::FromStr;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::layout::{Layout, Node, Part, Place, cgroup};
use crate::system::cgroup::{CgroupError, Cgroups};
use crate::system::network::{self, NetworkError};
use crate::system::process;

/// Something broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A part's processes are killed, once.
    Kill(Node, Part),
    /// A part, or a whole node for none, stands still until mended; its kernel goes on answering.
    Hang(Node, Option<Part>),
    /// A whole node stands still and is cut off until mended.
    Freeze(Node),
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
#[error("{0:?} is not a fault: freeze, hang, isolate-ops, or kill- or hang- with a part ({parts})", parts = parts())]
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
            "isolate-ops" => Some(Self::IsolateOps),
            _ => {
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
        Fault::IsolateOps => Ok(network::set_port(layout, Place::Ops, false)?),
    }
}

/// Mends what lasts; a kill needs no mending.
pub(crate) fn mend(fault: Fault, layout: &Layout, cgroups: &Cgroups) -> Result<(), FaultError> {
    match fault {
        Fault::Kill(..) => Ok(()),
        Fault::Hang(node, Some(part)) => {
            Ok(cgroups_of(part, node, cgroups).iter().try_for_each(|name| cgroups.thaw(name))?)
        }
        Fault::Hang(node, None) => Ok(cgroups.thaw(&cgroup(node, None))?),
        Fault::Freeze(node) => {
            cgroups.thaw(&cgroup(node, None))?;
            Ok(network::set_port(layout, Place::Node(node), true)?)
        }
        Fault::IsolateOps => Ok(network::set_port(layout, Place::Ops, true)?),
    }
}

/// The faults that last at this moment, as the kernel shows them.
pub(crate) fn lasting(layout: &Layout, cgroups: &Cgroups) -> Result<Vec<Fault>, FaultError> {
    let mut found = Vec::new();
    for node in Node::ALL {
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
        assert_eq!(named("isolate-ops", None), "isolate-ops");
        assert!("freeze".parse::<Kind>().unwrap().on(None).is_none());
        assert!("kill-vm".parse::<Kind>().is_err());
    }

    #[test]
    fn a_long_name_is_known_by_its_first_fifteen_bytes() {
        assert!(is(Part::KubeControllerManager, "kube-controller"));
        assert!(is(Part::KubeApiserver, "kube-apiserver"));
        assert!(!is(Part::KubeApiserver, "kube-controller") && !is(Part::KubeApiserver, "pause"));
        assert!(!is(Part::Containerd, "containerd-shim"));
    }
}
