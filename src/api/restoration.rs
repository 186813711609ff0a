//! What a person would restore etcd from while quorum is lost, with the commands: shown wherever people look, and never done.
//!
//! The commands are Talos's own (its documentation, "Disaster Recovery"). Left out: whether it is wise.

use std::collections::BTreeMap;

use defib_engine::restoration::{self, Source};
use serde::{Deserialize, Serialize};

/// What a person would restore etcd from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restoration {
    /// What to do before anything is restored, in a sentence.
    pub first: String,
    /// Every voter's copy of the data, the one with the highest index first.
    pub copies: Vec<Copy>,
    /// Whose copy a person would go on from; none: see `refused`.
    pub from: Option<String>,
    /// Why no copy is named.
    pub refused: Option<String>,
    /// What a person would type, in order; empty where no copy is named.
    pub commands: Vec<Typed>,
}

/// A voter's copy of the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// Whose.
    pub node: String,
    /// The raft index that its member last told; null: it was never heard.
    pub index: Option<u64>,
    /// When it told so; Unix milliseconds.
    pub heard_ms: Option<i64>,
    /// How it can be had: `member` (it answers), `machine` (its file can be copied), `nowhere`.
    pub source: String,
}

/// A command with what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typed {
    /// What it is for.
    pub purpose: String,
    /// What is typed.
    pub command: String,
}

/// With the nodes' addresses, by name.
#[must_use]
pub(crate) fn made(plan: &restoration::Restoration, addresses: &BTreeMap<&str, &str>) -> Restoration {
    let copy = |copy: &restoration::Copy| Copy {
        node: copy.node.clone(),
        index: copy.told.map(|(index, _)| index),
        heard_ms: copy.told.map(|(_, at)| at.0),
        source: copy.source.name().to_owned(),
    };
    let best = plan.from.as_ref().ok().and_then(|from| plan.copies.iter().find(|copy| copy.node == *from));
    Restoration {
        first: first(plan),
        copies: plan.copies.iter().map(copy).collect(),
        from: best.map(|best| best.node.clone()),
        refused: plan.from.as_ref().err().cloned(),
        commands: best.map_or_else(Vec::new, |best| commands(best, &plan.copies, addresses)),
    }
}

fn first(plan: &restoration::Restoration) -> String {
    let (missing, mute) = (plan.missing, &plan.mute);
    if missing == 1 {
        format!("1 voter more brings quorum back by itself, and loses nothing: try {} first.", mute.join(" or "))
    } else {
        format!(
            "{missing} voters more bring quorum back by themselves, and lose nothing: try {} first.",
            mute.join(", ")
        )
    }
}

fn commands(best: &restoration::Copy, copies: &[restoration::Copy], addresses: &BTreeMap<&str, &str>) -> Vec<Typed> {
    let address = |node: &str| addresses.get(node).copied().unwrap_or(node).to_owned();
    let own = address(&best.node);
    let all: Vec<String> = copies.iter().map(|copy| address(&copy.node)).collect();
    let typed = |purpose: String, command: String| Typed { purpose, command };
    let keep = |copy: &restoration::Copy| {
        let (node, address) = (&copy.node, address(&copy.node));
        let command = match copy.source {
            Source::Nowhere => return None,
            Source::Member => format!("talosctl -n {address} -e {address} etcd snapshot ./etcd-{node}.db"),
            Source::Machine => {
                format!("talosctl -n {address} -e {address} read /var/lib/etcd/member/snap/db > ./etcd-{node}.db")
            }
        };
        let purpose = format!("keep the data of {node}, and look that the file is there; nothing is changed yet");
        Some(typed(purpose, command))
    };
    // What was copied as a file carries no hash of its own.
    let unchecked = if best.source == Source::Member { "" } else { " --recover-skip-hash-check" };
    let ephemeral = "reset --graceful=false --reboot --system-labels-to-wipe=EPHEMERAL";
    let mut typed_all: Vec<Typed> = copies.iter().filter_map(keep).collect();
    typed_all.extend(copies.iter().zip(&all).map(|(copy, address)| {
        let purpose = format!("ERASES the data of {}: only once it is certain that quorum cannot come back", copy.node);
        typed(purpose, format!("talosctl -n {address} -e {address} {ephemeral}"))
    }));
    let list = all.join(",");
    typed_all.push(typed("every etcd must be Preparing".to_owned(), format!("talosctl -n {list} service etcd")));
    let recover = format!("talosctl -n {own} -e {own} bootstrap --recover-from=./etcd-{}.db{unchecked}", best.node);
    typed_all.push(typed("on this node alone; the others join it".to_owned(), recover));
    typed_all
}

impl Restoration {
    /// The same in lines, for people.
    #[must_use]
    pub fn lines(&self, time: impl Fn(i64) -> String) -> Vec<String> {
        let mut lines = vec![format!("etcd is never restored by itself. {}", self.first)];
        for copy in &self.copies {
            let source = match copy.source.as_str() {
                "member" => "it answers",
                "machine" => "its machine answers, its member does not",
                _ => "neither it nor its machine answers",
            };
            let told = match (copy.index, copy.heard_ms) {
                (Some(index), Some(heard)) => format!("index {index} at {}", time(heard)),
                _ => "was never heard".to_owned(),
            };
            lines.push(format!("    copy of {}: {told}; {source}", copy.node));
        }
        match (&self.from, &self.refused) {
            (Some(from), _) => lines.push(format!(
                "If that is impossible, the newest copy that can be had is that of {from}; what others wrote after it is lost:"
            )),
            (None, Some(why)) => lines.push(format!("No copy is named to go on from: {why}.")),
            (None, None) => {}
        }
        for typed in &self.commands {
            lines.push(format!("    # {}", typed.purpose));
            lines.push(format!("    {}", typed.command));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use defib_engine::time::UnixMs;

    use super::*;

    fn plan(from: Result<&str, &str>, source: Source) -> restoration::Restoration {
        let copy = |node: &str, index, source| restoration::Copy {
            node: node.to_owned(),
            told: Some((index, UnixMs(1_000))),
            source,
        };
        restoration::Restoration {
            missing: 1,
            mute: vec!["cp2".to_owned(), "cp3".to_owned()],
            copies: vec![
                copy("cp1", 1_200, source),
                copy("cp2", 1_100, Source::Machine),
                copy("cp3", 900, Source::Nowhere),
            ],
            from: from.map(str::to_owned).map_err(str::to_owned),
        }
    }

    #[test]
    fn every_machine_is_named_by_its_address_and_the_data_is_kept_before_any_is_erased() {
        let addresses = BTreeMap::from([("cp1", "192.0.2.11"), ("cp2", "192.0.2.12"), ("cp3", "192.0.2.13")]);
        let whole = made(&plan(Ok("cp1"), Source::Member), &addresses);
        let typed: Vec<_> = whole.commands.iter().map(|typed| typed.command.as_str()).collect();
        let erase = |node: u8| {
            format!(
                "talosctl -n 192.0.2.{node} -e 192.0.2.{node} reset --graceful=false --reboot --system-labels-to-wipe=EPHEMERAL"
            )
        };
        let expected = [
            "talosctl -n 192.0.2.11 -e 192.0.2.11 etcd snapshot ./etcd-cp1.db".to_owned(),
            "talosctl -n 192.0.2.12 -e 192.0.2.12 read /var/lib/etcd/member/snap/db > ./etcd-cp2.db".to_owned(),
            erase(11),
            erase(12),
            erase(13),
            "talosctl -n 192.0.2.11,192.0.2.12,192.0.2.13 service etcd".to_owned(),
            "talosctl -n 192.0.2.11 -e 192.0.2.11 bootstrap --recover-from=./etcd-cp1.db".to_owned(),
        ];
        assert_eq!(typed, expected);
        assert!(whole.first.starts_with("1 voter more brings quorum back by itself"), "{}", whole.first);
        assert!(whole.commands.iter().filter(|typed| typed.purpose.starts_with("ERASES")).count() == 3);

        let file = made(&plan(Ok("cp1"), Source::Machine), &addresses);
        assert!(file.commands[0].command.contains("read /var/lib/etcd/member/snap/db > ./etcd-cp1.db"));
        assert!(file.commands[6].command.ends_with(" --recover-skip-hash-check"));
    }

    #[test]
    fn nothing_is_to_be_typed_where_no_copy_is_named() {
        let refused = made(&plan(Err("the copy of cp2 may be newer"), Source::Member), &BTreeMap::new());
        assert_eq!((refused.commands.len(), refused.from.as_deref()), (0, None));
        let lines = refused.lines(|_| "03:12".to_owned()).join("\n");
        assert!(lines.contains("No copy is named to go on from: the copy of cp2 may be newer."), "{lines}");
        assert!(lines.contains("copy of cp1: index 1200 at 03:12; it answers"), "{lines}");
    }
}
