//! The command line: what was typed → what is meant → an exit code. One command a file.

mod call;
mod check;
mod command;
mod credentials;
mod exit;
mod explain;
mod history;
mod init;
mod playbook;
mod recover;
mod rehearse;
mod replay;
mod run;
mod snapshot;
mod status;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand, ValueEnum};
use defib_engine::playbook::Playbook;

use crate::config::{self, Cluster, Config};
use crate::journal::{JournalError, Reader};
use crate::playbook as playbooks;
pub use exit::Exit;

/// The configuration that is read where none is named.
const CONFIG: &str = "defib.yaml";

/// Names the root cause of a control plane's outage from outside, and gets service back within guards and limits.
#[derive(Debug, Parser)]
#[command(
    name = "defib",
    version,
    about,
    disable_help_subcommand = true,
    after_help = "Examples:\n  \
        defib check                          one look at every cluster, over every path\n  \
        defib check --output json | jq .     the same, whole, for programs\n  \
        defib run                            watch, and act where the configuration allows it\n  \
        defib recover --dry-run              what would be done now, with every check; nothing is\n  \
        defib explain prod                   why it acts or holds\n  \
        defib status                         what the daemon knows, also after it died\n  \
        defib history --limit 50             what was found, decided and done\n  \
        defib rehearse incident-a            an outage and its end on a modelled cluster, in ten seconds\n\n\
        Exit codes: 0 healthy, recovered or done; 1 unhealthy, or acted and not recovered; 2 misuse or wrong\n            \
        configuration; 3 held; 4 cannot tell; of several the first in 2, 1, 3, 4, 0"
)]
struct Typed {
    /// The configuration.
    #[arg(short, long, global = true, default_value = CONFIG, value_name = "FILE")]
    config: PathBuf,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look at every cluster once, over every path: nodes × layers, findings, root cause
    ///
    /// It changes nothing, on the clusters or here, needs no daemon, and takes at most about 5 seconds.
    Check(check::Typed),
    /// Watch, keep the journal, and act where the configuration allows it
    ///
    /// SIGTERM ends it within 2 seconds. Without a journal that can be written it observes only, and says so. A file
    /// named `pause` in the journal's folder pauses it.
    ///
    /// The story goes to stdout, the program's log to stderr. DEFIB_LOG says how much is logged: a tracing filter, such
    /// as `info` or `defib=debug`; `warn` where it is not set.
    #[command(after_help = "Examples:\n  \
        defib run\n  \
        DEFIB_LOG=info defib run --config /etc/defib/defib.yaml\n\n\
        Exit codes: 0 ended by a signal, 2 misuse or an address that is taken, 3 another defib holds the journal")]
    Run,
    /// Diagnose, show the plan with every check, ask, act, verify
    ///
    /// Through the daemon where one runs; otherwise this process does it, under the journal's lock. Off a terminal it
    /// never asks: say --yes or --dry-run.
    Recover(recover::Typed),
    /// Tell why it acts or holds: root and causes, every check with its figures, what would lift each hold
    Explain(explain::Typed),
    /// Start nothing by itself for a while
    Pause(command::Pause),
    /// End a pause
    Resume(command::Resume),
    /// Print a link through which a browser may act on the dashboard
    Dashboard(command::Dashboard),
    /// Say that a person has looked at a playbook that is exhausted on a node
    Ack(command::Ack),
    /// Begin a run that is proposed, in mode ask
    Approve(command::Approve),
    /// Show what the daemon knows, asking it first, then its journal
    Status(status::Typed),
    /// Show what was found, decided and done, from the journal
    History(history::Typed),
    /// Name, show and check the playbooks
    Playbook(playbook::Typed),
    /// Begin a configuration from a talosconfig
    Init(init::Typed),
    /// Save a snapshot of a cluster's etcd to a file, checked against its own hash
    ///
    /// It changes nothing on the cluster, asks one member, needs no daemon and no quorum. The file is whole or absent.
    Snapshot(snapshot::Typed),
    /// Play an outage against a modelled cluster, with this whole program: no cluster, no root, ten seconds
    ///
    /// It reads no configuration, reaches no cluster, and says on every screen that it is a model.
    Rehearse(rehearse::Typed),
    /// Lead a flight recording through the engine again, with other playbooks or limits: what would be done differently?
    ///
    /// `defib run` keeps one for each incident, in the folder `recordings` beside the journal. It reads no configuration and
    /// reaches nobody. It ends at the first action that differs: from there the recorded answers no longer fit.
    Replay(replay::Typed),
    /// Print the completions for a shell
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// How data is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON document.
    Json,
}

/// Runs what the arguments say.
#[must_use]
pub fn main() -> Exit {
    let typed = match Typed::try_parse() {
        Ok(typed) => typed,
        Err(error) => {
            // Help and version are not mistakes; clap writes each where it belongs.
            let _ = error.print();
            return if error.use_stderr() { Exit::Misuse } else { Exit::Well };
        }
    };
    match typed.command {
        Command::Completions { shell } => {
            let mut command = <Typed as clap::CommandFactory>::command();
            clap_complete::generate(shell, &mut command, "defib", &mut std::io::stdout());
            Exit::Well
        }
        Command::Check(typed_check) => {
            told(&typed.config, |config, playbooks| check::main(&typed_check, config, playbooks))
        }
        Command::Playbook(typed_playbook) => playbook::main(&typed_playbook, &typed.config),
        Command::Init(typed_init) => init::main(&typed_init),
        Command::Rehearse(typed_rehearse) => rehearse::main(&typed_rehearse),
        Command::Replay(typed_replay) => replay::main(&typed_replay),
        Command::Run => with(&typed.config, run::main),
        Command::Recover(typed_recover) => {
            told(&typed.config, |config, playbooks| recover::main(typed_recover, config, playbooks))
        }
        Command::Snapshot(typed_snapshot) => told(&typed.config, |config, _| snapshot::main(&typed_snapshot, &config)),
        Command::Explain(typed_explain) => {
            with(&typed.config, |config, playbooks| explain::main(&typed_explain, config, playbooks))
        }
        Command::Dashboard(typed_dashboard) => {
            with(&typed.config, |config, _| command::dashboard(&typed_dashboard, &config))
        }
        Command::Pause(typed_pause) => with(&typed.config, |config, _| command::pause(typed_pause, &config)),
        Command::Resume(typed_resume) => with(&typed.config, |config, _| command::resume(typed_resume, &config)),
        Command::Approve(typed_approve) => with(&typed.config, |config, _| command::approve(typed_approve, &config)),
        Command::Ack(typed_ack) => with(&typed.config, |config, _| command::ack(typed_ack, &config)),
        Command::Status(typed_status) => with(&typed.config, |config, _| status::main(&typed_status, &config)),
        Command::History(typed_history) => with(&typed.config, |config, _| history::main(&typed_history, &config)),
    }
}

/// Reads the configuration and the playbooks; shows everything that is wrong with either.
fn with(file: &Path, command: impl FnOnce(Config, Vec<Playbook>) -> Exit) -> Exit {
    match config::read_with(file, |folder| playbooks::load(playbooks::SHIPPED, folder)) {
        Ok((config, playbooks)) => command(config, playbooks),
        Err(problems) => {
            let unnamed = file == Path::new(CONFIG) && !file.exists();
            let hint = if unnamed { "; name one with --config FILE (README.md shows one)" } else { "" };
            error_line(&format!("{problems}{hint}"));
            Exit::Misuse
        }
    }
}

/// The same for what asks the clusters: it also tells what is wrong with the files that the configuration names. A look
/// goes on with what there is; a daemon that begins with a mistake does not.
fn told(file: &Path, command: impl FnOnce(Config, Vec<Playbook>) -> Exit) -> Exit {
    with(file, |config, playbooks| {
        credentials::tell(&config);
        command(config, playbooks)
    })
}

/// Complains about a cluster that the configuration does not have, and says which it has.
fn known(name: &str, config: &Config) -> Result<(), Exit> {
    let names: Vec<_> = config.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    if names.contains(&name) {
        return Ok(());
    }
    error_line(&format!("defib: no cluster {name} in {}; it has {}", config.file.display(), names.join(", ")));
    Err(Exit::Misuse)
}

/// Complains about a configuration whose journal is a rehearsal's: its addresses are nobody's, and what answered there would be
/// taken for the model.
fn real(config: &Config) -> Result<(), Exit> {
    if !Reader::open(&config.journal).is_ok_and(|reader| reader.is_model()) {
        return Ok(());
    }
    let (file, journal) = (config.file.display(), config.journal.display());
    error_line(&format!(
        "defib: MODEL: {journal} is a rehearsal's journal, so no cluster in {file} is real: nothing is asked and nothing is done; \
         how it went: defib --config {file} history; one that goes on answers: defib rehearse STORY --keep"
    ));
    Err(Exit::Misuse)
}

/// The cluster that is meant: the one that was named, else the only one.
fn the_one<'a>(named: Option<&str>, config: &'a Config) -> Result<&'a Cluster, Exit> {
    match (named, config.clusters.as_slice()) {
        (Some(name), clusters) => {
            known(name, config)?;
            clusters.iter().find(|one| one.name == name).ok_or(Exit::Misuse)
        }
        (None, [only]) => Ok(only),
        (None, several) => {
            let names: Vec<_> = several.iter().map(|cluster| cluster.name.as_str()).collect();
            error_line(&format!("defib: which cluster? name one with --cluster: {}", names.join(", ")));
            Err(Exit::Misuse)
        }
    }
}

/// Complains about a node that the cluster does not have, and says which it has.
fn known_node(name: &str, cluster: &Cluster) -> Result<(), Exit> {
    let names: Vec<_> = cluster.nodes.iter().map(|node| node.name.as_str()).collect();
    if names.contains(&name) {
        return Ok(());
    }
    error_line(&format!("defib: no node {name} in {}; it has {}", cluster.name, names.join(", ")));
    Err(Exit::Misuse)
}

/// Complains about a journal that cannot be read. One that is not there tells nothing, and is nobody's mistake.
fn unread(error: &JournalError) -> Exit {
    if let JournalError::Missing(_) = error {
        error_line(&format!("defib: {error}; has defib run ever started with this configuration?"));
        return Exit::CannotTell;
    }
    complain(error);
    Exit::Misuse
}

/// The program's own log on stderr, as far as DEFIB_LOG asks for it.
fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("DEFIB_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).finish();
    if let Err(error) = tracing::subscriber::set_global_default(subscriber) {
        complain(&error);
    }
}

/// One thread for everything that waits.
fn runtime() -> Result<tokio::runtime::Runtime, Exit> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        complain(&error);
        Exit::CannotTell
    })
}

/// A result line. A reader that went away is no reason to complain.
fn out(text: &str) {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.write_all(b"\n")).and_then(|()| stdout.flush());
}

/// A diagnostic line.
fn error_line(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// An error with all its causes, once.
fn complain(error: &dyn std::error::Error) {
    let mut text = format!("defib: {error}");
    let mut cause = error.source();
    while let Some(source) = cause {
        let more = source.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = source.source();
    }
    error_line(&text);
}

/// JSON for programs, indented.
fn out_json(value: &impl serde::Serialize) -> Exit {
    match serde_json::to_string_pretty(value) {
        Ok(text) => {
            out(&text);
            Exit::Well
        }
        Err(error) => {
            complain(&error);
            Exit::Misuse
        }
    }
}
