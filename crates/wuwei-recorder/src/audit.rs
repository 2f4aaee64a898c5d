//! Who did what: one line for each call that administers, in a file for each day, bounded in age and size.
//!
//! What changed something lies apart from what only looked or was refused, so that nobody who may change nothing can push
//! it out. Of the latter only so much is written down of each caller; the rest is counted.
//!
//! Lines are in the file when the call is answered; they are not flushed to the disk one by one.

mod crowd;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use time::Date;

use crowd::Crowd;

use crate::files;
use crate::read::BackwardLines;

/// Days that entries are kept.
const RETENTION_DAYS: i64 = 90;
/// From this size on a file goes on in another, so that what goes is a small part.
const PART_BYTES: u64 = 4 * 1024 * 1024;
/// What the files of either kind may take.
const TOTAL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Where the calls are that changed something.
const CHANGES: &str = "changes";
/// Where the others are.
const OTHERS: &str = "others";

/// One call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// As the answer names it.
    pub request_id: String,
    /// Account of the caller, or the one that they claimed.
    pub account: String,
    /// ARN of the caller; empty when they were not believed.
    pub principal: String,
    /// Id of the access key that the request names.
    pub key: String,
    /// Address that the call came from; ARN of the function that made it.
    pub source: String,
    /// For example `lambda`.
    pub service: String,
    /// For example `CreateFunction`; empty when it was refused before it was known.
    pub action: String,
    /// What it was about, if one thing.
    pub resource: String,
    /// Status of the answer.
    pub status: u16,
    /// Name of the error, if it is one.
    pub error: String,
    /// Whether it has changed something.
    pub is_change: bool,
    /// Calls of the same caller before this one that changed nothing and were counted only.
    pub left_out: u64,
}

/// The log; cheap to clone.
#[derive(Clone, Debug)]
pub struct AuditLog {
    state: Arc<Mutex<State>>,
    directory: Arc<PathBuf>,
}

#[derive(Debug)]
struct State {
    changes: Series,
    others: Series,
    crowd: Crowd,
}

/// Files of one kind of entries.
#[derive(Debug)]
struct Series {
    directory: PathBuf,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    day: Date,
    number: u32,
    file: File,
    bytes: u64,
}

impl AuditLog {
    /// Makes the directory (0700) if need be.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let series = |name: &str| {
            let directory = directory.join(name);
            DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
            Ok::<_, io::Error>(Series { directory, open: None })
        };
        let state = State { changes: series(CHANGES)?, others: series(OTHERS)?, crowd: Crowd::default() };
        Ok(Self { state: Arc::new(Mutex::new(state)), directory: Arc::new(directory.to_owned()) })
    }

    /// Writes an entry of a caller down; of callers who are not known, all are one (an empty text). A disk that refuses it
    /// is told of in the server's log.
    pub fn write(&self, caller: &str, mut entry: AuditEntry) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !entry.is_change {
            let Some(left_out) = state.crowd.admit(caller, entry.time_ms) else { return };
            entry.left_out = left_out;
        }
        let series = if entry.is_change { &mut state.changes } else { &mut state.others };
        if let Err(error) = series.append(&entry) {
            series.open = None;
            tracing::error!(%error, "an entry of the audit log is lost");
        }
    }

    /// The newest entries of an account, not before `since_ms`, in order of time.
    pub async fn read(&self, account: &str, since_ms: i64, limit: usize) -> io::Result<Vec<AuditEntry>> {
        let (directory, account) = (Arc::clone(&self.directory), account.to_owned());
        let found = tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            for series in [CHANGES, OTHERS] {
                found.extend(read(&directory.join(series), &account, since_ms, limit)?);
            }
            found.sort_by_key(|entry| entry.time_ms);
            found.drain(..found.len().saturating_sub(limit));
            Ok(found)
        });
        found.await.map_err(io::Error::other).flatten()
    }
}

impl Series {
    fn append(&mut self, entry: &AuditEntry) -> io::Result<()> {
        let day = files::day_of(files::unix_ms(SystemTime::now()));
        if self.open.as_ref().is_none_or(|open| open.day != day || open.bytes >= PART_BYTES) {
            let number = match self.open.take() {
                Some(last) if last.day == day => last.number + 1,
                Some(_) | None => {
                    let parts = files::parts(&self.directory)?;
                    parts.iter().filter(|part| part.day == day).map(|part| part.number).max().unwrap_or(0)
                }
            };
            let path = files::part_file(&self.directory, day, number);
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
            let bytes = file.metadata()?.len();
            self.open = Some(Open { day, number, file, bytes });
            tidy(&self.directory, day)?;
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        open.file.write_all(&line)?;
        open.bytes += u64::try_from(line.len()).unwrap_or(u64::MAX);
        Ok(())
    }
}

/// Removes what is too old, and the oldest of what is too much.
fn tidy(directory: &Path, today: Date) -> io::Result<()> {
    let mut total = PART_BYTES;
    for part in files::parts(directory)?.into_iter().rev() {
        total += fs::metadata(&part.path)?.len();
        if (today - part.day).whole_days() > RETENTION_DAYS || total > TOTAL_BYTES_MAX {
            fs::remove_file(&part.path)?;
        }
    }
    Ok(())
}

fn read(directory: &Path, account: &str, since_ms: i64, limit: usize) -> io::Result<Vec<AuditEntry>> {
    let first_day = files::day_of(since_ms.max(0));
    let mut found = Vec::new();
    'parts: for part in files::parts(directory)?.into_iter().rev() {
        if part.day < first_day {
            break;
        }
        let mut lines = BackwardLines::before(File::open(&part.path)?, u64::MAX)?;
        while let Some((_, line)) = lines.next_with_offset()? {
            let Ok(entry) = serde_json::from_slice::<AuditEntry>(&line) else { continue };
            if entry.account == account && entry.time_ms >= since_ms {
                if found.len() == limit {
                    break 'parts;
                }
                found.push(entry);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
