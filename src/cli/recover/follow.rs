//! Watching a run to its end: a line a phase, a line a record.
//!
//! A daemon that started again meanwhile knows nothing of the run: then the journal tells what became of it, and a step
//! whose end nobody wrote down is unknown, never undone.

use super::{End, LOOK_EVERY, Talk};
use crate::api::{Offer, Told};
use crate::cli::call::CallError;
use crate::cli::{Exit, Output, out};
use crate::journal::{NewRecord, Outcome, Reader};
use crate::report::{line, wall};

use std::path::Path;
use std::time::Duration;

/// Intents that are looked through for a run of a moment ago.
const INTENTS_MAX: usize = 200;
/// No run takes longer: a step's deadline and its verification are minutes.
const RUN_WITHIN: Duration = Duration::from_secs(30 * 60);

impl Talk<'_> {
    /// Where the story stands; 0 where it cannot be told.
    pub(super) async fn revision(&self) -> u64 {
        let told: Result<Vec<Told>, CallError> = self.caller.get("history").await;
        told.ok().and_then(|told| told.last().map(|last| last.revision)).unwrap_or(0)
    }

    /// Follows a run that this process began until it has ended; says how.
    pub(super) async fn follow(&self, run: &str, mut after: u64, process: &str) -> End {
        let began = tokio::time::Instant::now();
        let mut phase = String::new();
        loop {
            // The state first: a run that is gone from it has left its record by then.
            let looked = async {
                let state = self.state().await?;
                let told: Vec<Told> = self.caller.get(&format!("history?after={after}")).await?;
                Ok::<_, CallError>((state, told))
            };
            let (state, told) = match looked.await {
                Ok(looked) => looked,
                Err(error) => {
                    let text = format!("{error}; whether {run} goes on is unknown, `defib status` tells");
                    return End::new(Exit::CannotTell, "cannot-tell", text);
                }
            };
            if state.process != process {
                return remembered(self.caller.journal(), self.cluster, run);
            }
            for record in &told {
                after = record.revision;
                if let Some(end) = self.heard(run, record) {
                    return end;
                }
            }
            match state.run.filter(|under_way| under_way.run == run) {
                Some(under_way) if under_way.phase != phase => {
                    self.tell(&format!("… {run} {} on {}: {}", under_way.playbook, under_way.node, under_way.phase));
                    phase = under_way.phase;
                }
                Some(_) => {}
                None => return self.withdrawn(run).await,
            }
            if began.elapsed() > RUN_WITHIN {
                let text = format!("{run} has not ended within {} minutes", RUN_WITHIN.as_secs() / 60);
                return End::new(Exit::CannotTell, "cannot-tell", text);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn tell(&self, text: &str) {
        if self.typed.output == Output::Text {
            out(text);
        }
    }

    /// Shows a record of the run; its end is the end.
    fn heard(&self, run: &str, record: &Told) -> Option<End> {
        let field = |name: &str| record.body.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
        if record.cluster != self.cluster || field("run") != run {
            return None;
        }
        let row = NewRecord {
            at_ms: record.at_ms,
            cluster: record.cluster.clone(),
            kind: record.kind.clone(),
            version: record.version,
            body: record.body.clone(),
        };
        if let Some(line) = line::of_new(&row) {
            self.tell(&format!("{} {line}", wall::time(record.at_ms)));
        }
        let text = format!("{run}: {}", field("text"));
        match (record.kind.as_str(), field("state")) {
            ("run", "told") => Some(End::new(Exit::Well, "told", text)),
            ("run", "recovered") => Some(End::new(Exit::Well, "recovered", text)),
            ("run", "withdrawn") => Some(End::new(Exit::Held, "held", text)),
            ("run", _) => Some(End::new(Exit::Unhealthy, "not-recovered", format!("{text}; a person is needed"))),
            _ => None,
        }
    }

    /// The run is gone without a word: its fresh probes did not pass, so nothing was reserved.
    async fn withdrawn(&self, run: &str) -> End {
        let why = match self.look().await {
            Ok(found) => found.plans.iter().find(|plan| !plan.would).map(why),
            Err(_) => None,
        };
        let why = why.unwrap_or_else(|| "a check no longer passed on fresh probes".to_owned());
        End::new(Exit::Held, "held", format!("{run} was not begun: {why}; nothing was done"))
    }
}

/// What the journal knows of a run whose daemon is gone.
fn remembered(journal: &Path, cluster: &str, run: &str) -> End {
    let cannot_tell = |text: String| End::new(Exit::CannotTell, "cannot-tell", text);
    let intents = match Reader::open(journal).and_then(|reader| reader.intents(INTENTS_MAX)) {
        Ok(intents) => intents.rows,
        Err(error) => return cannot_tell(format!("defib started again, and what became of {run} is unknown: {error}")),
    };
    let ours: Vec<_> = intents.iter().filter(|intent| intent.cluster == cluster && intent.run == run).collect();
    let Some(intent) = ours.first() else {
        let text = format!("defib started again before {run} had reserved anything; nothing was done");
        return End::new(Exit::Held, "held", text);
    };
    let (action, node) = (&intent.action, &intent.node);
    cannot_tell(match intent.outcome {
        Some(Outcome::Done) => {
            format!("defib started again: {run} did {action} on {node}; whether it helped, `defib status` tells")
        }
        Some(Outcome::Failed | Outcome::Withdrawn) => {
            format!("defib started again: {action} on {node} of {run} was not done; `defib history` tells")
        }
        Some(Outcome::Unknown) | None => {
            format!(
                "defib started again while {run} was under way: whether {action} on {node} was done is unknown, and counts as done"
            )
        }
    })
}

fn why(plan: &Offer) -> String {
    let holds: Vec<_> = plan.holds.iter().map(|hold| format!("{}: {}", hold.check, hold.text)).collect();
    holds.join("; ")
}

#[cfg(test)]
mod tests {
    use defib_engine::time::UnixMs;

    use super::*;
    use crate::journal::{Ended, IntentRow, Journal, WriteBatch};

    fn write(journal: &Journal, batch: WriteBatch) {
        let (done, written) = std::sync::mpsc::channel();
        journal.append(batch, move |result| done.send(result).unwrap());
        written.recv().unwrap().unwrap();
    }

    #[test]
    fn what_became_of_a_run_is_never_undone_by_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), UnixMs(1)).unwrap().journal;
        let intent = IntentRow {
            step: "prod/R-7/2".to_owned(),
            run: "R-7".to_owned(),
            incident: None,
            cluster: "prod".to_owned(),
            playbook: "restart-kubelet".to_owned(),
            action: "restart-service kubelet".to_owned(),
            node: "cp1".to_owned(),
            class: "service".to_owned(),
            reserved_at_ms: 1,
            reserved_boot: None,
            outcome: None,
            detail: None,
            ended_at_ms: None,
        };
        write(&journal, WriteBatch { intents: vec![intent], ..WriteBatch::default() });
        let told = |run: &str| {
            let end = remembered(folder.path(), "prod", run);
            (end.exit, end.result, end.text)
        };
        let (exit, result, text) = told("R-7");
        assert_eq!((exit, result), (Exit::CannotTell, "cannot-tell"));
        assert!(text.contains("whether restart-service kubelet on cp1 was done is unknown"), "{text}");
        let (exit, result, text) = told("R-8");
        assert_eq!((exit, result), (Exit::Held, "held"), "{text}");
        let (outcome, detail) = (Outcome::Done, String::new());
        let ended = Ended { step: "prod/R-7/2".to_owned(), outcome, detail, ended_at_ms: 2 };
        write(&journal, WriteBatch { outcomes: vec![ended], ..WriteBatch::default() });
        let (exit, _, text) = told("R-7");
        assert_eq!(exit, Exit::CannotTell);
        assert!(text.contains("did restart-service kubelet on cp1"), "{text}");
    }
}
