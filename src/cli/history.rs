//! `defib history`: the journal, read beside the daemon or after it died.

use super::{Exit, Output, error_line, known, out, out_json, unread};
use crate::config::Config;
use crate::journal::{Reader, RecordRow};
use crate::report::{line, wall};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    defib history --limit 50\n  \
    defib history --cluster prod --output json | jq '.intents'")]
pub(super) struct Typed {
    /// Only this cluster
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// At most so many lines, the newest
    #[arg(short = 'n', long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// How to write the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn main(typed: &Typed, config: &Config) -> Exit {
    if let Some(Err(exit)) = typed.cluster.as_deref().map(|name| known(name, config)) {
        return exit;
    }
    let limit = usize::try_from(typed.limit).unwrap_or(usize::MAX);
    let read = || {
        let reader = Reader::open(&config.journal)?;
        let records = reader.recent_records(limit, typed.cluster.as_deref(), &[])?;
        Ok::<_, crate::journal::JournalError>((records, reader.intents(limit)?, reader.is_model()))
    };
    let (mut records, intents, model) = match read() {
        Ok(read) => read,
        Err(error) => return unread(&error),
    };
    records.rows.reverse();
    let bad = [records.bad.words("record", "seq"), intents.bad.words("intent", "rowid")];
    let bad: Vec<String> = bad.into_iter().flatten().collect();
    if !bad.is_empty() {
        let journal = config.journal.display();
        error_line(&format!("defib: rows of the journal in {journal} were not understood: {}", bad.join(", ")));
    }
    if typed.output == Output::Json {
        let ours = |cluster: &str| typed.cluster.as_deref().is_none_or(|name| name == cluster);
        let intents: Vec<_> =
            intents.rows.iter().rev().filter(|intent| ours(&intent.cluster)).map(intent_json).collect();
        return out_json(&serde_json::json!({
            "version": crate::api::VERSION,
            "model": model,
            "records": records.rows.iter().map(record_json).collect::<Vec<_>>(),
            "intents": intents,
        }));
    }
    if model {
        out(crate::api::MODEL);
    }
    let mut day = String::new();
    for row in &records.rows {
        let Some(line) = line::of_row(row) else { continue };
        let at = wall::date_time(row.at_ms);
        let (date, time) = at.split_once('T').unwrap_or((&at, ""));
        if date != day {
            out(&format!("{date} (UTC)"));
            date.clone_into(&mut day);
        }
        let cluster = if config.clusters.len() > 1 { format!("{} ", row.cluster) } else { String::new() };
        out(&format!("  {time} {cluster}{line}"));
    }
    if records.rows.is_empty() {
        error_line(&match &typed.cluster {
            Some(name) => format!("defib: nothing of {name} in the journal"),
            None => "defib: the journal holds nothing yet".to_owned(),
        });
    }
    Exit::Well
}

fn record_json(row: &RecordRow) -> serde_json::Value {
    serde_json::json!({
        "seq": row.seq, "at_ms": row.at_ms, "cluster": row.cluster, "kind": row.kind, "version": row.version,
        "body": row.body,
    })
}

fn intent_json(intent: &crate::journal::IntentRow) -> serde_json::Value {
    serde_json::json!({
        "step": intent.step, "run": intent.run, "incident": intent.incident, "cluster": intent.cluster,
        "playbook": intent.playbook, "action": intent.action, "node": intent.node, "class": intent.class,
        "reserved_at_ms": intent.reserved_at_ms, "outcome": intent.outcome.map(crate::journal::Outcome::name),
        "detail": intent.detail, "ended_at_ms": intent.ended_at_ms,
    })
}
