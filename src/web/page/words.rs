//! Small pieces that every section uses: times, durations, signs.

use std::time::Duration;

use defib_engine::time::Human;

use super::super::html::Html;
use crate::report::layers::Level;
use crate::report::wall;

/// A level's sign with its word for those who do not see it.
pub(super) fn sign(html: &mut Html, level: Level) {
    html.element("span", &[("class", &format!("sign {level}"))], |html| html.say(level.sign()));
}

/// `03:11:52Z`, with the whole date for machines and on hovering.
pub(super) fn time(html: &mut Html, unix_ms: i64) {
    let whole = wall::date_time(unix_ms);
    html.leaf("time", &[("datetime", &whole), ("title", &whole)], wall::time(unix_ms));
}

/// How long ago something was; a script counts it on.
pub(super) fn ago(html: &mut Html, unix_ms: i64, now_ms: i64) {
    let since = Human(between(unix_ms, now_ms));
    html.leaf("span", &[("class", &"ago"), ("data-since", &unix_ms)], since);
}

/// The time between two stamps; zero where they lie the wrong way round.
pub(super) fn between(from_ms: i64, until_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(until_ms.saturating_sub(from_ms)).unwrap_or(0))
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
