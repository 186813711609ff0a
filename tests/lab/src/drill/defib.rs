//! defib itself, run for a drill: on the ops host, its story relayed, its log kept, ended by SIGTERM.
//!
//! The drill starts the program that an operator would start, with the configuration that the lab wrote. Where it comes
//! from: the option, `DEFIB_BIN`, or beside this program. Left out: any judgement of what it says.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::clock::wait;
use super::story::{Story, Voice};

/// The longest line of its story that is relayed whole; the rest of a longer one follows as another line.
const LINE_BYTES_MAX: u64 = 8 * 1024;
/// How long it may take to end after SIGTERM, before SIGKILL.
const END_DEADLINE: Duration = Duration::from_secs(10);
/// For one question about its readiness.
const ASK_DEADLINE: Duration = Duration::from_secs(1);

/// Why defib does not run.
#[derive(Debug, thiserror::Error)]
pub enum DefibError {
    /// There is no such program.
    #[error("there is no defib at {}: build it, or name it with --defib or DEFIB_BIN", .0.display())]
    Missing(PathBuf),
    /// It could not be started.
    #[error("cannot start {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It ended by itself.
    #[error("defib ended by itself ({status}): see {}", log.display())]
    Ended {
        /// How.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
    },
}

/// The program to run: `named`, else `DEFIB_BIN`, else `defib` beside this executable.
pub(super) fn find(named: Option<PathBuf>) -> Result<PathBuf, DefibError> {
    let beside = || {
        let own = std::env::current_exe().unwrap_or_default();
        own.with_file_name("defib")
    };
    let program = named.or_else(|| std::env::var_os("DEFIB_BIN").map(PathBuf::from)).unwrap_or_else(beside);
    // It is started from another place, so a relative path is settled here.
    std::fs::canonicalize(&program).map_err(|_| DefibError::Missing(program))
}

/// A running defib; killed when dropped.
pub(super) struct Defib {
    child: Child,
    log: PathBuf,
    relay: Option<JoinHandle<()>>,
}

impl Defib {
    /// Starts `command`, relays its stdout into the story and keeps its stderr in the file `log`.
    pub(super) fn start(mut command: Command, log: &Path, story: Arc<Story>) -> Result<Self, DefibError> {
        let program = PathBuf::from(command.get_program());
        let failed = |source| DefibError::Start { program: program.clone(), source };
        let kept = File::create(log).map_err(failed)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(kept);
        let mut child = command.spawn().map_err(failed)?;
        let relay = child.stdout.take().map(|lines| std::thread::spawn(move || relay(lines, &story)));
        Ok(Self { child, log: log.to_owned(), relay })
    }

    /// An error once it has ended by itself.
    pub(super) fn check(&mut self) -> Result<(), DefibError> {
        match self.child.try_wait() {
            Ok(Some(status)) => Err(DefibError::Ended { status, log: self.log.clone() }),
            _ => Ok(()),
        }
    }

    /// Asks it to end, and makes it end. True when it did so by itself within 10 s.
    pub(super) fn stop(mut self) -> bool {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // It may have ended meanwhile; what follows finds out.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let ended = wait("defib's end", END_DEADLINE, || self.child.try_wait().ok().flatten());
        ended.is_ok_and(|status| status.success())
    }
}

impl Drop for Defib {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(relay) = self.relay.take() {
            let _ = relay.join();
        }
    }
}

fn relay(lines: ChildStdout, story: &Story) {
    let mut lines = BufReader::new(lines);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => story.say(Voice::Defib, String::from_utf8_lossy(&line).trim_end()),
        }
    }
}

/// Whether `/readyz` at `address` answers 200; to be asked on a thread of the ops host.
pub(super) fn is_ready(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, ASK_DEADLINE)?;
        stream.set_read_timeout(Some(ASK_DEADLINE))?;
        stream.set_write_timeout(Some(ASK_DEADLINE))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}
