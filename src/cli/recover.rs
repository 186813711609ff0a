//! `defib recover`: diagnose, show the plan, ask, act, verify.
//!
//! With a daemon, through its socket, so that limits and single flight hold. Without one, the same loop runs in this
//! process under the journal's lock, and is spoken with over the same socket. Nothing is done without a person's word: a
//! key on a terminal (No where none is pressed), `--yes` elsewhere. A plan that changed after it was shown is shown again.

mod follow;
pub(super) mod plan;

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::Duration;

use defib_engine::playbook::{ActionClass, Playbook};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::call::{CallError, Caller, unreached};
use super::{Exit, Output, complain, error_line, known_node, out, out_json, real, runtime, the_one};
use crate::api::{self, Offer, Said, State, Verdict};
use crate::config::{Cluster, Config, Mode};
use crate::daemon::{self, DaemonError};
use crate::journal::{self, JournalError};
use crate::web::api::{Asked, OTHERWISE};
use plan::Wanted;

/// How often what is going on is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Whether it is worth waiting for: what lifts at a known time, or, where a person `asked` to wait, whatever lifts without
/// anybody's word.
fn may_lift(lifts: &str, asked: bool) -> bool {
    if asked { !lifts.contains("a person") } else { lifts.starts_with("in ") }
}

/// Without a daemon: most findings that there are have opened by then; what waits longer is unknown until it has.
const SETTLED_AFTER: Duration = Duration::from_secs(7);
/// Without a daemon: a cluster that cannot be judged within this time will not be.
const JUDGED_WITHIN: Duration = Duration::from_secs(20);

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    defib recover                                  diagnose, show the plan, ask, act, verify\n  \
    defib recover --dry-run                        show the plan with every check, and do nothing\n  \
    defib recover --dry-run --all                  the same, and why every other playbook would run or not\n  \
    defib recover --playbook restart-kubelet --node cp2\n  \
    defib recover --yes --output json              for programs: never asks\n  \
    defib recover --yes --pass-limits --confirm cp2\n\n\
    Exit codes: 0 recovered, or nothing to do; 1 acted and not recovered; 2 misuse; 3 held; 4 cannot tell.\n\
    With --dry-run 0 means that nothing holds the plan, or that there is nothing to do")]
pub(super) struct Typed {
    /// In which cluster; may be left out where there is one
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Only by this playbook
    #[arg(long, value_name = "NAME")]
    playbook: Option<String>,
    /// Only on this node
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// Show what would be done, and do nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Show every playbook on every node, also where no open finding calls for it: whether it would run, or what holds it
    #[arg(long, requires = "dry_run", conflicts_with = "yes")]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Do not wait until the playbook's finding has been open for long enough
    #[arg(long)]
    waive_for: bool,
    /// Pass the limits and cooldowns; demands the node's name: typed, or by --confirm
    #[arg(long)]
    pass_limits: bool,
    /// The node that may be acted on: for what takes a whole node down, or passes a limit
    #[arg(long, value_name = "NODE")]
    confirm: Option<String>,
    /// Wait so long for what holds to lift; 45s where no daemon runs and it is left out
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
    /// How to write the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// How it ended, for programs.
#[derive(Debug, Serialize)]
struct Ended {
    version: u32,
    cluster: String,
    /// The cluster is a model: nothing of it is real.
    model: bool,
    /// `nothing-to-do`, `would`, `held`, `declined`, `recovered`, `told`, `not-recovered`, `cannot-tell`.
    result: &'static str,
    text: String,
    root: Option<api::Named>,
    /// The plan that was chosen.
    plan: Option<Offer>,
    /// Every plan that was asked about.
    plans: Vec<Offer>,
    run: Option<String>,
}

/// An end with its exit code.
struct End {
    exit: Exit,
    result: &'static str,
    text: String,
}

impl End {
    fn new(exit: Exit, result: &'static str, text: impl Into<String>) -> End {
        End { exit, result, text: text.into() }
    }
}

pub(super) fn main(typed: Typed, mut config: Config, playbooks: Vec<Playbook>) -> Exit {
    let cluster = match the_one(typed.cluster.as_deref(), &config) {
        Ok(cluster) => cluster,
        Err(exit) => return exit,
    };
    if let Err(exit) = sound(&typed, cluster, &playbooks) {
        return exit;
    }
    let cluster = cluster.name.clone();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let caller = Caller::new(&config.journal);
    let exit = runtime.block_on(async {
        let through = Talk::new(&typed, &caller, &cluster, false);
        match through.answered().await {
            Ok(()) => return through.whole().await,
            Err(CallError::Absent(_)) if journal::holder(&config.journal).is_none() => {}
            Err(error) => return unreached(&error, &config),
        }
        if let Err(exit) = real(&config) {
            return exit;
        }
        config.clusters.retain(|one| one.name == cluster);
        if let Some(exit) = alone(&typed, &caller, &cluster, config.clone(), playbooks).await {
            return exit;
        }
        // A daemon took the journal between the two.
        match through.answered().await {
            Ok(()) => through.whole().await,
            Err(error) => unreached(&error, &config),
        }
    });
    // A probe under way is not waited for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    exit
}

/// What was typed makes sense; where nobody can be asked, the word was given beforehand.
fn sound(typed: &Typed, cluster: &Cluster, playbooks: &[Playbook]) -> Result<(), Exit> {
    let misuse = |text: String| {
        error_line(&format!("defib: {text}"));
        Err(Exit::Misuse)
    };
    let names: Vec<_> = playbooks.iter().map(|playbook| playbook.name.as_str()).collect();
    if let Some(name) = typed.playbook.as_deref().filter(|name| !names.contains(name)) {
        return misuse(format!("no playbook {name}; there is {}", names.join(", ")));
    }
    for name in [&typed.node, &typed.confirm].into_iter().flatten() {
        known_node(name, cluster)?;
    }
    if typed.dry_run || typed.yes && (!typed.pass_limits || typed.confirm.is_some()) {
        return Ok(());
    }
    if !typed.yes && !asks(typed) {
        return misuse(
            "nobody can be asked here: this is no terminal; say --yes, or --dry-run to only look".to_owned(),
        );
    }
    if typed.pass_limits && typed.confirm.is_none() && !asks(typed) {
        return misuse("--pass-limits demands the node's name, and nobody can be asked: say --confirm NODE".to_owned());
    }
    Ok(())
}

/// Somebody can be asked: sees the plan, sees the question, and can answer it.
fn asks(typed: &Typed) -> bool {
    let (input, shown) = (std::io::stdin().is_terminal(), std::io::stdout().is_terminal());
    typed.output == Output::Text && input && shown && std::io::stderr().is_terminal()
}

/// Without a daemon: runs its loop here, in mode observe, so that only what is asked for is done. None: another process had
/// the journal, and nothing was begun.
async fn alone(
    typed: &Typed,
    caller: &Caller,
    cluster: &str,
    mut config: Config,
    playbooks: Vec<Playbook>,
) -> Option<Exit> {
    config.mode = Mode::Observe;
    let (end, ended) = tokio::sync::oneshot::channel::<&'static str>();
    let ends = async move { ended.await.unwrap_or("its caller") };
    let running = daemon::once(config, playbooks, |_| {}, ends);
    tokio::pin!(running);
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            complain(&DaemonError::Signals(error));
            return Some(Exit::Misuse);
        }
    };
    let talk = Talk::new(typed, caller, cluster, true);
    let interrupted = |by| {
        if talk.asked_for.get() {
            error_line("defib: interrupted; a step that was under way is unknown and counts as done");
            return (Exit::CannotTell, by);
        }
        error_line("defib: interrupted; nothing was done");
        (Exit::Held, by)
    };
    let talking = async {
        tokio::select! {
            exit = talk.whole() => (exit, "the end of defib recover"),
            _ = tokio::signal::ctrl_c() => interrupted("SIGINT"),
            _ = terminate.recv() => interrupted("SIGTERM"),
        }
    };
    let (exit, why) = tokio::select! {
        biased;
        result = &mut running => return failed(result),
        told = talking => told,
    };
    let _ = end.send(why);
    match running.await {
        Ok(()) => Some(exit),
        Err(error) => failed(Err(error)),
    }
}

fn failed(result: Result<(), DaemonError>) -> Option<Exit> {
    match result {
        Ok(()) => Some(Exit::CannotTell),
        Err(DaemonError::Journal(JournalError::Held { .. })) => None,
        Err(error) => {
            complain(&error);
            let why = if let DaemonError::Journal(_) = error {
                "without a journal nothing is done"
            } else {
                "nothing was done"
            };
            error_line(&format!("defib: {why}: `defib check` still looks, README.md says what to do by hand"));
            Some(Exit::Held)
        }
    }
}

/// One conversation with whoever runs the loop.
struct Talk<'a> {
    typed: &'a Typed,
    caller: &'a Caller,
    cluster: &'a str,
    /// The loop began with us, and knows nothing of before.
    alone: bool,
    /// A run was asked for: what came of it is the loop's to say.
    asked_for: Cell<bool>,
}

/// What was found, and what would be done.
struct Found {
    state: State,
    plans: Vec<Offer>,
    /// What else could be asked for: no open finding calls for it, and nobody named it.
    rest: Vec<Offer>,
}

impl Found {
    /// The same, with other plans.
    fn with(self, (plans, rest): (Vec<Offer>, Vec<Offer>)) -> Found {
        Found { plans, rest, ..self }
    }
}

impl<'a> Talk<'a> {
    fn new(typed: &'a Typed, caller: &'a Caller, cluster: &'a str, alone: bool) -> Talk<'a> {
        Talk { typed, caller, cluster, alone, asked_for: Cell::new(false) }
    }

    /// Somebody answers, and watches the cluster.
    async fn answered(&self) -> Result<(), CallError> {
        self.state().await.map(drop)
    }

    /// From the diagnosis to the end, in one sentence.
    async fn whole(&self) -> Exit {
        let mut found = match self.diagnose().await {
            Ok(found) => found,
            Err(error) => return self.lost(&error),
        };
        let mut again = false;
        loop {
            let chosen = found.plans.iter().find(|plan| plan.would).cloned();
            if self.typed.output == Output::Text {
                self.show(&found, chosen.as_ref(), again);
            }
            let Some(plan) = chosen else {
                let end = plan::nothing(&found.state, &found.plans);
                return self.say(end, &found, None, None);
            };
            if self.typed.dry_run {
                let text = format!("nothing holds it: {} on {} would be done; nothing was", plan.playbook, plan.node);
                return self.say(End::new(Exit::Well, "would", text), &found, Some(plan), None);
            }
            // A word that was given beforehand was given to another plan.
            if again && (self.typed.yes || !asks(self.typed)) {
                let text = "the plan changed after it was chosen; nothing was done, ask again".to_owned();
                return self.say(End::new(Exit::Held, "held", text), &found, Some(plan), None);
            }
            if let Err(text) = self.permitted(&plan).await {
                let exit = if asks(self.typed) { Exit::Held } else { Exit::Misuse };
                return self.say(End::new(exit, "declined", text), &found, Some(plan), None);
            }
            let after = self.revision().await;
            self.asked_for.set(true);
            let answer = match self.caller.command("recover", &self.asked(Some(&plan), false)).await {
                Ok(answer) => answer,
                Err(error) => return self.lost(&error),
            };
            match answer.answer {
                Said::Started => {
                    let run = answer.run.unwrap_or_default();
                    let end = self.follow(&run, after, &found.state.process).await;
                    return self.say(end, &found, Some(plan), Some(run));
                }
                Said::Changed => {
                    self.asked_for.set(false);
                    found = found.with(self.ours(answer.plans));
                    again = true;
                }
                Said::Held => {
                    found = found.with(self.ours(answer.plans));
                    if self.typed.output == Output::Text {
                        self.show(&found, None, true);
                    }
                    return self.say(End::new(Exit::Held, "held", answer.text), &found, Some(plan), None);
                }
                Said::Nothing | Said::Done | Said::Preview => {
                    return self.say(End::new(Exit::Well, "nothing-to-do", answer.text), &found, Some(plan), None);
                }
                Said::Refused => {
                    return self.say(End::new(Exit::Held, "held", answer.text), &found, Some(plan), None);
                }
                Said::Unknown => {
                    return self.say(End::new(Exit::CannotTell, "cannot-tell", answer.text), &found, Some(plan), None);
                }
            }
        }
    }

    /// What is wrong and what could be done, once there is something to tell.
    async fn diagnose(&self) -> Result<Found, CallError> {
        let began = tokio::time::Instant::now();
        let wait = self.typed.wait.unwrap_or(Duration::from_secs(if self.alone { 45 } else { 0 }));
        let mut told = String::new();
        loop {
            match self.look().await {
                Ok(found) => {
                    let elapsed = began.elapsed();
                    let judged = !self.alone || elapsed >= SETTLED_AFTER;
                    let asked = self.typed.wait.is_some();
                    let lifts = |plan: &Offer| plan.holds.iter().all(|hold| may_lift(&hold.lifts, asked));
                    let ready = found.plans.iter().any(|plan| plan.would);
                    let hopeful = found.plans.iter().any(lifts) && elapsed < wait;
                    let blind = self.alone && found.state.verdict == Verdict::Unknown && elapsed < JUDGED_WITHIN;
                    if judged && (ready || !hopeful && !blind) {
                        return Ok(found);
                    }
                    self.progress(&mut told, plan::waiting_for(&found.plans, judged));
                }
                // The loop has just begun.
                Err(CallError::Absent(_)) if self.alone && began.elapsed() < JUDGED_WITHIN => {}
                Err(error) => return Err(error),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn progress(&self, told: &mut String, text: String) {
        if *told != text && self.typed.output == Output::Text {
            error_line(&format!("… {text}"));
        }
        *told = text;
    }

    async fn look(&self) -> Result<Found, CallError> {
        let state = self.state().await?;
        let answer = self.caller.preview(&self.asked(None, true)).await?;
        let (plans, rest) = self.ours(answer.plans);
        Ok(Found { state, plans, rest })
    }

    async fn state(&self) -> Result<State, CallError> {
        let states: Vec<State> = self.caller.get(&format!("status?cluster={}", self.cluster)).await?;
        let absent = || CallError::Refused(format!("it does not watch {}: {OTHERWISE}", self.cluster));
        states.into_iter().next().ok_or_else(absent)
    }

    /// The plans that were asked for; where none was named, those that an open finding calls for. And the rest.
    fn ours(&self, plans: Vec<Offer>) -> (Vec<Offer>, Vec<Offer>) {
        let typed = self.typed;
        Wanted { playbook: typed.playbook.as_deref(), node: typed.node.as_deref(), all: typed.all }.split(plans)
    }

    fn asked(&self, plan: Option<&Offer>, preview: bool) -> Asked {
        Asked {
            cluster: Some(self.cluster.to_owned()),
            playbook: plan.map(|plan| plan.playbook.clone()).or_else(|| self.typed.playbook.clone()),
            node: plan.map(|plan| plan.node.clone()).or_else(|| self.typed.node.clone()),
            plan: plan.map(|plan| plan.fingerprint.clone()),
            waive_for: self.typed.waive_for,
            pass_limits: self.typed.pass_limits,
            preview,
            ..Asked::default()
        }
    }

    /// A person's word for this plan, or why not.
    async fn permitted(&self, plan: &Offer) -> Result<(), String> {
        let typed = self.typed;
        if let Some(node) = typed.confirm.as_ref().filter(|node| **node != plan.node) {
            return Err(format!("the plan is for {}, and --confirm names {node}; nothing was done", plan.node));
        }
        let erases = plan.class == ActionClass::Erasing.name();
        let by_name = typed.pass_limits || erases || plan.class == ActionClass::Disruptive.name();
        if typed.yes && (!by_name || typed.confirm.is_some()) {
            return Ok(());
        }
        if !asks(typed) {
            let (class, node) = (&plan.class, &plan.node);
            return Err(format!(
                "an action that is {class} demands the node's name: say --confirm {node}; nothing was done"
            ));
        }
        let what = format!("{} on {} of cluster {}", plan.playbook, plan.node, self.cluster);
        let (question, wanted) = if by_name && typed.confirm.is_none() {
            let hurts = match (erases, typed.pass_limits) {
                (true, _) => "which takes the whole node down and erases what it keeps, volumes of pods too",
                (false, true) => "past its limits",
                (false, false) => "which takes the whole node down",
            };
            (format!("{what}, {hurts}? Type the node's name to do it: "), vec![plan.node.as_str()])
        } else {
            (format!("{what}? [y/N] "), vec!["y", "Y", "yes"])
        };
        let answer = plan::ask(&question).await;
        if wanted.contains(&answer.trim()) { Ok(()) } else { Err("declined; nothing was done".to_owned()) }
    }

    fn show(&self, found: &Found, chosen: Option<&Offer>, again: bool) {
        if again {
            out("The plan has changed:");
        } else {
            plan::headline(&found.state).iter().for_each(|line| out(line));
        }
        let shown: Vec<_> = match chosen {
            Some(plan) => vec![plan],
            None => found.plans.iter().collect(),
        };
        for plan in &shown {
            plan::lines(plan).iter().for_each(|line| out(line));
        }
        if self.typed.all {
            plan::every(found.plans.iter().chain(&found.rest)).iter().for_each(|line| out(line));
        } else if self.typed.dry_run {
            let left_out = found.plans.len() + found.rest.len() - shown.len();
            plan::left_out(left_out).iter().for_each(|line| out(line));
        }
    }

    /// The daemon is gone, or does not answer.
    fn lost(&self, error: &CallError) -> Exit {
        error_line(&format!("defib: {error}"));
        Exit::CannotTell
    }

    /// The last sentence.
    fn say(&self, end: End, found: &Found, plan: Option<Offer>, run: Option<String>) -> Exit {
        if self.typed.output == Output::Json {
            let rest = found.rest.iter().filter(|_| self.typed.all);
            let ended = Ended {
                version: api::VERSION,
                cluster: self.cluster.to_owned(),
                model: found.state.model,
                result: end.result,
                text: end.text,
                root: found.state.root.clone(),
                plan,
                plans: found.plans.iter().chain(rest).cloned().collect(),
                run,
            };
            return out_json(&ended).max(end.exit);
        }
        out(&format!("{}: {}: {}", self.cluster, end.result, end.text));
        end.exit
    }
}

#[cfg(test)]
mod tests {
    use defib_engine::check::Lift;
    use defib_engine::observation::ProbeKind;
    use defib_engine::time::Tick;

    use super::*;

    #[test]
    fn whoever_asks_to_wait_waits_for_all_but_a_persons_word() {
        let worth = |lift: Lift, asked| may_lift(&lift.describe(Tick(0)), asked);
        assert!(worth(Lift::At(Tick(5_000)), false) && worth(Lift::At(Tick(5_000)), true));
        for by_itself in [
            Lift::Clears("etcd-quorum-lost"),
            Lift::Fresh(ProbeKind::Apiserver),
            Lift::RunEnds,
            Lift::Journal,
            Lift::Patient,
        ] {
            assert!(worth(by_itself.clone(), true) && !worth(by_itself, false));
        }
        for word in [Lift::Person, Lift::Approval, Lift::Ack] {
            assert!(!worth(word.clone(), true) && !worth(word, false));
        }
    }
}
