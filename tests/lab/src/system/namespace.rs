//! Network namespaces held by a file of the lab's, so that a teardown finds them and `ip netns` lists none of them.
//!
//! A namespace is entered by one thread at a time: what that thread starts lives there, and the rest of the program stays
//! where it was. Only the network is changed; `ip netns exec` would also mount a fresh /sys and hide the cgroups.

use std::fs::File;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

/// Why a namespace could not be made or entered.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// Its file could not be made or opened.
    #[error("cannot open {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The kernel refused.
    #[error("cannot {what} network namespace {}", path.display())]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// The namespace's file.
        path: PathBuf,
        /// The kernel's reason.
        source: nix::errno::Errno,
    },
    /// The thread that went there ended before its work was done.
    #[error("the thread in network namespace {} broke off", .0.display())]
    Thread(PathBuf),
}

/// Makes a namespace with nothing but a loopback device in it, held by `file`.
pub(crate) fn create(file: &Path) -> Result<(), NamespaceError> {
    File::create(file).map_err(|source| NamespaceError::File { path: file.to_owned(), source })?;
    let kernel = |what| move |source| NamespaceError::Kernel { what, path: file.to_owned(), source };
    in_thread(file, || {
        unshare(CloneFlags::CLONE_NEWNET).map_err(kernel("make"))?;
        let own = Some("/proc/thread-self/ns/net");
        mount(own, file, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(kernel("keep"))
    })
}

/// Moves the calling thread into a namespace; what it starts from here on lives there.
pub(crate) fn enter(file: &Path) -> Result<(), NamespaceError> {
    let opened = File::open(file).map_err(|source| NamespaceError::File { path: file.to_owned(), source })?;
    setns(opened, CloneFlags::CLONE_NEWNET).map_err(|source| NamespaceError::Kernel {
        what: "enter",
        path: file.to_owned(),
        source,
    })
}

/// Does `work` in a namespace, on a thread of its own.
pub(crate) fn inside<T: Send>(file: &Path, work: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
    in_thread(file, || enter(file).map(|()| work()))
}

fn in_thread<T: Send>(
    file: &Path,
    work: impl FnOnce() -> Result<T, NamespaceError> + Send,
) -> Result<T, NamespaceError> {
    std::thread::scope(|scope| scope.spawn(work).join())
        .unwrap_or_else(|_| Err(NamespaceError::Thread(file.to_owned())))
}
