//! What the engine can say and do, each with what an output line of some scenario must show for it.
//!
//! Made from the engine's own tables, so that whoever adds a finding, a check, a playbook or an action is asked for a
//! scenario. Left out: whether the scenario is a good one.

use defib_engine::check::{Check, GUARDS, REQUIREMENTS};
use defib_engine::diagnosis;
use defib_engine::playbook::FORMS;

/// Something that must be shown: its name, the label of the lines that may show it, and the words of which one of them
/// must hold one.
pub(crate) struct Wanted {
    name: String,
    label: &'static str,
    words: Vec<String>,
}

/// How the engine says that a hold ends, as the lines end.
const LIFTS: [(&str, &str); 9] = [
    ("at a time", "; lifts in "),
    ("when a finding clears", " clears"),
    ("when a probe answers", " answers"),
    ("when a run ends", "; lifts when that run ends"),
    ("when the journal answers", "; lifts when the journal answers"),
    ("only by a person", "; lifts only by a person"),
    ("by an approval", "; lifts when a person approves it"),
    ("by an acknowledgement", "; lifts when a person acknowledges it"),
    ("with the patient", "; lifts when the patient changes"),
];

/// What only a person begins is held in the answer to one: the lines of its playbooks, and of the checks that hold each.
const ANSWERED: [&str; 2] = ["                 ", "                   "];
/// Checks that only such playbooks require.
const ASKED_FOR: [&str; 1] = ["member-lost"];

/// How a run ends.
const ENDS: [&str; 3] = [" recovered: ", " failed: ", " withdrawn: "];

/// Everything that must be shown.
pub(crate) fn wanted() -> Result<Vec<Wanted>, String> {
    let mut all = Vec::new();
    let mut want = |name: String, label: &'static str, words: Vec<String>| all.push(Wanted { name, label, words });
    for rule in diagnosis::ALL {
        // A finding's name ends with its node, or with what was seen.
        let named = || ["{} ", "{}: "].map(|end| format!(" {}", end.replace("{}", rule.name))).to_vec();
        want(format!("finding {} raised", rule.name), " finding ", named());
        want(format!("finding {} cleared", rule.name), " cleared ", named());
    }
    let checks = GUARDS.iter().chain(REQUIREMENTS).map(|check: &&Check| check.name).chain(["when"]);
    for check in checks {
        if ASKED_FOR.contains(&check) {
            want(format!("check {check} that holds"), ANSWERED[1], vec![format!("{check}: ")]);
            continue;
        }
        want(format!("check {check} that holds"), " hold     ", vec![format!(": {check}: ")]);
    }
    for playbook in defib::playbook::load(defib::playbook::SHIPPED, None).map_err(|problems| problems.to_string())? {
        let name = &playbook.name;
        want(format!("playbook {name} that runs"), " decision R-", vec![format!(" {name} ")]);
        if playbook.only_by_hand() {
            let held = ["cp1", "cp2", "cp3"].map(|node| format!("{name} {node} held for "));
            want(format!("playbook {name} that is held"), ANSWERED[0], held.to_vec());
        } else {
            want(format!("playbook {name} that is held"), " hold     ", vec![format!("{name} ")]);
        }
        if let Some(next) = &playbook.otherwise {
            want(format!("the rung from {name} to {next}"), " run      R-", vec![format!("; next rung: {next}")]);
        }
    }
    for form in FORMS {
        want(format!("action {}", form.name), " start    ", vec![format!(" {} ", form.name)]);
    }
    for (name, words) in LIFTS {
        want(format!("a hold that lifts {name}"), " hold     ", vec![words.to_owned()]);
    }
    for end in ENDS {
        want(format!("a run that is{end}"), " run      R-", vec![end.to_owned()]);
    }
    Ok(all)
}

/// What no output line shows.
pub(crate) fn missing(scenarios: &str) -> Result<Vec<String>, String> {
    let output: Vec<&str> = scenarios
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_digit() || first == ' '))
        .collect();
    let shown = |wanted: &Wanted| {
        let told = |rest: &str| wanted.words.iter().any(|words| rest.contains(words.as_str()));
        output.iter().filter_map(|line| line.split_once(wanted.label)).any(|(_, rest)| told(rest))
    };
    Ok(wanted()?.into_iter().filter(|wanted| !shown(wanted)).map(|wanted| wanted.name).collect())
}
