//! The writing thread: batches, compare-and-set, checkpoints.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::keyvalue::{Expected, KeyValueError, Revision};

/// Writes that share one transaction at most.
const BATCH_LENGTH: usize = 64;
/// Written since the last checkpoint, in bytes, before an idle writer makes one.
const IDLE_CHECKPOINT_BYTES: u64 = 4 * 1024 * 1024;
/// Size of the log from which the writer cuts it, idle or not.
const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Pages that a small write dirties, roughly: the leaf, its parents, the counter.
const PAGES_PER_WRITE_BYTES: u64 = 4 * 4096;

/// One write, with the way back for its answer.
pub(super) struct Write {
    pub(super) key: String,
    pub(super) action: Action,
    /// Gets the revision that was written or removed; `None` when there was nothing to remove.
    pub(super) answer: oneshot::Sender<WriteResult>,
}

pub(super) type WriteResult = Result<Option<Revision>, KeyValueError>;

/// What to do with a key.
pub(super) enum Action {
    /// See [`crate::KeyValue::put`].
    Put { value: Bytes, expected: Expected },
    /// See [`crate::KeyValue::delete`].
    Delete { expected: Option<Revision> },
}

/// Runs writes until the store is dropped, then folds the log into the database. `generation` grows with each batch.
pub(super) fn run(mut connection: Connection, mut queue: mpsc::Receiver<Write>, log: &Path, generation: &AtomicU64) {
    let mut batch = Vec::with_capacity(BATCH_LENGTH);
    let mut written_bytes = 0;
    while let Some(first) = queue.blocking_recv() {
        batch.push(first);
        while batch.len() < BATCH_LENGTH
            && let Ok(next) = queue.try_recv()
        {
            batch.push(next);
        }
        written_bytes += batch.iter().map(size_bytes).sum::<u64>();
        if let Err(failure) = commit(&mut connection, &mut batch, generation) {
            tracing::error!(error = %failure, "the store cannot write");
            if lost_a_write(&failure) {
                // After a failed fsync nobody knows what is on the disk, and trying again would only hide it: the
                // queue closes here, and every later write is answered with `Stopped`.
                return;
            }
        }
        if log.metadata().is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX) {
            checkpoint(&connection, "TRUNCATE");
            written_bytes = 0;
        } else if written_bytes > IDLE_CHECKPOINT_BYTES && queue.is_empty() {
            checkpoint(&connection, "PASSIVE");
            written_bytes = 0;
        }
    }
    checkpoint(&connection, "TRUNCATE");
}

fn size_bytes(write: &Write) -> u64 {
    match &write.action {
        Action::Put { value, .. } => PAGES_PER_WRITE_BYTES + u64::try_from(value.len()).unwrap_or(u64::MAX),
        Action::Delete { .. } => PAGES_PER_WRITE_BYTES,
    }
}

fn checkpoint(connection: &Connection, mode: &str) {
    // Busy is no failure: a reader is in the log, the next checkpoint will get further.
    if let Err(error) = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())) {
        tracing::warn!(%error, mode, "the store cannot make a checkpoint");
    }
}

fn lost_a_write(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// Makes all writes of the batch durable, or none, and answers them.
fn commit(
    connection: &mut Connection,
    batch: &mut Vec<Write>,
    generation: &AtomicU64,
) -> Result<(), Arc<rusqlite::Error>> {
    let committed = try_commit(connection, batch).map_err(Arc::new);
    // Also after a failure: what has become of the writes then is not known.
    generation.fetch_add(1, Ordering::SeqCst);
    // A caller that has gone away wants no answer: the results of `send` are dropped.
    match &committed {
        Ok(results) => {
            for (write, result) in batch.drain(..).zip(results) {
                drop(write.answer.send(result.clone()));
            }
        }
        Err(error) => {
            for write in batch.drain(..) {
                let source = Arc::clone(error);
                drop(write.answer.send(Err(KeyValueError::Backend { operation: "write", source })));
            }
        }
    }
    committed.map(drop)
}

fn try_commit(connection: &mut Connection, batch: &[Write]) -> rusqlite::Result<Vec<WriteResult>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let results = batch.iter().map(|write| apply(&transaction, write)).collect::<rusqlite::Result<_>>()?;
    transaction.commit()?;
    Ok(results)
}

fn apply(transaction: &Transaction<'_>, write: &Write) -> rusqlite::Result<WriteResult> {
    match &write.action {
        Action::Put { value, expected } => put(transaction, &write.key, value, *expected),
        Action::Delete { expected } => delete(transaction, &write.key, *expected),
    }
}

fn revision_of(transaction: &Transaction<'_>, key: &str) -> rusqlite::Result<Option<Revision>> {
    let mut statement = transaction.prepare_cached("SELECT revision FROM entry WHERE key = ?1")?;
    let revision = statement.query_row([key], |row| row.get::<_, i64>(0)).optional()?;
    Ok(revision.map(|revision| Revision(revision.cast_unsigned())))
}

fn put(transaction: &Transaction<'_>, key: &str, value: &[u8], expected: Expected) -> rusqlite::Result<WriteResult> {
    let wanted = match expected {
        Expected::Absent => None,
        Expected::Revision(revision) => Some(revision),
    };
    if revision_of(transaction, key)? != wanted {
        return Ok(Err(KeyValueError::Conflict { key: key.to_owned() }));
    }
    let revision: i64 = transaction
        .prepare_cached("UPDATE revision_counter SET last = last + 1 RETURNING last")?
        .query_row([], |row| row.get(0))?;
    transaction
        .prepare_cached("INSERT OR REPLACE INTO entry (key, revision, value) VALUES (?1, ?2, ?3)")?
        .execute((key, revision, value))?;
    Ok(Ok(Some(Revision(revision.cast_unsigned()))))
}

fn delete(transaction: &Transaction<'_>, key: &str, expected: Option<Revision>) -> rusqlite::Result<WriteResult> {
    let found = revision_of(transaction, key)?;
    if found.is_none() {
        return Ok(Ok(None));
    }
    if expected.is_some() && expected != found {
        return Ok(Err(KeyValueError::Conflict { key: key.to_owned() }));
    }
    transaction.prepare_cached("DELETE FROM entry WHERE key = ?1")?.execute([key])?;
    Ok(Ok(found))
}
