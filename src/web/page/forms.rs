//! The forms: a pause and its end on the cluster's page, and the review of what a recovery would do. Plain forms, whole
//! without a script; each carries the token and a number of its own. A browser that may only look is shown how to come in.

use defib_engine::check::Lift;
use defib_engine::command::{PauseKind, Plan, Preview};
use defib_engine::status::Status;
use defib_engine::time::Tick;

use super::super::act::Wish;
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
        if let Some(stamp) = scene.stamp
            && scene.status.is_some_and(|status| status.pauses.iter().any(|pause| pause.kind == PauseKind::Command))
        {
            form(&root, "resume", stamp, html, |html| {
                html.leaf("button", &[("type", &"submit")], format!("Resume {}", scene.watched.name));
            });
        }
    });
    html.element("section", &[("class", &"acts"), ("aria-label", &"Actions")], |html| {
        html.leaf("a", &[("class", &"button"), ("href", &format!("{root}/recover"))], "Review recovery…");
        let Some(stamp) = scene.stamp else { return looks(html) };
        html.element("details", &[("id", &"pause")], |html| {
            html.classed("summary", "button", "Pause…");
            form(&root, "pause", stamp, html, |html| {
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

/// How to come in.
fn looks(html: &mut Html) {
    html.element("p", &[("class", &"quiet")], |html| {
        html.say("This browser may look. To act, follow the link that ");
        html.leaf("code", &[], "defib dashboard");
        html.say(" prints on the daemon's host.");
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
    (preview, wish): (Result<&Preview, &str>, Wish),
    stamp: Option<&Stamp>,
) -> String {
    frame::page("recovery", tabs, Some((watched, settled.mode)), age, None, |html| {
        html.element("section", &[("class", &"card")], |html| {
            html.leaf("h1", &[], format!("Recovery of {}", watched.name));
            html.element("p", &[], |html| {
                html.say(super::headline::sentence(watched, status));
                html.say(" ");
                html.leaf("a", &[("href", &format!("/clusters/{}", in_address(&watched.name)))], "Back, touch nothing");
            });
            if let Some(said) = wished(wish) {
                html.classed("p", "warning", format!("As it would be {said}."));
            }
            if stamp.is_none() {
                looks(html);
            }
        });
        match preview {
            Err(why) => html.classed("p", "warning", why),
            Ok(preview) if preview.plans.is_empty() => {
                html.classed("p", "quiet", "There is no playbook for this cluster.");
            }
            Ok(preview) => {
                for (index, plan) in preview.plans.iter().enumerate() {
                    one(watched, (plan, wish), index, age.tick, stamp, html);
                }
            }
        }
    })
}

fn one(
    watched: &Watched,
    (plan, wish): (&Plan, Wish),
    index: usize,
    tick: Tick,
    stamp: Option<&Stamp>,
    html: &mut Html,
) {
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
        let root = format!("/clusters/{}", in_address(&watched.name));
        if !plan.would() {
            match would(plan, wish) {
                Some(more) => {
                    let fields: Vec<_> = more.fields().map(|name| format!("{name}=yes")).collect();
                    let address = format!("{root}/recover?{}", fields.join("&"));
                    html.element("p", &[], |html| {
                        html.say("Held. ");
                        let words = format!("Review it {}", wished(more).unwrap_or_default());
                        html.leaf("a", &[("class", &"button"), ("href", &address)], words);
                    });
                }
                None => html.classed("p", "quiet", "Held: no button can pass these checks."),
            }
            return;
        }
        let Some(stamp) = stamp else { return };
        let stamp = Stamp { number: format!("{}-{index}", stamp.number), ..stamp.clone() };
        form(&root, "recover", &stamp, html, |html| {
            for (name, value) in [("playbook", &plan.playbook), ("node", &plan.node), ("plan", &plan.fingerprint)] {
                html.empty("input", &[("type", &"hidden"), ("name", &name), ("value", value)]);
            }
            for name in wish.fields() {
                html.empty("input", &[("type", &"hidden"), ("name", &name), ("value", &"yes")]);
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

/// In words; none where nothing is wished.
fn wished(wish: Wish) -> Option<&'static str> {
    match (wish.waive_for, wish.pass_limits) {
        (false, false) => None,
        (true, false) => Some("without waiting"),
        (false, true) => Some("past the limits"),
        (true, true) => Some("without waiting and past the limits"),
    }
}

/// The wish with which nothing would hold the plan, as far as can be told; none: no wish passes what holds.
fn would(plan: &Plan, wish: Wish) -> Option<Wish> {
    let mut more = wish;
    for hold in &plan.judgement.holds {
        match (hold.check, &hold.lifts) {
            ("when", Lift::At(_)) => more.waive_for = true,
            ("budget", Lift::At(_)) => more.pass_limits = true,
            _ => return None,
        }
    }
    (more != wish).then_some(more)
}
