//! From whose copy of etcd's data a person would go on while quorum is lost: never done, only worked out.
//!
//! Quorum that comes back by itself has lost nothing; a restored copy may have, and which one is newest can be told only of
//! copies that can be compared. So the plan says first what would bring quorum back, and names no copy where one that
//! cannot be compared, or cannot be read, may be newer. Ranked by raft index, as etcd's own recovery is. It promises to ask
//! nothing and to change nothing. Left out: the commands, which take addresses (`api`).

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::membership::Word;
use crate::observation::{NodeName, ProbeKind};
use crate::time::{Human, UnixMs};
use crate::view::View;

/// What a person would go on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restoration {
    /// So many voters more must answer for quorum to be back.
    pub missing: usize,
    /// The nodes whose voters do not answer.
    pub mute: Vec<NodeName>,
    /// Every node's copy, the one with the highest index first.
    pub copies: Vec<Copy>,
    /// Whose copy it is, or why none is named.
    pub from: Result<NodeName, String>,
}

/// A node's copy of etcd's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Whose.
    pub node: NodeName,
    /// The raft index that its member last told, and when; none: it was never heard.
    pub told: Option<(u64, UnixMs)>,
    /// How it can be had now.
    pub source: Source,
}

/// How a copy can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The member answers: it gives a snapshot that carries its own hash.
    Member,
    /// Its machine answers: the file can be copied, without a hash.
    Machine,
    /// Neither answers.
    Nowhere,
}

impl Source {
    /// The public name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Source::Member => "member",
            Source::Machine => "machine",
            Source::Nowhere => "nowhere",
        }
    }
}

/// Works it out from what is known; none where enough voters answer for a quorum: they must find a leader, and nothing is lost.
pub(crate) fn plan(view: &View<'_>) -> Option<Restoration> {
    let word = |node: &NodeName| view.world.membership.word_of(node);
    let votes = |node: &&NodeName| !word(node).is_some_and(|word| word.learner);
    let voters: Vec<&NodeName> = view.nodes().iter().filter(votes).collect();
    let mute: Vec<NodeName> =
        voters.iter().filter(|node| view.etcd_status(node).is_none()).map(|&node| node.clone()).collect();
    let missing = view.quorum().saturating_sub(voters.len() - mute.len());
    if missing == 0 {
        return None;
    }
    let copy = |&node: &&NodeName| Copy {
        node: node.clone(),
        told: word(node).map(|word| (word.index, view.wall.before(view.now.since(word.at)))),
        source: source(view, node),
    };
    let mut copies: Vec<Copy> = voters.iter().map(copy).collect();
    copies.sort_by_key(|copy| (Reverse(copy.told.map(|(index, _)| index)), copy.source));
    let from = match refusal(view, &voters, word) {
        Some(why) => Err(why),
        None => best(view, &copies),
    };
    Some(Restoration { missing, mute, copies, from })
}

fn source(view: &View<'_>, node: &NodeName) -> Source {
    if view.etcd_status(node).is_some() {
        return Source::Member;
    }
    let kinds = [ProbeKind::TalosMachine, ProbeKind::TalosServices];
    if kinds.iter().any(|&kind| view.look_node(node, kind).lives()) { Source::Machine } else { Source::Nowhere }
}

/// Why the copies cannot be compared.
fn refusal(view: &View<'_>, voters: &[&NodeName], word: impl Fn(&NodeName) -> Option<Word>) -> Option<String> {
    if let Some(corrupt) = voters.iter().find(|node| word(node).is_some_and(|word| word.corrupt)) {
        return Some(format!("the member of {corrupt} told of corrupt data: the copies must be compared by hand"));
    }
    if let Some(stranger) = view.strangers().first() {
        return Some(format!("a voter is none of the configured nodes ({stranger}), and its copy may be newer"));
    }
    if let Some(mute) = voters.iter().find(|node| word(node).is_none()) {
        return Some(format!("the member of {mute} was never heard, and its copy may be newer"));
    }
    let clusters: BTreeSet<u64> = voters.iter().filter_map(|node| word(node)).map(|word| word.cluster_id).collect();
    let clusters: Vec<String> = clusters.iter().filter(|id| **id != 0).map(|id| format!("{id:x}")).collect();
    (clusters.len() > 1).then(|| format!("the members are of different clusters: {}", clusters.join(", ")))
}

/// The newest copy that can be read, unless one that cannot is newer.
fn best(view: &View<'_>, copies: &[Copy]) -> Result<NodeName, String> {
    let index = |copy: &Copy| copy.told.map(|(index, _)| index);
    let readable = copies.iter().find(|copy| copy.source != Source::Nowhere);
    let Some(best) = readable else {
        return Err("no copy can be read: neither a member nor a machine answers".to_owned());
    };
    let newer = copies.iter().find(|copy| copy.source == Source::Nowhere && index(copy) > index(best));
    let Some((newer, (at, heard))) = newer.and_then(|copy| Some((copy, copy.told?))) else {
        return Ok(best.node.clone());
    };
    let (node, ago) = (&newer.node, Human(view.wall.since(heard)));
    let than = index(best).map_or_else(String::new, |index| format!(" against {index} of {}", best.node));
    Err(format!("the copy of {node} cannot be read, and was newer {ago} ago: index {at}{than}"))
}
