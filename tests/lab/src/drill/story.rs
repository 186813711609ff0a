//! The story of a drill, told while it happens: to the reader, and kept for afterwards.
//!
//! A line says when (seconds since the first fault, `-` before it), who speaks (the lab, defib, the lab's own probes) and
//! what. Several threads tell it; lines are never mixed. Left out: colours, and any judgement of what is told.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::clock::{UnixMs, now_ms};

/// The most lines that are kept; a drill tells about a hundred. Beyond it lines are still shown.
const LINES_MAX: usize = 20_000;

/// Where the story is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// On stdout: the story is the result.
    Stdout,
    /// On stderr: stdout belongs to a JSON object.
    Stderr,
    /// Nowhere: it is only kept.
    Nobody,
}

/// Who says a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    /// What the lab does, or waits for.
    Lab,
    /// What defib prints.
    Defib,
    /// What the lab's own probes see.
    Probe,
}

/// The story so far.
pub(super) struct Story {
    told_on: Told,
    told: Mutex<Text>,
}

#[derive(Default)]
struct Text {
    first_fault: Option<UnixMs>,
    text: String,
    lines: usize,
}

impl Story {
    /// A story without lines.
    pub(super) fn new(told_on: Told) -> Self {
        Self { told_on, told: Mutex::default() }
    }

    /// From here on lines count from `at`.
    pub(super) fn first_fault(&self, at: UnixMs) {
        self.told().first_fault = Some(at);
    }

    /// Adds one line, said at this moment.
    pub(super) fn say(&self, voice: Voice, line: impl AsRef<str>) {
        let mut told = self.told();
        let since = told.first_fault.map(|first| now_ms().saturating_sub(first));
        let line = told_line(since, voice, line.as_ref());
        told.add(self.told_on, &line);
    }

    /// Adds text as it is: the closing table.
    pub(super) fn close(&self, text: &str) {
        self.told().add(self.told_on, text);
    }

    /// Everything told so far.
    pub(super) fn text(&self) -> String {
        self.told().text.clone()
    }

    fn told(&self) -> MutexGuard<'_, Text> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Text {
    fn add(&mut self, on: Told, line: &str) {
        // A reader who went away does not end the drill: its result and the kept story remain.
        let _ = match on {
            Told::Stdout => writeln!(std::io::stdout(), "{line}"),
            Told::Stderr => writeln!(std::io::stderr(), "{line}"),
            Told::Nobody => Ok(()),
        };
        if self.lines < LINES_MAX {
            self.text.push_str(line);
            self.text.push('\n');
            self.lines += 1;
        }
    }
}

fn told_line(since_ms: Option<u64>, voice: Voice, line: &str) -> String {
    let when = since_ms.map_or_else(|| "-".to_owned(), |ms| format!("{}.{} s", ms / 1000, ms % 1000 / 100));
    let who = match voice {
        Voice::Lab => "lab",
        Voice::Defib => "defib",
        Voice::Probe => "probe",
    };
    format!("{when:>9}  {who:<5} | {line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_who_and_what() {
        assert_eq!(told_line(None, Voice::Lab, "x"), "        -  lab   | x");
        assert_eq!(told_line(Some(12_349), Voice::Defib, "y"), "   12.3 s  defib | y");
        assert_eq!(told_line(Some(60), Voice::Probe, "z"), "    0.0 s  probe | z");
    }
}
