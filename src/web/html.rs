//! HTML that cannot be broken by what it shows: a name of a node, the evidence of a finding or a reason that a person typed
//! is always text, never markup.
//!
//! Only names of elements and of attributes are written as they are, and those are `&'static str`: they come from this
//! program's source. Everything else is escaped where it is written. What would turn the direction of a line, or is no
//! character at all, is shown as U+FFFD, so that nothing pretends to be something else.

use std::fmt::{Display, Write};

/// Elements that have no end.
const VOID: [&str; 3] = ["meta", "link", "input"];

/// A piece of HTML in the making.
#[derive(Debug, Default)]
pub(super) struct Html {
    text: String,
}

/// Attributes by name; the values are escaped.
pub(super) type Attributes<'a> = &'a [(&'static str, &'a dyn Display)];

impl Html {
    /// Nothing yet.
    pub(super) fn new() -> Html {
        Html::default()
    }

    /// What was written.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// The document type.
    pub(super) fn doctype(&mut self) {
        self.text.push_str("<!doctype html>\n");
    }

    /// Text.
    pub(super) fn say(&mut self, text: impl Display) {
        let _ = write!(Escaped(&mut self.text), "{text}");
    }

    /// An element with what `inside` writes.
    pub(super) fn element(&mut self, name: &'static str, attributes: Attributes<'_>, inside: impl FnOnce(&mut Html)) {
        self.open(name, attributes);
        if VOID.contains(&name) {
            return;
        }
        inside(self);
        let _ = write!(self.text, "</{name}>");
    }

    /// An element that holds text and nothing else.
    pub(super) fn leaf(&mut self, name: &'static str, attributes: Attributes<'_>, text: impl Display) {
        self.element(name, attributes, |html| html.say(text));
    }

    /// An element with a class that holds text and nothing else.
    pub(super) fn classed(&mut self, name: &'static str, class: &'static str, text: impl Display) {
        self.leaf(name, &[("class", &class)], text);
    }

    /// An element without content.
    pub(super) fn empty(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.element(name, attributes, |_| {});
    }

    fn open(&mut self, name: &'static str, attributes: Attributes<'_>) {
        let _ = write!(self.text, "<{name}");
        for (name, value) in attributes {
            let _ = write!(self.text, " {name}=\"");
            let _ = write!(Escaped(&mut self.text), "{value}");
            self.text.push('"');
        }
        self.text.push('>');
    }
}

/// Writes text so that no character of it is markup.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for letter in text.chars() {
            match letter {
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '&' => self.0.push_str("&amp;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(letter),
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => self.0.push('\u{fffd}'),
                letter if letter.is_control() => self.0.push('\u{fffd}'),
                letter => self.0.push(letter),
            }
        }
        Ok(())
    }
}

/// A part of an address's path or query: every byte but the plainest is escaped.
pub(super) fn in_address(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => escaped.push(char::from(byte)),
            _ => {
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_never_markup() {
        let hostile = "<script>alert('x')</script>\" onload=\"x&\u{202e}\u{0}";
        let mut html = Html::new();
        html.leaf("p", &[("title", &hostile)], hostile);
        let text = html.into_text();
        let shown = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot; onload=&quot;x&amp;\u{fffd}\u{fffd}";
        assert_eq!(text, format!("<p title=\"{shown}\">{shown}</p>"));
    }

    #[test]
    fn elements_nest_and_void_ones_do_not_end() {
        let mut html = Html::new();
        html.element("label", &[], |html| {
            html.empty("input", &[("name", &"a")]);
            html.say("b");
        });
        assert_eq!(html.into_text(), "<label><input name=\"a\">b</label>");
        assert_eq!(in_address("a b/../<é"), "a%20b%2F..%2F%3C%C3%A9");
    }
}
