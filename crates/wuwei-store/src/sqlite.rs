//! [`KeyValue`] on an SQLite file: one writer and one reader, each a named thread with its own connection.
//!
//! Writes that wait together share a transaction and one fsync, then all of them are answered. When a queue is full
//! its senders wait.

mod reader;
mod writer;

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, OpenFlags};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::keyvalue::{Entry, Expected, KeyValue, KeyValueError, Revision};
use crate::schema::{self, Migration, SchemaError};
use reader::ReadJob;
use writer::{Action, Write, WriteResult};

/// Requests that may wait for a thread before their senders do.
const QUEUE_LENGTH: usize = 256;
/// How long a connection waits for a lock that the other one holds; only checkpoints and recovery take such locks.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the database cannot be opened.
#[derive(Debug, Error)]
pub enum OpenDatabaseError {
    /// SQLite or the system refused.
    #[error("open database `{}`", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The file system gives no write-ahead log (network file systems do not).
    #[error("database `{}` cannot use a write-ahead log here (journal mode `{mode}`): choose a local file system", .path.display())]
    NoWriteAheadLog {
        /// The file.
        path: PathBuf,
        /// What SQLite uses instead.
        mode: String,
    },
    /// The layout is not ours, too new, or could not be upgraded.
    #[error("database `{}`", .path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Which of these.
        #[source]
        source: SchemaError,
    },
}

/// Version of the database at `path` without changing it; 0 when there is none or it is empty.
pub(crate) fn schema_version(path: &Path, migrations: &[Migration]) -> Result<u32, OpenDatabaseError> {
    if !path.exists() {
        return Ok(0);
    }
    let connection = Connection::open(path).map_err(|source| open_failed(path, source))?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(|source| open_failed(path, source))?;
    schema::version_of(&connection, migrations).map_err(|source| schema_failed(path, source))
}

fn open_failed(path: &Path, source: impl Into<Box<dyn Error + Send + Sync>>) -> OpenDatabaseError {
    OpenDatabaseError::Open { path: path.to_owned(), source: source.into() }
}

fn schema_failed(path: &Path, source: SchemaError) -> OpenDatabaseError {
    OpenDatabaseError::Schema { path: path.to_owned(), source }
}

/// The embedded implementation. Dropping it finishes what is queued, folds the log into the file and joins its threads.
pub(crate) struct SqliteKeyValue {
    // The reader goes first: only the writer may fold the log, and only the last connection removes it.
    reader: Worker<ReadJob>,
    writer: Worker<Write>,
    generation: Arc<AtomicU64>,
}

impl SqliteKeyValue {
    /// Opens or makes the database, brings it to the last of `migrations`, and starts the threads. Blocks.
    pub(crate) fn open(path: &Path, migrations: &[Migration]) -> Result<Self, OpenDatabaseError> {
        // First of all, so that a file that is not for us stays as it is.
        schema_version(path, migrations)?;
        let mut writer = Connection::open(path).map_err(|source| open_failed(path, source))?;
        let mode = configure(&writer).map_err(|source| open_failed(path, source))?;
        if mode != "wal" {
            return Err(OpenDatabaseError::NoWriteAheadLog { path: path.to_owned(), mode });
        }
        schema::upgrade(&mut writer, migrations).map_err(|source| schema_failed(path, source))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(path, flags).map_err(|source| open_failed(path, source))?;
        reader.busy_timeout(BUSY_TIMEOUT).map_err(|source| open_failed(path, source))?;
        let log = write_ahead_log(path);
        let reader = Worker::start("store-reader", move |queue| reader::run(&reader, queue));
        let generation = Arc::new(AtomicU64::new(0));
        let changes = Arc::clone(&generation);
        let writer = Worker::start("store-writer", move |queue| writer::run(writer, queue, &log, &changes));
        Ok(Self {
            reader: reader.map_err(|source| open_failed(path, source))?,
            writer: writer.map_err(|source| open_failed(path, source))?,
            generation,
        })
    }

    async fn write(&self, key: &str, action: Action) -> WriteResult {
        let (answer, answered) = oneshot::channel();
        self.writer.send(Write { key: key.to_owned(), action, answer }).await?;
        answered.await.ok().ok_or(KeyValueError::Stopped)?
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, KeyValueError> {
        let (answer, answered) = oneshot::channel();
        let job: ReadJob = Box::new(move |connection| {
            // A caller that has gone away wants no answer.
            drop(answer.send(read(connection)));
        });
        self.reader.send(job).await?;
        let result = answered.await.ok().ok_or(KeyValueError::Stopped)?;
        result.map_err(|source| backend("read", source))
    }
}

/// A named thread behind its bounded queue; dropping it lets the thread finish the queue, and joins it.
struct Worker<T> {
    // Both are there until the drop, which has to close the queue before it joins the thread.
    queue: Option<mpsc::Sender<T>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Worker<T> {
    fn start(name: &str, run: impl FnOnce(mpsc::Receiver<T>) + Send + 'static) -> io::Result<Self> {
        let (queue, receiver) = mpsc::channel(QUEUE_LENGTH);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || run(receiver))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    async fn send(&self, item: T) -> Result<(), KeyValueError> {
        let queue = self.queue.as_ref().ok_or(KeyValueError::Stopped)?;
        queue.send(item).await.ok().ok_or(KeyValueError::Stopped)
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        self.queue = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("a thread of the store panicked");
        }
    }
}

fn write_ahead_log(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

fn backend(operation: &'static str, source: rusqlite::Error) -> KeyValueError {
    KeyValueError::Backend { operation, source: Arc::new(source) }
}

/// Durable commits, checkpoints only when the writer asks for them. Returns the journal mode in force.
fn configure(connection: &Connection) -> rusqlite::Result<String> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let mode = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    Ok(mode)
}

#[async_trait]
impl KeyValue for SqliteKeyValue {
    async fn get(&self, key: &str) -> Result<Option<Entry>, KeyValueError> {
        let key = key.to_owned();
        self.read(move |connection| reader::get(connection, key)).await
    }

    async fn put(&self, key: &str, value: Bytes, expected: Expected) -> Result<Revision, KeyValueError> {
        let written = self.write(key, Action::Put { value, expected }).await?;
        Ok(written.expect("a put has a revision or an error"))
    }

    async fn delete(&self, key: &str, expected: Option<Revision>) -> Result<bool, KeyValueError> {
        Ok(self.write(key, Action::Delete { expected }).await?.is_some())
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Entry>, KeyValueError> {
        let (prefix, after) = (prefix.to_owned(), after.unwrap_or_default().to_owned());
        self.read(move |connection| reader::list(connection, &prefix, &after, limit)).await
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests;
