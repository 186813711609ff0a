//! The first thing that is read: is it alive, what is wrong and since when, what is being done about it.

use defib_engine::diagnosis;
use defib_engine::finding::Layer;
use defib_engine::playbook::ActionClass;
use defib_engine::record::FindingKey;
use defib_engine::route::{Route, WELL_FOR};
use defib_engine::settings::Mode;
use defib_engine::status::{Decision, Finding, Status};
use defib_engine::time::Human;

use super::super::html::Html;
use super::{Scene, words};
use crate::hub::Watched;
use crate::report::layers::{self, Level};

/// How a cluster is as a whole: the worst of its layers; unknown where it was not judged.
pub(super) fn level(status: Option<&Status>) -> Level {
    let Some(status) = status else { return Level::Unknown };
    let layers = [Layer::Observer, Layer::Host].into_iter().chain(Layer::ROWS);
    layers.map(|one| layers::layer(status, one)).max().unwrap_or(Level::Unknown)
}

pub(super) fn section(scene: &Scene<'_>, html: &mut Html) {
    let level = level(scene.status);
    let class = format!("headline {level}");
    html.element(
        "section",
        &[("id", &"headline"), ("class", &class), ("data-live", &""), ("aria-label", &"State")],
        |html| {
            html.element("h1", &[("aria-live", &"polite"), ("id", &"verdict")], |html| {
                words::sign(html, level);
                html.classed("span", "word", word(level));
                html.say(' ');
                html.classed("span", "sentence", sentence(scene.watched, scene.status));
            });
            let Some(status) = scene.status else { return };
            if let Some(since) = since(status) {
                html.element("p", &[("class", &"since")], |html| {
                    html.say("Since ");
                    words::time(html, since);
                    html.say(", for ");
                    words::ago(html, since, scene.age.as_of_ms);
                    html.say('.');
                });
            }
            if let Some((root, evidence)) = root(status) {
                html.element("p", &[("class", &"root")], |html| {
                    html.classed("b", "label", "Root ");
                    html.leaf("code", &[], root);
                    html.say(' ');
                    html.say(evidence);
                });
            }
            html.element("p", &[("class", &"doing")], |html| {
                html.classed("b", "label", "Doing ");
                html.say(doing(scene.settled.mode, status));
            });
            if status.route.direct {
                html.element("p", &[("class", &"route")], |html| route(&status.route, html));
            }
            if !status.store_answers {
                html.classed("p", "warning", "! The journal does not answer: nothing is done until it does.");
            }
        },
    );
}

/// Where people and programs are sent while the virtual address is dead.
fn route(route: &Route, html: &mut Html) {
    html.classed("b", "label", "Route ");
    match route.ready.first() {
        Some(first) => {
            html.say("directly to ");
            html.leaf("b", &[], first);
        }
        None => html.say("past the virtual address, but no API server is ready"),
    }
    if let Some(since) = route.direct_since {
        html.say(", since ");
        words::time(html, since.0);
    }
    html.say(format!(", until the virtual address has been well for {}.", Human(WELL_FOR)));
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Well => "Healthy",
        Level::Unknown => "Cannot tell",
        Level::Risk => "At risk",
        Level::Outage => "Outage",
    }
}

/// What it comes to for those who use the cluster.
pub(super) fn sentence(watched: &Watched, status: Option<&Status>) -> String {
    let Some(status) = status else { return "Not judged yet: the first answers are on their way.".to_owned() };
    match level(Some(status)) {
        Level::Well => "Everything that is watched answers as it should.".to_owned(),
        Level::Unknown => {
            let why = status.unknown.first().map_or("", |one| one.why.as_str());
            let more = status.unknown.len().saturating_sub(1);
            let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
            format!("Nothing is known to be wrong, and this is not known: {why}{more}.")
        }
        Level::Risk => named(status, Level::Risk),
        Level::Outage => outage(watched, status),
    }
}

fn outage(watched: &Watched, status: &Status) -> String {
    let open = |rule: &str| status.findings.iter().any(|finding| finding.key.rule == rule);
    let hurt = |layer: Layer| {
        let here = status.findings.iter().filter(move |finding| finding.layer == layer);
        let nodes = here.filter(|finding| layers::level(finding.key.rule) == Some(Level::Outage));
        let mut nodes: Vec<&str> = nodes.filter_map(|one| one.key.subject.node().map(String::as_str)).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    };
    if open("observer-isolated") {
        return "defib itself is cut off: nothing that it watches answers, nor does anything else.".to_owned();
    }
    let apiservers = hurt(Layer::Apiserver);
    let unreachable = match &watched.vip {
        Some(vip) if open("vip-lost") => Some(format!("The API cannot be reached at {vip}")),
        _ => None,
    };
    let none_ready = !apiservers.is_empty() && apiservers.len() == watched.nodes.len();
    let first = match (unreachable, none_ready) {
        (Some(text), true) => format!("{text}, and no API server is well"),
        (Some(text), false) => text,
        (None, true) => "No API server is well".to_owned(),
        (None, false) if !apiservers.is_empty() => {
            format!("The API server of {} is not well", words::list(&apiservers))
        }
        (None, false) => return named(status, Level::Outage),
    };
    if open("etcd-quorum-lost") || open("etcd-no-leader") {
        format!("{first}: etcd has no quorum.")
    } else {
        format!("{first}.")
    }
}

/// The open findings of a level by name, with their places.
fn named(status: &Status, level: Level) -> String {
    let here = status.findings.iter().filter(|finding| layers::level(finding.key.rule) == Some(level));
    let names: Vec<String> = here.map(|finding| finding.key.to_string()).collect();
    format!("{}.", names.join(", "))
}

/// Since when the worst incident has been under way, or the first risk was seen; Unix milliseconds.
fn since(status: &Status) -> Option<i64> {
    let found = |key: &FindingKey| status.findings.iter().find(|finding| finding.key == *key);
    match status.worst() {
        Some(incident) => incident.findings.iter().filter_map(found).map(|finding| finding.since.0).min(),
        None => status.findings.iter().map(|finding| finding.since.0).min(),
    }
}

/// The root of the worst incident, with its evidence.
pub(super) fn root(status: &Status) -> Option<(String, &str)> {
    let incident = status.worst()?;
    let is_root = |finding: &&Finding| finding.key == incident.root;
    let text = status.findings.iter().find(is_root).map_or("", |finding| finding.text.as_str());
    let meaning = diagnosis::rule(incident.root.rule).map_or("", |rule| rule.meaning);
    Some((incident.root.to_string(), if text.is_empty() { meaning } else { text }))
}

pub(super) fn doing(mode: Mode, status: &Status) -> String {
    if let Some(run) = &status.run {
        return format!("{} on {}, {}: {}.", run.playbook, run.node, run.id, run.phase);
    }
    if let Some(pause) = status.pauses.iter().find(|pause| pause.holds <= ActionClass::Service) {
        return format!("nothing by itself: paused by {}.", pause.by);
    }
    if status.decisions.is_empty() {
        return if status.findings.is_empty() {
            "watching.".to_owned()
        } else {
            "nothing: no playbook is called for by what is open.".to_owned()
        };
    }
    let names = |of: fn(&&Decision) -> bool| {
        let named = |one: &Decision| format!("{} on {}", one.playbook, one.node);
        status.decisions.iter().filter(of).map(named).collect::<Vec<String>>().join(", ")
    };
    let would = names(|one| one.would());
    let free = names(|one| one.judgement.holds.is_empty());
    match mode {
        _ if would.is_empty() => "nothing: every playbook that is called for is held; see below why.".to_owned(),
        Mode::Observe => format!("nothing, in mode observe; it would run {would}."),
        Mode::Ask => match &status.proposal {
            Some(one) => format!(
                "waits for a person to approve {} on {}: review the recovery, or defib approve {}.",
                one.playbook, one.node, one.run
            ),
            None => format!("nothing: {would} waits for a person's permission alone."),
        },
        Mode::Act if free.is_empty() => format!("nothing: {would} waits for a person's permission alone."),
        Mode::Act => format!("about to run {free}."),
    }
}
