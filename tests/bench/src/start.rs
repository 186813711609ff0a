//! How soon the program serves after its start, and how soon it has ended after SIGTERM.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::daemon::program;
use crate::http;
use crate::trouble::{Trouble, wait};

/// For a start, and for an end.
const DEADLINE: Duration = Duration::from_secs(15);
/// Between two tries: the figure is exact to this.
const TRY_EVERY: Duration = Duration::from_micros(500);

/// What the child prints.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Starts {
    /// From exec to the first `/healthz` 200, in milliseconds.
    pub(crate) served_ms: Vec<f64>,
    /// From SIGTERM to the end, in milliseconds.
    pub(crate) ended_ms: Vec<f64>,
}

/// The child on the ops host: starts and ends `defib run` many times with a configuration whose listener is `listens`.
pub(crate) fn child(config: &Path, listens: SocketAddr, times: usize) -> Result<Starts, Trouble> {
    let defib = program()?;
    let mut starts = Starts::default();
    for _ in 0..times {
        let mut command = Command::new(&defib);
        command.args(["run", "--config"]).arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let began = Instant::now();
        let mut child = command.spawn().map_err(Trouble::file(&defib))?;
        let served = wait("defib's /healthz", DEADLINE, TRY_EVERY, || {
            Ok(http::get(listens, "/healthz", DEADLINE)
                .ok()
                .filter(|(status, _)| *status == 200)
                .map(|_| began.elapsed()))
        });
        if let Ok(pid) = i32::try_from(child.id()) {
            // Gone already is as good.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let told = Instant::now();
        let ended = wait("defib's end", DEADLINE, TRY_EVERY, || Ok(child.try_wait().ok().flatten()));
        let ended_ms = told.elapsed().as_secs_f64() * 1_000.0;
        if ended.is_err() {
            let _ = child.kill();
            let _ = child.wait();
        }
        starts.served_ms.push(served?.as_secs_f64() * 1_000.0);
        ended?;
        starts.ended_ms.push(ended_ms);
    }
    Ok(starts)
}
