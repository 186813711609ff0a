//! Everything of a lab taken away: its processes, mounts, namespaces, cgroups and files, whoever left them there.
//!
//! It goes by what the kernel and the file system show, not by anything remembered, so it ends a lab that came up, one
//! that was killed half-way, and none at all alike. Left alone: the cache of programs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::layout::{CGROUP, Layout, Node};
use crate::system::cgroup::{CgroupError, Cgroups};
use crate::system::mount::{MountError, unmount_below};

/// Where the kubelet puts links to the logs of containers, whatever its configuration says.
const KUBELET_LINKS: &str = "/var/log/containers";

/// Why something remains.
#[derive(Debug, thiserror::Error)]
pub enum TeardownError {
    /// Processes or cgroups.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// Mounts.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// Files.
    #[error("cannot remove {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Takes a lab away.
pub(crate) fn everything(layout: &Layout, cgroups: &Cgroups) -> Result<(), TeardownError> {
    cgroups.kill_all(CGROUP)?;
    cgroups.remove(CGROUP)?;
    for node in Node::ALL {
        memory(&layout.node(node))?;
    }
    // Namespaces end here: each is held by a mount alone.
    unmount_below(layout.run())?;
    for link in entries(Path::new(KUBELET_LINKS)) {
        if std::fs::read_link(&link).is_ok_and(|target| target.starts_with(layout.run())) {
            remove(std::fs::remove_file(&link), &link)?;
        }
    }
    Before::restore(layout)?;
    remove(std::fs::remove_dir_all(layout.run()), layout.run())
}

/// Takes away what a machine would keep in memory alone: mounts, and the state of its runtime. `node` is its folder, and
/// its processes are dead.
pub(crate) fn memory(node: &Path) -> Result<(), TeardownError> {
    // Read before their folders go: a shim's socket lies outside, named by a hash.
    let sockets = shim_sockets(node);
    unmount_below(node)?;
    for socket in sockets {
        remove(std::fs::remove_file(&socket), &socket)?;
    }
    for state in ["containerd-state", "runc"].map(|name| node.join(name)) {
        remove(std::fs::remove_dir_all(&state), &state)?;
    }
    Ok(())
}

fn remove(removed: std::io::Result<()>, path: &Path) -> Result<(), TeardownError> {
    match removed {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(TeardownError::File { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Each running task's bundle names the socket of its shim.
fn shim_sockets(node: &Path) -> Vec<PathBuf> {
    let bundles = entries(&node.join("containerd-state/io.containerd.runtime.v2.task/k8s.io"));
    let address = |bundle: PathBuf| std::fs::read_to_string(bundle.join("address")).ok();
    let socket = |text: String| text.trim().strip_prefix("unix://").map(PathBuf::from);
    bundles.into_iter().filter_map(address).filter_map(socket).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Folders outside the run folder that a kubelet or containerd makes, whatever its configuration says.
const FOLDERS: [&str; 3] = ["/var/lib/kubelet", "/var/log/containers", "/run/containerd"];
/// Settings of the whole machine's kernel that a kubelet changes when it starts.
const TUNABLES: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// The machine as it was before a lab changed it, to be put back.
#[derive(Serialize, Deserialize)]
pub(crate) struct Before {
    /// Values below /proc/sys.
    tunables: BTreeMap<String, String>,
    /// Those of [`FOLDERS`] that were not there.
    absent: BTreeSet<String>,
}

impl Before {
    /// Notes it down; to be called before the first kubelet starts.
    pub(crate) fn note(layout: &Layout) -> std::io::Result<()> {
        let value = |name: &str| std::fs::read_to_string(Path::new("/proc/sys").join(name)).ok();
        let found = |name: &str| value(name).map(|text| (name.to_owned(), text.trim().to_owned()));
        let absent = |folder: &&str| !Path::new(folder).exists();
        let before = Self {
            tunables: TUNABLES.into_iter().filter_map(found).collect(),
            absent: FOLDERS.into_iter().filter(absent).map(str::to_owned).collect(),
        };
        std::fs::write(Self::file(layout), serde_json::to_vec(&before)?)
    }

    /// Puts back what differs. A machine that does not let a setting be written did not let the kubelet write it either.
    fn restore(layout: &Layout) -> Result<(), TeardownError> {
        let noted = std::fs::read(Self::file(layout)).ok().and_then(|text| serde_json::from_slice::<Self>(&text).ok());
        let Some(before) = noted else { return Ok(()) };
        for (name, value) in before.tunables.iter().filter(|(name, _)| TUNABLES.contains(&name.as_str())) {
            let path = Path::new("/proc/sys").join(name);
            if std::fs::read_to_string(&path).is_ok_and(|found| found.trim() != value) {
                let _ = std::fs::write(&path, value);
            }
        }
        for folder in FOLDERS.into_iter().filter(|folder| before.absent.contains(*folder)) {
            remove(std::fs::remove_dir_all(folder), Path::new(folder))?;
        }
        Ok(())
    }

    fn file(layout: &Layout) -> PathBuf {
        layout.run().join("before.json")
    }
}
