//! One cluster on one screen: the root in the first lines, at most 80 columns, the next command last.
//!
//! Nothing is shown by colour alone: ✗ is wrong, ✓ is well, ? is not known.

use std::fmt::Write;

use defib_engine::finding::Layer;

use crate::api::{Report, Verdict};
use crate::report::{line, wall};

/// A line is cut here.
const COLUMNS: usize = 80;
/// At most so many rows of one list are shown; the rest is counted.
const ROWS: usize = 8;

/// The screen of `check`.
#[must_use]
pub fn screen(report: &Report) -> String {
    let mut out = String::new();
    headline(report, &mut out);
    why(report, &mut out);
    places(report, &mut out);
    plans(report, &mut out);
    let next = match report.verdict {
        Verdict::Healthy => "defib run    (watches, and keeps a journal)",
        Verdict::Outage if report.decisions.iter().any(|plan| plan.would) => {
            "set mode: act and arm the playbook, then defib run"
        }
        Verdict::Outage | Verdict::Unknown => "defib check --output json    (every probe, every check, every figure)",
    };
    push(&mut out, &format!("\nNEXT  {next}"));
    out
}

fn headline(report: &Report, out: &mut String) {
    let at = wall::date_time(report.at_ms);
    match report.verdict {
        Verdict::Healthy => push(out, &format!("✓ HEALTHY {} at {at}", report.cluster)),
        Verdict::Outage => push(out, &format!("✗ OUTAGE {} at {at} (seen once)", report.cluster)),
        Verdict::Unknown => push(out, &format!("? CANNOT TELL {} at {at}", report.cluster)),
    }
    if let Some(root) = &report.root {
        let evidence = report.findings.iter().find(|finding| finding.key == *root).map_or("", |f| f.text.as_str());
        push(out, &format!("  Root: {}: {evidence}", line::named(&root.finding, &root.scope)));
    }
    let count = |outcome: fn(&str) -> bool| report.probes.iter().filter(|probe| outcome(&probe.outcome)).count();
    let (well, unknown) = (count(|outcome| outcome == "healthy"), count(|outcome| outcome == "unknown"));
    push(
        out,
        &format!(
            "  {} probes, {:.1}s: {well} ok, {} failed, {unknown} unknown; mode {}",
            report.probes.len(),
            f64::from(u32::try_from(report.took_ms).unwrap_or(u32::MAX)) / 1000.0,
            report.probes.len() - well - unknown,
            report.mode
        ),
    );
}

fn why(report: &Report, out: &mut String) {
    if !report.findings.is_empty() {
        push(out, "\nWHY (from the ground up; a cause stands above what it explains)");
        for finding in report.findings.iter().take(ROWS * 2) {
            push(out, &format!("  ✗ {:<23} {:<8} {}", finding.key.finding, finding.key.scope, finding.text));
        }
        more(report.findings.len(), ROWS * 2, out);
    }
    if !report.unknown.is_empty() {
        push(out, "\nCANNOT TELL");
        for unknown in report.unknown.iter().take(ROWS) {
            push(out, &format!("  ? {:<23} {:<8} {}", unknown.key.finding, unknown.key.scope, unknown.why));
        }
        more(report.unknown.len(), ROWS, out);
    }
}

fn more(all: usize, shown: usize, out: &mut String) {
    if all > shown {
        push(out, &format!("  … and {} more", all - shown));
    }
}

/// Nodes × layers.
fn places(report: &Report, out: &mut String) {
    const NODES_WIDE: usize = 5;
    out.push('\n');
    if report.nodes.len() > NODES_WIDE {
        for node in &report.nodes {
            let row: Vec<_> = Layer::ROWS[..3]
                .iter()
                .map(|layer| format!("{} {}", layer.name(), cell(report, *layer, node)))
                .collect();
            push(out, &format!("{node:<12} {}", row.join("  ")));
        }
    } else {
        let header: String = report.nodes.iter().map(|node| format!("{node:<15}")).collect();
        push(out, &format!("WHERE      {header}"));
        for layer in &Layer::ROWS[..3] {
            let cells: String = report.nodes.iter().map(|node| format!("{:<15}", cell(report, *layer, node))).collect();
            push(out, &format!("{:<10} {cells}", layer.name()));
        }
    }
    let vip = report.probes.iter().find(|probe| probe.kind == "vip");
    let text = match vip {
        None => "- not asked".to_owned(),
        Some(probe) if probe.outcome == "healthy" => format!("✓ answers in {} ms", probe.took_ms),
        Some(probe) if probe.outcome == "unknown" => format!("? {}", probe.text),
        Some(probe) => format!("✗ {}", probe.text),
    };
    push(out, &format!("{:<10} {text}", Layer::Vip.name()));
}

fn cell(report: &Report, layer: Layer, node: &str) -> String {
    let here = |scope: &str| scope == node;
    let short = |finding: &str| {
        let prefix = format!("{}-", layer.name());
        let rest = finding.strip_prefix(&prefix).unwrap_or(finding);
        rest.strip_prefix("member-").unwrap_or(rest).to_owned()
    };
    let found = report.findings.iter().find(|finding| finding.layer == layer.name() && here(&finding.key.scope));
    if let Some(finding) = found {
        return format!("✗ {}", short(&finding.key.finding));
    }
    if report.unknown.iter().any(|unknown| unknown.layer == layer.name() && here(&unknown.key.scope)) {
        return "? unknown".to_owned();
    }
    let asked = report.probes.iter().any(|probe| probe.target == node && probe.kind.starts_with(prefix_of(layer)));
    if asked { "✓ ok".to_owned() } else { "- not asked".to_owned() }
}

fn prefix_of(layer: Layer) -> &'static str {
    match layer {
        Layer::Machine => "talos",
        Layer::Etcd => "etcd",
        Layer::Apiserver => "apiserver",
        Layer::Vip => "vip",
        Layer::Observer => "canary",
    }
}

fn plans(report: &Report, out: &mut String) {
    if report.decisions.is_empty() {
        return;
    }
    push(out, "\nDEFIB has touched nothing");
    for plan in report.decisions.iter().take(ROWS) {
        if plan.would {
            let lacks: Vec<_> = plan.holds.iter().map(|hold| hold.text.clone()).collect();
            push(out, &format!("  WOULD  {} {}   ({})", plan.playbook, plan.node, lacks.join("; ")));
            continue;
        }
        for hold in plan.holds.iter().filter(|hold| hold.check != "authority") {
            let text = format!("{}: {}; lifts {}", hold.check, hold.text, hold.lifts);
            push(out, &format!("  HELD   {} {}: {text}", plan.playbook, plan.node));
        }
    }
}

/// Adds a line, cut to the width by characters.
fn push(out: &mut String, text: &str) {
    for (index, part) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let part = part.trim_end();
        if part.chars().count() > COLUMNS {
            let kept: String = part.chars().take(COLUMNS - 1).collect();
            let _ = write!(out, "{kept}…");
        } else {
            out.push_str(part);
        }
    }
    out.push('\n');
}
