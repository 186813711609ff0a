//! Walking a tree: what is asked for is given where it is sound, and every problem is kept.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use super::problem::{Problem, Problems};
use super::suggest::suggestion;
use super::tree::{Entry, Node, Place, Value};

/// So many problems are kept; the others are counted.
const PROBLEMS_MAX: usize = 50;
/// A value is quoted up to so many characters.
const QUOTED_CHARS: usize = 60;

/// One file being read, and what is wrong with it so far.
#[derive(Debug)]
pub struct Walk<'a> {
    file: &'a Path,
    source: &'a str,
    problems: RefCell<Vec<Problem>>,
    further: Cell<usize>,
}

/// A map whose keys are all known.
#[derive(Clone, Copy, Debug)]
pub struct Map<'n> {
    place: Place,
    what: &'static str,
    entries: &'n [Entry],
}

impl<'n> Map<'n> {
    /// The value of this key; none where it is left out or has nothing behind it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        let node = &self.entries.iter().find(|entry| entry.key == key)?.value;
        (!matches!(node.value, Value::Nothing)).then_some(node)
    }
}

impl<'a> Walk<'a> {
    /// Begins with a file and its text.
    #[must_use]
    pub fn new(file: &'a Path, source: &'a str) -> Walk<'a> {
        Walk { file, source, problems: RefCell::default(), further: Cell::default() }
    }

    /// The file's text.
    #[must_use]
    pub fn source(&self) -> &'a str {
        self.source
    }

    /// Keeps a problem at a place.
    pub fn problem(&self, place: Place, text: String) {
        // The snippet is only cut out for what is kept: it walks the text.
        if self.problems.borrow().len() < PROBLEMS_MAX {
            self.problems.borrow_mut().push(Problem::at(self.file, self.source, place, text));
        } else {
            self.further.set(self.further.get() + 1);
        }
    }

    /// Keeps a problem of the file as a whole.
    pub fn whole(&self, text: String) {
        self.problems.borrow_mut().push(Problem::whole(self.file, text));
    }

    /// Ends the walk: `value`, or what is wrong, in the order of the file.
    ///
    /// # Errors
    /// Every problem that was kept. A reader that gives no value has kept one.
    pub fn end<T>(self, value: Option<T>) -> Result<T, Problems> {
        let mut problems = self.problems.into_inner();
        match value {
            Some(value) if problems.is_empty() => Ok(value),
            _ => {
                problems.sort_by_key(|problem| (problem.line, problem.column));
                if self.further.get() > 0 {
                    let text = format!("{} further problems are not shown", self.further.get());
                    problems.push(Problem::whole(self.file, text));
                }
                if problems.is_empty() {
                    problems.push(Problem::whole(self.file, "cannot be understood".to_owned()));
                }
                Err(Problems(problems))
            }
        }
    }

    /// A map with none but these keys. `what` names it in sentences: `a node`.
    pub fn map<'n>(&self, node: &'n Node, what: &'static str, keys: &[&'static str]) -> Option<Map<'n>> {
        let Value::Map(entries) = &node.value else {
            self.problem(node.place, format!("{what} is a map of {}", keys.join(", ")));
            return None;
        };
        for entry in entries.iter().filter(|entry| !keys.contains(&entry.key.as_str())) {
            let hint = suggestion(&entry.key, keys.iter().copied());
            self.problem(entry.place, format!("{what} has no key {}{hint}", quoted(&entry.key)));
        }
        Some(Map { place: node.place, what, entries })
    }

    /// The value of a key that must be there.
    pub fn required<'n>(&self, map: &Map<'n>, key: &str) -> Option<&'n Node> {
        let node = map.get(key);
        if node.is_none() {
            let place = map.entries.iter().find(|entry| entry.key == key).map_or(map.place, |entry| entry.place);
            self.problem(place, format!("{} lacks the key {key:?}", map.what));
        }
        node
    }

    /// A list.
    pub fn list<'n>(&self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        let Value::List(items) = &node.value else {
            self.problem(node.place, format!("{what} is a list"));
            return None;
        };
        Some(items)
    }

    /// Text that is not empty.
    pub fn text<'n>(&self, node: &'n Node, what: &str) -> Option<&'n str> {
        match &node.value {
            Value::Text(text) if !text.trim().is_empty() => Some(text),
            _ => {
                self.problem(node.place, format!("{what} is text"));
                None
            }
        }
    }

    /// Text in a form that Rust knows; `form` names it in sentences: `an address`.
    pub fn parse<T: FromStr>(&self, node: &Node, what: &str, form: &str) -> Option<T> {
        let text = self.text(node, what)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.problem(node.place, format!("{what} {} is not {form}", quoted(text)));
        }
        parsed
    }

    /// One of these words, through `find`; `words` are offered where it is none.
    pub fn word<'w, T>(
        &self,
        place: Place,
        text: &str,
        what: &str,
        find: impl FnOnce(&str) -> Option<T>,
        words: impl Iterator<Item = &'w str> + Clone,
    ) -> Option<T> {
        let found = find(text);
        if found.is_none() {
            let hint = suggestion(text, words.clone());
            let known: Vec<&str> = words.collect();
            self.problem(place, format!("{what} {} is not one of {}{hint}", quoted(text), known.join(", ")));
        }
        found
    }

    /// A name: 1 to 63 of `a-z`, `0-9`, `.` and `-`.
    pub fn name(&self, node: &Node, what: &str) -> Option<String> {
        let text = self.text(node, what)?;
        let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
        if text.len() > 63 || !text.chars().all(sound) {
            self.problem(node.place, format!("{what} {} is not 1 to 63 of a-z, 0-9, '.' and '-'", quoted(text)));
            return None;
        }
        Some(text.to_owned())
    }

    /// Says which of these stand there twice; the later one is the problem.
    pub fn unique<T: Ord + Display>(&self, what: &str, items: impl IntoIterator<Item = (T, Place)>) {
        let mut seen = std::collections::BTreeMap::new();
        for (item, place) in items {
            match seen.get(&item) {
                Some(line) => self.problem(place, format!("{what} {item} stands on line {line} already")),
                None => {
                    seen.insert(item, place.line);
                }
            }
        }
    }
}

/// What was written, as it can be shown.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
