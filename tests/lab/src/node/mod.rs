//! What a node runs: the command lines and configuration files of the real parts, as a Talos node has them where that
//! matters (etcd beside the kubelet and not in a pod; static pods without probes; no anonymous requests).
//!
//! Pure but for writing the files. Left out: starting anything, which is the simulated machined's work.

pub(crate) mod containerd;
pub(crate) mod etcd;
pub(crate) mod image;
pub(crate) mod kubelet;
pub(crate) mod pods;

use std::path::{Path, PathBuf};

use crate::layout::{Layout, Node};

/// Why a node's files are not there.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct FilesError {
    /// The file or folder.
    pub path: PathBuf,
    /// The system's reason.
    pub source: std::io::Error,
}

/// Writes everything that a node's parts read. `cni` is the folder of the system's CNI plugins.
pub(crate) fn write(layout: &Layout, node: Node, cni: &Path) -> Result<(), FilesError> {
    containerd::write(layout, node, cni)?;
    kubelet::write(layout, node)?;
    pods::write(layout, node)
}

/// Writes a file and the folders above it.
pub(crate) fn put(path: &Path, text: &str) -> Result<(), FilesError> {
    let failed = |source| FilesError { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}

/// A kubeconfig for one server and one certificate of the lab's.
pub(crate) fn kubeconfig(layout: &Layout, server: &str, certificate: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
clusters: [{{ name: lab, cluster: {{ server: \"{server}\", certificate-authority: {ca} }} }}]
users: [{{ name: {certificate}, user: {{ client-certificate: {crt}, client-key: {key} }} }}]
contexts: [{{ name: lab, context: {{ cluster: lab, user: {certificate} }} }}]
current-context: lab
",
        ca = layout.certificate("kubernetes-ca").display(),
        crt = layout.certificate(certificate).display(),
        key = layout.key(certificate).display(),
    )
}
