//! `defib explain`: why it acts, or why it holds: the root and its chain of causes, and every check with its figures.
//!
//! The daemon is asked, for only it knows since when. Without one, one look is explained, and said to be one; of a
//! rehearsal that is over nothing is: there is nobody to look at.

use defib_engine::playbook::Playbook;

use super::call::{CallError, Caller, unreached, unwatched};
use super::recover::plan::{self, Wanted};
use super::{Exit, Output, check, error_line, known, out, out_json, real, runtime};
use crate::api::{Named, Offer, Plan, State};
use crate::config::Config;
use crate::journal;
use crate::report::line;
use crate::web::api::Asked;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    defib explain                                  every cluster\n  \
    defib explain prod --playbook restart-kubelet  one playbook, also where nothing calls for it\n  \
    defib explain prod --node cp2 --output json\n  \
    defib explain --all                            every playbook on every node, and why it would run or not\n\n\
    Exit codes: 0 nothing is wrong, 1 an outage is known, 2 misuse, 4 cannot tell")]
pub(super) struct Typed {
    /// Only this cluster
    #[arg(value_name = "CLUSTER")]
    cluster: Option<String>,
    /// Only this playbook, also where no open finding calls for it
    #[arg(long, value_name = "NAME")]
    playbook: Option<String>,
    /// Only this node, also where no open finding calls for anything there
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// Every playbook on every node, also where no open finding calls for it: whether it would run, or what holds it
    #[arg(long)]
    all: bool,
    /// How to write the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// What is explained of one cluster.
#[derive(serde::Serialize)]
struct Explained {
    #[serde(flatten)]
    state: State,
    /// What would be done if a person asked for it.
    plans: Vec<Offer>,
    /// The rest of what would be done, or not: with `--all` it is told, too.
    #[serde(skip)]
    rest: Vec<Offer>,
}

pub(super) fn main(typed: &Typed, config: Config, playbooks: Vec<Playbook>) -> Exit {
    if let Some(Err(exit)) = typed.cluster.as_deref().map(|name| known(name, &config)) {
        return exit;
    }
    let names: Vec<_> = playbooks.iter().map(|playbook| playbook.name.as_str()).collect();
    if let Some(name) = typed.playbook.as_deref().filter(|name| !names.contains(name)) {
        error_line(&format!("defib: no playbook {name}; there is {}", names.join(", ")));
        return Exit::Misuse;
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let mut explained = match runtime.block_on(ask(typed, &Caller::new(&config.journal))) {
        Ok(explained) => explained,
        Err(error @ CallError::Absent(_)) if journal::holder(&config.journal).is_none() => {
            if let Err(exit) = real(&config) {
                return exit;
            }
            error_line(&format!("defib: {error}; what follows was seen once, by one look"));
            if typed.all {
                error_line("defib: what every playbook would do is not in it: `defib recover --dry-run --all` tells");
            }
            let look = check::Typed::of(typed.cluster.clone(), typed.output);
            return check::main(&look, config, playbooks);
        }
        Err(error) => return unreached(&error, &config),
    };
    let unwatched = match typed.cluster {
        Some(_) => Vec::new(),
        None => unwatched(&config, explained.iter().map(|one| one.state.cluster.as_str())),
    };
    let exit = Exit::of(explained.iter().map(|one| one.state.verdict), !unwatched.is_empty());
    if typed.output == Output::Json {
        if typed.all {
            explained.iter_mut().for_each(|one| one.plans.append(&mut one.rest));
        }
        return out_json(&explained).max(exit);
    }
    explained.iter().flat_map(|one| lines(one, typed)).chain(unwatched).for_each(|line| out(&line));
    exit
}

async fn ask(typed: &Typed, caller: &Caller) -> Result<Vec<Explained>, CallError> {
    let path = typed.cluster.as_ref().map_or_else(|| "status".to_owned(), |name| format!("status?cluster={name}"));
    let states: Vec<State> = caller.get(&path).await?;
    let mut explained = Vec::new();
    for state in states {
        let asked = Asked {
            cluster: Some(state.cluster.clone()),
            playbook: typed.playbook.clone(),
            node: typed.node.clone(),
            preview: true,
            ..Asked::default()
        };
        let answer = caller.preview(&asked).await?;
        let wanted = Wanted { playbook: typed.playbook.as_deref(), node: typed.node.as_deref(), all: typed.all };
        let (plans, rest) = wanted.split(answer.plans);
        explained.push(Explained { state, plans, rest });
    }
    Ok(explained)
}

fn lines(one: &Explained, typed: &Typed) -> Vec<String> {
    let state = &one.state;
    let mut lines = plan::headline(state);
    let of = |named: &Named| line::named(&named.finding, &named.scope);
    for incident in &state.incidents {
        lines.push(format!("{}: root {}", incident.incident, of(&incident.root)));
        let explains = |finding: &Named| {
            let open = state.findings.iter().find(|open| open.key == *finding)?;
            let causes: Vec<_> = open.explained_by.iter().map(of).collect();
            (!causes.is_empty()).then(|| format!("    {} because of {}", of(finding), causes.join(", ")))
        };
        lines.extend(incident.findings.iter().filter_map(explains));
    }
    let armed = if state.armed.is_empty() { "nothing".to_owned() } else { state.armed.join(", ") };
    lines.push(format!("By itself (mode {}, armed: {armed}):", state.mode));
    if let Some(why) = &state.without_journal {
        lines.push(format!("    nothing, ever: {why}"));
    }
    let decisions = state.decisions.iter().filter(|plan| {
        typed.playbook.as_ref().is_none_or(|name| plan.playbook == *name)
            && typed.node.as_ref().is_none_or(|name| plan.node == *name)
    });
    let told: Vec<_> = decisions.flat_map(decision).collect();
    if told.is_empty() {
        lines.push("    nothing: no open finding calls for a playbook".to_owned());
    }
    lines.extend(told);
    if !one.plans.is_empty() {
        lines.push("If a person asks (defib recover):".to_owned());
        lines.extend(one.plans.iter().flat_map(plan::lines).map(|line| format!("    {line}")));
    }
    if typed.all {
        lines.extend(plan::every(one.plans.iter().chain(&one.rest)));
    } else {
        lines.extend(plan::left_out(one.rest.len()));
    }
    lines
}

/// What is decided about one playbook on one node, with every check.
fn decision(plan: &Plan) -> Vec<String> {
    let word = match (plan.holds.is_empty(), plan.would) {
        (true, _) => "DOES",
        (false, true) => "WOULD",
        (false, false) => "HELD",
    };
    let mut lines = vec![format!("    {word}  {} on {}", plan.playbook, plan.node)];
    let holds = plan.holds.iter();
    lines.extend(holds.map(|hold| format!("        ✗ {}: {}; lifts {}", hold.check, hold.text, hold.lifts)));
    lines.extend(plan.passed.iter().map(|passed| format!("        ✓ {}: {}", passed.check, passed.text)));
    lines
}
