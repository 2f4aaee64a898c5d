//! The reading thread.

use rusqlite::{Connection, OptionalExtension as _, Row};
use tokio::sync::mpsc;

use crate::keyvalue::{Entry, Revision};

/// A read, with the way back for its answer inside.
pub(super) type ReadJob = Box<dyn FnOnce(&Connection) + Send>;

/// Greatest character: no key contains it, so `prefix` + it is behind every key of the prefix.
const LAST_CHARACTER: char = char::MAX;

/// Runs jobs until the store is dropped.
pub(super) fn run(connection: &Connection, mut queue: mpsc::Receiver<ReadJob>) {
    while let Some(job) = queue.blocking_recv() {
        job(connection);
    }
}

pub(super) fn get(connection: &Connection, key: String) -> rusqlite::Result<Option<Entry>> {
    let mut statement = connection.prepare_cached("SELECT revision, value FROM entry WHERE key = ?1")?;
    let found = statement.query_row([&key], |row| Ok((revision(row, 0)?, row.get::<_, Vec<u8>>(1)?))).optional()?;
    Ok(found.map(|(revision, value)| Entry { key, value: value.into(), revision }))
}

pub(super) fn list(connection: &Connection, prefix: &str, after: &str, limit: usize) -> rusqlite::Result<Vec<Entry>> {
    let mut statement = connection.prepare_cached(
        "SELECT key, revision, value FROM entry
         WHERE key >= ?1 AND key < ?2 AND key > ?3 ORDER BY key LIMIT ?4",
    )?;
    let end = format!("{prefix}{LAST_CHARACTER}");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map((prefix, end, after, limit), |row| {
        Ok(Entry { key: row.get(0)?, revision: revision(row, 1)?, value: row.get::<_, Vec<u8>>(2)?.into() })
    })?;
    rows.collect()
}

fn revision(row: &Row<'_>, column: usize) -> rusqlite::Result<Revision> {
    Ok(Revision(row.get::<_, i64>(column)?.cast_unsigned()))
}
