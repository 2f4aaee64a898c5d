//! The handle of the recorder.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::SystemTime;

use thiserror::Error;
use time::Date;
use tokio::sync::{Semaphore, broadcast, oneshot};
use tokio::task::spawn_blocking;
use wuwei_model::{FunctionKey, FunctionVersion};

use crate::events::{self, EventPage, EventQuery};
use crate::files;
use crate::followers::Followers;
use crate::holdings::LogLimits;
use crate::ledger::{Ledger, UsageRow};
use crate::meter::{FunctionCounts, Meters};
use crate::queue::{Item, Limits, Queue};
use crate::read;
use crate::record::LogRecord;
use crate::stream::LogStream;
use crate::streams::{LogSummary, StreamIndex};
use crate::writer::Writer;

/// Logs that are looked through at a time.
const LOOKERS_MAX: usize = 4;

/// Why a log cannot be kept, read or removed: the platform's fault.
#[derive(Debug, Error)]
pub enum RecorderError {
    /// A file operation failed.
    #[error("{operation} `{}`", .path.display())]
    Io {
        /// For example `open the log directory`.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The writing thread is gone.
    #[error("the recorder has stopped")]
    Stopped,
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RecorderError {
    let path = path.to_owned();
    move |source| RecorderError::Io { operation, path, source }
}

/// Handle, cheap to clone. Writes are buffered (bounded) and reach the disk off the invocation's path.
///
/// When the last handle and the last [`LogStream`] are dropped, what waits is written and the thread joined.
#[derive(Clone, Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
}

/// What handles and streams share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) queue: Arc<Queue>,
    pub(crate) meters: Meters,
    pub(crate) ledger: Ledger,
    followers: Arc<Followers>,
    streams: Mutex<StreamIndex>,
    /// Who looks through logs: a few at a time, so that nobody keeps the processors and the disk from calls.
    lookers: Semaphore,
    directory: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Makes the directories of logs and ledger (0700) if need be, removes what is beyond the limits, and starts the
    /// writing threads. Logs that are too old are removed by [`Recorder::retain`], and then every day.
    pub fn open(directory: &Path, ledger: &Path, disk: LogLimits) -> Result<Self, RecorderError> {
        let limits = Limits { disk, ..Limits::default() };
        let (mut shared, writer) = assemble(directory, ledger, limits, SystemTime::now())?;
        let thread = std::thread::Builder::new().name("recorder".to_owned()).spawn(move || writer.run());
        shared.thread = Some(thread.map_err(failed("start a thread for", directory))?);
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Opens the stream `YYYY/MM/DD/[version]<instance id>` of an instance. Writes nothing yet.
    #[must_use]
    pub fn stream(&self, function: &FunctionVersion, instance_id: &str) -> LogStream {
        LogStream::new(Arc::clone(&self.shared), function, instance_id, SystemTime::now())
    }

    /// A call was refused with 429 before it reached an instance.
    pub fn throttled(&self, function: &FunctionKey) {
        self.shared.meters.of(function).throttled();
    }

    /// What was counted since the start.
    #[must_use]
    pub fn snapshot(&self) -> RecorderSnapshot {
        let Shared { meters, ledger, .. } = &*self.shared;
        let (functions, others) = meters.read();
        RecorderSnapshot {
            functions,
            others,
            lost_log_lines: meters.lost_log_lines(),
            ledger_entries: ledger.written(),
            lost_ledger_entries: ledger.lost(),
        }
    }

    /// What every function used on each of these days (UTC, both included), from the ledger: also what was used before
    /// this server started, or by functions that are gone.
    pub async fn usage(&self, first: Date, last: Date) -> Result<Vec<UsageRow>, RecorderError> {
        let rows = self.shared.ledger.usage(first, last).await;
        rows.map_err(failed("sum the ledger beside", &self.shared.directory))
    }

    /// Records in order of time, newest `limit`, not before `since_ms`.
    ///
    /// Everything is there that was handed to a stream before the call.
    pub async fn read(
        &self,
        function: &FunctionKey,
        since_ms: i64,
        limit: usize,
    ) -> Result<Vec<LogRecord>, RecorderError> {
        self.barrier(false).await?;
        let directory = files::function_directory(&self.shared.directory, function);
        let path = directory.clone();
        let records = spawn_blocking(move || read::newest(&directory, since_ms, limit)).await;
        records.map_err(io::Error::other).flatten().map_err(failed("read the log", &path))
    }

    /// A piece of a function's log: records of which `keep` holds.
    ///
    /// Everything is there that was handed to a stream before the call.
    pub async fn events(
        &self,
        function: &FunctionKey,
        query: EventQuery,
        keep: impl Fn(&LogRecord) -> bool + Send + 'static,
    ) -> Result<EventPage, RecorderError> {
        self.barrier(false).await?;
        let _one = self.shared.lookers.acquire().await;
        let directory = files::function_directory(&self.shared.directory, function);
        let path = directory.clone();
        let page = spawn_blocking(move || events::read(&directory, &query, &keep)).await;
        page.map_err(io::Error::other).flatten().map_err(failed("read the log", &path))
    }

    /// Streams and size of a function's log.
    pub async fn summary(&self, function: &FunctionKey) -> Result<LogSummary, RecorderError> {
        self.barrier(false).await?;
        let _one = self.shared.lookers.acquire().await;
        let directory = files::function_directory(&self.shared.directory, function);
        let (path, shared) = (directory.clone(), Arc::clone(&self.shared));
        let summary =
            spawn_blocking(move || shared.streams.lock().unwrap_or_else(PoisonError::into_inner).summary(&directory));
        summary.await.map_err(io::Error::other).flatten().map_err(failed("read the log", &path))
    }

    /// Keeps the logs of these functions for so many days and all others for 14, from now on; removes at once what is
    /// older.
    pub async fn retain(&self, days: impl IntoIterator<Item = (FunctionKey, u32)>) -> Result<(), RecorderError> {
        let directory = &self.shared.directory;
        let days = days.into_iter().map(|(key, days)| (files::function_directory(directory, &key), i64::from(days)));
        let (done, is_done) = oneshot::channel();
        self.shared.queue.request(Item::Retain { days: days.collect(), done });
        let result = is_done.await.ok().ok_or(RecorderError::Stopped)?;
        result.map_err(failed("remove old logs in", directory))
    }

    /// Removes the log of a function, or one stream of it; its numbers stay. Streams that are still open go on.
    pub async fn clear(&self, function: &FunctionKey, stream: Option<&str>) -> Result<(), RecorderError> {
        let (done, is_done) = oneshot::channel();
        let stream = stream.map(str::to_owned);
        self.shared.queue.request(Item::Forget { function: function.clone(), stream, done });
        let directory = files::function_directory(&self.shared.directory, function);
        let result = is_done.await.ok().ok_or(RecorderError::Stopped)?;
        result.map_err(failed("remove the log", &directory))
    }

    /// New records of a function as they are written (lagging readers lose records and are told how many).
    ///
    /// Whoever wants all of them follows first and reads then: a record that is shown can be read.
    #[must_use]
    pub fn follow(&self, function: &FunctionKey) -> broadcast::Receiver<LogRecord> {
        self.shared.followers.follow(function)
    }

    /// Removes all logs of a function and its numbers; the ledger keeps what it used. Streams that are still open go on
    /// with an empty log.
    pub async fn forget(&self, function: &FunctionKey) -> Result<(), RecorderError> {
        self.shared.meters.forget(function);
        self.clear(function, None).await
    }

    /// Everything written so far is on disk when this returns. A recorder that has stopped has nothing to flush.
    pub async fn flush(&self) {
        if let Err(error) = self.barrier(true).await {
            tracing::error!(%error, "the log cannot be flushed");
        }
        if let Err(error) = self.shared.ledger.sync().await {
            tracing::error!(%error, "the ledger cannot be flushed");
        }
    }

    /// Waits until all that was queued before is in the files.
    async fn barrier(&self, sync: bool) -> Result<(), RecorderError> {
        let (done, is_done) = oneshot::channel();
        self.shared.queue.request(Item::Barrier { sync, done });
        let result = is_done.await.ok().ok_or(RecorderError::Stopped)?;
        result.map_err(failed("sync the logs in", &self.shared.directory))
    }
}

/// What was counted since the start.
#[derive(Clone, Debug, Default)]
pub struct RecorderSnapshot {
    /// The functions that are counted one by one, in order.
    pub functions: Vec<(FunctionKey, FunctionCounts)>,
    /// All others together.
    pub others: FunctionCounts,
    /// Lines of all functions that were lost because they came too fast.
    pub lost_log_lines: u64,
    /// Entries of the ledger that reached the disk.
    pub ledger_entries: u64,
    /// Entries of the ledger that the disk refused for good.
    pub lost_ledger_entries: u64,
}

/// All but the logs' thread.
fn assemble(
    directory: &Path,
    ledger: &Path,
    limits: Limits,
    now: SystemTime,
) -> Result<(Shared, Writer), RecorderError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(failed("make the log directory", directory))?;
    let queue = Arc::new(Queue::new(limits));
    let followers = Arc::new(Followers::default());
    let writer = Writer::new(directory.to_owned(), Arc::clone(&queue), Arc::clone(&followers), limits.disk, now)
        .map_err(failed("tidy up the log directory", directory))?;
    let ledger = Ledger::open(ledger).map_err(failed("open the ledger", ledger))?;
    let meters = Meters::new(limits.rate);
    let streams = Mutex::default();
    let lookers = Semaphore::new(LOOKERS_MAX);
    Ok((
        Shared { queue, meters, ledger, followers, streams, lookers, directory: directory.to_owned(), thread: None },
        writer,
    ))
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.close();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the recorder's thread panicked");
        }
    }
}

#[cfg(test)]
impl Recorder {
    /// A recorder whose writer works only when it is told to.
    pub(crate) fn held(directory: &Path, limits: Limits) -> (Self, Writer) {
        let (shared, writer) = assemble(directory, &directory.join("ledger"), limits, SystemTime::now()).unwrap();
        (Self { shared: Arc::new(shared) }, writer)
    }
}

#[cfg(test)]
mod tests;
