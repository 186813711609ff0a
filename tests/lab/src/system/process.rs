//! Programs that are run and awaited, programs that are left running, and what a process is called.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why a program did not do what it was run for.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("cannot run {program}")]
    Start {
        /// The program.
        program: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It ran and said no.
    #[error("`{line}` failed: {said}")]
    Failed {
        /// The command line.
        line: String,
        /// The last line that it printed.
        said: String,
    },
    /// Its log could not be opened.
    #[error("cannot write {}", path.display())]
    Log {
        /// The log.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Runs a program to its end and gives what it printed on stdout.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String, ProcessError> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ProcessError::Start { program: program.to_owned(), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it gave no reason").to_owned();
    Err(ProcessError::Failed { line: format!("{program} {}", arguments.join(" ")), said })
}

/// Starts a program that outlives us: its output goes to `log`, nothing of ours stays open in it.
pub(crate) fn leave_running(mut command: Command, log: &Path) -> Result<u32, ProcessError> {
    let failed = |source| ProcessError::Log { path: log.to_owned(), source };
    let file = OpenOptions::new().create(true).append(true).open(log).map_err(failed)?;
    let other = file.try_clone().map_err(failed)?;
    let program = command.get_program().to_string_lossy().into_owned();
    let child = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(other)
        .spawn()
        .map_err(|source| ProcessError::Start { program, source })?;
    Ok(child.id())
}

/// The state of a process in the kernel's letter, such as `R` or `D`; none when it is gone.
pub(crate) fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // A name may hold anything, a closing parenthesis too.
    stat.rsplit_once(") ")?.1.chars().next()
}

/// The kernel's name of a process, at most 15 bytes; none when it is gone.
pub(crate) fn name(pid: i32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|text| text.trim_end().to_owned())
}

/// The file of a program on the PATH.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| is_program(file))
}

/// Whether a file is there and may be run.
pub(crate) fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
