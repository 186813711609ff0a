//! A page on a terminal: at most 30 lines of 80 columns, with nothing cut off in the middle of a word.
//!
//! A long line is wrapped; where the lines become too many, the longest list gives up its last entries, and says how many.
//! Only lists give way: what stands outside of them is always shown whole. Left out: what the page says.

/// A line is at most so many characters wide.
pub(super) const COLUMNS: usize = 80;
/// A page has at most so many lines, as long as its lists can give way.
pub(super) const LINES: usize = 30;

/// A page in the making.
#[derive(Debug, Default)]
pub(super) struct Page {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Line(Vec<String>),
    List(List),
}

/// A heading with entries; without entries it is not shown.
#[derive(Debug)]
pub(super) struct List {
    heading: &'static str,
    entries: Vec<Vec<String>>,
    left_out: usize,
}

impl Page {
    /// Adds a line that is always shown, wrapped where it is long.
    pub(super) fn line(&mut self, text: &str) {
        self.parts.push(Part::Line(wrap(text, 4, COLUMNS)));
    }

    /// Adds a list.
    pub(super) fn list(&mut self, list: List) {
        self.parts.push(Part::List(list));
    }

    /// The page as text, each line ended.
    pub(super) fn text(mut self) -> String {
        while self.parts.iter().map(Part::lines).sum::<usize>() > LINES {
            let lists = self.parts.iter_mut().filter_map(|part| match part {
                Part::List(list) if !list.entries.is_empty() => Some(list),
                _ => None,
            });
            let Some(longest) = lists.max_by_key(|list| list.lines()) else { break };
            longest.entries.pop();
            longest.left_out += 1;
        }
        let mut text = String::new();
        for line in self.parts.into_iter().flat_map(Part::into_lines) {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }
}

impl Part {
    fn lines(&self) -> usize {
        match self {
            Part::Line(lines) => lines.len(),
            Part::List(list) => list.lines(),
        }
    }

    fn into_lines(self) -> Vec<String> {
        match self {
            Part::Line(lines) => lines,
            Part::List(list) => list.into_lines(),
        }
    }
}

impl List {
    /// A list without entries.
    pub(super) fn new(heading: &'static str) -> List {
        List { heading, entries: Vec::new(), left_out: 0 }
    }

    /// Adds an entry, wrapped where it is long.
    pub(super) fn entry(&mut self, text: &str) {
        self.entries.push(wrap(text, 6, COLUMNS));
    }

    fn is_shown(&self) -> bool {
        !self.entries.is_empty() || self.left_out > 0
    }

    fn lines(&self) -> usize {
        let around = if self.is_shown() { 2 } else { 0 };
        around + self.entries.iter().map(Vec::len).sum::<usize>() + usize::from(self.left_out > 0)
    }

    fn into_lines(self) -> Vec<String> {
        if !self.is_shown() {
            return Vec::new();
        }
        let mut lines = vec![String::new(), self.heading.to_owned()];
        lines.extend(self.entries.into_iter().flatten());
        if self.left_out > 0 {
            lines.push(format!("  … and {} more: --output json", self.left_out));
        }
        lines
    }
}

/// Breaks a line of more than so many `columns` before the word that does not fit; a word longer than a line is broken inside. What would move a
/// terminal's cursor becomes a blank.
pub(crate) fn wrap(text: &str, indent: usize, columns: usize) -> Vec<String> {
    let tame: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut rest = tame.trim_end().to_owned();
    let mut lines = Vec::new();
    while let Some((full, _)) = rest.char_indices().nth(columns) {
        let margin = rest.len() - rest.trim_start().len();
        let blanks = rest.char_indices().take(columns + 1).filter(|&(at, c)| c == ' ' && at > margin);
        let end = blanks.last().map_or(full, |(at, _)| at);
        lines.push(rest[..end].trim_end().to_owned());
        rest = format!("{:indent$}{}", "", rest[end..].trim_start());
    }
    lines.push(rest);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_wrapped_between_words_and_a_long_word_is_broken() {
        assert_eq!(wrap("  short  and  spaced ", 4, COLUMNS), ["  short  and  spaced"]);
        let lines = wrap(&format!("  ? {} {}\nend", "ä".repeat(70), "b".repeat(170)), 4, COLUMNS);
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS), "{lines:#?}");
        assert_eq!(lines.len(), 4, "{lines:#?}");
        assert!(lines[3].starts_with("    b") && lines[3].ends_with("b end"), "{lines:#?}");
    }

    #[test]
    fn the_longest_list_gives_way_and_counts() {
        let mut page = Page::default();
        page.line("first");
        for (heading, entries) in [("short", 3), ("long", 60), ("empty", 0)] {
            let mut list = List::new(heading);
            (0..entries).for_each(|number| list.entry(&format!("  {heading} {number}")));
            page.list(list);
        }
        page.line("last");
        let text = page.text();
        assert_eq!(text.lines().count(), LINES, "{text}");
        assert!(text.contains("  short 2\n") && text.contains("… and 40 more: --output json\nlast\n"), "{text}");
        assert!(!text.contains("empty"), "{text}");
    }
}
