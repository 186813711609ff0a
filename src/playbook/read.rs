//! One playbook's YAML → [`Playbook`].
//!
//! ```yaml
//! name: restart-kubelet
//! when: { finding: apiserver-down, for: 20s }
//! require: [ talos-reachable, pod-settled: 5m ]        # names; with a duration where the check takes one
//! limits: { per-node: 2 per 1h, per-cluster: 4 per 6h, cooldown: 5m }
//! veto: 60s                                            # announced first; 60 s where a step is disruptive, else none
//! steps:
//!   - collect-evidence
//!   - restart-service: { service: kubelet, deadline: 60s }
//! verify: { cleared: apiserver-down, within: 180s, steady-for: 20s }
//! otherwise: notify
//! ```

use std::path::Path;
use std::time::Duration;

use defib_engine::check;
use defib_engine::diagnosis;
use defib_engine::finding::Rule;
use defib_engine::playbook::{
    Action, ActionClass, Limit, Limits, Playbook, RebootMode, Requirement, RestartableService, Verify, When,
};
use defib_engine::time::Human;

use crate::yaml::{self, Map, Node, Place, Problems, Value, Walk};

const DURATION_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Success is known by observations over several intervals; less time than this only ever fails.
const WITHIN_MIN: Duration = Duration::from_secs(30);
/// A disruptive run is announced for so long, where its playbook does not say otherwise.
const VETO: Duration = Duration::from_secs(60);
const VETO_MAX: Duration = Duration::from_secs(60 * 60);
/// More runs than this in one window are no limit.
const COUNT_MAX: u32 = 1_000;
const STEPS_MAX: usize = 16;
const REQUIRE_MAX: usize = 32;

/// Reads and validates one playbook; `file` only names it in problems.
///
/// # Errors
/// Everything that is wrong, in the order of the file.
pub fn parse(file: &Path, text: &str) -> Result<Playbook, Problems> {
    let walk = Walk::new(file, text);
    let playbook = document(&walk);
    walk.end(playbook)
}

fn document(walk: &Walk<'_>) -> Option<Playbook> {
    let root = yaml::parse(walk)?;
    let keys = ["name", "when", "require", "limits", "veto", "steps", "verify", "otherwise"];
    let map = walk.map(&root, "a playbook", &keys)?;
    let name = walk.required(&map, "name").and_then(|node| walk.name(node, "name"));
    let when = walk.required(&map, "when").and_then(|node| when(walk, node));
    let require = map.get("require").map_or_else(Vec::new, |node| require(walk, node));
    let limits = walk.required(&map, "limits").and_then(|node| limits(walk, node));
    let steps = walk.required(&map, "steps").and_then(|node| steps(walk, node));
    let veto = map.get("veto").map(|node| veto(walk, node));
    let verify = walk.required(&map, "verify").and_then(|node| verify(walk, node));
    if let Some(node) = map.get("otherwise") {
        let notify = |text: &str| (text == "notify").then_some(());
        walk.text(node, "otherwise")
            .and_then(|text| walk.word(node.place, text, "otherwise", notify, ["notify"].into_iter()));
    }
    if let (Some((limits, cooldown)), Some(verify)) = (&limits, &verify)
        && limits.cooldown < verify.within
    {
        let (pause, within) = (Human(limits.cooldown), Human(verify.within));
        let text =
            format!("cooldown {pause} is shorter than verify's within {within}: a run could follow one still judged");
        walk.problem(*cooldown, text);
    }
    let steps = steps?;
    let disruptive = steps.iter().any(|step| step.class() >= ActionClass::Disruptive);
    let veto = match veto {
        Some(veto) => veto?,
        None if disruptive => VETO,
        None => Duration::ZERO,
    };
    Some(Playbook { name: name?, when: when?, require, limits: limits?.0, veto, steps, verify: verify? })
}

/// `0s` for none.
fn veto(walk: &Walk<'_>, node: &Node) -> Option<Duration> {
    let text = walk.text(node, "veto")?;
    if humantime::parse_duration(text).is_ok_and(|none| none.is_zero()) {
        return Some(Duration::ZERO);
    }
    let veto = span(walk, node.place, text, "veto")?;
    if veto > VETO_MAX {
        walk.problem(node.place, format!("veto {} is longer than {}", Human(veto), Human(VETO_MAX)));
        return None;
    }
    Some(veto)
}

fn when(walk: &Walk<'_>, node: &Node) -> Option<When> {
    let map = walk.map(node, "when", &["finding", "for"])?;
    let finding = finding(walk, &map, "finding");
    let for_ = required_duration(walk, &map, "for");
    Some(When { finding: finding?, for_: for_?.0 })
}

fn finding(walk: &Walk<'_>, map: &Map<'_>, key: &str) -> Option<&'static Rule> {
    let node = walk.required(map, key)?;
    let names = diagnosis::ALL.iter().map(|rule| rule.name);
    walk.word(node.place, walk.text(node, key)?, "finding", diagnosis::rule, names)
}

fn require(walk: &Walk<'_>, node: &Node) -> Vec<Requirement> {
    let items = walk.list(node, "require").unwrap_or_default();
    if items.len() > REQUIRE_MAX {
        walk.problem(node.place, format!("{} requirements are more than {REQUIRE_MAX}", items.len()));
        return Vec::new();
    }
    let read: Vec<_> = items.iter().filter_map(|item| Some((requirement(walk, item)?, item.place))).collect();
    walk.unique("requirement", read.iter().map(|(requirement, place)| (requirement.check.name, *place)));
    read.into_iter().map(|(requirement, _)| requirement).collect()
}

fn requirement(walk: &Walk<'_>, node: &Node) -> Option<Requirement> {
    let (name, place, figure) = named(walk, node, "a requirement", "name or name: duration")?;
    let names = check::REQUIREMENTS.iter().map(|check| check.name);
    let check = walk.word(place, name, "check", check::requirement, names)?;
    let duration = match (check.takes_duration, figure) {
        (false, None) => None,
        (true, Some(figure)) => Some(duration(walk, figure, name)?),
        (true, None) => {
            walk.problem(place, format!("check {name} needs a duration, such as {name}: 5m"));
            return None;
        }
        (false, Some(figure)) => {
            walk.problem(figure.place, format!("check {name} takes no duration"));
            return None;
        }
    };
    Some(Requirement { check, duration })
}

/// `name`, or `name: value`: a map of one key.
fn named<'n>(walk: &Walk<'_>, node: &'n Node, what: &str, form: &str) -> Option<(&'n str, Place, Option<&'n Node>)> {
    match &node.value {
        Value::Text(name) => Some((name, node.place, None)),
        Value::Map(entries) => match entries.as_slice() {
            [entry] => {
                let value = Some(&entry.value).filter(|node| !matches!(node.value, Value::Nothing));
                Some((&entry.key, entry.place, value))
            }
            _ => {
                walk.problem(node.place, format!("{what} is one {form}; each stands alone in the list"));
                None
            }
        },
        Value::Nothing | Value::List(_) => {
            walk.problem(node.place, format!("{what} is {form}"));
            None
        }
    }
}

/// The limits, and where the cooldown stands.
fn limits(walk: &Walk<'_>, node: &Node) -> Option<(Limits, Place)> {
    let map = walk.map(node, "limits", &["per-node", "per-cluster", "cooldown"])?;
    let limit = |key| walk.required(&map, key).and_then(|node| Some((limit(walk, node, key)?, node.place)));
    let (per_node, per_cluster) = (limit("per-node"), limit("per-cluster"));
    let cooldown = required_duration(walk, &map, "cooldown");
    let ((per_node, place), (per_cluster, _)) = (per_node?, per_cluster?);
    if per_node.count > per_cluster.count {
        let text = format!("per-node allows {} runs, per-cluster only {}", per_node.count, per_cluster.count);
        walk.problem(place, text);
    }
    let (cooldown, place) = cooldown?;
    Some((Limits { per_node, per_cluster, cooldown }, place))
}

fn limit(walk: &Walk<'_>, node: &Node, key: &str) -> Option<Limit> {
    let text = walk.text(node, key)?;
    let parts = text.split_once(" per ").and_then(|(count, window)| Some((count.trim().parse().ok()?, window)));
    let Some((count, window)) = parts else {
        walk.problem(node.place, format!("{key} {text:?} is not a count per time, such as 2 per 1h"));
        return None;
    };
    if !(1..=COUNT_MAX).contains(&count) {
        walk.problem(node.place, format!("{key} {count} is not from 1 to {COUNT_MAX}"));
        return None;
    }
    Some(Limit { count, window: span(walk, node.place, window, key)? })
}

fn steps(walk: &Walk<'_>, node: &Node) -> Option<Vec<Action>> {
    let items = walk.list(node, "steps")?;
    if items.is_empty() {
        walk.problem(node.place, "steps is empty; a playbook has at least one".to_owned());
    }
    if items.len() > STEPS_MAX {
        walk.problem(node.place, format!("{} steps are more than {STEPS_MAX}", items.len()));
        return None;
    }
    let steps: Vec<_> = items.iter().filter_map(|item| step(walk, item)).collect();
    let hurting = steps.iter().filter(|step| step.class() > ActionClass::Harmless).count();
    if hurting > 1 {
        // A run's limits and its verification are about one step; a second one is a playbook of its own.
        walk.problem(node.place, format!("{hurting} steps change something; a playbook has one of them at most"));
    }
    (steps.len() == items.len()).then_some(steps)
}

fn step(walk: &Walk<'_>, node: &Node) -> Option<Action> {
    let (name, place, detail) = named(walk, node, "a step", "action or action: details")?;
    let actions = ["collect-evidence", "restart-service", "reboot-node"];
    let known =
        walk.word(place, name, "action", |text| actions.into_iter().find(|&a| a == text), actions.into_iter())?;
    match (known, detail) {
        ("restart-service", Some(detail)) => restart_service(walk, detail),
        ("restart-service", None) => {
            walk.problem(place, "action restart-service needs { service: …, deadline: … }".to_owned());
            None
        }
        ("reboot-node", Some(detail)) => reboot_node(walk, detail),
        ("reboot-node", None) => {
            walk.problem(place, "action reboot-node needs { mode: …, deadline: … }".to_owned());
            None
        }
        (_, None) => Some(Action::CollectEvidence),
        (_, Some(detail)) => {
            walk.problem(detail.place, format!("action {name} takes no details"));
            None
        }
    }
}

fn restart_service(walk: &Walk<'_>, node: &Node) -> Option<Action> {
    let map = walk.map(node, "restart-service", &["service", "deadline"])?;
    let services = [RestartableService::Kubelet];
    let service = walk.required(&map, "service").and_then(|node| {
        let find = |text: &str| services.into_iter().find(|service| service.id() == text);
        walk.word(node.place, walk.text(node, "service")?, "service", find, services.iter().map(|service| service.id()))
    });
    let deadline = required_duration(walk, &map, "deadline");
    Some(Action::RestartService { service: service?, deadline: deadline?.0 })
}

fn reboot_node(walk: &Walk<'_>, node: &Node) -> Option<Action> {
    let map = walk.map(node, "reboot-node", &["mode", "deadline"])?;
    let mode = walk.required(&map, "mode").and_then(|node| {
        let find = |text: &str| RebootMode::ALL.into_iter().find(|mode| mode.name() == text);
        walk.word(node.place, walk.text(node, "mode")?, "mode", find, RebootMode::ALL.iter().map(|mode| mode.name()))
    });
    let deadline = required_duration(walk, &map, "deadline");
    Some(Action::RebootNode { mode: mode?, deadline: deadline?.0 })
}

fn verify(walk: &Walk<'_>, node: &Node) -> Option<Verify> {
    let map = walk.map(node, "verify", &["cleared", "within", "steady-for"])?;
    let cleared = finding(walk, &map, "cleared");
    let within = required_duration(walk, &map, "within");
    let steady_for = required_duration(walk, &map, "steady-for");
    if let Some((within, place)) = within
        && within < WITHIN_MIN
    {
        walk.problem(place, format!("within {} is shorter than {}", Human(within), Human(WITHIN_MIN)));
    }
    Some(Verify { cleared: cleared?, within: within?.0, steady_for: steady_for?.0 })
}

fn required_duration(walk: &Walk<'_>, map: &Map<'_>, key: &str) -> Option<(Duration, Place)> {
    let node = walk.required(map, key)?;
    Some((duration(walk, node, key)?, node.place))
}

fn duration(walk: &Walk<'_>, node: &Node, what: &str) -> Option<Duration> {
    span(walk, node.place, walk.text(node, what)?, what)
}

/// A duration of at least a millisecond, the finest that the engine counts.
fn span(walk: &Walk<'_>, place: Place, text: &str, what: &str) -> Option<Duration> {
    let Ok(duration) = humantime::parse_duration(text) else {
        walk.problem(place, format!("{what} {} is not a duration such as 20s, 5m or 1h 30m", yaml::quoted(text)));
        return None;
    };
    if duration.as_millis() == 0 || duration > DURATION_MAX {
        walk.problem(place, format!("{what} {} is not between 1ms and 30 days", yaml::quoted(text)));
        return None;
    }
    Some(duration)
}
