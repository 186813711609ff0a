//! All clusters on one page, the worst first.

use super::super::html::in_address;
use super::{Age, Tab, frame, words};

/// The page.
pub(in super::super) fn page(tabs: &[Tab], age: Age, revision: u64) -> String {
    let mut sorted: Vec<&Tab> = tabs.iter().collect();
    sorted.sort_by(|a, b| (b.level, &a.name).cmp(&(a.level, &b.name)));
    frame::page("clusters", tabs, None, age, Some(revision), |html| {
        html.element("section", &[("id", &"overview"), ("class", &"card"), ("data-live", &"")], |html| {
            html.leaf("h1", &[("aria-live", &"polite")], count(tabs));
            html.element("ul", &[("class", &"overview")], |html| {
                for tab in sorted {
                    let address = format!("/clusters/{}", in_address(&tab.name));
                    html.element("li", &[("class", &tab.level)], |html| {
                        html.element("a", &[("href", &address)], |html| {
                            words::sign(html, tab.level);
                            html.leaf("b", &[], &tab.name);
                            html.classed("span", "sentence", &tab.sentence);
                        });
                    });
                }
            });
        });
    })
}

/// `3 clusters: 1 outage, 2 well`.
fn count(tabs: &[Tab]) -> String {
    let mut levels: Vec<_> = tabs.iter().map(|tab| tab.level).collect();
    levels.sort_unstable();
    let mut parts: Vec<String> = Vec::new();
    for group in levels.chunk_by(|a, b| a == b).rev() {
        parts.extend(group.first().map(|level| format!("{} {level}", group.len())));
    }
    format!("{} clusters: {}", tabs.len(), parts.join(", "))
}
