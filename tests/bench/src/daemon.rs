//! `defib run` as a real process on the lab's ops host, and what its journal says was found, and when.
//!
//! A finding's time is the stamp of its record: the engine's wall clock, in milliseconds, at the turn in which the finding
//! was confirmed. The lab's faults are stamped by the same machine's clock. Left out: judging what was found.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use defib::journal::Reader;
use defib_lab::Lab;
use defib_lab::layout::{API_PORT, GATEWAY, Layout, Node, VIP};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::trouble::{Trouble, wait};

/// For the journal to appear after the start.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// For the end after SIGTERM.
const END_DEADLINE: Duration = Duration::from_secs(10);
/// Between two looks at the journal.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The newest findings that one look reads; a round writes about ten.
const ROWS: usize = 1_000;

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The program under measurement: `DEFIB_BIN`, else `defib` beside this one.
pub(crate) fn program() -> Result<PathBuf, Trouble> {
    let path = match std::env::var_os("DEFIB_BIN") {
        Some(path) => PathBuf::from(path),
        None => std::env::current_exe().map_err(Trouble::file("/proc/self/exe"))?.with_file_name("defib"),
    };
    path.canonicalize().map_err(Trouble::file(path))
}

/// Writes a configuration for a bare lab: mode observe, no Talos.
pub(crate) fn write_config(layout: &Layout) -> Result<PathBuf, Trouble> {
    let nodes: String =
        Node::ALL.iter().map(|node| format!("      - {{ name: {node}, address: {} }}\n", node.address())).collect();
    let text = format!(
        "mode: observe
journal: bench-journal
listen: 127.0.0.1:9870
canaries: [\"{GATEWAY}:9\"]
clusters:
  - name: lab
    vip: {VIP}:{API_PORT}
    nodes:
{nodes}    kubernetes: {{ ca: pki/kubernetes-ca.crt, certificate: pki/defib-kubernetes.crt, key: pki/defib-kubernetes.key }}
    etcd: {{ ca: pki/etcd-ca.crt, certificate: pki/defib-etcd.crt, key: pki/defib-etcd.key }}
"
    );
    let path = layout.run().join("bench.yaml");
    std::fs::write(&path, text).map_err(Trouble::file(&path))?;
    Ok(path)
}

/// A running daemon; ended when dropped.
pub(crate) struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts `defib run` with a configuration, on the ops host; what it complains of goes to `log`.
    pub(crate) fn start(lab: &Lab, config: &Path, log: &Path) -> Result<Self, Trouble> {
        let mut command = lab.command_in_ops(&program()?)?;
        command.args(["run", "--config"]).arg(config);
        let log_file = File::create(log).map_err(Trouble::file(log))?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log_file).spawn();
        let child = child.map_err(|source| Trouble::Program {
            program: "defib run".to_owned(),
            how: format!("could not be started: {source}"),
        })?;
        Ok(Self { child })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An error once it has ended by itself.
    pub(crate) fn check(&mut self) -> Result<(), Trouble> {
        match self.child.try_wait() {
            Ok(Some(status)) => {
                Err(Trouble::Program { program: "defib run".to_owned(), how: format!("ended by itself: {status}") })
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // Gone already is as good.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let ended = || Ok(self.child.try_wait().ok().flatten());
        if wait("defib's end", END_DEADLINE, LOOK_EVERY, ended).is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// One finding raised or cleared, or a route chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// When, in Unix milliseconds.
    pub(crate) at_ms: i64,
    /// The finding's name; `route` for a route.
    pub(crate) name: String,
    /// `cluster`, or the node's name.
    pub(crate) scope: String,
    /// It was raised, not cleared; for a route: it leads around the VIP.
    pub(crate) raised: bool,
}

/// The findings of a journal, in their order.
pub(crate) struct Findings {
    reader: Reader,
    last: i64,
    open: BTreeSet<(String, String)>,
    direct: bool,
}

impl Findings {
    /// Waits for the journal in a folder.
    pub(crate) fn await_journal(folder: &Path, daemon: &mut Daemon) -> Result<Self, Trouble> {
        let reader = wait("defib's journal", START_DEADLINE, LOOK_EVERY, || {
            daemon.check()?;
            Ok(Reader::open(folder).ok())
        })?;
        Ok(Self { reader, last: 0, open: BTreeSet::new(), direct: false })
    }

    /// What was written since the last look.
    pub(crate) fn look(&mut self) -> Result<Vec<Event>, Trouble> {
        let page = self.reader.recent_records(ROWS, Some("lab"), &["finding", "route"])?;
        let mut events = Vec::new();
        let seen = self.last;
        for row in page.rows.into_iter().rev().filter(|row| row.seq > seen) {
            self.last = row.seq;
            let text = |key: &str| row.body.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
            if row.kind == "route" {
                let direct = row.body.get("direct").and_then(serde_json::Value::as_bool).unwrap_or(false);
                // A route that stays direct is written again when the order of the API servers changes.
                if direct != std::mem::replace(&mut self.direct, direct) {
                    events.push(Event {
                        at_ms: row.at_ms,
                        name: row.kind,
                        scope: "cluster".to_owned(),
                        raised: direct,
                    });
                }
                continue;
            }
            let event = Event {
                at_ms: row.at_ms,
                name: text("finding"),
                scope: text("scope"),
                raised: text("change") == "raised",
            };
            let key = (event.name.clone(), event.scope.clone());
            if event.raised {
                self.open.insert(key)
            } else {
                self.open.remove(&key)
            };
            events.push(event);
        }
        Ok(events)
    }

    /// The findings that are open, of those that a fault raises; findings about the host that all of this runs on are not.
    pub(crate) fn open(&self) -> Vec<String> {
        let outage = |name: &str| {
            ["etcd-member-", "etcd-no-leader", "etcd-quorum-lost", "apiserver-", "vip-", "machine-unreachable"]
                .iter()
                .any(|prefix| name.starts_with(prefix) && name != "apiserver-slow")
        };
        self.open.iter().filter(|(name, _)| outage(name)).map(|(name, scope)| format!("{name} {scope}")).collect()
    }
}
