//! The writer thread: takes batches from the queue, commits them in groups, answers each after its commit.

use std::path::PathBuf;
use std::sync::mpsc::Receiver;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::error::JournalError;
use super::prune;
use super::row::{INTENT_COLUMNS, WriteBatch};

/// So many batches share one commit at most: it bounds how long the first of them waits.
const GROUP_MAX: usize = 64;
/// A record's body may have so many bytes.
pub(super) const BODY_BYTES_MAX: usize = 256 * 1024;
/// An outcome's words are cut after so many bytes.
const DETAIL_BYTES_MAX: usize = 4 * 1024;

/// What is told to whoever handed in a batch.
pub(super) type Reply = Box<dyn FnOnce(Result<(), JournalError>) + Send>;

/// A batch on its way to the disk.
pub(super) struct Job {
    pub(super) batch: WriteBatch,
    pub(super) reply: Reply,
}

/// The only holder of a connection that writes.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) file: PathBuf,
    pub(super) pages_max: u32,
    pub(super) jobs: Receiver<Job>,
}

impl Writer {
    /// Writes until every sender is gone and the queue is empty.
    pub(super) fn run(mut self) {
        let mut broken: Option<JournalError> = None;
        let mut records_since_prune = 0;
        let mut newest_ms = i64::MIN;
        while let Ok(first) = self.jobs.recv() {
            let group = self.group(first);
            if let Some(error) = &broken {
                answer(group, || Err(error.clone()));
                continue;
            }
            for record in group.iter().flat_map(|job| &job.batch.records) {
                records_since_prune += 1;
                newest_ms = newest_ms.max(record.at_ms);
            }
            broken = self.commit(group);
            if broken.is_none() && records_since_prune >= prune::EVERY_RECORDS {
                records_since_prune = 0;
                if let Err(error) = prune::prune(&mut self.connection, newest_ms, self.pages_max) {
                    tracing::warn!(file = %self.file.display(), %error, "cannot prune the journal");
                }
            }
        }
    }

    /// The first batch and those that wait behind it. An intent ends the group: nothing may delay it further.
    fn group(&self, first: Job) -> Vec<Job> {
        let mut group = vec![first];
        while group.len() < GROUP_MAX && group.last().is_some_and(|job| job.batch.intents.is_empty()) {
            match self.jobs.try_recv() {
                Ok(job) => group.push(job),
                Err(_) => break,
            }
        }
        group
    }

    /// Commits a group and answers it. A group that fails is tried again one by one, so that a bad batch fails alone.
    /// Returns the error after which nothing may be written any more.
    fn commit(&mut self, group: Vec<Job>) -> Option<JournalError> {
        let batches: Vec<&WriteBatch> = group.iter().map(|job| &job.batch).collect();
        let result = self.write(&batches);
        let alone = group.len() == 1;
        match result {
            Ok(()) => {
                answer(group, || Ok(()));
                None
            }
            Err(error) if alone || error.is_final() => {
                let last = error.is_final().then(|| error.clone());
                answer(group, || Err(error.clone()));
                last
            }
            Err(_) => {
                let mut broken = None;
                for job in group {
                    broken = match broken {
                        None => self.commit(vec![job]),
                        Some(error) => {
                            answer(vec![job], || Err(JournalError::clone(&error)));
                            Some(error)
                        }
                    };
                }
                broken
            }
        }
    }

    fn write(&mut self, batches: &[&WriteBatch]) -> Result<(), JournalError> {
        let failed = JournalError::sqlite("write to", &self.file);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        for batch in batches {
            insert(&transaction, batch, &failed)?;
        }
        transaction.commit().map_err(&failed)
    }
}

fn answer(group: Vec<Job>, result: impl Fn() -> Result<(), JournalError>) {
    for job in group {
        (job.reply)(result());
    }
}

fn insert(
    transaction: &Transaction<'_>,
    batch: &WriteBatch,
    failed: &impl Fn(rusqlite::Error) -> JournalError,
) -> Result<(), JournalError> {
    let mut statement = transaction
        .prepare(&format!(
            "INSERT INTO intent ({INTENT_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
        ))
        .map_err(failed)?;
    for intent in &batch.intents {
        statement
            .execute(params![
                intent.step,
                intent.run,
                intent.incident,
                intent.cluster,
                intent.playbook,
                intent.action,
                intent.node,
                intent.class,
                intent.reserved_at_ms,
                intent.outcome.map(|outcome| outcome.name()),
                intent.detail.as_deref().map(clip),
                intent.ended_at_ms,
                intent.reserved_boot.as_ref().map(|boot| &boot.id),
                intent.reserved_boot.as_ref().map(|boot| i64::try_from(boot.up.as_millis()).unwrap_or(i64::MAX)),
            ])
            .map_err(failed)?;
    }

    let mut statement = transaction
        .prepare("UPDATE intent SET outcome = ?2, detail = ?3, ended_at_ms = ?4 WHERE step = ?1 AND outcome IS NULL")
        .map_err(failed)?;
    for ended in &batch.outcomes {
        let changed = statement
            .execute(params![ended.step, ended.outcome.name(), clip(&ended.detail), ended.ended_at_ms])
            .map_err(failed)?;
        if changed == 0 {
            return Err(JournalError::NoIntent(ended.step.clone()));
        }
    }

    let mut statement = transaction
        .prepare("INSERT INTO record (at_ms, cluster, kind, version, body) VALUES (?1, ?2, ?3, ?4, ?5)")
        .map_err(failed)?;
    for record in &batch.records {
        let body = record.body.to_string();
        if body.len() > BODY_BYTES_MAX {
            return Err(JournalError::TooLarge { kind: record.kind.clone(), bytes: body.len(), limit: BODY_BYTES_MAX });
        }
        statement.execute(params![record.at_ms, record.cluster, record.kind, record.version, body]).map_err(failed)?;
    }
    Ok(())
}

fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(DETAIL_BYTES_MAX)]
}
