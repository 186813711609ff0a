//! The kubelet of a node: static pods from a folder, cgroups below the node's own, eviction out of the way.

use super::{FilesError, kubeconfig, put};
use crate::layout::{API_PORT, Layout, Node, cgroup};

/// Its command line, the program first.
pub(crate) fn command(layout: &Layout, node: Node) -> Vec<String> {
    let folder = layout.node(node);
    vec![
        layout.program("kubelet").display().to_string(),
        format!("--config={}", folder.join("kubelet.yaml").display()),
        format!("--kubeconfig={}", folder.join("kubelet.conf").display()),
        format!("--root-dir={}", folder.join("kubelet").display()),
        format!("--cert-dir={}", folder.join("kubelet-pki").display()),
        format!("--hostname-override={node}"),
        format!("--node-ip={}", node.address()),
    ]
}

pub(super) fn write(layout: &Layout, node: Node) -> Result<(), FilesError> {
    let folder = layout.node(node);
    let server = format!("https://127.0.0.1:{API_PORT}");
    put(&folder.join("kubelet.conf"), &kubeconfig(layout, &server, &format!("kubelet-{node}")))?;
    let text = format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
staticPodPath: {folder}/manifests
podLogsDir: {folder}/pods
volumePluginDir: {folder}/volume-plugins
containerRuntimeEndpoint: unix://{socket}
cgroupDriver: cgroupfs
cgroupRoot: /{cgroup}
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
evictionHard: {{ memory.available: 1Mi }}
imageGCHighThresholdPercent: 100
containerLogMaxSize: 8Mi
containerLogMaxFiles: 2
address: {address}
authentication: {{ anonymous: {{ enabled: true }}, webhook: {{ enabled: false }} }}
authorization: {{ mode: AlwaysAllow }}
",
        folder = folder.display(),
        socket = layout.containerd_socket(node).display(),
        cgroup = cgroup(node, None),
        address = node.address(),
    );
    put(&folder.join("kubelet.yaml"), &text)
}
