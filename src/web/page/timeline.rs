//! What happened, the newest first, in the journal's own words.

use super::super::html::Html;
use super::{Scene, live, words};
use crate::report::line;

pub(super) fn section(scene: &Scene<'_>, html: &mut Html) {
    live(html, "timeline", "card", "What happened", |html| {
        let lines: Vec<_> = scene.records.iter().filter_map(|row| Some((row, line::of_row(row)?))).collect();
        if lines.is_empty() {
            html.classed("p", "quiet", "Nothing yet.");
            return;
        }
        html.element("ol", &[("class", &"timeline")], |html| {
            for (row, line) in lines {
                html.element("li", &[("class", &line.label)], |html| {
                    words::time(html, row.at_ms);
                    html.classed("b", "label", line.label);
                    html.classed("span", "text", &line.text);
                });
            }
        });
        html.element("p", &[("class", &"quiet")], |html| {
            html.say("All of it: ");
            html.leaf("code", &[], "defib history");
        });
    });
}
