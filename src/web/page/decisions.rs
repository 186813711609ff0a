//! What is done, what would be done, and what is held, in the words of the command line and of the journal.

use defib_engine::status::{Decision, Status};

use super::super::html::Html;
use super::{Scene, live};

pub(super) fn section(scene: &Scene<'_>, html: &mut Html) {
    let Some(status) = scene.status else { return };
    live(html, "decisions", "card", "What is done about it", |html| {
        if let Some(run) = &status.run {
            html.element("p", &[("class", &"run")], |html| {
                html.classed("b", "label", "Running ");
                html.leaf("code", &[], &run.id);
                html.say(format!(" {} on {}: {}", run.playbook, run.node, run.phase));
            });
        }
        if status.decisions.is_empty() {
            html.classed("p", "quiet", nothing(status));
            return;
        }
        let would = status.decisions.iter().filter(|one| one.would());
        let held = status.decisions.iter().filter(|one| !one.would());
        html.element("ul", &[("class", &"plans")], |html| {
            would.for_each(|one| plan(scene, one, "Would", html));
            held.for_each(|one| plan(scene, one, "Held", html));
        });
    });
    untold(status, html);
}

fn nothing(status: &Status) -> &'static str {
    if status.findings.is_empty() {
        "Nothing is wrong that would call for anything."
    } else {
        "No playbook is called for by what is open: it is told, and left to people."
    }
}

fn plan(scene: &Scene<'_>, decision: &Decision, word: &'static str, html: &mut Html) {
    let class = if word == "Would" { "plan would" } else { "plan held" };
    html.element("li", &[("class", &class)], |html| {
        html.element("p", &[], |html| {
            html.classed("b", "label", word);
            html.say(' ');
            html.leaf("code", &[], &decision.playbook);
            html.say(' ');
            html.leaf("b", &[], &decision.node);
        });
        html.element("ul", &[("class", &"holds")], |html| {
            for hold in &decision.judgement.holds {
                html.element("li", &[], |html| {
                    html.leaf("code", &[], hold.check);
                    html.say(format!(": {}; ", hold.text));
                    html.classed("span", "lifts", format!("lifts {}", hold.lifts.describe(scene.age.tick)));
                });
            }
        });
        if decision.judgement.passed.is_empty() {
            return;
        }
        let id = format!("why-{}-{}", decision.playbook, decision.node);
        html.element("details", &[("id", &id)], |html| {
            html.leaf(
                "summary",
                &[],
                match decision.judgement.passed.len() {
                    1 => "1 check passes".to_owned(),
                    checks => format!("{checks} checks pass"),
                },
            );
            html.element("ul", &[("class", &"passed")], |html| {
                for (check, text) in &decision.judgement.passed {
                    html.element("li", &[], |html| {
                        html.leaf("code", &[], check);
                        html.say(format!(": {text}"));
                    });
                }
            });
        });
    });
}

/// What cannot be told, and why; the same reason is said once.
fn untold(status: &Status, html: &mut Html) {
    if status.unknown.is_empty() {
        html.empty("section", &[("id", &"unknown"), ("data-live", &""), ("hidden", &"")]);
        return;
    }
    live(html, "unknown", "card", "What cannot be told", |html| {
        let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
        for one in &status.unknown {
            match reasons.iter_mut().find(|(why, _)| *why == one.why) {
                Some((_, keys)) => keys.push(one.key.to_string()),
                None => reasons.push((&one.why, vec![one.key.to_string()])),
            }
        }
        html.element("ul", &[("class", &"untold")], |html| {
            for (why, keys) in reasons {
                html.element("li", &[], |html| {
                    html.classed("span", "sign unknown", "?");
                    html.say(format!(" {why} "));
                    html.classed("span", "quiet", keys.join(", "));
                });
            }
        });
    });
}
