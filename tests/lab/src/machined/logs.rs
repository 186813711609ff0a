//! The end of a service's log, read backwards and bounded: a log may be long, a caller wants its last lines.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// The most bytes that are given, the last ones; a kubelet writes as much in some hours.
pub(super) const BYTES_MAX: u64 = 4 << 20;
/// How much is read at once.
const BLOCK: u64 = 64 << 10;

/// The last `lines` lines of a file (all of them for `None`), at most [`BYTES_MAX`] bytes.
pub(super) fn tail(path: &Path, lines: Option<usize>) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    tail_of(&mut file, length, lines)
}

fn tail_of(file: &mut (impl Read + Seek), length: u64, lines: Option<usize>) -> std::io::Result<Vec<u8>> {
    let limit = length.saturating_sub(BYTES_MAX);
    let mut at = length;
    let mut text = Vec::new();
    while at > limit {
        let from = at.saturating_sub(BLOCK).max(limit);
        let mut block = vec![0; usize::try_from(at - from).unwrap_or_default()];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut block)?;
        block.append(&mut text);
        text = block;
        at = from;
        if let Some(start) = lines.and_then(|lines| start_of_last(&text, lines)) {
            return Ok(text.split_off(start));
        }
    }
    Ok(text)
}

/// Where the last `lines` lines begin; none where the text may hold fewer. A newline at the very end ends the last line.
fn start_of_last(text: &[u8], lines: usize) -> Option<usize> {
    if lines == 0 {
        return Some(text.len());
    }
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let newlines = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    newlines.map(|(at, _)| at + 1).nth(lines - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn last(text: &str, lines: Option<usize>) -> String {
        let tail = tail_of(&mut Cursor::new(text), text.len() as u64, lines).unwrap();
        String::from_utf8(tail).unwrap()
    }

    #[test]
    fn the_last_lines_and_no_more() {
        assert_eq!(last("a\nb\nc\n", Some(2)), "b\nc\n");
        assert_eq!(last("a\nb\nc", Some(1)), "c", "a line that is being written counts");
        assert_eq!(last("a\nb\n", Some(9)), "a\nb\n");
        assert_eq!(last("a\nb\n", Some(0)), "");
        assert_eq!(last("", Some(3)), "");
        assert_eq!(last("a\nb\n", None), "a\nb\n");
    }

    #[test]
    fn lines_longer_than_a_block_are_whole() {
        let long = "x".repeat(200_000);
        assert_eq!(last(&format!("a\n{long}\n{long}\n"), Some(1)), format!("{long}\n"));
    }
}
