//! Which streams a function's log has: an index of its files, built when somebody asks and kept while they grow.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::events::{Lines, Position};
use crate::files;

/// Files whose index is kept; beyond them it is begun anew.
const FILES_MAX: usize = 4_096;
/// The same, of streams in all of them.
const STREAMS_MAX: usize = 200_000;

/// One stream of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSummary {
    /// `<YYYY/MM/DD>/[<version>]<32 hex>`.
    pub name: String,
    /// Time of the oldest event that is kept, in milliseconds since the Unix epoch.
    pub first_ms: i64,
    /// Time of the newest event.
    pub last_ms: i64,
    /// Where its first event begins.
    pub begin: Position,
    /// Where its last event ends.
    pub end: Position,
}

/// What a function's log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSummary {
    /// In order of name.
    pub streams: Vec<StreamSummary>,
    /// All files together.
    pub stored_bytes: u64,
}

/// Indexes of files, by path.
#[derive(Debug, Default)]
pub(crate) struct StreamIndex {
    files: BTreeMap<PathBuf, FileIndex>,
}

#[derive(Debug, Default)]
struct FileIndex {
    inode: u64,
    /// What has been read of it.
    offset: u64,
    streams: BTreeMap<String, StreamSummary>,
}

/// Of a record, what an index needs.
#[derive(Deserialize)]
struct Head<'line> {
    time_ms: i64,
    #[serde(borrow)]
    stream: Cow<'line, str>,
}

impl StreamIndex {
    /// What a function's log holds now. Blocks.
    pub(crate) fn summary(&mut self, function_directory: &Path) -> io::Result<LogSummary> {
        if self.files.len() > FILES_MAX {
            self.files.clear();
        }
        let parts = files::parts(function_directory)?;
        self.files
            .retain(|path, _| path.parent() != Some(function_directory) || parts.iter().any(|part| part.path == *path));
        let mut streams: BTreeMap<String, StreamSummary> = BTreeMap::new();
        let mut stored_bytes = 0;
        for part in parts {
            let metadata = match fs::metadata(&part.path) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            stored_bytes += metadata.len();
            let index = self.files.entry(part.path.clone()).or_default();
            if index.inode != metadata.ino() || index.offset > metadata.len() {
                *index = FileIndex { inode: metadata.ino(), ..FileIndex::default() };
            }
            if index.offset < metadata.len() {
                index.read_on(&part)?;
            }
            for stream in index.streams.values() {
                merge(&mut streams, stream);
            }
        }
        if self.files.values().map(|index| index.streams.len()).sum::<usize>() > STREAMS_MAX {
            self.files.clear();
        }
        Ok(LogSummary { streams: streams.into_values().collect(), stored_bytes })
    }
}

impl FileIndex {
    fn read_on(&mut self, part: &files::Part) -> io::Result<()> {
        let mut lines = Lines::new(File::open(&part.path)?, self.offset)?;
        let place = |offset| Position { day: part.day.to_julian_day(), part: part.number, offset };
        while let Some((began, line)) = lines.next()? {
            self.offset = lines.offset;
            let Ok(Head { time_ms, stream }) = serde_json::from_slice(&line) else { continue };
            let end = place(lines.offset);
            match self.streams.get_mut(stream.as_ref()) {
                Some(known) => {
                    known.first_ms = known.first_ms.min(time_ms);
                    known.last_ms = known.last_ms.max(time_ms);
                    known.end = end;
                }
                None => {
                    let name = stream.into_owned();
                    let summary = StreamSummary {
                        name: name.clone(),
                        first_ms: time_ms,
                        last_ms: time_ms,
                        begin: place(began),
                        end,
                    };
                    self.streams.insert(name, summary);
                }
            }
        }
        Ok(())
    }
}

fn merge(streams: &mut BTreeMap<String, StreamSummary>, stream: &StreamSummary) {
    match streams.get_mut(&stream.name) {
        Some(known) => {
            known.first_ms = known.first_ms.min(stream.first_ms);
            known.last_ms = known.last_ms.max(stream.last_ms);
            known.begin = known.begin.min(stream.begin);
            known.end = known.end.max(stream.end);
        }
        None => {
            streams.insert(stream.name.clone(), stream.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::StreamIndex;
    use crate::files::{day_file, day_of};
    use crate::record::{Level, LogRecord};
    use std::fs;
    use std::path::Path;

    fn write(directory: &Path, day_ms: i64, events: &[(&str, i64)]) {
        let mut bytes = Vec::new();
        for (stream, time_ms) in events {
            let (stream, message) = ((*stream).to_owned(), "m".to_owned());
            LogRecord { time_ms: *time_ms, stream, request_id: None, level: Level::Function, message }
                .view()
                .encode_to(&mut bytes);
        }
        fs::write(day_file(directory, day_of(day_ms)), bytes).unwrap();
    }

    #[test]
    fn streams_are_summed_over_files_and_followed_as_these_grow() {
        const DAY_MS: i64 = 86_400_000;
        let root = tempfile::tempdir().unwrap();
        let mut index = StreamIndex::default();
        assert_eq!(index.summary(root.path()).unwrap().streams, []);
        write(root.path(), 0, &[("b", 5), ("a", 3), ("b", 9)]);
        write(root.path(), DAY_MS, &[("a", DAY_MS)]);
        let times = |index: &mut StreamIndex| -> Vec<(String, i64, i64)> {
            let streams = index.summary(root.path()).unwrap().streams;
            streams.into_iter().map(|stream| (stream.name, stream.first_ms, stream.last_ms)).collect()
        };
        assert_eq!(times(&mut index), [("a".to_owned(), 3, DAY_MS), ("b".to_owned(), 5, 9)]);
        let path = day_file(root.path(), day_of(DAY_MS));
        let more = fs::read_to_string(&path).unwrap().replace("\"a\"", "\"c\"");
        fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, more.as_bytes()))
            .unwrap();
        assert_eq!(times(&mut index).len(), 3);
        fs::remove_file(day_file(root.path(), day_of(0))).unwrap();
        assert_eq!(times(&mut index).len(), 2);
        assert_eq!(index.summary(root.path()).unwrap().stored_bytes, fs::metadata(&path).unwrap().len());
    }
}
