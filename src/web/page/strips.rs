//! Each layer over time, drawn so that shape and not only colour tells: well is a thin line, what is wrong stands tall, what
//! is unknown is hollow, and where nobody looked there is nothing but a dotted ground.

use std::collections::BTreeMap;
use std::time::Duration;

use defib_engine::finding::Layer;
use defib_engine::time::Human;

use super::super::html::{Html, in_address};
use super::super::strip::{self, Stretch, Window};
use super::{Scene, live, words};
use crate::report::layers::Level;
use crate::report::wall;

/// At most so many marks of actions, the newest.
const ACTIONS_MAX: usize = 24;

pub(super) fn section(scene: &Scene<'_>, html: &mut Html) {
    live(html, "strips", "card", "Over time", |html| {
        windows(scene, html);
        let rows = match scene.strips {
            Ok(rows) => rows,
            Err(why) => {
                html.classed("p", "warning", format!("? The journal cannot be read: {why}"));
                return;
            }
        };
        let now_ms = scene.age.as_of_ms;
        let from_ms = now_ms.saturating_sub(scene.window.millis());
        html.element("div", &[("class", &"strips")], |html| {
            for layer in Layer::ROWS.into_iter().filter(|layer| *layer != Layer::Vip || scene.watched.vip.is_some()) {
                html.element("div", &[("class", &"strip")], |html| {
                    html.leaf("span", &[("class", &"layer")], layer.name());
                    draw(layer, &strip::strip(layer, rows, from_ms, now_ms), from_ms, now_ms, html);
                });
            }
            let mut actions = strip::actions(rows, from_ms);
            let skip = actions.len().saturating_sub(ACTIONS_MAX);
            actions.drain(..skip);
            if !actions.is_empty() {
                marks(&actions, from_ms, now_ms, html);
            }
            html.element("div", &[("class", &"axis"), ("aria-hidden", &"true")], |html| {
                html.leaf("span", &[], "");
                html.leaf("span", &[], wall::time(from_ms));
                html.leaf("span", &[], wall::time(now_ms));
            });
        });
        legend(html);
    });
}

fn windows(scene: &Scene<'_>, html: &mut Html) {
    html.element("nav", &[("class", &"windows"), ("aria-label", &"How far back")], |html| {
        for window in Window::ALL {
            let address = format!("/clusters/{}?window={}", in_address(&scene.watched.name), window.name());
            let current = if window == scene.window { "true" } else { "false" };
            html.leaf("a", &[("href", &address), ("aria-current", &current)], window.name());
        }
    });
}

fn draw(layer: Layer, stretches: &[Stretch], from_ms: i64, now_ms: i64, html: &mut Html) {
    let label = spoken(layer, stretches);
    html.element("svg", &[("role", &"img"), ("aria-label", &label), ("height", &"22"), ("width", &"100%")], |html| {
        for stretch in stretches {
            let (name, y, height) = match stretch.level {
                None => ("gap", 20, 1),
                Some(Level::Well) => ("well", 14, 7),
                Some(Level::Unknown) => ("unknown", 9, 12),
                Some(Level::Risk) => ("risk", 6, 15),
                Some(Level::Outage) => ("outage", 1, 20),
            };
            let x = percent(stretch.from_ms - from_ms, now_ms - from_ms);
            let width = percent(stretch.until_ms - stretch.from_ms, now_ms - from_ms);
            let (x, width) = (format!("{x:.3}%"), format!("{width:.3}%"));
            html.element(
                "rect",
                &[("class", &name), ("x", &x), ("width", &width), ("y", &y), ("height", &height)],
                |html| {
                    html.leaf("title", &[], told(stretch));
                },
            );
        }
    });
}

fn marks(actions: &[(i64, String)], from_ms: i64, now_ms: i64, html: &mut Html) {
    html.element("div", &[("class", &"strip")], |html| {
        html.leaf("span", &[("class", &"layer")], "done");
        let spoken: Vec<String> =
            actions.iter().map(|(at_ms, what)| format!("{} {what}", wall::time(*at_ms))).collect();
        let label = spoken.join("; ");
        html.element(
            "svg",
            &[("role", &"img"), ("aria-label", &label), ("height", &"20"), ("width", &"100%")],
            |html| {
                for ((at_ms, _), said) in actions.iter().zip(&spoken) {
                    let x = format!("{:.3}%", percent(at_ms - from_ms, now_ms - from_ms));
                    html.element(
                        "text",
                        &[("class", &"mark"), ("x", &x), ("y", &"15"), ("text-anchor", &"middle")],
                        |html| {
                            html.say("▲");
                            html.leaf("title", &[], said);
                        },
                    );
                }
            },
        );
    });
}

/// `outage 03:11:20Z to 03:14:02Z, 2m42s`.
fn told(stretch: &Stretch) -> String {
    let (from, until) = (wall::time(stretch.from_ms), wall::time(stretch.until_ms));
    let length = Human(words::between(stretch.from_ms, stretch.until_ms));
    format!("{} {from} to {until}, {length}", name(stretch.level))
}

fn name(level: Option<Level>) -> &'static str {
    level.map_or("not observed", Level::name)
}

/// A strip in a sentence, for those who do not see it.
fn spoken(layer: Layer, stretches: &[Stretch]) -> String {
    let mut totals: BTreeMap<Option<Level>, Duration> = BTreeMap::new();
    for stretch in stretches {
        *totals.entry(stretch.level).or_default() += words::between(stretch.from_ms, stretch.until_ms);
    }
    let parts: Vec<String> =
        totals.iter().rev().map(|(level, length)| format!("{} for {}", name(*level), Human(*length))).collect();
    format!("{}: {}", layer.name(), parts.join(", "))
}

#[expect(clippy::cast_precision_loss, reason = "a day in milliseconds fits a double exactly")]
fn percent(part_ms: i64, whole_ms: i64) -> f64 {
    if whole_ms <= 0 { 0.0 } else { part_ms as f64 * 100.0 / whole_ms as f64 }
}

fn legend(html: &mut Html) {
    html.element("p", &[("class", &"legend")], |html| {
        for (class, words) in [
            ("well", "well"),
            ("risk", "! risk"),
            ("outage", "✗ outage"),
            ("unknown", "? unknown"),
            ("gap", "not observed"),
        ] {
            html.element("span", &[], |html| {
                html.empty("i", &[("class", &class), ("aria-hidden", &"true")]);
                html.say(words);
            });
        }
        html.leaf("span", &[], "▲ action");
    });
}
