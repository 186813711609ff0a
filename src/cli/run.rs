//! `defib run`: the daemon, with its story on stdout and its log on stderr.

use std::os::unix::process::CommandExt;

use defib_engine::playbook::Playbook;

use super::{Exit, complain, credentials, log, out, runtime};
use crate::config::Config;
use crate::daemon::{self, DaemonError, Left};
use crate::journal::{JournalError, NewRecord};
use crate::report::{line, wall};

pub(super) fn main(config: Config, playbooks: Vec<Playbook>) -> Exit {
    if credentials::tell(&config) > 0 {
        return Exit::Misuse;
    }
    log();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let several = config.clusters.len() > 1;
    let print = move |record: &NewRecord| {
        if let Some(line) = line::of_new(record) {
            let cluster = if several { format!("{} ", record.cluster) } else { String::new() };
            out(&format!("{} {cluster}{line}", wall::time(record.at_ms)));
        }
    };
    let ended = runtime.block_on(daemon::run(config, playbooks, print));
    // A probe, or a disk that hangs, is not waited for.
    runtime.shutdown_timeout(std::time::Duration::from_millis(100));
    match ended {
        Ok(Left::Ended) => Exit::Well,
        Ok(Left::JournalReturned) => again(),
        Err(error) => {
            complain(&error);
            match error {
                DaemonError::Journal(JournalError::Held { .. }) => Exit::Held,
                _ => Exit::Misuse,
            }
        }
    }
}

/// Starts this program anew in this process, as it was called.
fn again() -> Exit {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            complain(&error);
            return Exit::CannotTell;
        }
    };
    let error = std::process::Command::new(program).args(std::env::args_os().skip(1)).exec();
    complain(&error);
    Exit::CannotTell
}
