//! What a lab looks like at a moment: which parts run, what serves, what is broken.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::fault::Fault;
use crate::lab::{About, Lab, LabError};
use crate::layout::{API_PORT, DEVICE, Node, Part, Place, VIP};
use crate::ready;
use crate::system::namespace;
use crate::system::process::run;

/// A lab at a moment.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Since when it is up, and what it runs.
    pub about: Option<About>,
    /// Each node.
    pub nodes: Vec<NodeStatus>,
    /// The nodes that carry the VIP; one, if all is well.
    pub vip_holders: Vec<String>,
    /// What `/readyz` answers through the VIP: a status, or why there is none.
    pub vip: String,
    /// The faults that last.
    pub faults: Vec<String>,
}

/// A node at a moment.
#[derive(Clone, Debug, Serialize)]
pub struct NodeStatus {
    /// Its name.
    pub node: String,
    /// Its address.
    pub address: String,
    /// Which of its parts have a process; a frozen one has.
    pub runs: BTreeMap<&'static str, bool>,
    /// What its API server's `/readyz` answers: a status, or why there is none.
    pub readyz: String,
}

/// Looks at the lab.
pub fn of(lab: &Lab) -> Result<Status, LabError> {
    let mut addresses: Vec<_> = Node::ALL.map(Node::api).to_vec();
    addresses.push((VIP, API_PORT).into());
    let answers = ready::readiness(lab.layout(), &addresses)?;
    let mut answers = answers.into_iter().map(|answer| answer.map_or_else(|why| why, |status| status.to_string()));
    let mut answer = || answers.next().unwrap_or_default();
    let nodes = Node::ALL.map(|node| NodeStatus {
        node: node.to_string(),
        address: node.address().to_string(),
        runs: Part::ALL.into_iter().map(|part| (part.name(), lab.runs(node, part))).collect(),
        readyz: answer(),
    });
    let mut holders = Vec::new();
    for node in Node::ALL {
        if holds_vip(lab, node)? {
            holders.push(node.to_string());
        }
    }
    Ok(Status {
        about: lab.about(),
        nodes: nodes.to_vec(),
        vip_holders: holders,
        vip: answer(),
        faults: lab.faults()?.iter().map(Fault::to_string).collect(),
    })
}

fn holds_vip(lab: &Lab, node: Node) -> Result<bool, LabError> {
    let place = lab.layout().namespace(Place::Node(node));
    let shown = namespace::inside(&place, || run("ip", &["-o", "address", "show", "dev", DEVICE]));
    let shown = shown.map_err(crate::system::network::NetworkError::from)??;
    Ok(shown.contains(&format!(" {VIP}/")))
}

impl Status {
    /// As a table for people.
    pub fn table(&self) -> String {
        let mut text = String::new();
        if let Some(about) = &self.about {
            let programs: Vec<String> = about.programs.iter().map(|p| format!("{} {}", p.name, p.version)).collect();
            text.push_str(&format!("cgroup {}; {}\n\n", about.cgroups, programs.join(", ")));
        }
        text.push_str("node  address    not running                readyz\n");
        for node in &self.nodes {
            let gone: Vec<&str> = node.runs.iter().filter(|(_, runs)| !**runs).map(|(part, _)| *part).collect();
            let gone = if gone.is_empty() { "-".to_owned() } else { gone.join(", ") };
            text.push_str(&format!("{:<5} {:<10} {gone:<26} {}\n", node.node, node.address, node.readyz));
        }
        let held = if self.vip_holders.is_empty() { "nobody".to_owned() } else { self.vip_holders.join(" and ") };
        let faults = if self.faults.is_empty() { "none".to_owned() } else { self.faults.join(", ") };
        text.push_str(&format!("\nvip {VIP} on {held}: readyz {}\nfaults: {faults}\n", self.vip));
        text
    }
}
