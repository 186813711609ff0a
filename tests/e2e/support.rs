//! The lab that all tests share, the program under test on its ops host, and waiting for what must come.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use defib::journal::{Reader, RecordRow};
use defib_lab::{Lab, Node, UpOptions};

/// The program under test.
const DEFIB: &str = env!("CARGO_BIN_EXE_defib");

/// The lab that this process raised; one that was up before is left up.
static RAISED: Mutex<Option<Lab>> = Mutex::new(None);

#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) lab: Lab,
}

pub(crate) fn raise() -> Stage {
    if let Ok(lab) = Lab::attach() {
        eprintln!("using the lab that is up");
        return Stage { lab };
    }
    let lab = Lab::up(&UpOptions { say: |line| eprintln!("lab: {line}") }).unwrap_or_else(|error| {
        let _ = Lab::clear();
        panic!("the lab does not come up: {error}");
    });
    *RAISED.lock().unwrap() = Some(lab.clone());
    Stage { lab }
}

/// The lab is ours to take down.
pub(crate) fn raised() -> bool {
    RAISED.lock().unwrap().is_some()
}

pub(crate) fn lower() {
    if let Some(lab) = RAISED.lock().unwrap().take() {
        lab.down().expect("the lab goes down and leaves nothing");
    }
}

impl Stage {
    /// The lab serves, and nothing is broken in it.
    pub(crate) fn healed(&self) {
        self.lab.heal().expect("the lab heals");
    }

    /// A configuration beside the lab's own, with a journal of its own and with these lines changed.
    pub(crate) fn config(&self, name: &str, changes: &[(&str, &str)]) -> Config {
        let layout = self.lab.layout();
        let mut text = std::fs::read_to_string(layout.config()).unwrap();
        let journal = layout.run().join(format!("e2e-{name}"));
        let _ = std::fs::remove_dir_all(&journal);
        for (from, to) in changes.iter().copied().chain([("journal: journal", format!("journal: e2e-{name}").as_str())])
        {
            assert!(text.contains(from), "the lab's configuration has no {from:?}:\n{text}");
            text = text.replace(from, to);
        }
        let file = layout.config().with_file_name(format!("e2e-{name}.yaml"));
        std::fs::write(&file, text).unwrap();
        let journal = file.with_file_name(format!("e2e-{name}"));
        Config { file, journal }
    }

    /// defib on the ops host.
    pub(crate) fn defib(&self, config: &Config, arguments: &[&str]) -> Command {
        let mut command = self.lab.command_in_ops(Path::new(DEFIB)).unwrap();
        command.args(["--config".as_ref(), config.file.as_os_str()]).args(arguments);
        command
    }

    pub(crate) fn run(&self, config: &Config, arguments: &[&str]) -> Output {
        self.defib(config, arguments).output().unwrap()
    }

    /// `check --output json`: the exit code and the first report.
    pub(crate) fn check(&self, config: &Config) -> (i32, serde_json::Value) {
        let output = self.run(config, &["check", "--output", "json"]);
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        let reports: serde_json::Value =
            serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}{complained}"));
        (output.status.code().unwrap(), reports[0].clone())
    }

    pub(crate) fn daemon(&self, config: &Config) -> Daemon {
        let child = self.defib(config, &["run"]).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
        Daemon { child, journal: config.journal.clone() }
    }

    /// Calls that change something, over all machineds, since the lab came up.
    pub(crate) fn changes(&self) -> usize {
        let calls = |node| self.lab.call_log(node).unwrap().into_iter().filter(|call| call.mutating).count();
        Node::ALL.into_iter().map(calls).sum()
    }

    /// Runs something with the network of the ops host, in a thread of its own.
    pub(crate) fn in_ops<T: Send>(&self, work: impl AsyncFnOnce() -> T + Send) -> T {
        let namespace = self.lab.layout().namespace(defib_lab::Place::Ops);
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                let file = std::fs::File::open(&namespace).unwrap();
                nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(work())
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

pub(crate) struct Config {
    pub(crate) file: PathBuf,
    pub(crate) journal: PathBuf,
}

/// A daemon; killed when dropped, so that a failed test leaves none.
pub(crate) struct Daemon {
    pub(crate) child: Child,
    journal: PathBuf,
}

impl Daemon {
    /// The newest records of a kind, newest first; empty while there is no journal.
    pub(crate) fn records(&self, kind: &str) -> Vec<RecordRow> {
        let read = || Reader::open(&self.journal)?.recent_records(1000, None, &[kind]);
        read().map(|page| page.rows).unwrap_or_default()
    }

    /// How many intents the journal holds.
    pub(crate) fn intents(&self) -> usize {
        Reader::open(&self.journal).unwrap().intents(1000).unwrap().rows.len()
    }

    /// A finding opened or closed (`raised`, `cleared`) at least once.
    pub(crate) fn found(&self, finding: &str, change: &str) -> bool {
        self.records("finding").iter().any(|row| row.body["finding"] == finding && row.body["change"] == change)
    }

    /// The same of one node.
    pub(crate) fn found_on(&self, finding: &str, node: &str, change: &str) -> bool {
        self.records("finding")
            .iter()
            .map(|row| &row.body)
            .any(|body| body["finding"] == finding && body["scope"] == node && body["change"] == change)
    }

    pub(crate) fn terminate(&mut self) -> std::process::ExitStatus {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let mut status = None;
        await_that("the daemon ends after SIGTERM", Duration::from_secs(20), || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until it holds; the deadline is generous, for a busy machine.
pub(crate) fn await_that(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < within, "not within {} s: {what}", within.as_secs());
        std::thread::sleep(Duration::from_millis(100));
    }
}
