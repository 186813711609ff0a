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
//! verify: { cleared: apiserver-down, within: 180s, steady-for: 20s }    # one finding, or a list of them
//! otherwise: notify                                    # or the playbook that follows where verification failed
//! ```
//!
//! One whose steps change nothing has no `limits`, `veto`, `verify` and `otherwise`: it runs once on a node while its
//! finding is open.

use std::path::Path;
use std::time::Duration;

use defib_engine::check;
use defib_engine::diagnosis;
use defib_engine::finding::Rule;
use defib_engine::playbook::{self, Action, ActionClass, Limit, Limits, Playbook, Requirement, Shape, Verify, When};
use defib_engine::threshold::Thresholds;
use defib_engine::time::Human;

use super::Sheet;
use crate::yaml::{self, Map, Node, Place, Problems, Value, Walk};

/// The word for the end of a ladder: what is left is told, to the journal, the log and the metrics.
pub(super) const NOTIFY: &str = "notify";
pub(super) const DURATION_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Success is known by observations over several intervals; less time than this only ever fails.
const WITHIN_MIN: Duration = Duration::from_secs(30);
/// A disruptive run is announced for so long, where its playbook does not say otherwise.
pub(super) const VETO: Duration = Duration::from_secs(60);
const VETO_MAX: Duration = Duration::from_secs(60 * 60);
/// More runs than this in one window are no limit.
const COUNT_MAX: u32 = 1_000;
pub(super) const STEPS_MAX: usize = 16;
pub(super) const CLEARED_MAX: usize = 8;
pub(super) const REQUIRE_MAX: usize = 32;

/// Reads and validates one playbook; `file` only names it in problems.
///
/// # Errors
/// Everything that is wrong, in the order of the file.
pub fn parse(file: &Path, text: &str) -> Result<Playbook, Problems> {
    sheet(file, text, false).map(|sheet| sheet.playbook)
}

/// The same, with what the lint of a whole set needs. One that was `recorded` was in force, whatever its figures are.
pub(super) fn sheet(file: &Path, text: &str, recorded: bool) -> Result<Sheet, Problems> {
    let walk = Walk::new(file, text);
    let sheet = document(&walk, recorded).map(|(playbook, finding, otherwise)| Sheet {
        playbook: Playbook { text: text.to_owned(), ..playbook },
        file: file.to_owned(),
        finding,
        otherwise,
    });
    walk.end(sheet)
}

/// The keys of a playbook, in the order in which they are shown.
pub(super) const KEYS: [&str; 8] = ["name", "when", "require", "limits", "veto", "steps", "verify", "otherwise"];

/// The playbook, and where its finding and its next rung stand.
fn document(walk: &Walk<'_>, recorded: bool) -> Option<(Playbook, Place, Place)> {
    let root = yaml::parse(walk)?;
    let map = walk.map(&root, "a playbook", &KEYS)?;
    let name = walk.required(&map, "name").and_then(|node| walk.name(node, "name"));
    let when_node = walk.required(&map, "when");
    let when = when_node.and_then(|node| when(walk, node));
    let require = map.get("require").map_or_else(Vec::new, |node| require(walk, node));
    let steps = walk.required(&map, "steps").and_then(|node| steps(walk, node));
    let tells = steps
        .as_ref()
        .is_some_and(|steps| !steps.is_empty() && steps.iter().all(|step| step.class() == ActionClass::Harmless));
    if tells {
        for (key, node) in ["limits", "veto", "verify", "otherwise"].map(|key| (key, map.get(key))) {
            if let Some(node) = node {
                let text =
                    format!("{key} is of no use: no step changes anything, so it runs once while its finding is open");
                walk.problem(node.place, text);
            }
        }
        let (name, when, steps) = (name?, when?, steps?);
        let (limits, verify) = (Limits::NONE, Verify::NOTHING);
        let (veto, otherwise, text) = (Duration::ZERO, None, String::new());
        let playbook = Playbook { name, when, require, limits, veto, steps, verify, otherwise, text };
        let place = when_node.map_or(root.place, |node| node.place);
        return Some((playbook, place, root.place));
    }
    let limits = walk.required(&map, "limits").and_then(|node| limits(walk, node));
    let veto = map.get("veto").map(|node| veto(walk, node));
    let verify = walk.required(&map, "verify").and_then(|node| verify(walk, node));
    let otherwise_node = map.get("otherwise");
    let otherwise = otherwise_node.and_then(|node| walk.name(node, "otherwise")).filter(|name| name != NOTIFY);
    if let (Some((limits, cooldown)), Some((verify, _))) = (&limits, &verify)
        && !recorded
    {
        too_soon(limits, verify).into_iter().for_each(|why| walk.problem(*cooldown, why));
    }
    if let (Some(steps), Some((verify, within))) = (&steps, &verify)
        && !recorded
    {
        too_short(steps, verify, &Thresholds::default()).into_iter().for_each(|why| walk.problem(*within, why));
    }
    let steps = steps?;
    let disruptive = steps.iter().any(|step| step.class() >= ActionClass::Disruptive);
    let veto = match veto {
        Some(veto) => veto?,
        None if disruptive => VETO,
        None => Duration::ZERO,
    };
    let (name, when, limits, verify) = (name?, when?, limits?.0, verify?.0);
    let text = String::new();
    let playbook = Playbook { name, when, require, limits, veto, steps, verify, otherwise, text };
    let place = |node: Option<&Node>| node.map_or(root.place, |node| node.place);
    Some((playbook, place(when_node), place(otherwise_node)))
}

/// Why a run could follow one whose outcome is not known yet.
fn too_soon(limits: &Limits, verify: &Verify) -> Option<String> {
    let (pause, judged) = (limits.cooldown, verify.at_most());
    (pause < judged).then(|| {
        format!(
            "cooldown {} is shorter than {}, verify's within and steady-for: a run could follow one still judged",
            Human(pause),
            Human(judged)
        )
    })
}

/// Why one node's limit could never be reached.
fn too_many(per_node: &Limit, per_cluster: &Limit) -> Option<String> {
    let (node, cluster) = (per_node.count, per_cluster.count);
    (node > cluster).then(|| format!("per-node allows {node} runs, per-cluster only {cluster}"))
}

/// What the lint says of a playbook's figures, whose findings are judged by these thresholds: what a file with them would be refused
/// for.
#[must_use]
pub fn misfits(playbook: &Playbook, thresholds: &Thresholds) -> Vec<String> {
    if playbook.only_tells() {
        return Vec::new();
    }
    let Playbook { limits, verify, steps, .. } = playbook;
    let many = too_many(&limits.per_node, &limits.per_cluster);
    [many, too_soon(limits, verify), too_short(steps, verify, thresholds)].into_iter().flatten().collect()
}

/// Why a verification ends before the action can have worked, and have been seen to: such a one only ever fails.
pub(crate) fn too_short(steps: &[Action], verify: &Verify, thresholds: &Thresholds) -> Option<String> {
    let slowest = steps.iter().max_by_key(|step| step.settles_within())?;
    let seen = |rule: &&'static Rule| {
        let read_every = rule.reads.iter().map(|kind| kind.every()).max().unwrap_or_default();
        (rule.name, thresholds.timing(rule).close_after + read_every)
    };
    let (slow, seen) = verify.cleared.iter().map(seen).max_by_key(|(_, seen)| *seen)?;
    let least = slowest.settles_within() + seen;
    (verify.within < least).then(|| {
        format!(
            "within {} is shorter than {}: {slowest} takes {} to work, and {} {} to be seen gone",
            Human(verify.within),
            Human(least),
            Human(slowest.settles_within()),
            slow,
            Human(seen)
        )
    })
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
    let finding = walk.required(&map, "finding").and_then(|node| finding(walk, node, "finding"));
    let for_ = required_duration(walk, &map, "for");
    Some(When { finding: finding?, for_: for_?.0 })
}

/// One finding, or a list of them; empty where none could be read.
fn cleared(walk: &Walk<'_>, node: &Node) -> Vec<&'static Rule> {
    let nodes = if let Value::List(items) = &node.value { items.as_slice() } else { std::slice::from_ref(node) };
    if nodes.is_empty() || nodes.len() > CLEARED_MAX {
        walk.problem(node.place, format!("cleared names 1 to {CLEARED_MAX} findings"));
        return Vec::new();
    }
    let read: Vec<_> = nodes.iter().filter_map(|node| Some((finding(walk, node, "cleared")?, node.place))).collect();
    walk.unique("finding", read.iter().map(|(rule, place)| (rule.name, *place)));
    read.into_iter().map(|(rule, _)| rule).collect()
}

fn finding(walk: &Walk<'_>, node: &Node, key: &str) -> Option<&'static Rule> {
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
    too_many(&per_node, &per_cluster).into_iter().for_each(|why| walk.problem(place, why));
    let (cooldown, place) = cooldown?;
    Some((Limits { per_node, per_cluster, cooldown }, place))
}

/// The figures of a playbook that [`set`] changes.
const SETTABLE: [&str; 5] = ["for", "per-node", "per-cluster", "cooldown", "veto"];

/// Changes one figure of a playbook: `per-node`, `per-cluster`, `cooldown`, `for` or `veto`, written as in its file.
///
/// # Errors
/// What is wrong with the key or the value.
pub fn set(playbook: &mut Playbook, key: &str, value: &str) -> Result<(), Problems> {
    let file = format!("{}.{key}", playbook.name);
    let walk = Walk::new(Path::new(&file), value);
    let place = yaml::parse(&walk).and_then(|node| {
        match key {
            "per-node" => playbook.limits.per_node = limit(&walk, &node, key)?,
            "per-cluster" => playbook.limits.per_cluster = limit(&walk, &node, key)?,
            "cooldown" => playbook.limits.cooldown = duration(&walk, &node, key)?,
            "for" => playbook.when.for_ = duration(&walk, &node, key)?,
            "veto" => playbook.veto = veto(&walk, &node)?,
            _ => walk.problem(node.place, format!("no figure {key}; there are {}", SETTABLE.join(", "))),
        }
        Some(())
    });
    walk.end(place)
}

/// `2 per 1h`.
pub(crate) fn limit(walk: &Walk<'_>, node: &Node, key: &str) -> Option<Limit> {
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
    let names = playbook::FORMS.iter().map(|form| form.name);
    let form = walk.word(place, name, "action", playbook::form, names)?;
    match (&form.shape, detail) {
        (Shape::Plain(action), None) => Some(action.clone()),
        (Shape::Plain(_), Some(detail)) => {
            walk.problem(detail.place, format!("action {name} takes no details"));
            None
        }
        (Shape::Timed(_), None) => {
            walk.problem(place, format!("action {name} needs {{ deadline: … }}"));
            None
        }
        (Shape::Timed(make), Some(detail)) => {
            let map = walk.map(detail, form.name, &["deadline"])?;
            Some(make(required_duration(walk, &map, "deadline")?.0))
        }
        (Shape::With(wanted), None) => {
            walk.problem(place, format!("action {name} needs {{ {}: …, deadline: … }}", wanted.key));
            None
        }
        (Shape::With(wanted), Some(detail)) => {
            let map = walk.map(detail, form.name, &[wanted.key, "deadline"])?;
            let word = walk.required(&map, wanted.key).and_then(|node| {
                let find = |text: &str| wanted.words.iter().copied().find(|word| *word == text);
                walk.word(node.place, walk.text(node, wanted.key)?, wanted.key, find, wanted.words.iter().copied())
            });
            let deadline = required_duration(walk, &map, "deadline");
            (wanted.make)(word?, deadline?.0)
        }
    }
}

/// What is verified, and where its `within` stands.
fn verify(walk: &Walk<'_>, node: &Node) -> Option<(Verify, Place)> {
    let map = walk.map(node, "verify", &["cleared", "within", "steady-for"])?;
    let cleared = walk.required(&map, "cleared").map(|node| cleared(walk, node));
    let within = required_duration(walk, &map, "within");
    let steady_for = required_duration(walk, &map, "steady-for");
    if let Some((within, place)) = within
        && within < WITHIN_MIN
    {
        walk.problem(place, format!("within {} is shorter than {}", Human(within), Human(WITHIN_MIN)));
    }
    let (within, place) = within?;
    Some((Verify { cleared: cleared?, within, steady_for: steady_for?.0 }, place))
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
