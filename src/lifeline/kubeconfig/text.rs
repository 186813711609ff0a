//! YAML out: maps, lists and text, every text quoted, so that nothing in it can mean anything.

use std::fmt::Write;

use crate::yaml::{Node, Value};

/// The keys of a kubeconfig whose values are no text; client-go refuses them quoted.
const FLAGS: [&str; 3] = ["insecure-skip-tls-verify", "disable-compression", "provideClusterInfo"];

/// What can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// Nothing at all.
    Nothing,
    /// Text.
    Text(String),
    /// A word that is no text: `true` or `false`.
    Flag(bool),
    /// A list.
    List(Vec<Item>),
    /// A map, in its order.
    Map(Map),
}

/// Keys with what stands behind them.
pub(super) type Map = Vec<(String, Item)>;

/// What was read, as it is written.
pub(super) fn item(key: &str, node: &Node) -> Item {
    match &node.value {
        Value::Nothing => Item::Nothing,
        Value::Text(text) => match text.as_str() {
            "true" | "false" if FLAGS.contains(&key) => Item::Flag(text == "true"),
            _ => Item::Text(text.clone()),
        },
        Value::List(items) => Item::List(items.iter().map(|node| item("", node)).collect()),
        Value::Map(_) => Item::Map(map(node)),
    }
}

/// The entries of a map; none where it is no map.
pub(super) fn map(node: &Node) -> Map {
    let Value::Map(entries) = &node.value else { return Map::new() };
    entries.iter().map(|entry| (entry.key.clone(), item(&entry.key, &entry.value))).collect()
}

/// A map as a document.
pub(super) fn document(map: &Map) -> String {
    let mut text = String::new();
    write_map(&mut text, map, 0);
    text
}

fn write_map(text: &mut String, map: &Map, indent: usize) {
    for (number, (key, item)) in map.iter().enumerate() {
        // The first key of a map in a list stands behind the dash.
        let margin = if number == 0 && text.ends_with("- ") { 0 } else { indent };
        // Writing to a String cannot fail.
        let _ = write!(text, "{:margin$}{}:", "", quoted(key));
        write_item(text, item, indent);
    }
}

fn write_item(text: &mut String, item: &Item, indent: usize) {
    let _ = match item {
        Item::Nothing => writeln!(text, " null"),
        Item::Text(words) => writeln!(text, " {}", quoted(words)),
        Item::Flag(flag) => writeln!(text, " {flag}"),
        Item::List(items) if items.is_empty() => writeln!(text, " []"),
        Item::Map(map) if map.is_empty() => writeln!(text, " {{}}"),
        Item::List(items) => {
            text.push('\n');
            for item in items {
                let _ = write!(text, "{:indent$}- ", "");
                match item {
                    Item::Map(map) if !map.is_empty() => write_map(text, map, indent + 2),
                    other => {
                        text.pop();
                        write_item(text, other, indent + 2);
                    }
                }
            }
            Ok(())
        }
        Item::Map(map) => {
            text.push('\n');
            write_map(text, map, indent + 2);
            Ok(())
        }
    };
}

/// In double quotes, unless it is a plain word that YAML reads as nothing else.
fn quoted(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let means_something = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(word)
        && !means_something.contains(&text.to_ascii_lowercase().as_str())
    {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        let _ = match c {
            '"' | '\\' => write!(quoted, "\\{c}"),
            '\n' => write!(quoted, "\\n"),
            ' '..='~' => write!(quoted, "{c}"),
            _ => write!(quoted, "\\U{:08X}", u32::from(c)),
        };
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::yaml::{Walk, parse};

    fn read(text: &str) -> Item {
        let walk = Walk::new(Path::new("out.yaml"), text);
        let root = parse(&walk);
        item("", &walk.end(root).unwrap_or_else(|problems| panic!("{problems}\n{text}")))
    }

    fn arbitrary() -> impl Strategy<Value = Item> {
        let leaf = prop_oneof![Just(Item::Nothing), any::<String>().prop_map(Item::Text)];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Item::List),
                proptest::collection::btree_map("[^\u{0}]{1,8}", inner, 0..4)
                    .prop_map(|map| Item::Map(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(item in arbitrary()) {
            let map = vec![("key".to_owned(), item)];
            prop_assert_eq!(read(&document(&map)), Item::Map(map));
        }
    }

    #[test]
    fn it_looks_like_a_kubeconfig() {
        let text =
            "a:\n- name: x\n  user: {}\n- \"1\"\nb:\n  insecure-skip-tls-verify: true\n  token: \"true\"\n  e: \"\"\n";
        let Item::Map(map) = read(text) else { panic!("a map") };
        assert_eq!(document(&map), text);
    }
}
