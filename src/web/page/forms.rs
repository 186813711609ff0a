//! The forms: a pause and its end on the cluster's page, and the review of what a recovery would do. Plain forms, whole
//! without a script; each carries the token and a number of its own.

use defib_engine::command::{Plan, Preview};
use defib_engine::status::Status;
use defib_engine::time::Tick;

use super::super::html::{Html, in_address};
use super::{Age, Scene, Tab, frame, words};
use crate::hub::{Settled, Watched};
use crate::report::layers::Level;

/// What makes a form ours.
#[derive(Clone, Debug)]
pub(in super::super) struct Stamp {
    /// This process's token.
    pub(in super::super) token: String,
    /// This form's own number.
    pub(in super::super) number: String,
}

impl Stamp {
    fn fields(&self, html: &mut Html) {
        for (name, value) in [("token", &self.token), ("number", &self.number)] {
            html.empty("input", &[("type", &"hidden"), ("name", &name), ("value", value)]);
        }
    }
}

/// The pauses in force, and the way to actions.
pub(super) fn section(scene: &Scene<'_>, html: &mut Html) {
    let root = format!("/clusters/{}", in_address(&scene.watched.name));
    html.element("section", &[("id", &"pauses"), ("data-live", &""), ("aria-label", &"Pauses")], |html| {
        for pause in scene.status.iter().flat_map(|status| &status.pauses) {
            html.element("p", &[("class", &"paused")], |html| {
                html.classed("b", "label", "‖ Paused ");
                html.say(format!("by {}: {}; since ", pause.by, pause.reason));
                words::time(html, pause.since.0);
                match pause.until {
                    Some(until) => {
                        html.say(", until ");
                        words::time(html, until.0);
                    }
                    None => html.say(", until its file is gone"),
                }
            });
        }
        if scene.status.is_some_and(|status| status.pauses.iter().any(|pause| pause.until.is_some())) {
            form(&root, "resume", scene.stamp, html, |html| {
                html.leaf("button", &[("type", &"submit")], format!("Resume {}", scene.watched.name));
            });
        }
    });
    html.element("section", &[("class", &"acts"), ("aria-label", &"Actions")], |html| {
        html.leaf("a", &[("class", &"button"), ("href", &format!("{root}/recover"))], "Review recovery…");
        html.element("details", &[("id", &"pause")], |html| {
            html.classed("summary", "button", "Pause…");
            form(&root, "pause", scene.stamp, html, |html| {
                html.element("label", &[], |html| {
                    html.say("Why ");
                    html.empty(
                        "input",
                        &[("name", &"reason"), ("required", &""), ("maxlength", &"200"), ("size", &"28")],
                    );
                });
                html.element("label", &[], |html| {
                    html.say("For ");
                    html.empty("input", &[("name", &"for"), ("required", &""), ("value", &"30m"), ("size", &"5")]);
                });
                html.leaf("button", &[("type", &"submit")], format!("Pause {}", scene.watched.name));
            });
        });
    });
}

fn form(root: &str, what: &'static str, stamp: &Stamp, html: &mut Html, inside: impl FnOnce(&mut Html)) {
    let address = format!("{root}/{what}");
    html.element("form", &[("method", &"post"), ("action", &address), ("class", &what)], |html| {
        // Two forms of one page are two forms.
        Stamp { number: format!("{}-{what}", stamp.number), ..stamp.clone() }.fields(html);
        inside(html);
    });
}

/// What a recovery would do, plan by plan, each with its form.
pub(in super::super) fn review(
    (watched, settled): (&Watched, &Settled),
    (tabs, age): (&[Tab], Age),
    status: Option<&Status>,
    preview: Result<&Preview, &str>,
    stamp: &Stamp,
) -> String {
    frame::page("recovery", tabs, Some((watched, settled.mode)), age, None, |html| {
        html.element("section", &[("class", &"card")], |html| {
            html.leaf("h1", &[], format!("Recovery of {}", watched.name));
            html.element("p", &[], |html| {
                html.say(super::headline::sentence(watched, status));
                html.say(" ");
                html.leaf("a", &[("href", &format!("/clusters/{}", in_address(&watched.name)))], "Back, touch nothing");
            });
        });
        match preview {
            Err(why) => html.classed("p", "warning", why),
            Ok(preview) if preview.plans.is_empty() => {
                html.classed("p", "quiet", "There is no playbook for this cluster.");
            }
            Ok(preview) => {
                for (index, plan) in preview.plans.iter().enumerate() {
                    one(watched, plan, index, age.tick, stamp, html);
                }
            }
        }
    })
}

fn one(watched: &Watched, plan: &Plan, index: usize, tick: Tick, stamp: &Stamp, html: &mut Html) {
    html.element("section", &[("class", &"card review")], |html| {
        html.element("h2", &[], |html| html.say(format!("{} on {}", plan.playbook, plan.node)));
        html.element("p", &[], |html| match &plan.called_for {
            Some(key) => html.say(format!("Called for by {key}.")),
            None => html.say("Nothing that is open calls for it."),
        });
        html.element("p", &[], |html| html.say(format!("Steps: {}.", plan.steps.join(", then "))));
        html.element("p", &[], |html| html.say(format!("Limits: {}. Success: {}.", plan.limits, plan.verify)));
        html.element("ul", &[("class", &"holds")], |html| {
            for hold in &plan.judgement.holds {
                html.element("li", &[], |html| {
                    words::sign(html, Level::Risk);
                    html.say(' ');
                    html.leaf("code", &[], hold.check);
                    html.say(format!(": {}; lifts {}", hold.text, hold.lifts.describe(tick)));
                });
            }
            for (check, text) in &plan.judgement.passed {
                html.element("li", &[], |html| {
                    words::sign(html, Level::Well);
                    html.say(' ');
                    html.leaf("code", &[], check);
                    html.say(format!(": {text}"));
                });
            }
        });
        let waivable = plan.judgement.holds.iter().all(|hold| matches!(hold.check, "for" | "budget"));
        if !plan.would() && !waivable {
            html.classed("p", "quiet", "Held: no button can pass these checks.");
            return;
        }
        let root = format!("/clusters/{}", in_address(&watched.name));
        let stamp = Stamp { number: format!("{}-{index}", stamp.number), ..stamp.clone() };
        form(&root, "recover", &stamp, html, |html| {
            for (name, value) in [("playbook", &plan.playbook), ("node", &plan.node), ("plan", &plan.fingerprint)] {
                html.empty("input", &[("type", &"hidden"), ("name", &name), ("value", value)]);
            }
            for (name, words) in [("waive_for", "do not wait"), ("pass_limits", "pass the limits")] {
                let check = if name == "waive_for" { "for" } else { "budget" };
                if plan.judgement.holds.iter().any(|hold| hold.check == check) {
                    html.element("label", &[], |html| {
                        html.empty("input", &[("type", &"checkbox"), ("name", &name), ("value", &"yes")]);
                        html.say(words);
                    });
                }
            }
            html.element("label", &[], |html| {
                html.say(format!("Type {} to confirm ", plan.node));
                html.empty(
                    "input",
                    &[("name", &"confirm"), ("required", &""), ("autocomplete", &"off"), ("size", &"12")],
                );
            });
            html.leaf("button", &[("type", &"submit")], format!("Run {} on {}", plan.playbook, plan.node));
        });
    });
}
