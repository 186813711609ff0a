//! One mistake in one file, as it is shown to the person who can mend it.

use std::fmt;
use std::path::{Path, PathBuf};

use super::tree::Place;

/// At most so many characters of a line are shown.
const SNIPPET_CHARS: usize = 120;

/// A mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was given.
    pub file: PathBuf,
    /// The line, from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// The column in characters, from 1; 0 where the file as a whole is meant.
    pub column: usize,
    /// What is wrong, in one sentence without a full stop.
    pub text: String,
    /// The line itself with a caret under the column; empty where the file as a whole is meant.
    pub snippet: String,
}

impl Problem {
    /// A problem of the file as a whole.
    #[must_use]
    pub fn whole(file: &Path, text: String) -> Problem {
        Problem { file: file.to_owned(), line: 0, column: 0, text, snippet: String::new() }
    }

    /// A problem at a place; `source` is the file's text.
    #[must_use]
    pub fn at(file: &Path, source: &str, place: Place, text: String) -> Problem {
        let line = source.lines().nth(place.line.saturating_sub(1)).unwrap_or_default();
        Problem { file: file.to_owned(), line: place.line, column: place.column, text, snippet: snippet(line, place) }
    }
}

/// A long line is cut around the column; what would move a terminal's cursor becomes a blank.
fn snippet(line: &str, place: Place) -> String {
    let caret = place.column.saturating_sub(1);
    let skipped = caret.saturating_sub(SNIPPET_CHARS / 2);
    let shown: String =
        line.chars().skip(skipped).take(SNIPPET_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let number = format!("{:>3}", place.line);
    let margin = " ".repeat(number.len());
    let pad = " ".repeat(caret - skipped);
    format!("{number} | {}\n{margin} | {pad}^", shown.trim_end())
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.line {
            0 => write!(f, "{file}: {}", self.text),
            line => write!(f, "{file}:{line}:{}: {}\n{}", self.column, self.text, self.snippet),
        }
    }
}

/// Every mistake that was found, in the order of the file. Never empty as an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_shown_with_a_caret() {
        let source = "mode: act\nnodes:\n  - { name: cp1, address: 192.0.2.100 }\n";
        let problem = Problem::at(Path::new("defib.yaml"), source, Place { line: 3, column: 25 }, "bad".to_owned());
        assert_eq!(
            problem.to_string(),
            "defib.yaml:3:25: bad\n  3 |   - { name: cp1, address: 192.0.2.100 }\n    |                         ^"
        );
    }

    #[test]
    fn a_long_line_is_cut_and_tamed() {
        let source = format!("{}\u{1b}[31mkey: x{}", "ä".repeat(5_000), "y".repeat(5_000));
        let problem = Problem::at(Path::new("f"), &source, Place { line: 1, column: 5_006 }, "bad".to_owned());
        assert!(problem.snippet.chars().count() < 250 && !problem.snippet.contains('\u{1b}'));
        let lines: Vec<_> = problem.snippet.lines().collect();
        assert_eq!(lines[0].chars().nth(lines[1].chars().count() - 1), Some('k'));
    }
}
