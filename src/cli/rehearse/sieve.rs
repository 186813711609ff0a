//! Which records a person is shown while a rehearsal goes by in seconds: what is new. The journal and the JSON have them all.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::journal::NewRecord;

/// Remembers what was shown.
#[derive(Debug, Default)]
pub(super) struct Sieve {
    shown: BTreeSet<String>,
    /// How often something of this kind was seen in the model.
    seen: BTreeMap<String, u32>,
    /// How many were not.
    pub(super) left_out: usize,
}

/// What is seen in the model comes and goes; so often it is told.
const AGAIN_MAX: u32 = 3;

impl Sieve {
    /// The same kind of thing was not seen too often in the model: all up to the first figure or sign.
    pub(super) fn shows_again(&mut self, text: &str) -> bool {
        let kind = text.split([':', ',']).next().unwrap_or_default();
        let times = self.seen.entry(kind.to_owned()).or_default();
        *times += 1;
        let shows = *times <= AGAIN_MAX || kind.contains("waits");
        self.left_out += usize::from(!shows);
        shows
    }

    /// Something was broken or mended: what is seen from then on is told anew.
    pub(super) fn cue(&mut self) {
        self.seen.clear();
    }

    pub(super) fn shows(&mut self, record: &NewRecord) -> bool {
        let shows = self.is_news(record);
        self.left_out += usize::from(!shows);
        shows
    }

    fn is_news(&mut self, record: &NewRecord) -> bool {
        let field = |name: &str| record.body.get(name).and_then(Value::as_str).unwrap_or_default();
        match (record.kind.as_str(), field("change")) {
            // A finding that comes and goes is told once; the end of one that is about the whole cluster is news.
            ("finding", "raised") => self.first(&["finding", field("finding"), field("scope")]),
            ("finding", _) => field("scope") == "cluster",
            ("hold", "raised") => self.first(&["hold", field("playbook"), field("node"), field("check")]),
            ("hold", _) => false,
            // What joins or leaves an incident was told as a finding; a root that was none before is news.
            ("incident", _) if field("state") == "open" => {
                self.first(&["incident", field("root"), field("root_scope")])
            }
            ("incident", _) if field("state") == "closed" => !field("text").starts_with("part of"),
            _ => true,
        }
    }

    fn first(&mut self, of: &[&str]) -> bool {
        self.shown.insert(of.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use defib_engine::time::UnixMs;
    use serde_json::json;

    use super::*;
    use crate::journal::account;

    #[test]
    fn what_comes_again_is_counted_and_not_shown() {
        let mut sieve = Sieve::default();
        let mut shows = |kind: &str, body: Value| sieve.shows(&account::life(kind, body, UnixMs(1)));
        let finding = |scope: &str, change: &str| json!({"finding": "x", "scope": scope, "change": change});
        assert!(shows("finding", finding("cp1", "raised")) && shows("finding", finding("cp2", "raised")));
        assert!(!shows("finding", finding("cp1", "cleared")) && !shows("finding", finding("cp1", "raised")));
        assert!(shows("finding", finding("cluster", "cleared")));
        let incident = |root: &str, state: &str| json!({"incident": "I-1", "root": root, "state": state});
        assert!(shows("incident", incident("x", "open")) && !shows("incident", incident("x", "open")));
        assert!(shows("incident", incident("y", "open")) && shows("incident", incident("y", "closed")));
        assert!(shows("decision", json!({})));
        assert_eq!(sieve.left_out, 3);
        let lost = "service is lost: nobody answers";
        assert_eq!((0..5).filter(|_| sieve.shows_again(lost)).count(), 3);
        sieve.cue();
        assert!(sieve.shows_again(lost) && sieve.left_out == 5);
    }
}
