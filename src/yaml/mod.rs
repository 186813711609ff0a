//! Files that people write, read so that every mistake is found at once and shown at its place.
//!
//! A file becomes a small tree in which every key and value knows its line and column ([`parse`]); whoever reads it walks
//! the tree with a [`Walk`], which collects [`Problem`]s instead of stopping at the first. Nothing here panics, whatever
//! the bytes. Left out on purpose: anchors, aliases, tags and several documents in one file, which these files do not
//! need and which make what is written hard to see.

mod problem;
mod suggest;
mod tree;
mod walk;

pub use problem::{Problem, Problems};
pub use suggest::suggestion;
pub use tree::{Entry, Node, Place, Value, parse};
pub(crate) use walk::quoted;
pub use walk::{Map, Walk};

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Reads a whole file as text, at most `bytes_max` bytes of it.
///
/// # Errors
/// One problem: it cannot be opened or read, is longer than that, or is not UTF-8 (with the place where that begins).
pub fn text(file: &Path, bytes_max: u64) -> Result<String, Problems> {
    let fail = |text: String| Problems(vec![Problem::whole(file, text)]);
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|open| open.take(bytes_max + 1).read_to_end(&mut bytes))
        .map_err(|error| fail(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > bytes_max {
        return Err(fail(format!("is larger than {} KiB", bytes_max / 1024)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let sound = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).into_owned();
        let line = sound.rsplit('\n').next().unwrap_or_default();
        let place = Place { line: sound.matches('\n').count() + 1, column: line.chars().count() + 1 };
        Problems(vec![Problem::at(file, &sound, place, "this is not UTF-8 text".to_owned())])
    })
}
