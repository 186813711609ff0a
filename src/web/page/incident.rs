//! The incidents: each as the chain of its findings, causes before what they explain.

use std::collections::BTreeMap;

use defib_engine::incident::Incident;
use defib_engine::record::FindingKey;
use defib_engine::status::{Finding, Status};

use super::super::html::Html;
use super::{Scene, live, words};
use crate::report::layers;

pub(super) fn section(scene: &Scene<'_>, html: &mut Html) {
    let Some(status) = scene.status else { return };
    let worst = status.worst();
    let others = status.incidents.iter().filter(|one| worst.is_none_or(|worst| worst.id != one.id));
    let incidents: Vec<&Incident> = worst.into_iter().chain(others).collect();
    let alone: Vec<&Finding> = status
        .findings
        .iter()
        .filter(|finding| incidents.iter().all(|incident| !incident.findings.contains(&finding.key)))
        .collect();
    if incidents.is_empty() && alone.is_empty() {
        // It stays as a place for a script to fill.
        html.empty("section", &[("id", &"incident"), ("data-live", &""), ("hidden", &"")]);
        return;
    }
    live(html, "incident", "card", "Why: causes before what they explain", |html| {
        for incident in incidents {
            chain(status, incident, scene.age.as_of_ms, html);
        }
        if !alone.is_empty() {
            html.classed("h3", "title", "Beside it");
            html.element("ol", &[("class", &"chain")], |html| {
                alone.iter().for_each(|finding| link(&[finding], false, html));
            });
        }
    });
}

fn chain(status: &Status, incident: &Incident, now_ms: i64, html: &mut Html) {
    let findings: BTreeMap<&FindingKey, &Finding> = status
        .findings
        .iter()
        .filter(|finding| incident.findings.contains(&finding.key))
        .map(|finding| (&finding.key, finding))
        .collect();
    let since = findings.values().map(|finding| finding.since.0).min().unwrap_or(now_ms);
    html.element("h3", &[("class", &"title")], |html| {
        html.leaf("code", &[], &incident.id);
        html.say(format!(" {}, for ", incident.state));
        words::ago(html, since, now_ms);
    });
    html.element("ol", &[("class", &"chain")], |html| {
        for links in links(&findings) {
            let is_root = links.iter().any(|finding| finding.key == incident.root);
            link(&links, is_root, html);
        }
    });
}

/// The findings in the order of their causes; the same finding on several nodes is one link.
fn links<'a>(findings: &BTreeMap<&'a FindingKey, &'a Finding>) -> Vec<Vec<&'a Finding>> {
    let mut links: Vec<(usize, i64, Vec<&Finding>)> = Vec::new();
    for finding in findings.values() {
        let depth = depth(finding, findings, findings.len());
        match links.iter_mut().find(|(_, _, known)| known.iter().any(|one| one.key.rule == finding.key.rule)) {
            Some((deepest, since, known)) => {
                (*deepest, *since) = ((*deepest).max(depth), (*since).min(finding.since.0));
                known.push(finding);
            }
            None => links.push((depth, finding.since.0, vec![finding])),
        }
    }
    links.sort_by_key(|(depth, since, known)| (*depth, known.first().map(|one| one.layer), *since));
    links.into_iter().map(|(_, _, known)| known).collect()
}

/// How many causes stand behind a finding, one behind the other; a circle ends after `left` of them.
fn depth(finding: &Finding, findings: &BTreeMap<&FindingKey, &Finding>, left: usize) -> usize {
    let Some(left) = left.checked_sub(1) else { return 0 };
    let causes = finding.explained_by.iter().filter_map(|key| findings.get(key));
    causes.map(|cause| depth(cause, findings, left) + 1).max().unwrap_or(0)
}

fn link(findings: &[&Finding], is_root: bool, html: &mut Html) {
    let Some(first) = findings.first() else { return };
    let nodes: Vec<&str> = findings.iter().filter_map(|one| one.key.subject.node().map(String::as_str)).collect();
    let since = findings.iter().map(|finding| finding.since.0).min().unwrap_or_default();
    html.element("li", &[("class", &if is_root { "root" } else { "link" })], |html| {
        html.element("p", &[("class", &"what")], |html| {
            words::sign(html, layers::level(first.key.rule).unwrap_or(layers::Level::Risk));
            html.say(' ');
            html.leaf("code", &[], first.key.rule);
            html.say(' ');
            html.leaf("b", &[], nodes.join(" "));
            if is_root {
                html.classed("span", "tag", "root");
            }
        });
        html.element("p", &[("class", &"when")], |html| words::time(html, since));
        let same = findings.iter().all(|finding| finding.text == first.text);
        for finding in findings.iter().take(if same { 1 } else { findings.len() }) {
            let whose = finding.key.subject.node().filter(|_| !same).map_or(String::new(), |node| format!("{node}: "));
            html.classed("p", "evidence", format!("{whose}{}", finding.text));
        }
    });
}
