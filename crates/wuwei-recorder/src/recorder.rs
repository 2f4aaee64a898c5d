//! The handle of the recorder.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::SystemTime;

use thiserror::Error;
use tokio::sync::{broadcast, oneshot};
use tokio::task::spawn_blocking;
use wuwei_model::{FunctionKey, Version};

use crate::files;
use crate::followers::Followers;
use crate::queue::{Item, Limits, Queue};
use crate::read;
use crate::record::LogRecord;
use crate::stream::LogStream;
use crate::writer::Writer;

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
    followers: Arc<Followers>,
    directory: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Makes `directory` (0700) if need be, removes logs older than 14 days, and starts the writing thread.
    pub fn open(directory: &Path) -> Result<Self, RecorderError> {
        let (mut shared, writer) = assemble(directory, Limits::default(), SystemTime::now())?;
        let thread = std::thread::Builder::new().name("recorder".to_owned()).spawn(move || writer.run());
        shared.thread = Some(thread.map_err(failed("start a thread for", directory))?);
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Opens the stream `YYYY/MM/DD/[version]<instance id>` of an instance. Writes nothing yet.
    #[must_use]
    pub fn stream(&self, function: &FunctionKey, version: Version, instance_id: &str) -> LogStream {
        LogStream::new(Arc::clone(&self.shared), function, version, instance_id, SystemTime::now())
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

    /// New records of a function as they are written (lagging readers lose records and are told how many).
    ///
    /// Whoever wants all of them follows first and reads then: a record that is shown can be read.
    #[must_use]
    pub fn follow(&self, function: &FunctionKey) -> broadcast::Receiver<LogRecord> {
        self.shared.followers.follow(function)
    }

    /// Removes all logs of a function. Streams that are still open go on with an empty one.
    pub async fn forget(&self, function: &FunctionKey) -> Result<(), RecorderError> {
        let (done, is_done) = oneshot::channel();
        self.shared.queue.request(Item::Forget { function: function.clone(), done });
        let directory = files::function_directory(&self.shared.directory, function);
        let result = is_done.await.ok().ok_or(RecorderError::Stopped)?;
        result.map_err(failed("remove the log", &directory))
    }

    /// Everything written so far is on disk when this returns. A recorder that has stopped has nothing to flush.
    pub async fn flush(&self) {
        if let Err(error) = self.barrier(true).await {
            tracing::error!(%error, "the log cannot be flushed");
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

/// All but the thread.
fn assemble(directory: &Path, limits: Limits, now: SystemTime) -> Result<(Shared, Writer), RecorderError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(failed("make the log directory", directory))?;
    let queue = Arc::new(Queue::new(limits));
    let followers = Arc::new(Followers::default());
    let writer = Writer::new(directory.to_owned(), Arc::clone(&queue), Arc::clone(&followers), now)
        .map_err(failed("tidy up the log directory", directory))?;
    Ok((Shared { queue, followers, directory: directory.to_owned(), thread: None }, writer))
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
        let (shared, writer) = assemble(directory, limits, SystemTime::now()).unwrap();
        (Self { shared: Arc::new(shared) }, writer)
    }
}

#[cfg(test)]
mod tests;
