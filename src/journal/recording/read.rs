//! Reading a recording: whole, bounded, every line checked.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::Value;

use super::shape::{Shape, field};
use super::{FILE_MAX, FORMAT, Header, LINE_MAX, Line, RecordingError, value};

/// One file, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// What it begins with.
    pub header: Header,
    /// What follows, in order: turns, each with what was written in it.
    pub lines: Vec<Line>,
    /// Why it ends; none: the program died, or its disk was full.
    pub ended: Option<String>,
    /// Bytes of a last line that was not written to its end.
    pub cut_bytes: usize,
}

impl Recording {
    /// Reads the whole of it: 64 MiB at most, a line of 8 MiB.
    ///
    /// # Errors
    /// [`RecordingError`], with the line. A last line that was cut off is none.
    pub fn read(path: &Path) -> Result<Recording, RecordingError> {
        let unreadable = |error| RecordingError::Unreadable(path.to_owned(), error);
        let file = File::open(path).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.len() > FILE_MAX {
            return Err(RecordingError::TooLong(path.to_owned()));
        }
        Recording::from(BufReader::new(file.take(FILE_MAX)), path)
    }

    /// The same from anything that can be read; `path` only names it in errors.
    ///
    /// # Errors
    /// As [`Recording::read`].
    pub fn from(mut source: impl BufRead, path: &Path) -> Result<Recording, RecordingError> {
        let foreign = |why: String| RecordingError::Foreign { file: path.to_owned(), why };
        let unreadable = |error| RecordingError::Unreadable(path.to_owned(), error);
        let first = match next(&mut source).map_err(unreadable)? {
            Next::Line(line) => line,
            Next::Cut(bytes) => return Err(foreign(format!("{bytes} bytes and no line"))),
            Next::TooLong => return Err(foreign("its first line has no end".to_owned())),
            Next::End => return Err(foreign("it is empty".to_owned())),
        };
        let mut head = value(&first).map_err(|why| foreign(format!("line 1: {why}")))?;
        let format: u64 = field(&head, "format").map_err(|why| foreign(format!("line 1: {why}")))?;
        if format > FORMAT {
            return Err(RecordingError::Newer { file: path.to_owned(), format });
        }
        let damaged = |line: usize, why: String| RecordingError::Damaged { file: path.to_owned(), line, why };
        // An older one does not say whether it is of a model.
        if let Value::Object(map) = &mut head {
            map.entry("model").or_insert(Value::Bool(false));
        }
        let header = Header::take(&head).map_err(|why| damaged(1, why.to_string()))?;
        let mut recording = Recording { header, lines: Vec::new(), ended: None, cut_bytes: 0 };
        for number in 2.. {
            let line = match next(&mut source).map_err(unreadable)? {
                Next::Line(line) => Line::read(&line).map_err(|why| damaged(number, why))?,
                Next::Cut(bytes) => {
                    recording.cut_bytes = bytes;
                    break;
                }
                Next::TooLong => return Err(damaged(number, format!("longer than {LINE_MAX} bytes"))),
                Next::End => break,
            };
            match line {
                _ if recording.ended.is_some() => return Err(damaged(number, "after the end".to_owned())),
                Line::Header(_) => return Err(damaged(number, "a second header".to_owned())),
                Line::End(why) => recording.ended = Some(why),
                other => recording.lines.push(other),
            }
        }
        Ok(recording)
    }
}

/// What comes next.
enum Next {
    Line(Vec<u8>),
    Cut(usize),
    TooLong,
    End,
}

fn next(source: &mut impl BufRead) -> std::io::Result<Next> {
    let mut line = Vec::new();
    let limit = u64::try_from(LINE_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let read = source.by_ref().take(limit).read_until(b'\n', &mut line)?;
    Ok(match line.pop() {
        None => Next::End,
        Some(b'\n') => Next::Line(line),
        Some(_) if read > LINE_MAX => Next::TooLong,
        Some(_) => Next::Cut(read),
    })
}
