//! The hypervisors of a scenario's world: hosts, and the virtual machine that each node is.
//!
//! As everywhere in that world nothing follows from anything: a machine that is stopped here answers on until the scenario
//! says that it does not.

use std::collections::BTreeMap;

use defib_engine::observation::{Facts, HypervisorHost, NodeName, ProbeKind, VirtualMachine, VmState};

use super::world::{Answer, answer};

const GIB: u64 = 1 << 30;

/// Every host, and every node's virtual machine.
pub(crate) struct Hypervisors {
    hosts: BTreeMap<String, (HypervisorHost, Answer)>,
    vms: BTreeMap<NodeName, VirtualMachine>,
}

impl Hypervisors {
    /// Every node on a host of its own, with ten times the share of other guests.
    pub(crate) fn new(nodes: &[NodeName]) -> Hypervisors {
        let vm = |(index, node): (usize, &NodeName)| {
            let vm = VirtualMachine {
                host: format!("pve{}", index + 1),
                cpu_units: 1_024,
                cpu_units_default: 100,
                cpu_percent: Some(20.0),
                memory_bytes: 8 * GIB,
                ..VirtualMachine::default()
            };
            (node.clone(), vm)
        };
        let host = |index: usize| {
            let name = format!("pve{}", index + 1);
            let host = HypervisorHost {
                name: name.clone(),
                cpu_percent: 30.0,
                cpus: 16,
                cpus_promised: 24,
                memory_total_bytes: 64 * GIB,
                memory_used_bytes: 32 * GIB,
                memory_promised_bytes: 48 * GIB,
                ..HypervisorHost::default()
            };
            (name, (host, Answer::Well))
        };
        Hypervisors { hosts: (0..nodes.len()).map(host).collect(), vms: nodes.iter().enumerate().map(vm).collect() }
    }

    /// How the host beneath a node answers.
    pub(crate) fn answer(&self, node: &NodeName) -> Answer {
        let host = self.vms.get(node).and_then(|vm| self.hosts.get(&vm.host));
        host.map_or(Answer::Well, |(_, answer)| answer.clone())
    }

    /// What it says of the node.
    pub(crate) fn facts(&self, node: &NodeName, kind: ProbeKind) -> Facts {
        let vm = self.vms.get(node).cloned().unwrap_or_default();
        if kind == ProbeKind::HypervisorVm {
            return Facts::HypervisorVm(Box::new(vm));
        }
        let host = self.hosts.get(&vm.host).map(|(host, _)| host.clone());
        Facts::HypervisorHost(Box::new(host.unwrap_or_default()))
    }

    /// A clause about a host. False: these words mean nothing here.
    pub(crate) fn set_host(&mut self, name: &str, clause: &str) -> Result<bool, String> {
        let (host, how) = self.hosts.get_mut(name).ok_or_else(|| format!("there is no host {name}"))?;
        let percent = |word: &str| word.parse::<f64>().map_err(|_| format!("`{word}` is no number"));
        let whole = |word: &str| word.parse::<u64>().map_err(|_| format!("`{word}` is no number"));
        match clause.split(' ').collect::<Vec<_>>().as_slice() {
            ["cpu", value, "%"] => host.cpu_percent = percent(value)?,
            ["memory", value, "of", total, "GiB"] => {
                (host.memory_used_bytes, host.memory_total_bytes) = (whole(value)? * GIB, whole(total)? * GIB);
            }
            ["memory", "promised", value, "GiB"] => host.memory_promised_bytes = whole(value)? * GIB,
            ["cpus", "promised", value] => host.cpus_promised = whole(value)?,
            ["pressure", value, "%"] => host.pressure_cpu_percent = Some(percent(value)?),
            _ => *how = answer(clause)?,
        }
        Ok(true)
    }

    /// A clause about a node's virtual machine. False: these words mean nothing here.
    pub(crate) fn set_vm(&mut self, node: &str, clause: &str) -> Result<bool, String> {
        let vm = self.vms.get_mut(node).ok_or_else(|| format!("there is no node {node}"))?;
        match clause.split(' ').collect::<Vec<_>>().as_slice() {
            ["running"] => (vm.state, vm.stopped_by) = (VmState::Running, None),
            ["stopped"] => vm.state = VmState::Stopped,
            ["stopped", "by", who] => (vm.state, vm.stopped_by) = (VmState::Stopped, Some((*who).to_owned())),
            ["paused"] => vm.state = VmState::Paused,
            ["io-error"] => vm.state = VmState::IoError,
            ["locked", "for", what] => vm.lock = Some((*what).to_owned()),
            ["unlocked"] => vm.lock = None,
            ["task", "ended"] => vm.task = None,
            ["task", what] => vm.task = Some((*what).to_owned()),
            ["ha", word] => vm.ha = Some((*word).to_owned()),
            ["cpuunits", value] => vm.cpu_units = value.parse().map_err(|_| format!("`{value}` is no number"))?,
            ["cpu", value, "%"] => {
                vm.cpu_percent = Some(value.parse().map_err(|_| format!("`{value}` is no number"))?);
            }
            ["on", host] if self.hosts.contains_key(*host) => vm.host = (*host).to_owned(),
            _ => return Ok(false),
        }
        Ok(true)
    }
}
