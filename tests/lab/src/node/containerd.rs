//! The container runtime of a node: everything of its own in the node's folder, and a CNI network that is loopback alone.
//!
//! Static pods use the node's network, so no other is needed; but a runtime that reports *no* network makes each kubelet
//! restart take ten times as long.

use std::path::{Path, PathBuf};

use super::{FilesError, image, put};
use crate::layout::{Layout, Node};

/// Its command line, the program first.
pub(crate) fn command(layout: &Layout, node: Node) -> Vec<String> {
    vec!["containerd".to_owned(), "--config".to_owned(), config(layout, node).display().to_string()]
}

/// The command line that imports the lab's image into the running runtime.
pub(crate) fn import_command(layout: &Layout, node: Node) -> Vec<String> {
    let socket = layout.containerd_socket(node).display().to_string();
    let image = layout.image().display().to_string();
    ["ctr", "--address", &socket, "--namespace", "k8s.io", "images", "import", &image].map(str::to_owned).to_vec()
}

fn config(layout: &Layout, node: Node) -> PathBuf {
    layout.node(node).join("containerd.toml")
}

pub(super) fn write(layout: &Layout, node: Node, cni: &Path) -> Result<(), FilesError> {
    let folder = layout.node(node);
    let network = r#"{"cniVersion":"0.4.0","name":"lab","plugins":[{"type":"loopback"}]}"#;
    put(&folder.join("cni/lab.conflist"), network)?;
    let text = format!(
        "version = 2
root = \"{folder}/containerd\"
state = \"{folder}/containerd-state\"
[grpc]
address = \"{socket}\"
[plugins.\"io.containerd.internal.v1.opt\"]
path = \"{folder}/containerd-opt\"
[plugins.\"io.containerd.grpc.v1.cri\"]
sandbox_image = \"{sandbox}\"
# Where the machine withholds CAP_SYS_RESOURCE, every pod fails without it, with a message that names something else.
restrict_oom_score_adj = true
[plugins.\"io.containerd.grpc.v1.cri\".cni]
bin_dir = \"{cni}\"
conf_dir = \"{folder}/cni\"
[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]
runtime_type = \"io.containerd.runc.v2\"
[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]
Root = \"{folder}/runc\"
",
        folder = folder.display(),
        socket = layout.containerd_socket(node).display(),
        sandbox = image::NAMES[0],
        cni = cni.display(),
    );
    put(&config(layout, node), &text)
}
