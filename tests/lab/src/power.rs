//! A node's power: taken away as by a pulled plug, and given back by the node's own start.
//!
//! Whoever does it lives outside the node, as a hypervisor does: nothing of the node survives to boot it. What a machine
//! keeps in memory alone is gone afterwards: processes, mounts, the runtime's state, an address that it carried. Nobody
//! hears a farewell, because the cable is out meanwhile. Left out: stopping services in turn first, as Talos does where
//! it is not told to force, and the minute that firmware takes. A node whose data is erased meanwhile joins etcd anew; images
//! and pods are kept, which Talos's partition EPHEMERAL holds, too.

use std::fs::File;
use std::path::PathBuf;

use crate::join;
use crate::lab::{Lab, LabError};
use crate::layout::{Layout, Node, Part, Place, VIP, cgroup};
use crate::system::network;
use crate::system::process::{ProcessError, leave_running};
use crate::teardown;

impl Lab {
    /// Reboots a node; returns when it boots, before it serves.
    pub fn reboot(&self, node: Node) -> Result<(), LabError> {
        self.cycle(node, false)
    }

    /// The same, and erases the data of its etcd while it is off.
    pub fn erase(&self, node: Node) -> Result<(), LabError> {
        self.cycle(node, true)
    }

    fn cycle(&self, node: Node, erase: bool) -> Result<(), LabError> {
        let _power = hold(self.layout(), node)?;
        network::set_port(self.layout(), Place::Node(node), false)?;
        self.cgroups().kill_all(&cgroup(node, None))?;
        network::drop_address(self.layout(), Place::Node(node), VIP)?;
        teardown::memory(&self.layout().node(node))?;
        if erase {
            join::forget(self.layout(), node).map_err(|(path, source)| LabError::File { path, source })?;
        }
        network::set_port(self.layout(), Place::Node(node), true)?;
        self.boot(node)
    }
}

/// Held by whoever takes a node's power away or gives it back, so that nobody boots it twice.
pub(crate) fn hold(layout: &Layout, node: Node) -> Result<File, LabError> {
    let path = layout.node(node).join("power.lock");
    let open = || {
        let file = File::options().create(true).truncate(false).write(true).open(&path)?;
        file.lock().map(|()| file)
    };
    open().map_err(|source| LabError::File { path: path.clone(), source })
}

/// Has a node rebooted by a process that is no part of it, as its own machined asks; its data may be erased meanwhile.
pub(crate) fn ask(layout: &Layout, node: Node, program: PathBuf, erase: bool) -> Result<(), ProcessError> {
    let mut command = std::process::Command::new(&program);
    command.args(["exec", "--detach", Place::Ops.name(), "--"]).arg(&program).args(["reboot", node.name()]);
    command.args(erase.then_some("--erase"));
    leave_running(command, &layout.log(node, Part::Machined)).map(drop)
}
