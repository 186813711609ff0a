//! What follows a name on one line: labels, a value, and a time that nobody here needs.

use std::borrow::Cow;

/// One sample of one line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<'l> {
    /// Its name, as it was asked for.
    pub name: &'l str,
    /// Its value.
    pub value: f64,
    /// What stands between the braces; empty without any.
    labels: &'l str,
}

impl<'l> Sample<'l> {
    /// The value of the label with this name. A copy is made only where it holds an escape.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<Cow<'l, str>> {
        let mut rest = self.labels;
        while let Some((label, value, after)) = pair(rest) {
            if label == name {
                return Some(unescaped(value));
            }
            rest = after;
        }
        None
    }
}

/// Reads what follows a name; none where it is not what a line looks like.
pub(super) fn read<'l>(name: &'l str, rest: &'l [u8]) -> Option<Sample<'l>> {
    let rest = std::str::from_utf8(rest).ok()?.trim_start_matches([' ', '\t']);
    let (labels, rest) = match rest.strip_prefix('{') {
        None => ("", rest),
        Some(inside) => inside.split_at_checked(closing(inside)?).map(|(labels, rest)| (labels, &rest[1..]))?,
    };
    let mut words = rest.trim_end_matches('\r').split([' ', '\t']).filter(|word| !word.is_empty());
    let value = words.next()?.parse().ok()?;
    // A time in milliseconds may follow, and nothing else.
    let timed = words.next().is_none_or(|time| time.parse::<i64>().is_ok());
    (timed && words.next().is_none()).then_some(Sample { name, value, labels })
}

/// Where the brace is that is not part of a label's value.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut quoted) = (0, false);
    loop {
        match *bytes.get(at)? {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(at),
            _ => {}
        }
        at += 1;
    }
}

/// The first label, its value as it is written, and what follows.
fn pair(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.trim_start_matches([' ', '\t', ',']).split_once('=')?;
    let inside = rest.trim_start_matches([' ', '\t']).strip_prefix('"')?;
    let bytes = inside.as_bytes();
    let mut at = 0;
    while *bytes.get(at)? != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    Some((name.trim_end_matches([' ', '\t']), inside.get(..at)?, inside.get(at + 1..)?))
}

/// `\\`, `\"` and `\n` are what they stand for; any other escape stays as it is.
fn unescaped(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        match (c, rest.clone().next()) {
            ('\\', Some('n')) => text.push('\n'),
            ('\\', Some(escaped @ ('\\' | '"'))) => text.push(escaped),
            _ => {
                text.push(c);
                continue;
            }
        }
        rest.next();
    }
    Cow::Owned(text)
}
