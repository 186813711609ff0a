//! `docs/reference.md` as the engine's own tables give it.

use std::fmt::Write;
use std::time::Duration;

use defib_engine::check::{Check, GUARDS, REQUIREMENTS};
use defib_engine::diagnosis;
use defib_engine::finding::{Because, Layer, Relation, Rule, Scope};
use defib_engine::observation::ProbeKind;
use defib_engine::time::Human;

/// The whole page.
pub(crate) fn page() -> String {
    let mut page = String::from(
        "# Reference\n\nMade from the engine's own tables, and compared with them by `tests/tidy.rs`; `UPDATE_REFERENCE=1 cargo test \
         --test tidy`\nwrites it anew. Each finding, guard and requirement is shown at work by a file of `tests/scenarios`.\n",
    );
    findings(&mut page);
    probes(&mut page);
    checks(&mut page, "Guards", "Judged before every step, in this order; no playbook can switch one off.", GUARDS);
    checks(&mut page, "Requirements", "What a playbook may ask for by name in `require`.", REQUIREMENTS);
    page
}

fn findings(page: &mut String) {
    page.push_str("\n## Findings\n\nFrom the ground up. A verdict must last for *opens after* before the finding opens, and be gone for *closes after* before\n");
    page.push_str("it closes; what cannot be told opens nothing and closes nothing.\n");
    for rule in diagnosis::ALL {
        let Rule { name, meaning, layer, class, scope, .. } = rule;
        let _ = write!(page, "\n### {name}\n\n{}\n\n", sentence(meaning));
        let scope = match scope {
            Scope::Cluster => "once for the cluster",
            Scope::Node => "for every node",
        };
        row(page, "layer", layer_name(*layer));
        row(page, "class", class.name());
        row(page, "judged", scope);
        row(page, "reads", &list(rule.reads.iter().map(|kind| kind.name().to_owned())));
        row(page, "explained by", &list(rule.explained_by.iter().map(because)));
        row(page, "opens after", &time(rule.timing.open_after));
        row(page, "closes after", &time(rule.timing.close_after));
    }
}

fn probes(page: &mut String) {
    page.push_str("\n## Probes\n\nAn observation older than *counts for* is unknown.\n\n| probe | every | deadline | counts for |\n|---|---|---|---|\n");
    for kind in ProbeKind::ALL {
        let (every, deadline, max_age) = (time(kind.every()), time(kind.deadline()), time(kind.max_age()));
        let _ = writeln!(page, "| `{}` | {every} | {deadline} | {max_age} |", kind.name());
    }
}

fn checks(page: &mut String, title: &str, about: &str, checks: &[&Check]) {
    let _ = write!(page, "\n## {title}\n\n{about}\n\n| name | passes when |\n|---|---|\n");
    for check in checks {
        let figure = if check.takes_duration { ": DURATION" } else { "" };
        let _ = writeln!(page, "| `{}{figure}` | {} |", check.name, check.meaning);
    }
}

fn row(page: &mut String, name: &str, value: &str) {
    let _ = writeln!(page, "- {name}: {value}");
}

fn because(because: &Because) -> String {
    let whose = match because.relation {
        Relation::SameNode => " of the same node",
        Relation::SomeNode => " of a node",
        Relation::LastHolder | Relation::KnownHolder => " of the node that held the address last",
        Relation::Cluster => "",
    };
    let first = if because.earned { " seen before it" } else { "" };
    format!("{}{whose}{first}", because.rule)
}

fn layer_name(layer: Layer) -> &'static str {
    layer.name()
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
}

fn time(duration: Duration) -> String {
    if duration.is_zero() { "at once".to_owned() } else { Human(duration).to_string() }
}

fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    first.chain(letters).chain(['.']).collect()
}
