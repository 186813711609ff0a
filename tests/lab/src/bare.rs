//! A lab of etcds and API servers alone: no kubelet, no containerd, no machined, nobody who starts anything anew.
//!
//! An API server under a kubelet waits longer after each death; here it is ready again after six seconds, so a death can be
//! measured many times. Faults, mending and taking down are those of every lab. Left out: the VIP, which whoever
//! measures puts where it is wanted, and healing: [`Lab::start_bare`] brings a part back.

use std::process::Command;
use std::time::Instant;

use crate::lab::{LOOK_AGAIN, Lab, LabError, UpOptions, WHOLE_DEADLINE};
use crate::layout::{Node, Part, Place};
use crate::node::{etcd, pods};
use crate::ready;
use crate::system::process::leave_running;

impl Lab {
    /// Raises three etcds and three API servers and waits until each is ready, about ten seconds.
    pub fn up_bare(options: &UpOptions) -> Result<Self, LabError> {
        let (lab, programs, _lock) = Self::prepare(options)?;
        for part in [Part::Etcd, Part::KubeApiserver] {
            for node in Node::ALL {
                lab.start_bare(node, part)?;
            }
        }
        lab.await_ready(&Node::ALL)?;
        lab.mark_ready(programs)?;
        Ok(lab)
    }

    /// Starts a dead part of a bare lab; anything but an API server is taken for an etcd.
    pub fn start_bare(&self, node: Node, part: Part) -> Result<(), LabError> {
        let began = Instant::now();
        while self.runs(node, part) {
            // Killed a moment ago: its port is free only when it is gone.
            if began.elapsed() > WHOLE_DEADLINE {
                return Err(LabError::Incomplete { part, node });
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        let mut command = self.command_in(Place::Node(node), &[]);
        let line = match part {
            // A visitor's cgroup of its own, so that it can be frozen without the node's etcd.
            Part::KubeApiserver => pods::apiserver_line(self.layout(), node),
            _ => {
                command = self.command_in(Place::Node(node), &["--part", Part::Etcd.name()]);
                etcd::command(self.layout(), node)
            }
        };
        command.args(line);
        leave_running(command, &self.layout().log(node, part))?;
        Ok(())
    }

    /// Waits until the API servers of these nodes answer `/readyz` with 200.
    pub fn await_ready(&self, nodes: &[Node]) -> Result<(), LabError> {
        let addresses: Vec<_> = nodes.iter().map(|node| node.api()).collect();
        let began = Instant::now();
        loop {
            let answers = ready::readiness(self.layout(), &addresses)?;
            let late = nodes.iter().zip(answers).find(|(_, answer)| *answer != Ok(200));
            match late {
                None => return Ok(()),
                Some((node, _)) if began.elapsed() > WHOLE_DEADLINE => {
                    return Err(LabError::Incomplete { part: Part::KubeApiserver, node: *node });
                }
                Some(_) => std::thread::sleep(LOOK_AGAIN),
            }
        }
    }

    /// `defib-lab exec` at a place, with options, up to where the program's own command line begins.
    pub fn command_in(&self, place: Place, options: &[&str]) -> Command {
        let mut command = Command::new(self.program_file());
        command.arg("exec").args(options).args([place.name(), "--"]);
        command
    }
}
