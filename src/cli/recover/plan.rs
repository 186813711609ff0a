//! How a diagnosis and a plan are written, and how a person is asked.

use std::io::Write;

use super::End;
use crate::api::{MODEL, Named, Offer, State, Verdict};
use crate::cli::Exit;
use crate::report::{line, wall};

/// What is wrong, in a line or a few.
pub(crate) fn headline(state: &State) -> Vec<String> {
    let mut lines = Vec::new();
    if state.model {
        lines.push(MODEL.to_owned());
    }
    lines.push(match (state.verdict, &state.root) {
        (Verdict::Outage, Some(root)) => format!("✗ {}: root {}", state.cluster, name(root)),
        (Verdict::Outage, None) => format!("✗ {}: {} findings are open", state.cluster, state.findings.len()),
        (Verdict::Healthy, _) => format!("✓ {}: nothing is wrong", state.cluster),
        (Verdict::Unknown, _) => format!("? {}: no outage is known, and something that matters is not", state.cluster),
    });
    for finding in &state.findings {
        let since = wall::time(finding.since_ms);
        lines.push(format!("    {} since {since}: {}", name(&finding.key), finding.text));
    }
    for unknown in &state.unknown {
        lines.push(format!("    ? {}: {}", name(&unknown.key), unknown.why));
    }
    // Of a cluster that was never judged nothing is known, that neither.
    let judged = state.verdict != Verdict::Unknown || !state.unknown.is_empty();
    if judged && !state.journal_answers && state.without_journal.is_none() {
        lines.push("    ! the journal does not answer: nothing is begun until it does".to_owned());
    }
    for pause in &state.pauses {
        let until = pause.until_ms.map_or_else(|| "its file is gone".to_owned(), wall::date_time);
        let way_out = if pause.kind == "command" { " (defib resume)" } else { "" };
        lines.push(format!("    PAUSED by {} until {until}: {}{way_out}", pause.by, pause.reason));
    }
    if let Some(one) = &state.proposal {
        let until = wall::date_time(one.until_ms);
        lines.push(format!("    PROPOSED {} on {} until {until}: defib approve {}", one.playbook, one.node, one.run));
    }
    if let Some(plan) = &state.restoration {
        lines.extend(plan.lines(wall::date_time).into_iter().map(|line| format!("    {line}")));
    }
    if let Some(run) = &state.run {
        lines.push(format!("    {} {} on {} is {}", run.run, run.playbook, run.node, run.phase));
    }
    lines
}

/// A plan with every check.
pub(crate) fn lines(plan: &Offer) -> Vec<String> {
    let called = plan.called_for.as_ref().map_or_else(
        || "no open finding calls for it".to_owned(),
        |finding| format!("called for by {}", name(finding)),
    );
    let word = if plan.would { "PLAN" } else { "HELD" };
    let mut lines = vec![format!("{word}  {} on {}, {called} ({})", plan.playbook, plan.node, plan.class)];
    for (number, step) in plan.steps.iter().enumerate() {
        lines.push(format!("    {}. {step}", number + 1));
    }
    for hold in &plan.holds {
        lines.push(format!("    ✗ {}: {}; lifts {}", hold.check, hold.text, hold.lifts));
    }
    for passed in &plan.passed {
        lines.push(format!("    ✓ {}: {}", passed.check, passed.text));
    }
    lines.push(format!("    limits: {}", plan.limits));
    lines.push(format!("    success: {}", plan.verify));
    lines
}

/// Which plans a person asks about.
pub(crate) struct Wanted<'a> {
    pub(crate) playbook: Option<&'a str>,
    pub(crate) node: Option<&'a str>,
    /// Also what no open finding calls for.
    pub(crate) all: bool,
}

impl Wanted<'_> {
    /// What is to be shown whole, and the rest of what was asked about. Where a playbook or a node was named, all of it is
    /// shown whole, unless everything was asked for: then that is what an open finding calls for, as it is where none was.
    pub(crate) fn split(&self, plans: Vec<Offer>) -> (Vec<Offer>, Vec<Offer>) {
        let named = !self.all && (self.playbook.is_some() || self.node.is_some());
        let mine = |plan: &Offer| {
            self.playbook.is_none_or(|name| plan.playbook == name) && self.node.is_none_or(|name| plan.node == name)
        };
        plans.into_iter().filter(mine).partition(|plan| named || plan.called_for.is_some())
    }
}

/// Every plan in one line: whether it would run, else what holds it first; in the order in which the daemon has them.
pub(crate) fn every<'a>(plans: impl Iterator<Item = &'a Offer>) -> Vec<String> {
    let mut lines = vec!["Every playbook on every node, if a person asks:".to_owned()];
    let mut heading = "";
    for plan in plans {
        let own = match (plan.would, &plan.called_for) {
            (true, _) => "would run",
            (false, Some(_)) => "called for, and held",
            (false, None) => "no open finding calls for it",
        };
        if heading != own {
            lines.push(format!("    {own}:"));
            heading = own;
        }
        let more = match plan.holds.len() {
            0 | 1 => String::new(),
            holds => format!(" (and {} more)", holds - 1),
        };
        let hold = plan.holds.first().map(|hold| format!(": {}: {}{more}", hold.check, hold.text)).unwrap_or_default();
        lines.push(format!("        {} on {}{hold}", plan.playbook, plan.node));
    }
    lines
}

/// That `--all` shows more, where so many plans were left out.
pub(crate) fn left_out(plans: usize) -> Option<String> {
    match plans {
        0 => None,
        1 => Some("1 more plan is left out: --all shows it".to_owned()),
        _ => Some(format!("{plans} more plans are left out: --all shows for each why it would run or not")),
    }
}

fn name(named: &Named) -> String {
    line::named(&named.finding, &named.scope)
}

/// Why nothing is to be done, or nothing may.
pub(super) fn nothing(state: &State, plans: &[Offer]) -> End {
    match (plans, state.verdict) {
        ([], Verdict::Healthy) => End::new(Exit::Well, "nothing-to-do", "nothing is wrong"),
        ([], Verdict::Unknown) => {
            let text = format!("{} conditions cannot be told; nothing was done", state.unknown.len());
            End::new(Exit::CannotTell, "cannot-tell", text)
        }
        ([], Verdict::Outage) => {
            End::new(Exit::Held, "held", "no playbook answers what is wrong: it is left to people; nothing was done")
        }
        // Named by the person, called for by nothing.
        (plans, Verdict::Healthy) if plans.iter().all(|plan| plan.called_for.is_none()) => {
            End::new(Exit::Well, "nothing-to-do", "nothing is wrong that it would answer")
        }
        (plans, _) => {
            let holds = plans.iter().map(|plan| plan.holds.len()).sum::<usize>();
            End::new(Exit::Held, "held", format!("{holds} checks hold; nothing was done"))
        }
    }
}

/// What is being waited for, in words that do not change with every second.
pub(super) fn waiting_for(plans: &[Offer], judged: bool) -> String {
    let holds = plans.iter().flat_map(|plan| plan.holds.iter().map(move |hold| (plan, hold)));
    let mut names: Vec<_> = holds.map(|(plan, hold)| format!("{} on {}", hold.check, plan.node)).collect();
    names.dedup();
    match (judged, names.is_empty()) {
        (true, false) => format!("waiting for what lifts with time: {}", names.join(", ")),
        _ => "asking everything, over every path".to_owned(),
    }
}

/// Asks on the terminal; what cannot be read is no answer. What was typed before the question is not an answer to it. A
/// thread waits, so that everything else goes on; it ends with the program.
pub(super) async fn ask(question: &str) -> String {
    let _ = rustix::termios::tcflush(std::io::stdin(), rustix::termios::QueueSelector::IFlush);
    let _ = write!(std::io::stderr(), "{question}").and_then(|()| std::io::stderr().flush());
    let (heard, answer) = tokio::sync::oneshot::channel();
    let waiting = std::thread::Builder::new().name("question".to_owned()).spawn(move || {
        let mut answer = String::new();
        let _ = std::io::stdin().read_line(&mut answer);
        let _ = heard.send(answer);
    });
    match waiting {
        Ok(_) => answer.await.unwrap_or_default(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Frame, state};
    use defib_engine::status::Status;

    #[test]
    fn a_journal_that_does_not_answer_is_told_wherever_it_was_asked() {
        let told = |status: Option<&Status>| {
            let frame = Frame {
                process: "1".to_owned(),
                cluster: "prod".to_owned(),
                model: false,
                nodes: Vec::new(),
                addresses: Vec::new(),
                armed: Vec::new(),
                mode: "act".to_owned(),
                without_journal: None,
                as_of_ms: 0,
                age_ms: 0,
                now: defib_engine::time::Tick(0),
            };
            headline(&state(frame, status)).iter().any(|line| line.contains("the journal does not answer"))
        };
        assert!(told(Some(&Status::default())));
        assert!(!told(Some(&Status { store_answers: true, ..Status::default() })));
        assert!(!told(None), "nothing was asked of it yet");
    }
}
