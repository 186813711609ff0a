//! Becoming a program in a place of the lab: its namespace, its cgroup, and then the program instead of ourselves.
//!
//! A program of its own does it, because doing it between fork and exec would take unsafe code. Everything that is
//! started so is in a cgroup of the lab's, where a teardown finds it.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::layout::{CGROUP, Layout, Part, Place, cgroup};
use crate::system::cgroup::{CgroupError, Cgroups};
use crate::system::namespace::{self, NamespaceError};

/// Why the program did not start.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The namespace could not be joined.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The cgroup could not be joined.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// A session of its own was refused.
    #[error("cannot detach from the terminal")]
    Detach(#[source] nix::errno::Errno),
    /// The program could not be run.
    #[error("cannot run {program}")]
    Run {
        /// The program.
        program: String,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Where to become a program.
#[derive(Clone, Copy, Debug)]
pub struct Joined {
    /// Whose namespace, and whose cgroup.
    pub place: Place,
    /// The part of the node as which the program counts; none for a visitor's.
    pub part: Option<Part>,
    /// Whether to leave the caller's terminal, so that its end does not end the program.
    pub detach: bool,
}

/// Turns this process into the program; returns only when that fails. For processes of one thread.
pub fn exec(joined: Joined, program: &str, arguments: &[String]) -> ExecError {
    if let Err(e) = join(joined) {
        return e;
    }
    let source = Command::new(program).args(arguments).exec();
    ExecError::Run { program: program.to_owned(), source }
}

pub(crate) fn join(joined: Joined) -> Result<(), ExecError> {
    let cgroups = Cgroups::of_this_machine()?;
    let name = match (joined.place, joined.part) {
        (Place::Node(node), Some(part)) => cgroup(node, Some(part)),
        // Processes live in leaves only, so visitors have one too.
        (place, _) => format!("{CGROUP}/{}/visitors", place.name()),
    };
    cgroups.create(&name)?;
    namespace::enter(&Layout::default().namespace(joined.place))?;
    cgroups.join(&name)?;
    if joined.detach {
        nix::unistd::setsid().map_err(ExecError::Detach)?;
    }
    Ok(())
}
