//! The static pods of a node: API server and controller manager, as Talos up to 1.13 writes them: no probes, and nobody
//! anonymous.
//!
//! Their programs and certificates are mounted from the machine; see [`super::image`].

use std::path::PathBuf;

use super::{FilesError, kubeconfig, put};
use crate::layout::{API_PORT, ETCD_PORT, Layout, Node};

pub(super) fn write(layout: &Layout, node: Node) -> Result<(), FilesError> {
    let manager = layout.node(node).join("controller-manager.conf");
    let server = format!("https://127.0.0.1:{API_PORT}");
    put(&manager, &kubeconfig(layout, &server, "controller-manager"))?;
    let apiserver = Pod { name: "kube-apiserver", arguments: apiserver(layout, node), files: vec![layout.pki()] };
    let files = vec![layout.pki(), manager.clone()];
    let manager = Pod { name: "kube-controller-manager", arguments: controller_manager(layout, manager), files };
    for pod in [apiserver, manager] {
        put(&layout.node(node).join("manifests").join(format!("{}.yaml", pod.name)), &pod.manifest(layout))?;
    }
    Ok(())
}

struct Pod {
    name: &'static str,
    arguments: Vec<String>,
    /// Mounted read-only at the place that they have on the machine.
    files: Vec<PathBuf>,
}

impl Pod {
    fn manifest(&self, layout: &Layout) -> String {
        let name = self.name;
        let program = format!("/usr/local/bin/{name}");
        let arguments: String = self.arguments.iter().map(|one| format!("    - {one}\n")).collect();
        let mut mounts = format!("    - {{ name: program, mountPath: {program}, readOnly: true }}\n");
        // A link is resolved here: the folder that it points to is not in the container.
        let link = layout.program(name);
        let source = link.canonicalize().unwrap_or(link);
        let mut volumes = format!("  - {{ name: program, hostPath: {{ path: {} }} }}\n", source.display());
        for (number, file) in self.files.iter().enumerate() {
            let path = file.display();
            mounts.push_str(&format!("    - {{ name: file-{number}, mountPath: {path}, readOnly: true }}\n"));
            volumes.push_str(&format!("  - {{ name: file-{number}, hostPath: {{ path: {path} }} }}\n"));
        }
        format!(
            "apiVersion: v1
kind: Pod
metadata: {{ name: {name}, namespace: kube-system, labels: {{ component: {name}, tier: control-plane }} }}
spec:
  hostNetwork: true
  priorityClassName: system-node-critical
  containers:
  - name: {name}
    image: docker.io/lab/{name}:1
    imagePullPolicy: Never
    command:
    - {program}
{arguments}    volumeMounts:
{mounts}  volumes:
{volumes}"
        )
    }
}

/// An API server's command line outside a pod, the program first.
pub(crate) fn apiserver_line(layout: &Layout, node: Node) -> Vec<String> {
    let mut line = vec![layout.program("kube-apiserver").display().to_string()];
    line.extend(apiserver(layout, node));
    line
}

fn apiserver(layout: &Layout, node: Node) -> Vec<String> {
    let certificate = |name: &str| layout.certificate(name).display().to_string();
    let key = |name: &str| layout.key(name).display().to_string();
    let own = format!("apiserver-{node}");
    [
        ("etcd-servers", format!("https://127.0.0.1:{ETCD_PORT}")),
        ("etcd-cafile", certificate("etcd-ca")),
        ("etcd-certfile", certificate("apiserver-etcd")),
        ("etcd-keyfile", key("apiserver-etcd")),
        ("advertise-address", node.address().to_string()),
        ("tls-cert-file", certificate(&own)),
        ("tls-private-key-file", key(&own)),
        ("client-ca-file", certificate("kubernetes-ca")),
        ("service-account-issuer", "https://lab.invalid".to_owned()),
        ("service-account-key-file", layout.pki().join("service-account.pub").display().to_string()),
        ("service-account-signing-key-file", key("service-account")),
        ("service-cluster-ip-range", "10.96.0.0/16".to_owned()),
        ("authorization-mode", "Node,RBAC".to_owned()),
        ("anonymous-auth", "false".to_owned()),
        ("cert-dir", "/tmp".to_owned()),
    ]
    .map(|(name, value)| format!("--{name}={value}"))
    .to_vec()
}

/// The node lifecycle alone: the lab runs no workload, and idle controllers only cost.
fn controller_manager(layout: &Layout, kubeconfig: PathBuf) -> Vec<String> {
    [
        ("kubeconfig", kubeconfig.display().to_string()),
        ("service-account-private-key-file", layout.key("service-account").display().to_string()),
        ("root-ca-file", layout.certificate("kubernetes-ca").display().to_string()),
        ("use-service-account-credentials", "false".to_owned()),
        ("controllers", "node-lifecycle-controller".to_owned()),
        ("cert-dir", "/tmp".to_owned()),
    ]
    .map(|(name, value)| format!("--{name}={value}"))
    .to_vec()
}
