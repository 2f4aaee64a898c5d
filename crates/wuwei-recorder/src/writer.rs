//! The thread that brings records to the disk.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use time::Date;
use wuwei_model::FunctionKey;

use crate::files;
use crate::followers::Followers;
use crate::queue::{Item, Queue, QueuedRecord};

/// How often an idle writer looks whether a new day has begun.
const IDLE_PERIOD: Duration = Duration::from_secs(3600);
/// Files that are kept open; beyond these all are closed, for the next records to open theirs.
const OPEN_FILES_MAX: usize = 128;
/// Encoded records that are collected before they are written, in bytes.
const BUFFER_BYTES_MAX: usize = 1024 * 1024;

/// Takes records from the queue and appends them to their files.
pub(crate) struct Writer {
    directory: PathBuf,
    queue: Arc<Queue>,
    followers: Arc<Followers>,
    open: BTreeMap<PathBuf, LogFile>,
    swept: Date,
}

/// A file of a function and day.
struct LogFile {
    file: File,
    /// Encoded records that are not written yet.
    pending: Vec<u8>,
    /// Written since the last sync.
    is_unsynced: bool,
}

impl Writer {
    /// Sweeps the directory, which must exist.
    pub(crate) fn new(
        directory: PathBuf,
        queue: Arc<Queue>,
        followers: Arc<Followers>,
        now: SystemTime,
    ) -> io::Result<Self> {
        let swept = files::day_of(files::unix_ms(now));
        files::sweep(&directory, swept)?;
        Ok(Self { directory, queue, followers, open: BTreeMap::new(), swept })
    }

    /// Works until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        while self.step(IDLE_PERIOD) {
            self.sweep_daily(files::day_of(files::unix_ms(SystemTime::now())));
        }
    }

    /// Does all that waits; false when there will be nothing more.
    pub(crate) fn step(&mut self, patience: Duration) -> bool {
        let Some(batch) = self.queue.take(patience) else { return false };
        let mut written = VecDeque::new();
        for item in batch {
            match item {
                Item::Record(record) => {
                    self.append(&record);
                    if !self.followers.is_empty() {
                        written.push_back(record);
                    }
                }
                Item::Barrier { sync, done } => {
                    self.write_all(&mut written);
                    // Whoever has gone away wants no answer; here and below.
                    drop(done.send(if sync { self.sync_all() } else { Ok(()) }));
                }
                Item::Forget { function, done } => {
                    self.write_all(&mut written);
                    drop(done.send(self.forget(&function)));
                }
            }
        }
        self.write_all(&mut written);
        true
    }

    /// Removes old logs when a new day has begun.
    pub(crate) fn sweep_daily(&mut self, today: Date) {
        if today == self.swept {
            return;
        }
        self.swept = today;
        self.close_all();
        if let Err(error) = files::sweep(&self.directory, today) {
            tracing::warn!(%error, "old logs cannot be removed");
        }
    }

    fn append(&mut self, queued: &QueuedRecord) {
        let function_directory = files::function_directory(&self.directory, &queued.function);
        let path = files::day_file(&function_directory, files::day_of(queued.record.time_ms));
        if !self.open.contains_key(&path) {
            if self.open.len() >= OPEN_FILES_MAX {
                self.close_all();
            }
            match LogFile::open(&function_directory, &path) {
                Ok(file) => self.open.insert(path.clone(), file),
                Err(error) => return lost(&path, &error),
            };
        }
        let file = self.open.get_mut(&path).expect("it was opened above");
        queued.record.encode_to(&mut file.pending);
        if file.pending.len() >= BUFFER_BYTES_MAX {
            file.write(&path);
        }
    }

    /// Writes what is pending, then shows it to followers: what they see, a reader finds.
    fn write_all(&mut self, written: &mut VecDeque<QueuedRecord>) {
        for (path, file) in &mut self.open {
            file.write(path);
        }
        for queued in written.drain(..) {
            self.followers.show(&queued.function, &queued.record);
        }
    }

    /// Waits for the disk. A file whose sync fails is not tried again: what it has lost is lost.
    fn sync_all(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        for file in self.open.values_mut() {
            if std::mem::take(&mut file.is_unsynced) {
                let synced = file.file.sync_data();
                result = result.and(synced);
            }
        }
        result
    }

    /// Closes all files, synced: a flush that comes later promises for them too.
    fn close_all(&mut self) {
        self.write_all(&mut VecDeque::new());
        if let Err(error) = self.sync_all() {
            tracing::error!(%error, "log records may be lost: a file cannot be synced");
        }
        self.open.clear();
    }

    fn forget(&mut self, function: &FunctionKey) -> io::Result<()> {
        let function_directory = files::function_directory(&self.directory, function);
        self.open.retain(|path, _| !path.starts_with(&function_directory));
        match fs::remove_dir_all(&function_directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Also after a panic: nobody may wait for a writer that is gone.
        self.queue.abandon();
    }
}

impl LogFile {
    fn open(function_directory: &Path, path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(function_directory)?;
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        let pending = if is_torn(&mut file)? { vec![b'\n'] } else { Vec::new() };
        Ok(Self { file, pending, is_unsynced: false })
    }

    fn write(&mut self, path: &Path) {
        if self.pending.is_empty() {
            return;
        }
        let result = self.file.write_all(&self.pending);
        self.pending.clear();
        self.is_unsynced = true;
        if let Err(error) = result {
            // A part of a line may be in the file: the next one must not begin on it.
            self.pending.push(b'\n');
            lost(path, &error);
        }
    }
}

/// Whether a crash has left a line without its end, on which the next one must not begin.
fn is_torn(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != [b'\n'])
}

fn lost(path: &Path, error: &io::Error) {
    tracing::error!(path = %path.display(), %error, "log records are lost: their file cannot be written");
}
