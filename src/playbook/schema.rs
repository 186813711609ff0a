//! The JSON Schema of a playbook, made from the tables that the reader itself uses, so that the two cannot differ.
//!
//! It is for editors: names, keys and shapes. What takes two keys to judge, or two files, is the lint's (`set`, `read`).

use std::collections::BTreeMap;

use defib_engine::check::{Check, REQUIREMENTS};
use defib_engine::diagnosis;
use defib_engine::playbook::{Detail, FORMS, Form, Shape};
use serde_json::{Value, json};

use super::read::{CLEARED_MAX, KEYS, REQUIRE_MAX, STEPS_MAX, VETO};

/// humantime's form: `20s`, `5m`, `1h 30m`.
const DURATION: &str = "^ *([0-9]+ *(nsec|ns|usec|us|msec|ms|seconds|second|secs|sec|s|minutes|minute|mins|min|m|hours|\
                        hour|hrs|hr|h|days|day|d|weeks|week|wks|wk|w|months|month|M|years|year|yrs|yr|y) *)+$";
/// `2 per 1h`.
const LIMIT: &str = "^ *[0-9]+ +per +.+$";
const NAME: &str = "^[a-z0-9.-]{1,63}$";

/// The schema, as JSON Schema 2020-12.
#[must_use]
pub fn schema() -> Value {
    let findings: Vec<&str> = diagnosis::ALL.iter().map(|rule| rule.name).collect();
    let required: Vec<&str> =
        KEYS.into_iter().filter(|key| !["require", "limits", "veto", "verify", "otherwise"].contains(key)).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A playbook of defib",
        "description": "One recovery: when it applies, what it requires, what it does, how its success is known.",
        "$defs": {
            "name": text(NAME, "1 to 63 of a-z, 0-9, '.' and '-'"),
            "duration": text(DURATION, "such as 20s, 5m or 1h 30m; at least 1ms, at most 30 days"),
            "limit": text(LIMIT, "a count per time, such as 2 per 1h"),
            "finding": { "enum": findings, "description": "docs/reference/findings.md tells what each means" },
        },
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": {
            "name": { "$ref": "#/$defs/name", "description": "unique; one of a shipped playbook replaces that" },
            "when": {
                "description": "the finding that calls for it, and for how long it must have been open",
                "type": "object",
                "additionalProperties": false,
                "required": ["finding", "for"],
                "properties": { "finding": { "$ref": "#/$defs/finding" }, "for": { "$ref": "#/$defs/duration" } },
            },
            "require": {
                "description": "what must hold besides the guards, which hold always",
                "type": "array",
                "maxItems": REQUIRE_MAX,
                "items": { "anyOf": REQUIREMENTS.iter().map(|check| requirement(check)).collect::<Vec<_>>() },
            },
            "limits": {
                "description": "how often it may run; every limit is a sliding window over what the journal holds",
                "type": "object",
                "additionalProperties": false,
                "required": ["per-node", "per-cluster", "cooldown"],
                "properties": {
                    "per-node": { "$ref": "#/$defs/limit" },
                    "per-cluster": { "$ref": "#/$defs/limit" },
                    "cooldown": {
                        "$ref": "#/$defs/duration",
                        "description": "after a run of any playbook on the node; not shorter than verify's within and steady-for",
                    },
                },
            },
            "veto": {
                "$ref": "#/$defs/duration",
                "description": format!(
                    "a run that nobody asked for is announced, and may be paused, for so long; {}s where a step is \
                     disruptive, else none",
                    VETO.as_secs()
                ),
            },
            "steps": {
                "description": "what it does, in order; one of them at most changes something",
                "type": "array",
                "minItems": 1,
                "maxItems": STEPS_MAX,
                "items": { "anyOf": FORMS.iter().map(step).collect::<Vec<_>>() },
            },
            "verify": {
                "description": "how its success is known, by what is observed after its last step ended",
                "type": "object",
                "additionalProperties": false,
                "required": ["cleared", "within", "steady-for"],
                "properties": {
                    "cleared": {
                        "description": "a finding that must be gone, or a list of them",
                        "anyOf": [
                            { "$ref": "#/$defs/finding" },
                            {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": CLEARED_MAX,
                                "items": { "$ref": "#/$defs/finding" },
                            },
                        ],
                    },
                    "within": { "$ref": "#/$defs/duration" },
                    "steady-for": { "$ref": "#/$defs/duration", "description": "counted after it cleared" },
                },
            },
            "otherwise": {
                "$ref": "#/$defs/name",
                "description": "notify, or the playbook that follows where the verification failed: the next rung",
            },
        },
    })
}

fn text(pattern: &str, description: &str) -> Value {
    json!({ "type": "string", "pattern": pattern, "description": description })
}

fn requirement(check: &Check) -> Value {
    if check.takes_duration {
        named(check.name, check.meaning, &json!({ "$ref": "#/$defs/duration" }))
    } else {
        json!({ "const": check.name, "description": check.meaning })
    }
}

fn step(form: &Form) -> Value {
    match &form.shape {
        Shape::Plain(_) => json!({ "const": form.name, "description": form.meaning }),
        Shape::Timed(_) => timed(form, None),
        Shape::With(detail) => timed(form, Some(detail)),
    }
}

/// A step with a deadline, and with a word where it has one.
fn timed(form: &Form, word: Option<&Detail>) -> Value {
    let deadline = json!({ "$ref": "#/$defs/duration", "description": "how long the call may take" });
    let word = word.map(|word| (word.key, json!({ "enum": word.words })));
    let (required, properties): (Vec<_>, BTreeMap<_, _>) =
        word.into_iter().chain([("deadline", deadline)]).map(|(key, value)| (key, (key, value))).unzip();
    let behind = json!({
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    });
    named(form.name, form.meaning, &behind)
}

/// `name: …`, alone in its map.
fn named(name: &str, description: &str, behind: &Value) -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": [name],
        "properties": { name: behind },
        "description": description,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::playbook::{SHIPPED, shipped};
    use crate::yaml::{Node, Value as Yaml, Walk, parse};

    /// The YAML as JSON: every scalar is text, as the reader takes it.
    fn json_of(node: &Node) -> Value {
        match &node.value {
            Yaml::Nothing => Value::Null,
            Yaml::Text(text) => Value::String(text.clone()),
            Yaml::List(items) => Value::Array(items.iter().map(json_of).collect()),
            Yaml::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), json_of(&entry.value))).collect(),
        }
    }

    fn read(text: &str) -> Value {
        let walk = Walk::new(Path::new("p.yaml"), text);
        json_of(&parse(&walk).unwrap())
    }

    /// The words of JSON Schema that the schema uses, and no other: an unknown one fails.
    fn fits(value: &Value, schema: &Value, root: &Value) -> Result<(), String> {
        for (word, says) in schema.as_object().unwrap() {
            let sound = match word.as_str() {
                "$schema" | "$defs" | "title" | "description" | "required" | "additionalProperties" => true,
                "$ref" => {
                    let way = says.as_str().unwrap().trim_start_matches('#');
                    fits(value, root.pointer(way).unwrap(), root)?;
                    true
                }
                "const" => value == says,
                "enum" => says.as_array().unwrap().contains(value),
                "type" => match says.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    other => panic!("type {other}"),
                },
                "minItems" => value.as_array().is_some_and(|items| items.len() as u64 >= says.as_u64().unwrap()),
                "maxItems" => value.as_array().is_some_and(|items| items.len() as u64 <= says.as_u64().unwrap()),
                "items" => value.as_array().is_some_and(|items| items.iter().all(|one| fits(one, says, root).is_ok())),
                "anyOf" => says.as_array().unwrap().iter().any(|one| fits(value, one, root).is_ok()),
                "properties" => {
                    let keys = says.as_object().unwrap();
                    let Some(map) = value.as_object() else { return Err("no map".to_owned()) };
                    let known = map.keys().all(|key| keys.contains_key(key));
                    let whole = schema["required"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .all(|key| map.contains_key(key.as_str().unwrap()));
                    for (key, value) in map {
                        keys.get(key).map_or(Ok(()), |says| fits(value, says, root))?;
                    }
                    known && whole
                }
                // What the patterns stand for is judged as the reader judges it.
                "pattern" => value.as_str().is_some_and(|text| match says.as_str().unwrap() {
                    DURATION => humantime::parse_duration(text).is_ok(),
                    LIMIT => text.split_once(" per ").is_some_and(|(count, _)| count.parse::<u32>().is_ok()),
                    NAME => {
                        !text.is_empty() && text.len() < 64 && !text.contains(|c: char| c.is_uppercase() || c == ' ')
                    }
                    other => panic!("pattern {other}"),
                }),
                other => panic!("the schema uses {other}"),
            };
            if !sound {
                return Err(format!("{value} does not fit {word} {says}"));
            }
        }
        Ok(())
    }

    #[test]
    fn every_shipped_playbook_fits() {
        let schema = schema();
        for (name, text) in SHIPPED {
            assert_eq!(fits(&read(text), &schema, &schema), Ok(()), "{name}");
        }
    }

    #[test]
    fn what_the_reader_refuses_for_its_shape_does_not_fit() {
        let (schema, sound) = (schema(), shipped("restart-kubelet").unwrap());
        for (from, to) in [
            ("name: restart-kubelet", "name: Restart Kubelet"),
            ("apiserver-down, for", "apiserver-dwon, for"),
            ("for: 20s", "for: soon"),
            ("for: 20s", "four: 20s"),
            ("pod-settled: 5m", "pod-settled"),
            ("talos-reachable", "talos-reachable: 5s"),
            ("talos-reachable", "nonsense"),
            ("2 per 1h", "often"),
            ("cooldown: 5m", "cooldown: {}"),
            ("- collect-evidence", "- collect-evidence: now"),
            ("service: kubelet", "service: etcd"),
            ("deadline: 60s", "dedline: 60s"),
            ("- restart-service:", "- restart-servant:"),
            ("cleared: apiserver-down", "cleared: 5s"),
            ("otherwise: reboot-unrevived", "extra: 1"),
            ("limits:", "limit:"),
        ] {
            assert!(sound.contains(from), "{from}");
            let text = sound.replacen(from, to, 1);
            assert!(super::super::parse(Path::new("p"), &text).is_err(), "{to}");
            assert!(fits(&read(&text), &schema, &schema).is_err(), "{to}");
        }
    }
}
