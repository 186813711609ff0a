//! How the layers of a cluster are, in a word each: for a grid, for a strip over time, and for the journal, so that the
//! strip can be drawn later from what was known then.
//!
//! *Unknown is never well*: a layer is well only where nothing about it is wrong and no outage of it is untold. Risks that are
//! untold are told apart: most take a credential more, or a second look.

use std::fmt;

use defib_engine::diagnosis;
use defib_engine::finding::{Class, Layer, Subject};
use defib_engine::status::Status;
use serde_json::{Map, Value};

/// How something is. The order is the order in which the worse of two is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing is wrong, and everything that is asked was answered.
    Well,
    /// It cannot be told.
    Unknown,
    /// Something may become wrong.
    Risk,
    /// Service is hurt.
    Outage,
}

impl Level {
    /// The word in the journal and in a style sheet.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Level::Well => "well",
            Level::Unknown => "unknown",
            Level::Risk => "risk",
            Level::Outage => "outage",
        }
    }

    /// The level with this word.
    #[must_use]
    pub fn named(name: &str) -> Option<Level> {
        [Level::Well, Level::Unknown, Level::Risk, Level::Outage].into_iter().find(|level| level.name() == name)
    }

    /// Its sign: no level is told by colour alone.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Level::Well => "✓",
            Level::Unknown => "?",
            Level::Risk => "!",
            Level::Outage => "✗",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One layer of one subject: how it is, and the finding or the reason that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// How it is.
    pub level: Level,
    /// In a word or two: `ok`, `member-down`, `not asked`.
    pub word: String,
    /// The evidence, or why it cannot be told; empty where it is well.
    pub text: String,
}

/// How a layer is for one node, or for the cluster as a whole.
#[must_use]
pub fn cell(status: &Status, layer: Layer, subject: &Subject) -> Cell {
    let worst = status.of(layer, subject).filter_map(|finding| Some((level(finding.key.rule)?, finding)));
    if let Some((level, finding)) = worst.max_by_key(|(level, _)| *level) {
        return Cell { level, word: short(layer, finding.key.rule), text: finding.text.clone() };
    }
    let untold = status.unknown.iter().filter(|one| one.class == Class::Outage);
    let mut untold = untold.filter(|one| one.layer == layer && one.key.subject == *subject);
    let Some(first) = untold.next() else {
        return Cell { level: Level::Well, word: "ok".to_owned(), text: String::new() };
    };
    let asked = !first.why.contains("not asked") || untold.any(|one| !one.why.contains("not asked"));
    let word = if asked { "unknown" } else { "not asked" };
    Cell { level: Level::Unknown, word: word.to_owned(), text: first.why.clone() }
}

/// How a layer is, over everything in it.
#[must_use]
pub fn layer(status: &Status, layer: Layer) -> Level {
    let found = status.findings.iter().filter(|finding| finding.layer == layer);
    let found = found.filter_map(|finding| level(finding.key.rule)).max();
    let untold = status.unknown.iter().any(|one| one.layer == layer && one.class == Class::Outage);
    let untold = untold.then_some(Level::Unknown);
    found.max(untold).unwrap_or(Level::Well)
}

/// How much an open finding means; none for advice, and for a rule that this program does not know.
#[must_use]
pub fn level(rule: &str) -> Option<Level> {
    let rule = diagnosis::rule(rule)?;
    match rule.class {
        Class::Outage => Some(Level::Outage),
        Class::Risk => Some(Level::Risk),
        Class::Advice => None,
    }
}

/// Every layer's level as a record's body: `{"machine": "well", "etcd": "outage", …}`.
#[must_use]
pub fn body(status: &Status) -> Value {
    let pair = |one: Layer| (one.name().to_owned(), Value::from(layer(status, one).name()));
    Value::Object(Layer::ROWS.into_iter().map(pair).collect::<Map<_, _>>())
}

/// A finding's name without what its place says already.
#[must_use]
pub fn short(layer: Layer, rule: &str) -> String {
    let prefix = format!("{}-", layer.name());
    let rest = rule.strip_prefix(&prefix).unwrap_or(rule);
    rest.strip_prefix("member-").unwrap_or(rest).to_owned()
}

#[cfg(test)]
mod tests {
    use defib_engine::record::FindingKey;
    use defib_engine::status::{Finding, Unknown};

    use super::*;

    fn key(rule: &'static str, node: &str) -> FindingKey {
        FindingKey { rule, subject: Subject::Node(node.to_owned()) }
    }

    fn status() -> Status {
        let finding = Finding {
            key: key("etcd-member-down", "cp1"),
            layer: Layer::Etcd,
            class: Class::Outage,
            since: Default::default(),
            text: "refused".to_owned(),
            explained_by: Vec::new(),
        };
        let unknown = |rule, node, layer, why: &str| Unknown {
            key: key(rule, node),
            layer,
            class: Class::Outage,
            why: why.to_owned(),
        };
        Status {
            findings: vec![finding],
            unknown: vec![
                unknown("etcd-member-hung", "cp1", Layer::Etcd, "etcd.status: not seen yet"),
                unknown("apiserver-down", "cp2", Layer::Apiserver, "apiserver: not asked"),
            ],
            ..Status::default()
        }
    }

    #[test]
    fn what_is_wrong_is_told_before_what_is_unknown_and_unknown_is_never_well() {
        let status = status();
        let at = |layer, node: &str| cell(&status, layer, &Subject::Node(node.to_owned()));
        assert_eq!((at(Layer::Etcd, "cp1").level, at(Layer::Etcd, "cp1").word.as_str()), (Level::Outage, "down"));
        assert_eq!(at(Layer::Etcd, "cp2").level, Level::Well);
        assert_eq!(at(Layer::Apiserver, "cp2").word, "not asked");
        assert_eq!(at(Layer::Apiserver, "cp2").level, Level::Unknown);
        let levels = body(&status);
        assert_eq!(levels["etcd"], "outage");
        assert_eq!(levels["apiserver"], "unknown");
        assert_eq!(levels["vip"], "well");
    }

    #[test]
    fn every_level_has_a_word_of_its_own_that_is_read_back() {
        for level in [Level::Well, Level::Unknown, Level::Risk, Level::Outage] {
            assert_eq!(Level::named(level.name()), Some(level));
        }
        assert_eq!(Level::named("fine"), None);
    }
}
