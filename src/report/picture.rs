//! One cluster on one screen: the root in the first lines, at most 30 lines of 80 columns, the next command last.
//!
//! What is the same on several nodes is said once. Nothing is shown by colour alone: ✗ is wrong, ✓ is well, ? is not known.

use std::collections::BTreeSet;

use defib_engine::finding::Layer;

use super::page::{List, Page};
use crate::api::{Finding, Plan, Report, Verdict};
use crate::report::{line, wall};

/// More nodes than this are shown as rows, and so are names that fill a column.
const NODES_WIDE: usize = 4;
/// So many of the risks that a look cannot tell are named.
const UNTOLD_NAMED: usize = 6;
/// The width of a node's column: the longest cell and a gap.
const NODE_COLUMNS: usize = 16;

/// The screen of `check`.
#[must_use]
pub fn screen(report: &Report) -> String {
    let mut page = Page::default();
    headline(report, &mut page);
    page.list(why(report));
    page.list(unknown(report));
    places(report, &mut page);
    if let (true, Some(first)) = (report.route.direct, report.route.ready.first()) {
        page.line(&format!("ROUTE directly to {first}: the virtual address is lost"));
    }
    page.list(risks(report));
    page.list(plans(report));
    page.list(advice(report));
    not_looked_at(report, &mut page);
    page.line("");
    page.line(&format!("NEXT  {}", next(report)));
    page.text()
}

/// A command that runs as it stands.
fn next(report: &Report) -> &'static str {
    match report.verdict {
        Verdict::Healthy => "defib run    (watches, and keeps a journal)",
        Verdict::Outage if report.decisions.iter().any(|plan| plan.would) => {
            "defib history -n 20    (what the daemon did; WOULD says what is not armed)"
        }
        Verdict::Outage => "defib history -n 20    (what the daemon did)",
        Verdict::Unknown => "defib check --output json    (every probe, every check, every figure)",
    }
}

fn headline(report: &Report, page: &mut Page) {
    let at = wall::date_time(report.at_ms);
    match report.verdict {
        Verdict::Healthy => {
            let risks = match report.findings.iter().filter(|finding| finding.class == "risk").count() {
                0 => String::new(),
                1 => ", 1 risk".to_owned(),
                risks => format!(", {risks} risks"),
            };
            page.line(&format!("✓ HEALTHY {} at {at}{risks}", report.cluster));
        }
        Verdict::Outage => page.line(&format!("✗ OUTAGE {} at {at} (seen once)", report.cluster)),
        Verdict::Unknown => page.line(&format!("? CANNOT TELL {} at {at}", report.cluster)),
    }
    if let Some(root) = root(report) {
        page.line(&format!("  Root: {root}"));
    }
    let count = |outcome: fn(&str) -> bool| report.probes.iter().filter(|probe| outcome(&probe.outcome)).count();
    let (well, unknown) = (count(|outcome| outcome == "healthy"), count(|outcome| outcome == "unknown"));
    page.line(&format!(
        "  {} probes, {:.1}s: {well} ok, {} failed, {unknown} unknown; mode {}",
        report.probes.len(),
        f64::from(u32::try_from(report.took_ms).unwrap_or(u32::MAX)) / 1000.0,
        report.probes.len() - well - unknown,
        report.mode
    ));
}

/// The root with its evidence, and where the same stands unexplained: neither is more of a root than the other.
fn root(report: &Report) -> Option<String> {
    let root = report.root.as_ref()?;
    let evidence = root_finding(report).map_or("", |finding| finding.text.as_str());
    let equals = report.findings.iter().filter(|finding| {
        finding.key.finding == root.finding && finding.key.scope != root.scope && finding.explained_by.is_empty()
    });
    let equals: Vec<_> = equals.map(|finding| finding.key.scope.as_str()).collect();
    let also = if equals.is_empty() { String::new() } else { format!(" (also {})", equals.join(", ")) };
    Some(format!("{}{also}: {evidence}", line::named(&root.finding, &root.scope)))
}

fn root_finding(report: &Report) -> Option<&Finding> {
    let root = report.root.as_ref()?;
    report.findings.iter().find(|finding| finding.key == *root)
}

fn why(report: &Report) -> List {
    let mut list = List::new("WHY (from the ground up; a cause stands above what it explains)");
    let findings = report.findings.iter().filter(|one| one.class == "outage" || explains(report, one));
    let said = findings.map(|one| ((one.key.finding.as_str(), one.text.as_str()), one.key.scope.as_str()));
    let evidence = root_finding(report).map(|root| (root.key.finding.as_str(), root.text.as_str()));
    for ((finding, text), scopes) in grouped(said) {
        // Its evidence stands in the second line already.
        let text = if evidence == Some((finding, text)) { "(the root)" } else { text };
        let risk = |one: &Finding| one.key.finding == finding && one.class == "risk";
        let sign = if report.findings.iter().any(risk) { "!" } else { "✗" };
        list.entry(&format!("  {sign} {finding:<23} {:<8} {text}", scopes.join(" ")));
    }
    list
}

/// A risk that explains an outage stands among the causes.
fn explains(report: &Report, risk: &Finding) -> bool {
    let mut outages = report.findings.iter().filter(|one| one.class == "outage");
    risk.class == "risk" && outages.any(|outage| outage.explained_by.contains(&risk.key))
}

/// What may become an outage, the same evidence once.
fn risks(report: &Report) -> List {
    let mut list = List::new("RISKS (nothing is hurt by these yet)");
    let risks = report.findings.iter().filter(|one| one.class == "risk" && !explains(report, one));
    tell(risks, "!", &mut list);
    list
}

/// What could be better.
fn advice(report: &Report) -> List {
    let mut list = List::new("ADVICE");
    tell(report.findings.iter().filter(|one| one.class == "advice"), "i", &mut list);
    list
}

fn tell<'a>(findings: impl Iterator<Item = &'a Finding>, sign: &str, list: &mut List) {
    let said = findings.map(|one| ((one.key.finding.as_str(), one.text.as_str()), one.key.scope.as_str()));
    for ((finding, text), scopes) in grouped(said) {
        list.entry(&format!("  {sign} {finding:<23} {:<8} {text}", scopes.join(" ")));
    }
}

/// One line for the risks that nobody looked for, or that one look cannot tell: silence about them is not health.
fn not_looked_at(report: &Report, page: &mut Page) {
    let untold: BTreeSet<_> =
        report.unknown.iter().filter(|one| one.class != "outage").map(|one| one.key.finding.as_str()).collect();
    let verb = match untold.len() {
        0 => return,
        1 => "risk is",
        _ => "risks are",
    };
    let some: Vec<_> = untold.iter().take(UNTOLD_NAMED).copied().collect();
    let more = if untold.len() > some.len() { ", …" } else { "" };
    page.line("");
    page.line(&format!("  ? {} {verb} not told by this look: {}{more} (--output json)", untold.len(), some.join(", ")));
}

fn unknown(report: &Report) -> List {
    let mut list = List::new("CANNOT TELL");
    for (why, keys) in
        grouped(report.unknown.iter().filter(|one| one.class == "outage").map(|one| (one.why.as_str(), &one.key)))
    {
        let scopes: BTreeSet<_> = keys.iter().map(|key| key.scope.as_str()).collect();
        let findings: BTreeSet<_> = keys.iter().map(|key| key.finding.as_str()).collect();
        let (scopes, findings) = (Vec::from_iter(scopes).join(" "), Vec::from_iter(findings).join(", "));
        list.entry(&format!("  ? {scopes}: {why} ({findings})"));
    }
    list
}

/// What shares a key, under it; keys in the order in which they first come.
fn grouped<K: PartialEq, V>(items: impl Iterator<Item = (K, V)>) -> Vec<(K, Vec<V>)> {
    let mut groups: Vec<(K, Vec<V>)> = Vec::new();
    for (key, value) in items {
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, values)) => values.push(value),
            None => groups.push((key, vec![value])),
        }
    }
    groups
}

/// Nodes × layers.
fn places(report: &Report, page: &mut Page) {
    page.line("");
    if report.nodes.len() > NODES_WIDE || report.nodes.iter().any(|node| node.chars().count() >= NODE_COLUMNS) {
        for node in &report.nodes {
            let row: Vec<_> = Layer::ROWS[..3]
                .iter()
                .map(|layer| format!("{} {}", layer.name(), cell(report, *layer, node)))
                .collect();
            page.line(&format!("{node:<12} {}", row.join("  ")));
        }
    } else {
        let wide = |text: String| format!("{text:<NODE_COLUMNS$}");
        let header: String = report.nodes.iter().cloned().map(wide).collect();
        page.line(&format!("WHERE      {header}"));
        for layer in &Layer::ROWS[..3] {
            let cells: String = report.nodes.iter().map(|node| wide(cell(report, *layer, node))).collect();
            page.line(&format!("{:<10} {cells}", layer.name()));
        }
    }
    let vip = report.probes.iter().find(|probe| probe.kind == "vip");
    let text = match vip {
        None => "- not asked".to_owned(),
        Some(probe) if probe.outcome == "healthy" => {
            let holder = report.vip_holder.as_ref().map_or(String::new(), |node| format!(" on {node}"));
            format!("✓ answers{holder} in {} ms", probe.took_ms)
        }
        Some(probe) if probe.outcome == "unknown" => format!("? {}", probe.text),
        Some(probe) => format!("✗ {}", probe.text),
    };
    page.line(&format!("{:<10} {text}", Layer::Vip.name()));
}

fn cell(report: &Report, layer: Layer, node: &str) -> String {
    let here = |scope: &str| scope == node;
    let short = |finding: &str| {
        let prefix = format!("{}-", layer.name());
        let rest = finding.strip_prefix(&prefix).unwrap_or(finding);
        rest.strip_prefix("member-").unwrap_or(rest).to_owned()
    };
    let found = |class: &str| {
        let mut all = report.findings.iter().filter(|finding| finding.layer == layer.name());
        all.find(|finding| finding.class == class && here(&finding.key.scope))
    };
    for (class, sign) in [("outage", "✗"), ("risk", "!")] {
        if let Some(finding) = found(class) {
            return format!("{sign} {}", short(&finding.key.finding));
        }
    }
    let untold = |unknown: &crate::api::Unknown| unknown.layer == layer.name() && here(&unknown.key.scope);
    if report.unknown.iter().any(|unknown| unknown.class == "outage" && untold(unknown)) {
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
        Layer::Host => "hypervisor",
    }
}

fn plans(report: &Report) -> List {
    let mut list = List::new("THIS LOOK touched nothing (what the daemon did: defib history)");
    let would = report.decisions.iter().filter(|plan| plan.would).map(|plan| {
        let lacks: Vec<_> = plan.holds.iter().map(|hold| hold.text.as_str()).collect();
        ((plan.playbook.as_str(), lacks.join("; ")), plan.node.as_str())
    });
    for ((playbook, lacks), nodes) in grouped(would) {
        list.entry(&format!("  WOULD  {playbook} {}   ({lacks})", nodes.join(" ")));
    }
    let held = report.decisions.iter().filter(|plan| !plan.would).flat_map(held);
    for ((playbook, check), holds) in grouped(held) {
        let nodes: Vec<_> = holds.iter().map(|(node, _)| *node).collect();
        let Some((first, reason)) = holds.first() else { continue };
        let whose = if holds.iter().all(|(_, other)| other == reason) { String::new() } else { format!("{first}: ") };
        list.entry(&format!("  HELD   {playbook} {}: {check}: {whose}{reason}", nodes.join(" ")));
    }
    list
}

/// Every hold but the missing permission: under its playbook and check, the patient and the reason.
fn held(plan: &Plan) -> impl Iterator<Item = ((&str, &str), (&str, String))> {
    plan.holds.iter().filter(|hold| hold.check != "authority").map(|hold| {
        let reason = format!("{}; lifts {}", hold.text, hold.lifts);
        ((plan.playbook.as_str(), hold.check.as_str()), (plan.node.as_str(), reason))
    })
}

#[cfg(test)]
mod tests;
