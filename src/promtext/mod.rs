//! Prometheus text (format 0.0.4) in: only the samples that were asked for, from a stream of bytes.
//!
//! A scrape of etcd is some thousands of lines, of which a probe needs a hundred. So lines are passed over whole unless
//! they begin with a wanted name, and nothing is copied but a line that two chunks share. Promised: constant memory
//! ([`LINE_BYTES_MAX`] and no more), no panic and no error whatever the bytes are: a line that is not understood is passed
//! over. Left out: how many bytes are read at all (the client's bound), types and help texts, and what a sample means.

mod line;

#[cfg(test)]
mod tests;

pub use line::Sample;

/// Longer lines are passed over; etcd's longest have some 300 bytes.
pub const LINE_BYTES_MAX: usize = 4 * 1024;

/// A scan under way, for as many chunks as come.
#[derive(Debug)]
pub struct Scanner<'w> {
    wanted: Wanted<'w>,
    /// The beginning of a line whose end has not come yet.
    begun: Vec<u8>,
    /// The line under way is too long, or is not wanted: it is passed over to its end.
    skips: bool,
}

impl<'w> Scanner<'w> {
    /// A scan for the samples with these names. For a histogram those are `NAME_bucket`, `NAME_sum` and `NAME_count`.
    #[must_use]
    pub fn new(names: &[&'w str]) -> Scanner<'w> {
        Scanner { wanted: Wanted::new(names), begun: Vec::new(), skips: false }
    }

    /// Takes the next bytes, and hands every wanted sample that ends in them to `found`.
    pub fn feed(&mut self, chunk: &[u8], mut found: impl FnMut(Sample<'_>)) {
        let mut rest = chunk;
        if self.skips || !self.begun.is_empty() {
            let Some(end) = memchr::memchr(b'\n', rest) else { return self.keep(rest) };
            self.keep(&rest[..end]);
            self.end(&mut found);
            rest = &rest[end + 1..];
        }
        while let Some(end) = memchr::memchr(b'\n', rest) {
            // Most lines are told by their first byte: `#`, or a letter with which nothing wanted begins.
            if self.wanted.begins(rest[0]) {
                self.line(&rest[..end], &mut found);
            }
            rest = &rest[end + 1..];
        }
        self.keep(rest);
    }

    /// Takes the end of the stream: a last line needs no line feed.
    pub fn end(&mut self, mut found: impl FnMut(Sample<'_>)) {
        let begun = std::mem::take(&mut self.begun);
        if !std::mem::take(&mut self.skips) {
            self.line(&begun, &mut found);
        }
        // Its room serves the next line.
        self.begun = begun;
        self.begun.clear();
    }

    fn line(&self, line: &[u8], found: &mut impl FnMut(Sample<'_>)) {
        if line.len() <= LINE_BYTES_MAX
            && let Some((name, rest)) = self.wanted.find(line)
            && let Some(sample) = line::read(name, rest)
        {
            found(sample);
        }
    }

    /// Keeps a part of a line, unless the line is to be passed over.
    fn keep(&mut self, part: &[u8]) {
        self.skips |= self.begun.len() + part.len() > LINE_BYTES_MAX;
        if self.skips {
            self.begun.clear();
        } else {
            self.begun.extend_from_slice(part);
        }
    }
}

/// The names that are looked for, in order, so that one is found by halving.
#[derive(Debug)]
struct Wanted<'w> {
    names: Vec<&'w str>,
    /// With which bytes they begin.
    first: [bool; 256],
}

impl<'w> Wanted<'w> {
    fn new(names: &[&'w str]) -> Wanted<'w> {
        let mut names: Vec<_> = names.iter().copied().filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        names.dedup();
        let mut first = [false; 256];
        for name in &names {
            first[usize::from(name.as_bytes()[0])] = true;
        }
        Wanted { names, first }
    }

    fn begins(&self, byte: u8) -> bool {
        self.first[usize::from(byte)]
    }

    /// The wanted name that is this line's, and what follows it.
    fn find<'l>(&self, line: &'l [u8]) -> Option<(&'w str, &'l [u8])> {
        let end = memchr::memchr3(b'{', b' ', b'\t', line)?;
        let (name, rest) = line.split_at(end);
        let at = self.names.binary_search_by(|wanted| wanted.as_bytes().cmp(name)).ok()?;
        Some((self.names[at], rest))
    }
}
