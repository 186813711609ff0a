//! `docs/reference/` as the program's own tables give it: a page each for findings, probes, guards, playbooks and limits.

use std::fmt::Write;
use std::time::Duration;

use defib_engine::check::{Check, GUARDS, REQUIREMENTS};
use defib_engine::diagnosis;
use defib_engine::finding::{Because, Layer, Relation, Rule, Scope};
use defib_engine::ledger::{EXHAUSTED_AFTER, EXHAUSTED_WITHIN, LONGEST_WINDOW, SPACING};
use defib_engine::observation::ProbeKind;
use defib_engine::playbook::{Action, FORMS, Limit, Limits, Playbook, Shape};
use defib_engine::settings::Disruptive;
use defib_engine::time::Human;

/// Every page: its name below `docs/reference`, and its text.
pub(crate) fn pages() -> Result<Vec<(&'static str, String)>, String> {
    let shipped = defib::playbook::load(defib::playbook::SHIPPED, None).map_err(|problems| problems.to_string())?;
    Ok(vec![
        ("findings.md", page("Findings", findings)),
        ("probes.md", page("Probes", probes)),
        ("guards.md", page("Guards and requirements", guards)),
        ("playbooks.md", page("Playbooks", |page| playbooks(page, &shipped))),
        ("limits.md", page("Limits", |page| limits(page, &shipped))),
    ])
}

fn page(title: &str, write: impl FnOnce(&mut String)) -> String {
    let mut page = format!(
        "# {title}\n\nMade from the program's own tables, and compared with them by `tests/tidy.rs`; `UPDATE_REFERENCE=1 cargo test --test \
         tidy`\nwrites it anew.\n"
    );
    write(&mut page);
    page
}

fn findings(page: &mut String) {
    page.push_str("\nFrom the ground up; each is shown at work by a file of `tests/scenarios`. A verdict must last for *opens after* before the\nfinding opens, and be gone for *closes after* before it closes; what cannot be told opens nothing and closes nothing.\n\nEvery figure is the usual one, with where it comes from. A configuration sets others under `thresholds:`, for all clusters or for\none, the waits as `opens-after` and `closes-after` (0s to 1h):\n\n    thresholds:\n      host-busy: { raised-above-percent: 90, clear-below-percent: 85, opens-after: 2m }\n");
    for rule in diagnosis::ALL {
        let Rule { name, meaning, layer, class, scope, .. } = rule;
        let _ = write!(page, "\n## {name}\n\n{}\n\n", sentence(meaning));
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
        for one in rule.thresholds {
            let span = format!("{} to {}", one.show(one.least), one.show(one.most));
            row(
                page,
                &format!("`{}`", one.name),
                &format!("{} (may be set: {span}); {}", one.show(one.usual), one.source),
            );
        }
    }
}

fn probes(page: &mut String) {
    page.push_str("\nA probe asks one target over one path. An observation older than *counts for* is unknown.\n\n| probe | every | deadline | counts for |\n|---|---|---|---|\n");
    for kind in ProbeKind::ALL {
        let (every, deadline, max_age) = (time(kind.every()), time(kind.deadline()), time(kind.max_age()));
        let _ = writeln!(page, "| `{}` | {every} | {deadline} | {max_age} |", kind.name());
    }
}

fn guards(page: &mut String) {
    page.push_str("\nA check passes, or gives a hold: why, with figures, and when it lifts. What no configured source can give is *not asked*, and\nprinted so; what is asked and unknown or stale holds.\n");
    checks(page, "Guards", "Judged before every step, in this order; no playbook can switch one off.", GUARDS);
    checks(page, "Requirements", "What a playbook may ask for by name in `require`.", REQUIREMENTS);
}

fn checks(page: &mut String, title: &str, about: &str, checks: &[&Check]) {
    let _ = write!(page, "\n## {title}\n\n{about}\n\n| name | passes when |\n|---|---|\n");
    for check in checks {
        let figure = if check.takes_duration { ": DURATION" } else { "" };
        let _ = writeln!(page, "| `{}{figure}` | {} |", check.name, check.meaning);
    }
}

fn playbooks(page: &mut String, shipped: &[Playbook]) {
    page.push_str("\nShipped with the program, in the order in which they are considered. One in the folder `playbooks:` of the configuration adds to\nthem, or replaces one by its name. None runs unless its cluster arms it. Harmless steps are free of guards and limits; of the\nothers a playbook has one at most. `defib playbook show NAME` prints one to begin with, `defib playbook lint` tells what is wrong\nwith another, and `defib playbook schema` is for editors. What follows a failed verification (`otherwise`) is a playbook that\nanswers a finding which that verification asks for; one finding has one ladder.\n");
    actions(page);
    for playbook in shipped {
        let Playbook { name, when, require, limits, veto, steps, verify, otherwise, text: _ } = playbook;
        let _ = write!(page, "\n## {name}\n\n");
        let text = defib::playbook::SHIPPED.iter().find(|(shipped, _)| shipped == name).map_or("", |(_, text)| text);
        for line in text.lines().map_while(|line| line.strip_prefix('#')) {
            let _ = writeln!(page, "{}", line.trim_start());
        }
        page.push('\n');
        row(page, "class", &playbook.class().to_string());
        row(page, "when", &format!("{} has been open for {}", when.finding.name, time(when.for_)));
        let required = require.iter().map(|wanted| {
            wanted.duration.map_or_else(
                || wanted.check.name.to_owned(),
                |figure| format!("{}: {}", wanted.check.name, time(figure)),
            )
        });
        row(page, "requires", &list(required));
        if playbook.only_tells() {
            row(page, "steps", &list(steps.iter().map(Action::to_string)));
            row(page, "limits", "once on a node while what calls for it is open; there is nothing to verify");
            continue;
        }
        row(page, "limits", &format!("{}, cooldown of the node {}", windows(limits), time(limits.cooldown)));
        row(
            page,
            "starts",
            &if veto.is_zero() {
                "at once".to_owned()
            } else {
                format!("{} after it was announced, unless it is paused", time(*veto))
            },
        );
        row(
            page,
            "steps",
            &list(steps.iter().map(|step| format!("{step} ({}, within {})", step.class(), time(step.deadline())))),
        );
        let within = format!(
            "{} is gone within {} after the step, and stays away for {}",
            verify.cleared.iter().map(|rule| rule.name).collect::<Vec<_>>().join(", "),
            time(verify.within),
            time(verify.steady_for)
        );
        row(page, "verified when", &within);
        row(page, "otherwise", otherwise.as_deref().unwrap_or("a person is told"));
    }
}

fn actions(page: &mut String) {
    page.push_str("\n## Actions\n\nWhat may stand in `steps`.\n\n| written | what it does |\n|---|---|\n");
    for form in FORMS {
        let detail = match &form.shape {
            Shape::Plain(_) => String::new(),
            Shape::Timed(_) => ": { deadline: DURATION }".to_owned(),
            Shape::With(detail) => format!(": {{ {}: {}, deadline: DURATION }}", detail.key, detail.words.join(" or ")),
        };
        let _ = writeln!(page, "| `{}{detail}` | {} |", form.name, form.meaning);
    }
}

fn limits(page: &mut String, shipped: &[Playbook]) {
    page.push_str("\nEvery limit is a sliding window over the durable reservations. A reservation is spent from the moment it is written, whatever\nbecomes of its step. Ages count by the machine's own time since boot: a wall clock that is set refills nothing.\n\n| limit | figure | whose |\n|---|---|---|\n");
    for playbook in shipped.iter().filter(|playbook| !playbook.only_tells()) {
        let Limits { per_node, per_cluster, cooldown } = &playbook.limits;
        let mut line = |what: &str, figure: String| {
            let _ = writeln!(page, "| {what} | {figure} | `{}`, its `limits` |", playbook.name);
        };
        line("runs on a node", window(*per_node));
        line("runs in a cluster", window(*per_cluster));
        line("pause on a node after any run there", time(*cooldown));
    }
    let mut line = |what: &str, figure: String| {
        let _ = writeln!(page, "| {what} | {figure} | the program's own |");
    };
    line("runs under way in a cluster", "1".to_owned());
    line("disruptive runs under way in all clusters", "1".to_owned());
    line("between disruptive steps in a cluster", time(SPACING));
    let Disruptive { per_node, per_fleet } = Disruptive::default();
    let set = |limit: Limit| format!("{} per {}, or as `disruptive` says", limit.count, time(limit.window));
    line("disruptive runs on a node, whatever their playbooks", set(per_node));
    line("disruptive runs in all clusters", set(per_fleet));
    line(
        "runs of a playbook on a node until a person must look (`defib ack`)",
        format!("{EXHAUSTED_AFTER} within {}", time(EXHAUSTED_WITHIN)),
    );
    line("longest window that a limit may have", time(LONGEST_WINDOW));
}

fn windows(limits: &Limits) -> String {
    format!("{} on a node, {} in a cluster", window(limits.per_node), window(limits.per_cluster))
}

fn window(limit: Limit) -> String {
    format!("{} per {}", limit.count, time(limit.window))
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
