//! YAML as a tree of places and values.

use std::collections::BTreeMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle};

use super::walk::Walk;

/// Lists and maps may stand in each other so deep, in either style; the files need five.
const DEPTH_MAX: usize = 16;

/// Where something stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// A value and where it begins.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What can be written as a value.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing: no text, `~` or `null`.
    Nothing,
    /// Text, a number, a word: whoever reads it knows which.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map; its keys are unique, in the order of the file.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key begins.
    pub place: Place,
    /// Its value.
    pub value: Node,
}

/// The first carriage return that no line feed follows: YAML would count a line there, and nobody else does.
fn lone_return(source: &str) -> Option<Place> {
    let (at, _) = source.match_indices('\r').find(|(at, _)| !source[at + 1..].starts_with('\n'))?;
    let before = &source[..at];
    let begins = before.rfind('\n').map_or(0, |end| end + 1);
    Some(Place { line: before.matches('\n').count() + 1, column: before[begins..].chars().count() + 1 })
}

/// Reads the text that `walk` was made for. None where it is no YAML at all; every problem is handed to `walk`.
#[must_use]
pub fn parse(walk: &Walk<'_>) -> Option<Node> {
    if let Some(at) = lone_return(walk.source()) {
        walk.problem(at, "a carriage return without a line feed; lines end with a line feed".to_owned());
        return None;
    }
    let options = granit_parser::options! { flow_nesting_limit: DEPTH_MAX, block_nesting_limit: DEPTH_MAX };
    let mut builder = Builder { walk, open: Vec::new(), root: None };
    let mut documents = 0;
    for next in Parser::new_from_str_with_options(walk.source(), options) {
        let (event, span) = match next {
            Ok(next) => next,
            Err(error) => {
                let at = place(error.marker());
                match tab(walk.source(), at.line) {
                    Some(tab) => walk.problem(tab, "indented with a tab; YAML wants spaces".to_owned()),
                    None => walk.problem(at, format!("this is no YAML: {}", error.info())),
                }
                return None;
            }
        };
        let at = place(&span.start);
        if event.tag().is_some() || event.anchor_id().is_some() {
            walk.problem(at, "tags and anchors are not read here; write the value out".to_owned());
        }
        match event {
            Event::DocumentStart(..) => {
                documents += 1;
                if documents > 1 {
                    walk.problem(at, "a second document begins here; one file holds one".to_owned());
                    return builder.root;
                }
            }
            Event::Scalar(text, style, ..) => {
                let nothing = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null");
                builder.close(at, if nothing { Value::Nothing } else { Value::Text(text.into_owned()) });
            }
            Event::SequenceStart(..) => builder.open.push(Frame::List(at, Vec::new())),
            Event::MappingStart(..) => builder.open.push(Frame::Map(at, MapFrame::default())),
            Event::SequenceEnd | Event::MappingEnd => builder.end(),
            Event::Alias(_) => {
                walk.problem(at, "aliases are not read here; write the value out".to_owned());
                builder.close(at, Value::Nothing);
            }
            _ => {}
        }
    }
    if builder.root.is_none() {
        walk.whole("is empty".to_owned());
    }
    builder.root
}

/// The first tab that indents something up to the line where the parser gave up: it stumbles over what follows.
fn tab(source: &str, line_last: usize) -> Option<Place> {
    source.lines().take(line_last).enumerate().find_map(|(number, line)| {
        let text = line.trim_start();
        let column = line[..line.len() - text.len()].find('\t')?;
        let says_something = !text.is_empty() && !text.starts_with('#');
        says_something.then_some(Place { line: number + 1, column: column + 1 })
    })
}

fn place(marker: &Marker) -> Place {
    Place { line: marker.line().max(1), column: marker.col() + 1 }
}

struct Builder<'w, 'a> {
    walk: &'w Walk<'a>,
    open: Vec<Frame>,
    root: Option<Node>,
}

enum Frame {
    List(Place, Vec<Node>),
    Map(Place, MapFrame),
}

#[derive(Default)]
struct MapFrame {
    entries: Vec<Entry>,
    lines: BTreeMap<String, usize>,
    /// The key whose value comes next; `None` inside where the key itself could not be read.
    key: Option<(Option<String>, Place)>,
}

impl Builder<'_, '_> {
    fn end(&mut self) {
        match self.open.pop() {
            Some(Frame::List(place, items)) => self.close(place, Value::List(items)),
            Some(Frame::Map(place, map)) => self.close(place, Value::Map(map.entries)),
            None => {}
        }
    }

    /// A value is whole: it goes where it belongs.
    fn close(&mut self, place: Place, value: Value) {
        let node = Node { place, value };
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List(_, items)) => items.push(node),
            Some(Frame::Map(_, map)) => map.take(self.walk, node),
        }
    }
}

impl MapFrame {
    fn take(&mut self, walk: &Walk<'_>, node: Node) {
        let Some((key, place)) = self.key.take() else {
            let key = match node.value {
                Value::Text(text) => Some(text),
                _ => {
                    walk.problem(node.place, "a key is text".to_owned());
                    None
                }
            };
            self.key = Some((key, node.place));
            return;
        };
        let Some(key) = key else { return };
        if let Some(line) = self.lines.get(&key) {
            walk.problem(place, format!("key {key:?} stands on line {line} already"));
            return;
        }
        self.lines.insert(key.clone(), place.line);
        self.entries.push(Entry { key, place, value: node });
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn first_problem(source: &str) -> String {
        let walk = Walk::new(Path::new("tab.yaml"), source);
        let root = parse(&walk);
        let problems = walk.end(root).unwrap_err();
        problems.to_string().lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_tab_is_shown_where_it_stands() {
        let said = "indented with a tab; YAML wants spaces";
        let head = "mode: act\n\t# a comment may\nclusters:\n  - name: a\n    nodes: []\n";
        assert_eq!(first_problem(&format!("{head}\tvip: x\n    arm: []\n")), format!("tab.yaml:6:1: {said}"));
        assert_eq!(first_problem(&format!("{head}  \tvip: x\n    arm: []\n")), format!("tab.yaml:6:3: {said}"));
        assert_eq!(first_problem("clusters:\n\t- name: a\n"), format!("tab.yaml:2:1: {said}"));
    }

    #[test]
    fn a_tab_further_down_is_not_blamed() {
        let said = first_problem("mode: [act\nclusters: ]]\nvip: x\n\tname: y\n");
        assert!(said.contains("this is no YAML"), "{said}");
    }
}
