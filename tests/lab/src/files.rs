//! What a lab gives to those who use it: a talosconfig, a kubeconfig, and configurations for defib.

use std::path::PathBuf;

use crate::layout::{API_PORT, GATEWAY, LIFELINE, Layout, Node, VIP};
use crate::node::{FilesError, kubeconfig, put};
use crate::pki::base64;

/// The playbook that the drill needs, as it is shipped.
const PLAYBOOK: &str = include_str!("../../../playbooks/restart-kubelet.yaml");
/// What is shortened in the drill's copy, and what stands there instead.
const SETTLED: (&str, &str) = ("pod-settled: 5m", "pod-settled: 20s");

/// Why a file is not there.
#[derive(Debug, thiserror::Error)]
pub enum UserFilesError {
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] FilesError),
    /// A certificate could not be read back.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The shipped playbook is not what the drill shortens.
    #[error("playbooks/restart-kubelet.yaml does not hold {:?} exactly once, so the drill cannot shorten it", SETTLED.0)]
    Playbook,
}

/// Writes them all.
pub(crate) fn write(layout: &Layout) -> Result<(), UserFilesError> {
    put(&layout.talosconfig(), &talosconfig(layout)?)?;
    put(&layout.kubeconfig(), &kubeconfig(layout, &format!("https://{VIP}:{API_PORT}"), "admin"))?;
    put(&layout.config(), &config("observe", "journal", None))?;
    put(&layout.drill_config(), &config("act", "drill-journal", Some("drill-playbooks")))?;
    put(&layout.drill_playbooks().join("restart-kubelet.yaml"), &drill_playbook(PLAYBOOK)?)?;
    Ok(())
}

fn talosconfig(layout: &Layout) -> Result<String, UserFilesError> {
    let encoded = |path: PathBuf| match std::fs::read(&path) {
        Ok(bytes) => Ok(base64(&bytes)),
        Err(source) => Err(UserFilesError::Read { path, source }),
    };
    let addresses: Vec<String> = Node::ALL.iter().map(|node| node.address().to_string()).collect();
    let addresses = addresses.join(", ");
    let mut text = "context: lab\ncontexts:\n".to_owned();
    for (context, holder) in [("lab", "talos-operator"), ("reader", "talos-reader"), ("admin", "talos-admin")] {
        text.push_str(&format!(
            "  {context}:\n    endpoints: [{addresses}]\n    nodes: [{addresses}]\n    ca: {}\n    crt: {}\n    key: {}\n",
            encoded(layout.certificate("talos-ca"))?,
            encoded(layout.certificate(holder))?,
            encoded(layout.key(holder))?,
        ));
    }
    Ok(text)
}

fn config(mode: &str, journal: &str, playbooks: Option<&str>) -> String {
    let playbooks = playbooks.map_or_else(String::new, |folder| {
        format!(
            "# Replaces a shipped playbook by name: the drill's is less patient, and says why.\nplaybooks: {folder}\n"
        )
    });
    let nodes: String =
        Node::ALL.iter().map(|node| format!("      - {{ name: {node}, address: {} }}\n", node.address())).collect();
    format!(
        "# defib's configuration for the lab, written by `defib-lab up`. Paths are relative to this file.
# observe: say what is wrong and what would be done. act: do it, for the playbooks that are armed.
mode: {mode}
# A folder; it holds journal.sqlite.
journal: {journal}
listen: 127.0.0.1:9870
{playbooks}# Asked to learn whether defib itself is connected; a refusal is an answer.
canaries: [\"{GATEWAY}:9\"]
clusters:
  - name: lab
    vip: {VIP}:{API_PORT}
    # What may be done without asking; only in mode act.
    arm: [restart-kubelet]
    nodes:
{nodes}    kubernetes: {{ ca: pki/kubernetes-ca.crt, certificate: pki/defib-kubernetes.crt, key: pki/defib-kubernetes.key }}
    etcd: {{ ca: pki/etcd-ca.crt, certificate: pki/defib-etcd.crt, key: pki/defib-etcd.key }}
    talos: {{ talosconfig: talosconfig, context: lab }}
    # An address on the ops host that leads to a ready API server whatever the VIP does, and a kubeconfig for it.
    lifeline: {{ listen: \"{lifeline}\", kubeconfig: {{ file: lifeline.kubeconfig, from: kubeconfig }} }}
",
        lifeline = std::net::SocketAddr::from(LIFELINE),
    )
}

/// The shipped playbook with one duration shortened, and a comment that says so.
fn drill_playbook(shipped: &str) -> Result<String, UserFilesError> {
    let (patient, short) = SETTLED;
    if shipped.matches(patient).count() != 1 {
        return Err(UserFilesError::Playbook);
    }
    Ok(format!(
        "# The drill's copy. It differs from the shipped playbook in one place: `{patient}` reads `{short}`. In earnest a pod
# must have been left alone for minutes before its kubelet is restarted; in the drill the lab itself ends what kills
# the API servers at a known moment, and the drill measures how fast service is back after it.
{}",
        shipped.replace(patient, short)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drill_shortens_one_duration_and_nothing_else() {
        let drill = drill_playbook(PLAYBOOK).unwrap();
        assert!(drill.ends_with(&PLAYBOOK.replace("pod-settled: 5m", "pod-settled: 20s")));
        assert!(drill_playbook("require: []").is_err());
    }
}
