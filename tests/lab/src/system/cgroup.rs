//! Cgroups of both kinds: v1, where each controller has a tree of its own, and v2, where there is one tree.
//!
//! A machine with any v1 controller counts as v1, because that is what the kubelet and runc take it for. Names are those
//! of [`crate::layout::cgroup`], relative to the root of a tree. On v2 processes live in leaves only, which is how the
//! layout names them. Promised: freezing and killing return when it is so, or say that it is not; each wait is bounded.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::process;

/// For all processes of a cgroup to stop, or to be gone. A freeze takes milliseconds; a death waits for the disk.
const SETTLE: Duration = Duration::from_secs(15);
/// The kernel offers nothing to await for a v1 cgroup, so its state is read again this often.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Controllers to hand down on v2, where the machine has them.
const CONTROLLERS: [&str; 6] = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids"];

/// Why a cgroup is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// There is no cgroup file system.
    #[error("no cgroup file system is mounted on this machine")]
    None,
    /// A file of a cgroup could not be read or written.
    #[error("cannot {what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The kernel's reason.
        source: std::io::Error,
    },
    /// It did not come to rest.
    #[error("cgroup {name} is not {wanted} after {} s", SETTLE.as_secs())]
    Unsettled {
        /// The cgroup.
        name: String,
        /// The state waited for.
        wanted: &'static str,
    },
}

/// The machine's cgroup trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cgroups {
    /// The v1 trees, those with a name and no controller too, and at last a v2 tree that is mounted beside them.
    V1(Vec<Tree>),
    /// The root of the one v2 tree.
    V2(PathBuf),
}

/// One v1 tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tree {
    root: PathBuf,
    controllers: BTreeSet<String>,
}

impl Cgroups {
    /// What this machine has.
    pub(crate) fn of_this_machine() -> Result<Self, CgroupError> {
        let list = read(Path::new("/proc/self/mountinfo"))?;
        Self::among(&list).ok_or(CgroupError::None)
    }

    fn among(mountinfo: &str) -> Option<Self> {
        let mut trees: Vec<Tree> = Vec::new();
        let mut unified = None;
        for line in mountinfo.lines() {
            let Some((place, kind)) = line.split_once(" - ") else { continue };
            let Some(point) = place.split(' ').nth(4) else { continue };
            let mut kind = kind.split(' ');
            match (kind.next(), kind.nth(1)) {
                (Some("cgroup"), Some(options)) => {
                    let flags = ["rw", "ro", "xattr", "noprefix", "clone_children"];
                    let named = |option: &&str| !flags.contains(option) && !option.starts_with("release_agent");
                    let controllers: BTreeSet<String> = options.split(',').filter(named).map(str::to_owned).collect();
                    if !trees.iter().any(|tree| tree.controllers == controllers) {
                        trees.push(Tree { root: PathBuf::from(point), controllers });
                    }
                }
                (Some("cgroup2"), _) => unified = unified.or(Some(PathBuf::from(point))),
                _ => {}
            }
        }
        // systemd's own named tree beside a v2 tree that has the controllers does not make a machine v1.
        let has_controllers = trees.iter().any(|tree| tree.controllers.iter().any(|name| !name.starts_with("name=")));
        if !has_controllers {
            return unified.map(Self::V2);
        }
        // A v2 tree without controllers beside them: runc makes cgroups there too, so it is one tree more.
        trees.extend(unified.map(|root| Tree { root, controllers: BTreeSet::new() }));
        Some(Self::V1(trees))
    }

    /// `v1` or `v2`.
    pub(crate) fn version(&self) -> &'static str {
        match self {
            Self::V1(_) => "v1",
            Self::V2(_) => "v2",
        }
    }

    /// Makes a cgroup and those above it. On v2 the ones above hand all controllers down.
    pub(crate) fn create(&self, name: &str) -> Result<(), CgroupError> {
        match self {
            Self::V1(trees) => trees.iter().try_for_each(|tree| tree.create(name)),
            Self::V2(root) => {
                let mut at = root.clone();
                for step in name.split('/') {
                    hand_down(&at)?;
                    at.push(step);
                    make_folder(&at)?;
                }
                Ok(())
            }
        }
    }

    /// Moves the calling process into a cgroup, in every tree.
    pub(crate) fn join(&self, name: &str) -> Result<(), CgroupError> {
        let own = std::process::id().to_string();
        self.roots().iter().try_for_each(|root| write(&root.join(name).join("cgroup.procs"), &own))
    }

    /// Stops every process of a cgroup and of those below it, until [`Cgroups::thaw`].
    pub(crate) fn freeze(&self, name: &str) -> Result<(), CgroupError> {
        self.set_frozen(&self.governing().join(name), name, true)
    }

    /// Lets a cgroup's processes, and those of the cgroups below it, run again.
    pub(crate) fn thaw(&self, name: &str) -> Result<(), CgroupError> {
        let folder = self.governing().join(name);
        for below in folders_below(&folder) {
            self.set_frozen(&below, name, false)?;
        }
        Ok(())
    }

    /// Whether the cgroup itself is told to be frozen.
    pub(crate) fn is_frozen(&self, name: &str) -> bool {
        let folder = self.governing().join(name);
        let (file, frozen) = self.freezer(&folder);
        fs::read_to_string(file).is_ok_and(|state| state.trim() == frozen)
    }

    /// The processes in a cgroup and below it.
    pub(crate) fn processes(&self, name: &str) -> Vec<i32> {
        folders_below(&self.governing().join(name)).iter().flat_map(|folder| processes_in(folder)).collect()
    }

    /// The cgroups at and below `name` that hold a process for which `wanted` says yes, by its kernel name.
    pub(crate) fn holding(&self, name: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let root = self.governing();
        let holds =
            |folder: &PathBuf| processes_in(folder).into_iter().filter_map(process::name).any(|comm| wanted(&comm));
        let relative =
            |folder: &PathBuf| folder.strip_prefix(root).ok().map(|path| path.to_string_lossy().into_owned());
        folders_below(&root.join(name)).iter().filter(|folder| holds(folder)).filter_map(relative).collect()
    }

    /// Kills everything in a cgroup and below it, frozen or not, and waits until it is gone.
    pub(crate) fn kill_all(&self, name: &str) -> Result<(), CgroupError> {
        let deadline = Instant::now() + SETTLE;
        loop {
            let alive = self.processes(name);
            if alive.is_empty() {
                return Ok(());
            }
            for pid in alive {
                // Gone between the two lines is as good.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            // On v1 a frozen process dies only once it may run: killed first, it runs no instruction of its own.
            self.thaw(name)?;
            if Instant::now() > deadline {
                return Err(CgroupError::Unsettled { name: name.to_owned(), wanted: "empty" });
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Takes a cgroup and those below it away, in every tree; no process may be left in them.
    pub(crate) fn remove(&self, name: &str) -> Result<(), CgroupError> {
        let deadline = Instant::now() + SETTLE;
        for root in self.roots() {
            for folder in folders_below(&root.join(name)).iter().rev() {
                loop {
                    match fs::remove_dir(folder) {
                        Ok(()) => break,
                        Err(e) if e.kind() == std::io::ErrorKind::NotFound => break,
                        // The kernel needs a moment after the last death.
                        Err(_) if Instant::now() < deadline => std::thread::sleep(LOOK_AGAIN),
                        Err(source) => {
                            return Err(CgroupError::File { what: "remove", path: folder.clone(), source });
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn set_frozen(&self, folder: &Path, name: &str, frozen: bool) -> Result<(), CgroupError> {
        let (file, _) = self.freezer(folder);
        let (order, done): (&str, fn(&str) -> bool) = match (self, frozen) {
            (Self::V1(_), true) => ("FROZEN", |state| state.trim() == "FROZEN"),
            // Below a frozen cgroup it reads FROZEN still; the caller goes from the top down.
            (Self::V1(_), false) => ("THAWED", |_| true),
            (Self::V2(_), true) => ("1", |events| events.lines().any(|line| line == "frozen 1")),
            (Self::V2(_), false) => ("0", |_| true),
        };
        match write(&file, order) {
            Err(CgroupError::File { source, .. }) if !frozen && source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(());
            }
            written => written?,
        }
        let state = match self {
            Self::V1(_) => file,
            Self::V2(_) => folder.join("cgroup.events"),
        };
        let deadline = Instant::now() + SETTLE;
        while !done(&read(&state)?) {
            if Instant::now() > deadline {
                return Err(CgroupError::Unsettled { name: name.to_owned(), wanted: "frozen" });
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// The file that freezes, and what it reads once the cgroup is frozen.
    fn freezer(&self, folder: &Path) -> (PathBuf, &'static str) {
        match self {
            Self::V1(_) => (folder.join("freezer.state"), "FROZEN"),
            Self::V2(_) => (folder.join("cgroup.freeze"), "1"),
        }
    }

    /// The tree by which processes are listed and frozen.
    fn governing(&self) -> &Path {
        match self {
            Self::V1(trees) => {
                let freezer = trees.iter().find(|tree| tree.controllers.contains("freezer"));
                freezer.or(trees.first()).map_or(Path::new("/sys/fs/cgroup"), |tree| &tree.root)
            }
            Self::V2(root) => root,
        }
    }

    /// A cgroup in the tree of one controller; none where the machine has no such controller.
    pub(crate) fn folder(&self, controller: &str, name: &str) -> Option<PathBuf> {
        match self {
            Self::V1(trees) => {
                trees.iter().find(|tree| tree.controllers.contains(controller)).map(|tree| tree.root.join(name))
            }
            Self::V2(root) => Some(root.join(name)),
        }
    }

    fn roots(&self) -> Vec<&Path> {
        match self {
            Self::V1(trees) => trees.iter().map(|tree| tree.root.as_path()).collect(),
            Self::V2(root) => vec![root],
        }
    }
}

impl Tree {
    fn create(&self, name: &str) -> Result<(), CgroupError> {
        let mut at = self.root.clone();
        for step in name.split('/') {
            let above = at.clone();
            at.push(step);
            make_folder(&at)?;
            if self.controllers.contains("cpuset") {
                // A fresh cpuset is empty, and takes no process until it is filled.
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    if read(&at.join(file))?.trim().is_empty() {
                        write(&at.join(file), read(&above.join(file))?.trim())?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Turns on, for the cgroups below a v2 folder, every controller of [`CONTROLLERS`] that it has itself.
fn hand_down(folder: &Path) -> Result<(), CgroupError> {
    let own = read(&folder.join("cgroup.controllers"))?;
    let switch = folder.join("cgroup.subtree_control");
    let on = read(&switch)?;
    let missing = CONTROLLERS
        .into_iter()
        .filter(|name| own.split_whitespace().any(|own| own == *name) && !on.split_whitespace().any(|on| on == *name));
    missing.into_iter().try_for_each(|name| write(&switch, &format!("+{name}")))
}

/// A folder and all below it, each before its children.
fn folders_below(folder: &Path) -> Vec<PathBuf> {
    if !folder.is_dir() {
        return Vec::new();
    }
    let mut found = vec![folder.to_owned()];
    let mut next = 0;
    while let Some(at) = found.get(next).cloned() {
        next += 1;
        let entries = fs::read_dir(&at).into_iter().flatten().flatten();
        let mut below: Vec<PathBuf> = entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .collect();
        below.sort();
        found.extend(below);
    }
    found
}

fn processes_in(folder: &Path) -> Vec<i32> {
    let list = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    list.lines().filter_map(|line| line.parse().ok()).collect()
}

fn make_folder(path: &Path) -> Result<(), CgroupError> {
    fs::create_dir_all(path).map_err(|source| CgroupError::File { what: "make", path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<String, CgroupError> {
    fs::read_to_string(path).map_err(|source| CgroupError::File { what: "read", path: path.to_owned(), source })
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), CgroupError> {
    fs::write(path, text).map_err(|source| CgroupError::File { what: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_v1_controller_makes_a_machine_v1() {
        let list = "30 24 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
                    31 24 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
                    32 24 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let Some(Cgroups::V1(trees)) = Cgroups::among(list) else { panic!("not v1") };
        assert_eq!(trees.len(), 3);
        assert_eq!(trees[1].controllers, BTreeSet::from(["name=systemd".to_owned()]));
        assert_eq!(trees[2].root, Path::new("/sys/fs/cgroup/unified"));
    }

    #[test]
    fn one_tree_alone_or_beside_a_named_one_is_v2() {
        let list = "24 23 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(Cgroups::among(list), Some(Cgroups::V2(PathBuf::from("/sys/fs/cgroup"))));
        let named = "25 23 0:23 / /sys/fs/cgroup/systemd rw - cgroup none rw,name=systemd\n";
        assert_eq!(Cgroups::among(&format!("{list}{named}")), Some(Cgroups::V2(PathBuf::from("/sys/fs/cgroup"))));
        assert_eq!(Cgroups::among("1 1 0:1 / /proc rw - proc proc rw\n"), None);
    }
}
