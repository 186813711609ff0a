//! `defib rehearse`: an outage played against a modelled cluster, with the whole program: on any system, without root.
//!
//! Every screen says that it is a model: the lines, the page, the JSON, and what `status`, `history` and `explain` say of its
//! journal, and `replay` of its recordings; what would look for itself, or act, says it and refuses. Left out: everything that could
//! reach a real cluster.

mod sieve;
mod verdict;

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use defib_engine::settings::Mode;
use defib_engine::time::UnixMs;
use serde_json::json;

use super::{Exit, Output, complain, error_line, log, out, out_json, runtime};
use crate::daemon::rehearsal::{self, Played, QUIET, Rehearsal, Told};
use crate::journal::NewRecord;
use crate::model::story::{self, Story};
use crate::model::world;
use crate::playbook;
use crate::report::line;
use sieve::Sieve;
use verdict::Verdict;

/// A rehearsal takes about so many real seconds where no speed is asked for.
const TAKES_S: f64 = 10.0;
/// What follows the last cue, in most stories.
const TAIL_S: f64 = 60.0;
/// The model's configuration, beside its journal.
const CONFIG: &str = "defib.yaml";
/// Lines of the JSON at most.
const LINES_MAX: usize = 20_000;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    defib rehearse incident-a                          an outage and its end, in about ten seconds\n  \
    defib rehearse incident-a --mode observe           the same, and defib only says what it would do\n  \
    defib rehearse incident-b --keep                   with the dashboard, until Ctrl-C\n  \
    defib rehearse back-off --playbooks my-playbooks   your own playbooks, before a cluster sees them\n  \
    defib rehearse incident-a --speed max --output json | jq .verdict\n  \
    defib rehearse --list\n\n\
    Nothing of it is real: a modelled cluster in virtual time, and no figure is a measurement.\n\n\
    Exit codes: 0 service is there at the end, and what is wrong was named; 1 it is not, or was not; 2 misuse or a\n            \
    mistake in a playbook; 4 it was ended before its end")]
pub(super) struct Typed {
    /// What is rehearsed: incident-a, incident-b, back-off, vip-lost, or any fault (--list)
    #[arg(value_name = "STORY", required_unless_present = "list")]
    story: Option<String>,
    /// Tell what can be rehearsed, and rehearse nothing
    #[arg(long)]
    list: bool,
    /// Virtual seconds a second, or `max`; so that it takes about ten seconds where it is left out
    #[arg(long, value_name = "N|max", value_parser = speed)]
    speed: Option<Speed>,
    /// A folder of playbooks that add to the shipped ones, or replace them by name
    #[arg(long, value_name = "DIR")]
    playbooks: Option<PathBuf>,
    /// May defib act on the model
    #[arg(long, value_enum, default_value_t = May::Act)]
    mode: May,
    /// Chance: the same number gives the same rehearsal
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Keep the journal in this folder, for status and history, and for explain while it goes on; it must be empty, or not be
    /// there
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// Serve the dashboard here; with --keep on a free port where it is left out
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Go on after the end, a second a second, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Show every line: also what comes again, and what joins or leaves an incident
    #[arg(long)]
    all: bool,
    /// How to write the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Speed {
    Max,
    Times(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum May {
    Observe,
    Act,
}

fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    let times = text.trim_end_matches('x').parse::<f64>().ok().filter(|times| (0.1..=100_000.0).contains(times));
    times.map(Speed::Times).ok_or_else(|| "a number from 0.1 to 100000, or max".to_owned())
}

pub(super) fn main(typed: &Typed) -> Exit {
    if typed.list {
        return list(typed.output);
    }
    let name = typed.story.as_deref().unwrap_or_default();
    let Some(story) = story::named(name) else {
        error_line(&format!("defib: no story {name}; defib rehearse --list tells which there are"));
        return Exit::Misuse;
    };
    let playbooks = match playbook::load(playbook::SHIPPED, typed.playbooks.as_deref()) {
        Ok(playbooks) => playbooks,
        Err(problems) => {
            error_line(&problems.to_string());
            return Exit::Misuse;
        }
    };
    if let Some(address) = typed.listen.filter(|address| !address.ip().is_loopback()) {
        error_line(&format!("defib: {address} is no address of the loopback: --listen 127.0.0.1:PORT"));
        return Exit::Misuse;
    }
    let mode = if typed.mode == May::Act { Mode::Act } else { Mode::Observe };
    let armed: Vec<_> = playbooks.iter().filter(|one| !one.only_by_hand()).map(|one| one.name.as_str()).collect();
    let folder = match Folder::make(typed, &armed) {
        Ok(folder) => folder,
        Err(why) => {
            error_line(&format!("defib: {why}"));
            return Exit::Misuse;
        }
    };
    let anywhere = typed.keep.then_some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let mut settings = world::settings(3, mode, playbooks);
    if story.on_hypervisor {
        world::ask_hypervisor(&mut settings);
    }
    let rehearsal = Rehearsal {
        settings,
        journal: folder.path.clone(),
        listen: typed.listen.or(anywhere),
        speed: match typed.speed {
            None => Some(((story.lasts().as_secs_f64() + TAIL_S) / TAKES_S).round()),
            Some(Speed::Times(times)) => Some(times),
            Some(Speed::Max) => None,
        },
        seed: typed.seed,
        keep: typed.keep,
        story,
    };
    play(typed, &rehearsal, &folder)
}

fn play(typed: &Typed, rehearsal: &Rehearsal, folder: &Folder) -> Exit {
    log();
    let mut telling = Telling {
        text: typed.output == Output::Text,
        sieve: (!typed.all).then(Sieve::default),
        cues: 0,
        lines: Vec::new(),
        verdict: None,
    };
    for line in title(rehearsal, folder) {
        telling.raw(&line);
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let ended = runtime.block_on(rehearsal::rehearse(rehearsal.clone(), |at, told| match told {
        Told::Cue(text) => {
            telling.cues += 1;
            if let Some(sieve) = &mut telling.sieve {
                sieve.cue();
            }
            telling.say(at, "model", text);
        }
        Told::Deed(text) => telling.say(at, "model", text),
        // What follows the last cue is what it is all about.
        Told::Model(text) if telling.cues < rehearsal.story.cues.len() && !telling.shows_again(text) => {}
        Told::Model(text) => telling.say(at, "model", text),
        Told::Record(record) => {
            if let Some(line) = line::of_new(record)
                && telling.shows(record)
            {
                telling.say(UnixMs(record.at_ms), "defib", &line.to_string());
            }
        }
        Told::Listening(address) => {
            telling.raw(&format!("       the dashboard: http://{address}/ (it says that it is a model, too)\n"));
        }
        Told::Over(played) => {
            let verdict = judge(rehearsal, played);
            let left_out = telling.sieve.as_ref().map_or(0, |sieve| sieve.left_out);
            if left_out > 0 {
                telling.raw(&format!(
                    "{:>9}  ({left_out} more lines: what came again, joined or left; --all shows them)",
                    ""
                ));
            }
            for line in verdict.lines() {
                telling.raw(&line);
            }
            if rehearsal.keep {
                let config = folder.config();
                let config = config.display();
                telling.raw("\nMODEL  it goes on, a second a second, until Ctrl-C");
                telling.raw(&format!("       defib --config {config} explain     why it acts or holds"));
                telling
                    .raw(&format!("       defib --config {config} dashboard   a link through which the page may act"));
            }
            telling.verdict = Some(verdict);
        }
    }));
    runtime.shutdown_timeout(std::time::Duration::from_millis(100));
    if let Err(error) = ended {
        complain(&error);
        return Exit::Misuse;
    }
    let Some(verdict) = telling.verdict else { return Exit::CannotTell };
    let kept = typed.journal.is_some();
    if kept && typed.output == Output::Text {
        out(&format!("\nNEXT   defib --config {} history", folder.config().display()));
    }
    if typed.output == Output::Json {
        let mut value = json!({
            "version": crate::api::VERSION, "model": true, "story": rehearsal.story.name, "seed": rehearsal.seed,
            "mode": rehearsal.settings.mode.to_string(), "lines": telling.lines, "verdict": verdict,
        });
        if let Some(fields) = value.as_object_mut().filter(|_| kept) {
            fields.insert("journal".to_owned(), json!(folder.path.display().to_string()));
        }
        return out_json(&value).max(verdict.exit());
    }
    verdict.exit()
}

fn judge(rehearsal: &Rehearsal, played: &Played) -> Verdict {
    // The same faults and the same chance, and nobody acts: what acting was worth.
    let alone = rehearsal::alone(&rehearsal.story, rehearsal.seed);
    Verdict::of(&rehearsal.story, rehearsal.settings.mode, played, &alone)
}

/// Says what is shown as it goes, and keeps it for the JSON.
struct Telling {
    text: bool,
    /// None: everything is shown.
    sieve: Option<Sieve>,
    /// So many cues were given.
    cues: usize,
    lines: Vec<serde_json::Value>,
    verdict: Option<Verdict>,
}

impl Telling {
    fn raw(&self, line: &str) {
        if self.text {
            out(line);
        }
    }

    fn shows(&mut self, record: &NewRecord) -> bool {
        !self.text || self.sieve.as_mut().is_none_or(|sieve| sieve.shows(record))
    }

    fn shows_again(&mut self, text: &str) -> bool {
        !self.text || self.sieve.as_mut().is_none_or(|sieve| sieve.shows_again(text))
    }

    fn say(&mut self, at: UnixMs, who: &str, text: &str) {
        let since = rehearsal::since_first_cue(at);
        if self.text {
            let when = since.map_or_else(|| "-".to_owned(), |since| format!("{:.1} s", since.as_secs_f64()));
            out(&format!("{when:>9}  {who} | {text}"));
        } else if self.lines.len() < LINES_MAX {
            let after_ms = since.map(|since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
            self.lines.push(json!({"after_ms": after_ms, "who": who, "text": text}));
        }
    }
}

fn title(rehearsal: &Rehearsal, folder: &Folder) -> Vec<String> {
    let Story { name, about, .. } = &rehearsal.story;
    let speed =
        rehearsal.speed.map_or("as fast as it goes".to_owned(), |speed| format!("{speed} virtual seconds a second"));
    let (mode, seed) = (rehearsal.settings.mode, rehearsal.seed);
    vec![
        format!("MODEL  {name}"),
        format!("       {about}"),
        "       A modelled cluster of three nodes in virtual time, watched by the real program; no figure is a measurement."
            .to_owned(),
        format!(
            "       mode {mode}, seed {seed}, {speed}; {} quiet minutes are passed over; times count from the first fault",
            QUIET.as_secs() / 60
        ),
        format!("       meanwhile: defib --config {} status\n", folder.config().display()),
    ]
}

fn list(output: Output) -> Exit {
    let stories = story::all();
    if output == Output::Json {
        let rows: Vec<_> = stories.iter().map(|story| json!({"story": story.name, "about": story.about})).collect();
        return out_json(&json!({"version": crate::api::VERSION, "model": true, "stories": rows}));
    }
    out(crate::api::MODEL);
    for story in &stories {
        out(&format!("{:<24}{}", story.name, story.about));
    }
    Exit::Well
}

/// Where the journal and the configuration that knows it lie; a folder of our own goes with the value.
struct Folder {
    path: PathBuf,
    own: bool,
}

impl Folder {
    fn make(typed: &Typed, armed: &[&str]) -> Result<Folder, String> {
        let own = typed.journal.is_none();
        let path = match &typed.journal {
            Some(path) => std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))?,
            None => std::env::temp_dir().join(format!("defib-rehearsal-{}", std::process::id())),
        };
        let said = |error: std::io::Error| format!("cannot keep the journal in {}: {error}", path.display());
        if !own && path.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(format!("{} is not empty: a model's journal lies alone; name another folder", path.display()));
        }
        std::fs::DirBuilder::new().recursive(!own).mode(0o700).create(&path).map_err(said)?;
        let folder = Folder { path, own };
        let text = configuration(typed, armed)?;
        let said = |error: std::io::Error| format!("cannot write {}: {error}", folder.config().display());
        std::fs::write(folder.config(), text).map_err(said)?;
        Ok(folder)
    }

    fn config(&self) -> PathBuf {
        self.path.join(CONFIG)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.own {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// By it `status`, `history` and `explain` find the model's journal and socket. It names no credential.
fn configuration(typed: &Typed, armed: &[&str]) -> Result<String, String> {
    let mode = if typed.mode == May::Act { "act" } else { "observe" };
    let mut text = format!(
        "# Written by `defib rehearse`: the way to a model's journal, for status and history, and for explain while it goes on. Nothing in it is real.\n\
         mode: {mode}\njournal: .\n"
    );
    if let Some(playbooks) = &typed.playbooks {
        let whole =
            |folder: &Path| std::path::absolute(folder).map_err(|error| format!("{}: {error}", folder.display()));
        text.push_str(&format!("playbooks: {}\n", json!(whole(playbooks)?.display().to_string())));
    }
    let nodes: Vec<_> = (1..=3).map(|number| format!("{{ name: cp{number}, address: 192.0.2.{number} }}")).collect();
    text.push_str(&format!(
        "clusters:\n  - name: {}\n    vip: 192.0.2.100\n    arm: [{}]\n    nodes: [{}]\n",
        world::CLUSTER,
        armed.join(", "),
        nodes.join(", ")
    ));
    Ok(text)
}
