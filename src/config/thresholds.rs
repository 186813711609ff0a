//! `thresholds:` of the file, for all clusters, and of a cluster, which goes before: the figures and waits by which
//! findings are judged, where they shall differ from the usual (docs/reference/findings.md).
//!
//! ```yaml
//! thresholds:
//!   host-busy: { raised-above-percent: 90, clear-below-percent: 85, opens-after: 2m }
//!   etcd-slow-disk: { fsync-from: 50ms }
//! ```

use std::time::Duration;

use defib_engine::diagnosis;
use defib_engine::finding::Rule;
use defib_engine::latch::Timing;
use defib_engine::threshold::{CLOSES_AFTER, OPENS_AFTER, Threshold, Thresholds, Unit, WAIT_MAX};
use defib_engine::time::Human;

use crate::yaml::{Node, Walk, quoted, suggestion};

/// Reads what is set on top of `usual`. What could not be read is left out, and is a problem in `walk`.
pub(super) fn read(walk: &Walk<'_>, node: &Node, usual: &Thresholds) -> Thresholds {
    let mut thresholds = usual.clone();
    let findings: Vec<&'static str> = diagnosis::ALL.iter().map(|rule| rule.name).collect();
    let Some(map) = walk.map(node, "thresholds", &findings) else { return thresholds };
    for rule in diagnosis::ALL {
        let Some(node) = map.get(rule.name) else { continue };
        let keys: Vec<&'static str> = keys(rule).collect();
        let Some(map) = walk.map(node, "a finding", &keys) else { continue };
        for key in keys {
            let Some(node) = map.get(key) else { continue };
            let set = walk.text(node, key).map(|text| set(&mut thresholds, rule, key, text));
            if let Some(Err(problem)) = set {
                walk.problem(node.place, problem);
            }
        }
        for misfit in thresholds.misfits(rule) {
            walk.problem(node.place, format!("{}: {misfit}", rule.name));
        }
    }
    thresholds
}

/// What can be set of a finding.
fn keys(rule: &Rule) -> impl Iterator<Item = &'static str> {
    rule.thresholds.iter().map(|threshold| threshold.name).chain([OPENS_AFTER, CLOSES_AFTER])
}

/// Sets one figure or wait of a finding from its text.
///
/// # Errors
/// Why it cannot be, in words; whether it fits beside the finding's other figures is not judged.
pub fn set(thresholds: &mut Thresholds, rule: &'static Rule, key: &str, text: &str) -> Result<(), String> {
    if let Some(threshold) = rule.thresholds.iter().copied().find(|threshold| threshold.name == key) {
        thresholds.set(threshold, figure(threshold, text)?);
        return Ok(());
    }
    let timing = thresholds.timing(rule);
    let timing = match key {
        OPENS_AFTER => Timing { open_after: wait(rule, key, text)?, ..timing },
        CLOSES_AFTER => Timing { close_after: wait(rule, key, text)?, ..timing },
        other => {
            let known: Vec<&str> = keys(rule).collect();
            let hint = suggestion(other, known.iter().copied());
            return Err(format!("{} has no {}; there are {}{hint}", rule.name, quoted(other), known.join(", ")));
        }
    };
    thresholds.wait(rule, timing);
    Ok(())
}

fn figure(threshold: &Threshold, text: &str) -> Result<f64, String> {
    let Threshold { finding, name, unit, least, most, .. } = threshold;
    let (form, value) = match unit {
        Unit::Time => ("a duration such as 500ms or 7d", duration(text).map(|time| time.as_secs_f64())),
        Unit::Count => ("a whole number", text.parse::<u32>().ok().map(f64::from)),
        _ => ("a number", text.parse().ok().filter(|value: &f64| value.is_finite())),
    };
    let value = value.ok_or_else(|| format!("{finding}: {name} {} is not {form}", quoted(text)))?;
    if !(*least..=*most).contains(&value) {
        let (least, most) = (threshold.show(*least), threshold.show(*most));
        return Err(format!("{finding}: {name} {} is not between {least} and {most}", quoted(text)));
    }
    Ok(value)
}

fn wait(rule: &Rule, key: &str, text: &str) -> Result<Duration, String> {
    let form = format!("a duration from 0s to {}", Human(WAIT_MAX));
    let wait = duration(text).filter(|wait| *wait <= WAIT_MAX);
    wait.ok_or_else(|| format!("{}: {key} {} is not {form}", rule.name, quoted(text)))
}

fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}
