//! What the limits leave: a gauge in the cluster and on each node for every playbook that is armed here or has used any;
//! the others are named. Where no journal is kept, nothing is
//! known of what was used, and no gauge pretends otherwise.

use defib_engine::ledger::LimitUse;
use defib_engine::time::Human;

use super::super::html::Html;
use super::{Scene, live};

pub(super) fn section(scene: &Scene<'_>, html: &mut Html) {
    let Some(status) = scene.status.filter(|status| !status.limits.is_empty()) else {
        html.empty("section", &[("id", &"limits"), ("data-live", &""), ("hidden", &"")]);
        return;
    };
    live(html, "limits", "card", "What the limits leave", |html| {
        if scene.settled.without_journal.is_some() {
            html.classed("p", "quiet", "Not known: no journal is kept, so nothing is started.");
            return;
        }
        let mut playbooks: Vec<&str> = status.limits.iter().map(|one| one.playbook.as_str()).collect();
        playbooks.dedup();
        let matters = |playbook: &&str| {
            scene.watched.armed.iter().any(|armed| armed == playbook)
                || status.limits.iter().any(|one| one.playbook == *playbook && (one.used > 0 || one.exhausted))
        };
        let (playbooks, others): (Vec<&str>, Vec<&str>) = playbooks.into_iter().partition(matters);
        for playbook in playbooks {
            html.element("h3", &[("class", &"title")], |html| html.leaf("code", &[], playbook));
            html.element("ul", &[("class", &"gauges")], |html| {
                let here = status.limits.iter().filter(|one| one.playbook == playbook);
                here.for_each(|one| gauge(scene, one, html));
            });
        }
        if !others.is_empty() {
            html.classed("p", "quiet", format!("Neither armed here nor used: {}.", others.join(", ")));
        }
    });
}

fn gauge(scene: &Scene<'_>, one: &LimitUse, html: &mut Html) {
    let full = one.left() == 0;
    html.element("li", &[("class", &if full { "full" } else { "room" })], |html| {
        html.leaf("b", &[], &one.subject);
        html.say(format!(" {} of {} in {}", one.used, one.of, Human(one.window)));
        // Where none is allowed the gauge is full, not empty.
        let (max, value) = if one.of == 0 { (1, 1) } else { (one.of, one.used.min(one.of)) };
        let label = format!("{} {}: runs used", one.playbook, one.subject);
        html.empty("meter", &[("min", &0), ("max", &max), ("value", &value), ("aria-label", &label)]);
        let room = one.room_at.map(|at| format!("! full, room in {}", Human(at.since(scene.age.tick))));
        let said = if one.exhausted { Some("! exhausted, until acknowledged".to_owned()) } else { room };
        match said {
            Some(said) => html.classed("span", "lifts", said),
            None if full => html.classed("span", "lifts", "! none is allowed"),
            None => {}
        }
    });
}
