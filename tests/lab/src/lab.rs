//! The lab as a value: raised, found again, broken, healed, taken down.
//!
//! A lab lives outside the process that raised it, so dropping a [`Lab`] ends nothing. One lab at a time on a machine: a
//! lock is held while it goes up, down or heals, and whatever an unfinished one left behind is taken away first.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};

use crate::fault::{self, Fault, FaultError};
use crate::files::{self, UserFilesError};
use crate::layout::{CGROUP, LOCK, Layout, Node, Part, Place, cgroup};
use crate::machined::{self, CallRecord};
use crate::node::image::{self, ImageError};
use crate::node::{self, FilesError};
use crate::pki::{self, PkiError};
use crate::power;
use crate::programs::{self, Program, ProgramsError};
use crate::ready::{self, ReadyError};
use crate::system::cgroup::{CgroupError, Cgroups};
use crate::system::network::{self, NetworkError};
use crate::system::process::{ProcessError, is_program, leave_running, on_path};
use crate::teardown::{self, Before, TeardownError};

/// Where distributions put the CNI plugins.
const CNI_FOLDERS: [&str; 3] = ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];
/// For every part to run once the API servers serve; a container that died twice waits for 20 s.
pub(crate) const WHOLE_DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks for a part's processes.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// The system's programs that the lab runs, and the Debian packages that hold them.
const TOOLS: [(&str, &str); 5] = [
    ("ip", "iproute2"),
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("arping", "iputils-arping"),
];

/// Why the lab did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Namespaces, cgroups and mounts are root's.
    #[error("the lab needs root for namespaces, cgroups and mounts: run it as root, or with sudo")]
    NotRoot,
    /// System programs are missing.
    #[error("missing: {0}; on Debian or Ubuntu: apt-get install {1}")]
    Tools(String, String),
    /// A lab is up already.
    #[error("a lab is up already: use it, or take it down with `defib-lab down`")]
    UpAlready,
    /// There is no lab.
    #[error("no lab is up: raise one with `defib-lab up`")]
    NotUp,
    /// Somebody else is at work on it.
    #[error("another defib-lab is raising, healing, drilling on or taking down the lab at this moment")]
    Busy,
    /// The `defib-lab` program, which the lab's processes run, was not found.
    #[error("cannot find the program defib-lab: set DEFIB_LAB_BIN, or build it with `cargo build -p defib-lab`")]
    NoProgram,
    /// A part does not run.
    #[error("{part} does not run on {node} after {} s", WHOLE_DEADLINE.as_secs())]
    Incomplete {
        /// The part.
        part: Part,
        /// The node.
        node: Node,
    },
    /// A file could not be made.
    #[error("cannot write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A call log could not be read.
    #[error("cannot read the call log of {node}")]
    CallLog {
        /// Whose.
        node: Node,
        /// The reason.
        source: std::io::Error,
    },
    /// The programs of the control plane.
    #[error(transparent)]
    Programs(#[from] ProgramsError),
    /// Certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A node's files.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The user's files.
    #[error(transparent)]
    UserFiles(#[from] UserFilesError),
    /// The network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Cgroups.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// A process.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It does not serve.
    #[error(transparent)]
    Ready(#[from] ReadyError),
    /// A fault.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// Something remains.
    #[error(transparent)]
    Teardown(#[from] TeardownError),
}

/// How to raise a lab.
#[derive(Clone, Copy, Debug)]
pub struct UpOptions {
    /// Told what happens, a line at a time.
    pub say: fn(&str),
}

impl Default for UpOptions {
    fn default() -> Self {
        Self { say: |_| {} }
    }
}

/// What is kept about a lab that came up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct About {
    /// When it was ready, in Unix milliseconds.
    pub ready_at_ms: u64,
    /// The machine's cgroups: `v1` or `v2`.
    pub cgroups: String,
    /// What it runs.
    pub programs: Vec<Program>,
}

/// A lab that is up.
#[derive(Clone, Debug)]
pub struct Lab {
    layout: Layout,
    cgroups: Cgroups,
    program: PathBuf,
}

impl Lab {
    /// Raises a lab and waits until it serves: every kubelet, every API server and the VIP. What an unfinished lab left
    /// is taken away first; if this one fails it is left as it is, to be looked into, and taken away by the next or by
    /// `down`.
    pub fn up(options: &UpOptions) -> Result<Self, LabError> {
        let say = options.say;
        let (lab, programs, _lock) = Self::prepare(options)?;
        say(&format!("namespaces and bridge are there; starting three nodes on cgroup {}", lab.cgroups.version()));
        for node in Node::ALL {
            lab.boot(node)?;
        }
        ready::wait(&lab.layout, &say)?;
        lab.wait_until_whole()?;
        lab.mark_ready(programs)?;
        Ok(lab)
    }

    /// Everything but the processes: programs, files, network; what an unfinished lab left is gone. Held by the lock.
    pub(crate) fn prepare(options: &UpOptions) -> Result<(Self, Vec<Program>, File), LabError> {
        let cni = check_tools()?;
        let lab = Self::of_this_machine()?;
        let programs = programs::provide(&options.say)?;
        let lock = lock()?;
        if lab.is_up() {
            return Err(LabError::UpAlready);
        }
        teardown::everything(&lab.layout, &lab.cgroups)?;
        lab.write_files(&programs, &cni)?;
        network::build(&lab.layout)?;
        Ok((lab, programs, lock))
    }

    /// Notes that it came up whole.
    pub(crate) fn mark_ready(&self, programs: Vec<Program>) -> Result<(), LabError> {
        let about = About { ready_at_ms: unix_ms(), cgroups: self.cgroups.version().to_owned(), programs };
        let mark = self.layout.ready_mark();
        let text = serde_json::to_vec_pretty(&about).map_err(std::io::Error::from);
        let written = text.and_then(|text| std::fs::write(&mark, text));
        written.map_err(|source| LabError::File { path: mark, source })
    }

    /// The machine's cgroups.
    pub(crate) fn cgroups(&self) -> &Cgroups {
        &self.cgroups
    }

    /// The `defib-lab` program that this lab's processes run.
    pub(crate) fn program_file(&self) -> &Path {
        &self.program
    }

    /// The lab that is up.
    pub fn attach() -> Result<Self, LabError> {
        let lab = Self::of_this_machine()?;
        if lab.is_up() { Ok(lab) } else { Err(LabError::NotUp) }
    }

    /// Takes the machine's lab away, whatever its state; done when nothing remains. Fine where there is none.
    pub fn clear() -> Result<(), LabError> {
        require_root()?;
        let _lock = lock()?;
        Ok(teardown::everything(&Layout::default(), &Cgroups::of_this_machine()?)?)
    }

    /// Takes this lab away: see [`Lab::clear`].
    pub fn down(&self) -> Result<(), LabError> {
        Self::clear()
    }

    /// Where everything lies.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What is kept about it.
    pub fn about(&self) -> Option<About> {
        serde_json::from_slice(&std::fs::read(self.layout.ready_mark()).ok()?).ok()
    }

    /// Breaks something; returns when it is broken.
    pub fn break_(&self, fault: Fault) -> Result<(), LabError> {
        Ok(fault::make(fault, &self.layout, &self.cgroups)?)
    }

    /// Mends one thing that [`Lab::break_`] broke, without waiting for service.
    pub fn mend(&self, fault: Fault) -> Result<(), LabError> {
        Ok(fault::mend(fault, &self.layout, &self.cgroups)?)
    }

    /// Keeps others from healing the lab or taking it down until the claim is dropped: a drill's faults are to last.
    pub fn claim(&self) -> Result<Claim, LabError> {
        Ok(Claim { _lock: lock()? })
    }

    /// The faults that last, as the kernel shows them.
    pub fn faults(&self) -> Result<Vec<Fault>, LabError> {
        Ok(fault::lasting(&self.layout, &self.cgroups)?)
    }

    /// Whether any process of a part runs on a node.
    pub fn runs(&self, node: Node, part: Part) -> bool {
        fault::runs(part, node, &self.cgroups)
    }

    /// Mends everything, restarts every kubelet (so that no back-off is left), and waits until the lab serves. A node
    /// whose machined is dead is booted anew; one that reboots is waited for.
    pub fn heal(&self) -> Result<(), LabError> {
        let _lock = lock()?;
        for node in Node::ALL {
            // Thaws what hangs, too: all of a node is.
            for fault in [Fault::Freeze(node), Fault::Starve(node), Fault::SlowDisk(node), Fault::Clock(node, 0)] {
                self.mend(fault)?;
            }
        }
        self.mend(Fault::IsolateOps)?;
        for node in Node::ALL {
            let _power = power::hold(&self.layout, node)?;
            if !self.runs(node, Part::Machined) {
                self.cgroups.kill_all(&cgroup(node, None))?;
                self.boot(node)?;
                continue;
            }
            if !self.runs(node, Part::Vip) {
                self.start(node, Part::Vip)?;
            }
            if self.runs(node, Part::Kubelet) {
                self.break_(Fault::Kill(node, Part::Kubelet))?;
            }
        }
        ready::wait(&self.layout, &|_| {})?;
        self.wait_until_whole()
    }

    /// A command that runs a program on the ops host, where defib runs.
    pub fn command_in_ops(&self, program: &Path) -> Result<Command, LabError> {
        let mut command = Command::new(&self.program);
        command.args(["exec", Place::Ops.name(), "--"]).arg(program);
        Ok(command)
    }

    /// The calls that a node's machined has taken, in the order of its answers.
    pub fn call_log(&self, node: Node) -> Result<Vec<CallRecord>, LabError> {
        machined::read_calls(&self.layout.call_log(node)).map_err(|source| LabError::CallLog { node, source })
    }

    fn of_this_machine() -> Result<Self, LabError> {
        require_root()?;
        Ok(Self { layout: Layout::default(), cgroups: Cgroups::of_this_machine()?, program: program()? })
    }

    /// It came up whole, and at least one node of it lives: a machine that was restarted keeps no process.
    fn is_up(&self) -> bool {
        self.layout.ready_mark().exists() && !self.cgroups.processes(CGROUP).is_empty()
    }

    fn write_files(&self, programs: &[Program], cni: &Path) -> Result<(), LabError> {
        let layout = &self.layout;
        for folder in [layout.pki(), layout.run().join("namespaces"), layout.run().join("programs")] {
            std::fs::create_dir_all(&folder).map_err(|source| LabError::File { path: folder, source })?;
        }
        for program in programs {
            let link = layout.program(&program.name);
            let linked = std::os::unix::fs::symlink(&program.path, &link);
            linked.map_err(|source| LabError::File { path: link, source })?;
        }
        let noted = Before::note(layout);
        noted.map_err(|source| LabError::File { path: layout.run().to_owned(), source })?;
        pki::make(layout)?;
        image::write(&layout.image())?;
        for node in Node::ALL {
            node::write(layout, node, cni)?;
        }
        Ok(files::write(layout)?)
    }

    /// Waits until every part of every node has a process: the controller managers, by whom nothing is served, too.
    fn wait_until_whole(&self) -> Result<(), LabError> {
        let began = Instant::now();
        for node in Node::ALL {
            for part in Part::ALL {
                while !self.runs(node, part) {
                    if began.elapsed() > WHOLE_DEADLINE {
                        return Err(LabError::Incomplete { part, node });
                    }
                    std::thread::sleep(LOOK_AGAIN);
                }
            }
        }
        Ok(())
    }

    /// The node's own start: machined, which starts the rest, and the VIP's agent.
    pub(crate) fn boot(&self, node: Node) -> Result<(), LabError> {
        self.start(node, Part::Machined)?;
        self.start(node, Part::Vip)
    }

    /// Starts one of the lab's own agents in its node's namespace and cgroup; it outlives us.
    fn start(&self, node: Node, part: Part) -> Result<(), LabError> {
        let agent = match part {
            Part::Vip => "vip-agent",
            _ => "machined",
        };
        let mut command = Command::new(&self.program);
        command.args(["exec", "--detach", "--part", part.name(), node.name(), "--"]);
        command.arg(&self.program).args([agent, node.name()]);
        leave_running(command, &self.layout.log(node, part))?;
        Ok(())
    }
}

/// The lab is somebody's until this is dropped: see [`Lab::claim`].
#[derive(Debug)]
pub struct Claim {
    _lock: File,
}

/// The `defib-lab` program: `DEFIB_LAB_BIN`, else this very program, else beside it or one folder above it (where Cargo
/// puts programs, seen from a test).
pub fn program() -> Result<PathBuf, LabError> {
    if let Some(path) = std::env::var_os("DEFIB_LAB_BIN").map(PathBuf::from) {
        return if is_program(&path) { Ok(path) } else { Err(LabError::NoProgram) };
    }
    let own = std::env::current_exe().map_err(|_| LabError::NoProgram)?;
    let places = own.ancestors().skip(1).take(2).map(|folder| folder.join("defib-lab"));
    places.into_iter().find(|path| is_program(path)).ok_or(LabError::NoProgram)
}

fn require_root() -> Result<(), LabError> {
    if geteuid().is_root() { Ok(()) } else { Err(LabError::NotRoot) }
}

/// Sees that the system's programs are there; gives the folder of the CNI plugins.
fn check_tools() -> Result<PathBuf, LabError> {
    require_root()?;
    let mut missing: Vec<(&str, &str)> = TOOLS.into_iter().filter(|(tool, _)| on_path(tool).is_none()).collect();
    let cni = CNI_FOLDERS.into_iter().map(PathBuf::from).find(|folder| is_program(&folder.join("loopback")));
    if cni.is_none() {
        missing.push(("CNI's loopback plugin", "containernetworking-plugins"));
    }
    match cni {
        Some(cni) if missing.is_empty() => Ok(cni),
        _ => {
            let tools: Vec<&str> = missing.iter().map(|(tool, _)| *tool).collect();
            let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
            packages.dedup();
            Err(LabError::Tools(tools.join(", "), packages.join(" ")))
        }
    }
}

/// Held until dropped, or until the process ends in whatever way.
fn lock() -> Result<File, LabError> {
    let failed = |source| LabError::File { path: PathBuf::from(LOCK), source };
    let file = File::options().create(true).truncate(false).write(true).open(LOCK).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(LabError::Busy),
        Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
