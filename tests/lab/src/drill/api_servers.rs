//! Finding the API servers' processes of a node, and killing them: the contention of the drill.
//!
//! A process belongs to a node by its cgroup. Looking takes a millisecond, so an API server dies before it serves. Left
//! out: waiting, and why.

use std::collections::BTreeSet;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::layout::{Node, cgroup};
use crate::system::cgroup::{CgroupError, Cgroups};
use crate::system::process;

/// The kernel's name of the process (at most 15 bytes).
const NAME: &str = "kube-apiserver";

/// Kills every API server of a node; gives the process ids, also of those that are still dying.
pub(super) fn kill_on(node: Node) -> Result<BTreeSet<i32>, CgroupError> {
    let processes = Cgroups::of_this_machine()?.processes(&cgroup(node, None));
    let servers = processes.into_iter().filter(|pid| process::name(*pid).as_deref() == Some(NAME));
    Ok(servers.filter(|pid| kill(Pid::from_raw(*pid), Signal::SIGKILL).is_ok()).collect())
}
