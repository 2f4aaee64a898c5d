//! The thread that brings records to the disk.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use time::Date;
use wuwei_model::FunctionKey;

use crate::events::Lines;
use crate::files::{self, Retentions};
use crate::followers::Followers;
use crate::holdings::{Holdings, LogLimits, Reason, Removal};
use crate::queue::{Item, Queue, QueuedRecord};
use crate::record::{Level, LogRecord, RecordView};

/// How often an idle writer looks whether a new day has begun.
const IDLE_PERIOD: Duration = Duration::from_secs(3600);
/// Files that are kept open; beyond these all are closed, for the next records to open theirs.
const OPEN_FILES_MAX: usize = 128;
/// Functions whose file is known by heart; with one more, all are looked up anew.
const LOGS_REMEMBERED_MAX: usize = 1_024;
/// Encoded records that are collected before they are written, in bytes.
const BUFFER_BYTES_MAX: usize = 256 * 1024;

/// The stream of what the recorder itself has to say in a log.
const NOTES_STREAM: &str = "wuwei";

/// Takes records from the queue and appends them to their files.
pub(crate) struct Writer {
    directory: PathBuf,
    queue: Arc<Queue>,
    followers: Arc<Followers>,
    /// By the first file of function and day.
    open: BTreeMap<PathBuf, LogFile>,
    /// Where the records of a function went last, so that not each of them costs the making of a path.
    logs: HashMap<FunctionKey, (Date, Arc<Path>)>,
    holdings: Holdings,
    /// `None` until somebody has said: nothing is removed for its age before.
    retentions: Option<Retentions>,
    swept: Date,
}

/// The last file of a function and day.
struct LogFile {
    path: PathBuf,
    file: File,
    /// What is in it.
    bytes: u64,
    /// Encoded records that are not written yet.
    pending: Vec<u8>,
    /// Written since the last sync.
    is_unsynced: bool,
}

impl Writer {
    /// Looks at the directory, which must exist. Old logs are removed when it is known how long each is kept.
    pub(crate) fn new(
        directory: PathBuf,
        queue: Arc<Queue>,
        followers: Arc<Followers>,
        limits: LogLimits,
        now: SystemTime,
    ) -> io::Result<Self> {
        let swept = files::day_of(files::unix_ms(now));
        let holdings = Holdings::new(limits, files::held(&directory)?);
        let (open, logs) = (BTreeMap::new(), HashMap::new());
        let mut writer = Self { directory, queue, followers, open, logs, holdings, retentions: None, swept };
        for function_directory in writer.holdings.directories() {
            writer.trim(&function_directory);
        }
        Ok(writer)
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
                    self.append_queued(&record);
                    if !self.followers.is_empty() {
                        written.push_back(record);
                    }
                }
                Item::Barrier { sync, done } => {
                    self.write_all(&mut written);
                    // Whoever has gone away wants no answer; here and below.
                    drop(done.send(if sync { self.sync_all() } else { Ok(()) }));
                }
                Item::Forget { function, stream, done } => {
                    self.write_all(&mut written);
                    drop(done.send(match stream {
                        Some(stream) => self.forget_stream(&function, &stream),
                        None => self.forget(&function),
                    }));
                }
                Item::Retain { days, done } => {
                    self.write_all(&mut written);
                    drop(done.send(self.retain(days)));
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
        if let Err(error) = self.sweep() {
            tracing::warn!(%error, "old logs cannot be removed");
        }
    }

    /// From now on, and at once.
    fn retain(&mut self, retentions: Retentions) -> io::Result<()> {
        self.retentions = Some(retentions);
        self.sweep()
    }

    fn sweep(&mut self) -> io::Result<()> {
        self.close_all();
        let Some(retentions) = &self.retentions else { return Ok(()) };
        let held = files::sweep(&self.directory, self.swept, retentions)?;
        self.holdings = Holdings::new(self.holdings.limits(), held);
        Ok(())
    }

    fn append_queued(&mut self, queued: &QueuedRecord) {
        let day = files::day_of(queued.time_ms);
        let log = self.log_of(&queued.function, day);
        if self.append(&log, day, queued.view()).is_some_and(|pending_bytes| pending_bytes >= BUFFER_BYTES_MAX) {
            self.write(&log);
        }
    }

    /// The first file of function and day. Made anew only when that is another one than last time.
    fn log_of(&mut self, function: &Arc<FunctionKey>, day: Date) -> Arc<Path> {
        let last = self.logs.get(function).filter(|(known, _)| *known == day);
        if let Some((_, log)) = last {
            return Arc::clone(log);
        }
        if self.logs.len() >= LOGS_REMEMBERED_MAX {
            self.logs.clear();
        }
        let function_directory = files::function_directory(&self.directory, function);
        let log: Arc<Path> = files::day_file(&function_directory, day).into();
        self.logs.insert(FunctionKey::clone(function), (day, Arc::clone(&log)));
        log
    }

    /// Returns how much waits to be written.
    fn append(&mut self, log: &Path, day: Date, record: RecordView<'_>) -> Option<usize> {
        let file = match self.open.get_mut(log) {
            Some(file) => file,
            None => {
                if self.open.len() >= OPEN_FILES_MAX {
                    self.close_all();
                }
                match LogFile::open(log.parent()?, day, self.holdings.limits().part_bytes()) {
                    Ok(file) => self.open.entry(log.to_owned()).or_insert(file),
                    Err(error) => {
                        lost(log, &error);
                        return None;
                    }
                }
            }
        };
        record.encode_to(&mut file.pending);
        Some(file.pending.len())
    }

    /// Writes what is pending of one log, and sees to it that it is not too much.
    fn write(&mut self, log: &Path) {
        let (Some(file), Some(function_directory)) = (self.open.get_mut(log), log.parent()) else { return };
        let written = file.write();
        if file.bytes >= self.holdings.limits().part_bytes() {
            if let Err(error) = file.file.sync_data() {
                lost(log, &error);
            }
            self.open.remove(log);
        }
        if written > 0 {
            self.holdings.add(function_directory, written);
            self.trim(function_directory);
        }
    }

    /// Removes what is too much, and says so in the logs that have become shorter.
    fn trim(&mut self, function_directory: &Path) {
        let open = &mut self.open;
        let removals = self.holdings.trim(function_directory, |path| open.retain(|_, file| file.path != path));
        for removal in removals {
            self.tell(&removal);
        }
    }

    fn tell(&mut self, removal: &Removal) {
        let Removal { function_directory, bytes, reason } = removal;
        let limits = self.holdings.limits();
        let why = match reason {
            Reason::Function => {
                format!("one function's may take {} bytes (`log_bytes_per_function`)", limits.function_bytes)
            }
            Reason::Total => format!("all logs may take {} bytes (`log_bytes_total`)", limits.total_bytes),
        };
        tracing::warn!(log = %function_directory.display(), bytes, ?reason, "the oldest part of a log was removed");
        let now = SystemTime::now();
        let record = RecordView {
            time_ms: files::unix_ms(now),
            stream: NOTES_STREAM,
            request_id: None,
            level: Level::Platform,
            message: &format!("wuwei: the oldest {bytes} bytes of this log were removed: {why}"),
        };
        let day = files::day_of(record.time_ms);
        let log = files::day_file(function_directory, day);
        // Not trimmed after: what was freed is more than these words.
        if self.append(&log, day, record).is_some()
            && let Some(file) = self.open.get_mut(&log)
        {
            let written = file.write();
            self.holdings.add(function_directory, written);
        }
    }

    /// Writes what is pending, then shows it to followers: what they see, a reader finds.
    fn write_all(&mut self, written: &mut VecDeque<QueuedRecord>) {
        let waits = self.open.iter().filter(|(_, file)| !file.pending.is_empty());
        let logs: Vec<PathBuf> = waits.map(|(log, _)| log.clone()).collect();
        for log in logs {
            self.write(&log);
        }
        for queued in written.drain(..) {
            self.followers.show(&queued.function, queued.view());
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

    /// Writes the files of a function anew that have records of a stream, without these.
    fn forget_stream(&mut self, function: &FunctionKey, stream: &str) -> io::Result<()> {
        let function_directory = files::function_directory(&self.directory, function);
        self.close_all();
        for part in files::parts(&function_directory)? {
            let mut lines = Lines::new(File::open(&part.path)?, 0)?;
            let (mut kept, mut has_gone) = (Vec::new(), false);
            while let Some((_, line)) = lines.next()? {
                if LogRecord::decode(&line).is_some_and(|record| record.stream == stream) {
                    has_gone = true;
                } else {
                    kept.extend_from_slice(&line);
                    kept.push(b'\n');
                }
            }
            if has_gone {
                let unfinished = part.path.with_extension("new");
                let mut file =
                    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
                file.write_all(&kept)?;
                file.sync_data()?;
                fs::rename(&unfinished, &part.path)?;
            }
        }
        let held = files::held_of(&function_directory)?;
        self.holdings.count(&function_directory, held);
        Ok(())
    }

    fn forget(&mut self, function: &FunctionKey) -> io::Result<()> {
        let function_directory = files::function_directory(&self.directory, function);
        self.open.retain(|path, _| !path.starts_with(&function_directory));
        self.holdings.forget(&function_directory);
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
    /// Opens the last file of a day, or the next one when that is full.
    fn open(function_directory: &Path, day: Date, part_bytes: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(function_directory)?;
        let last = files::parts(function_directory)?.into_iter().rev().find(|part| part.day == day);
        let number = match &last {
            Some(part) if fs::metadata(&part.path)?.len() >= part_bytes => part.number.saturating_add(1),
            Some(part) => part.number,
            None => 0,
        };
        let path = files::part_file(function_directory, day, number);
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path)?;
        let pending = if is_torn(&mut file)? { vec![b'\n'] } else { Vec::new() };
        let bytes = file.metadata()?.len();
        Ok(Self { path, file, bytes, pending, is_unsynced: false })
    }

    /// Returns how many bytes the file has grown by.
    fn write(&mut self) -> u64 {
        if self.pending.is_empty() {
            return 0;
        }
        let result = self.file.write_all(&self.pending);
        let mut written = u64::try_from(self.pending.len()).unwrap_or(u64::MAX);
        self.pending.clear();
        self.is_unsynced = true;
        if let Err(error) = result {
            // A part of a line may be in the file: the next one must not begin on it.
            self.pending.push(b'\n');
            lost(&self.path, &error);
            written = self.file.metadata().map_or(0, |metadata| metadata.len().saturating_sub(self.bytes));
        }
        self.bytes += written;
        written
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
