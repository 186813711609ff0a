//! What was measured of every node: rows beneath the layers. What is not known is `?`, never zero.

use std::time::Duration;

use defib_engine::status::Figures;
use defib_engine::time::Human;

use super::super::html::Html;
use super::Scene;

/// A figure in words, where it is known.
type Figure = fn(&Figures) -> Option<String>;

/// The figures that are shown, in the order in which causes lie: from the machine upwards.
const ROWS: [(&str, Figure); 5] = [
    ("steal", |figures| figures.steal_percent.map(percent)),
    ("memory free", |figures| figures.memory_available_percent.map(percent)),
    ("fsync p99", |figures| figures.fsync_p99.map(length)),
    ("commit p99", |figures| figures.commit_p99.map(length)),
    ("/readyz took", |figures| figures.apiserver_took.map(length)),
];

/// A row for every figure that is known of any node.
pub(super) fn rows(scene: &Scene<'_>, html: &mut Html) {
    let Some(status) = scene.status else { return };
    for (name, figure) in ROWS {
        let of = |node: &String| status.figures.get(node).and_then(figure);
        if scene.watched.nodes.iter().all(|node| of(node).is_none()) {
            continue;
        }
        html.element("tr", &[("class", &"figure")], |html| {
            html.leaf("th", &[("scope", &"row")], name);
            for node in &scene.watched.nodes {
                match of(node) {
                    Some(text) => html.leaf("td", &[], text),
                    None => html.leaf("td", &[("title", &"not known")], "?"),
                }
            }
        });
    }
}

fn percent(value: f64) -> String {
    format!("{value:.0} %")
}

/// Milliseconds to two places below ten, for a disk that is well answers within a few.
fn length(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    match ms {
        ..10.0 => format!("{ms:.1} ms"),
        10.0..1_000.0 => format!("{ms:.0} ms"),
        _ => Human(duration).to_string(),
    }
}
