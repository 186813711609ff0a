//! What the layers were over time, folded from the journal's own rows.
//!
//! A `layers` row says how every layer is from then on; a `start` row says that defib began to look, and until when the
//! process before it is known to have lived. Where nobody looked there is a gap, and a gap is never well. Left out: how it
//! is drawn (`page::strips`).

use defib_engine::finding::Layer;
use serde_json::Value;

use crate::journal::RecordRow;
use crate::report::layers::Level;

/// The kinds of row that a strip is folded from.
pub(super) const KINDS: [&str; 4] = ["layers", "start", "stop", "outcome"];

/// Those that say how it was before a window began.
pub(super) const STATES: &[&str] = &["layers", "start", "stop"];

/// How far a strip looks back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Window {
    /// A quarter of an hour.
    #[default]
    Quarter,
    /// An hour.
    Hour,
    /// Six hours.
    Six,
    /// A day.
    Day,
}

impl Window {
    pub(super) const ALL: [Window; 4] = [Window::Quarter, Window::Hour, Window::Six, Window::Day];

    /// The word in the address and on the page.
    pub(super) fn name(self) -> &'static str {
        match self {
            Window::Quarter => "15m",
            Window::Hour => "1h",
            Window::Six => "6h",
            Window::Day => "24h",
        }
    }

    /// The window with this word; the shortest where there is none.
    pub(super) fn named(name: &str) -> Window {
        Window::ALL.into_iter().find(|window| window.name() == name).unwrap_or_default()
    }

    pub(super) fn millis(self) -> i64 {
        60_000
            * match self {
                Window::Quarter => 15,
                Window::Hour => 60,
                Window::Six => 6 * 60,
                Window::Day => 24 * 60,
            }
    }
}

/// A stretch of one level; none: nobody looked. Times are Unix milliseconds, the end not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) from_ms: i64,
    pub(super) until_ms: i64,
    pub(super) level: Option<Level>,
}

/// One layer over the window, without holes: neighbouring stretches differ.
pub(super) fn strip(layer: Layer, rows: &[RecordRow], from_ms: i64, now_ms: i64) -> Vec<Stretch> {
    let mut points: Vec<(i64, Option<Level>)> = vec![(i64::MIN, None)];
    // The rows are the newest first.
    for row in rows.iter().rev() {
        match row.kind.as_str() {
            "layers" => {
                let level = row.body.get(layer.name()).and_then(Value::as_str).and_then(Level::named);
                points.push((row.at_ms, level));
            }
            "stop" => points.push((row.at_ms, None)),
            "start" => {
                // Whether the process before lived on after its last row, only its own sign of life says.
                let last = points.last().map_or(i64::MIN, |(at_ms, _)| *at_ms);
                let lived = row.body.get("lived_until_ms").and_then(Value::as_i64).unwrap_or(last);
                points.push((lived.clamp(last, row.at_ms.max(last)), None));
                points.push((row.at_ms, None));
            }
            _ => {}
        }
    }
    let ends = points.iter().skip(1).map(|(at_ms, _)| *at_ms).chain([now_ms]);
    let mut stretches: Vec<Stretch> = Vec::new();
    for (&(start, level), end) in points.iter().zip(ends) {
        let (from_ms, until_ms) = (start.max(from_ms), end.min(now_ms));
        if from_ms >= until_ms {
            continue;
        }
        match stretches.last_mut() {
            Some(before) if before.level == level => before.until_ms = until_ms,
            _ => stretches.push(Stretch { from_ms, until_ms, level }),
        }
    }
    stretches
}

/// When steps that touched something ended, Unix milliseconds, within the window.
pub(super) fn actions(rows: &[RecordRow], from_ms: i64) -> Vec<(i64, String)> {
    let text = |row: &RecordRow, name: &str| row.body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let acted = rows.iter().rev().filter(|row| row.kind == "outcome" && row.at_ms >= from_ms);
    let acted = acted.filter(|row| !matches!(text(row, "outcome").as_str(), "withdrawn"));
    acted.map(|row| (row.at_ms, format!("{} {}", text(row, "action"), text(row, "outcome")))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(at_ms: i64, kind: &str, body: Value) -> RecordRow {
        RecordRow { seq: at_ms, at_ms, cluster: "prod".to_owned(), kind: kind.to_owned(), version: 1, body }
    }

    fn shown(rows: &[RecordRow], from_ms: i64, now_ms: i64) -> Vec<(i64, i64, Option<Level>)> {
        let strip = strip(Layer::Etcd, rows, from_ms, now_ms);
        strip.iter().map(|one| (one.from_ms, one.until_ms, one.level)).collect()
    }

    #[test]
    fn where_nobody_looked_is_a_gap() {
        let mut rows = vec![
            row(100, "start", json!({})),
            row(110, "layers", json!({"etcd": "unknown"})),
            row(120, "layers", json!({"etcd": "well"})),
            row(150, "layers", json!({"etcd": "well", "vip": "outage"})),
            // Killed without a word at some time after 170, which its sign of life tells.
            row(200, "start", json!({"lived_until_ms": 170})),
            row(205, "layers", json!({"etcd": "outage"})),
            row(220, "stop", json!({})),
        ];
        rows.reverse();
        assert_eq!(
            shown(&rows, 50, 300),
            [
                (50, 110, None),
                (110, 120, Some(Level::Unknown)),
                (120, 170, Some(Level::Well)),
                (170, 205, None),
                (205, 220, Some(Level::Outage)),
                (220, 300, None),
            ]
        );
        assert_eq!(shown(&rows, 130, 160), [(130, 160, Some(Level::Well))], "cut to the window");
        assert_eq!(shown(&[], 0, 10), [(0, 10, None)]);
    }

    #[test]
    fn without_a_sign_of_life_the_gap_begins_at_the_last_row_and_an_unknown_word_is_a_gap() {
        let rows = [row(200, "start", json!({})), row(120, "layers", json!({"etcd": "well"}))];
        assert_eq!(shown(&rows, 100, 300), [(100, 300, None)]);
        let rows = [row(120, "layers", json!({"etcd": "fine"}))];
        assert_eq!(shown(&rows, 100, 300), [(100, 300, None)]);
        let absurd =
            [row(200, "start", json!({"lived_until_ms": i64::MAX})), row(120, "layers", json!({"etcd": "well"}))];
        assert_eq!(shown(&absurd, 100, 300), [(100, 120, None), (120, 200, Some(Level::Well)), (200, 300, None)]);
    }

    #[test]
    fn what_was_withdrawn_touched_nothing() {
        let outcome = |at, word| row(at, "outcome", json!({"action": "restart-service kubelet", "outcome": word}));
        let rows = [outcome(30, "withdrawn"), outcome(20, "unknown"), outcome(1, "done")];
        assert_eq!(actions(&rows, 10), [(20, "restart-service kubelet unknown".to_owned())]);
    }
}
