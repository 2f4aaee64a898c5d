//! Reading a log from its end.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use crate::files;
use crate::record::LogRecord;

/// Bytes that are read at a time, from the end of a file towards its beginning.
const BLOCK_BYTES: u64 = 256 * 1024;
/// Instances write at the same time, so a record may lie behind a younger one; never by more than this, in
/// milliseconds.
pub(crate) const DISORDER_MS: i64 = 60_000;

/// The newest `limit` records of a function that are not before `since_ms`, in order of time. Blocks.
pub(crate) fn newest(function_directory: &Path, since_ms: i64, limit: usize) -> io::Result<Vec<LogRecord>> {
    let mut records = Vec::new();
    let stop_ms = since_ms.saturating_sub(DISORDER_MS);
    let first_day = files::day_of(stop_ms.max(0));
    'files: for part in files::parts(function_directory)?.into_iter().rev() {
        if part.day < first_day {
            break;
        }
        let mut lines = match File::open(&part.path) {
            Ok(file) => BackwardLines::new(file)?,
            // Swept or forgotten since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        while records.len() < limit
            && let Some(line) = lines.next()?
        {
            let Some(record) = LogRecord::decode(&line) else { continue };
            if record.time_ms < stop_ms {
                break 'files;
            }
            if record.time_ms >= since_ms {
                records.push(record);
            }
        }
        if records.len() >= limit {
            break;
        }
    }
    records.reverse();
    records.sort_by_key(|record| record.time_ms);
    Ok(records)
}

/// Complete lines of a file, the last one first; what follows the last newline is not complete, and left out.
pub(crate) struct BackwardLines {
    file: File,
    /// What lies before this offset has not been read.
    unread: u64,
    /// The beginning of what has been read and not given out: ends where the last line given out begins.
    buffer: Vec<u8>,
    is_begun: bool,
    /// The first line of the file has been given out.
    is_at_start: bool,
}

impl BackwardLines {
    fn new(mut file: File) -> io::Result<Self> {
        let unread = file.seek(SeekFrom::End(0))?;
        Ok(Self { file, unread, buffer: Vec::new(), is_begun: false, is_at_start: false })
    }

    /// Those before an offset.
    pub(crate) fn before(file: File, offset: u64) -> io::Result<Self> {
        let lines = Self::new(file)?;
        Ok(Self { unread: lines.unread.min(offset), ..lines })
    }

    /// The next line, and where it begins.
    pub(crate) fn next_with_offset(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        let line = self.next()?;
        // The newline before the line is in neither.
        let newline = u64::from(!(self.unread == 0 && self.is_at_start));
        let buffered = u64::try_from(self.buffer.len()).unwrap_or_default();
        Ok(line.map(|line| (self.unread + buffered + newline, line)))
    }

    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        if !self.is_begun {
            // Up to the last newline, which is not a line's beginning but its end.
            match self.cut_at_newline()? {
                Some(_torn) => self.is_begun = true,
                None => return Ok(None),
            }
        }
        match self.cut_at_newline()? {
            Some(line) => Ok(Some(line)),
            // The first line of the file has no newline before it.
            None if self.is_at_start => Ok(None),
            None => {
                self.is_at_start = true;
                let line = std::mem::take(&mut self.buffer);
                Ok((!line.is_empty()).then_some(line))
            }
        }
    }

    /// Takes what follows the last newline of the buffer, and the newline; `None` when there is no newline any more.
    fn cut_at_newline(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut searched_bytes = 0;
        loop {
            let unsearched = &self.buffer[..self.buffer.len() - searched_bytes];
            if let Some(newline) = unsearched.iter().rposition(|byte| *byte == b'\n') {
                let line = self.buffer.split_off(newline + 1);
                self.buffer.pop();
                return Ok(Some(line));
            }
            searched_bytes = self.buffer.len();
            if self.unread == 0 {
                return Ok(None);
            }
            let length = self.unread.min(BLOCK_BYTES);
            self.unread -= length;
            self.file.seek(SeekFrom::Start(self.unread))?;
            let mut block = Vec::new();
            (&mut self.file).take(length).read_to_end(&mut block)?;
            block.append(&mut self.buffer);
            self.buffer = block;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BackwardLines, newest};
    use crate::files::{day_file, day_of};
    use crate::record::{Level, LogRecord};
    use std::fs::{self, File};
    use std::path::Path;

    const NOON_MS: i64 = 1_795_003_200_000;
    const DAY_MS: i64 = 86_400_000;

    fn record(time_ms: i64, message: &str) -> LogRecord {
        let (stream, message) = ("s".to_owned(), message.to_owned());
        LogRecord { time_ms, stream, request_id: None, level: Level::Function, message }
    }

    fn write(directory: &Path, day_ms: i64, records: &[LogRecord], rest: &[u8]) {
        let mut bytes = Vec::new();
        records.iter().for_each(|record| record.view().encode_to(&mut bytes));
        bytes.extend(rest);
        fs::write(day_file(directory, day_of(day_ms)), bytes).unwrap();
    }

    fn messages(directory: &Path, since_ms: i64, limit: usize) -> Vec<String> {
        newest(directory, since_ms, limit).unwrap().into_iter().map(|record| record.message).collect()
    }

    #[test]
    fn lines_come_backwards_whatever_their_length() {
        let check = |text: &str, expected: &[&str]| {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("f");
            fs::write(&path, text).unwrap();
            let mut lines = BackwardLines::new(File::open(&path).unwrap()).unwrap();
            let mut found = Vec::new();
            while let Some(line) = lines.next().unwrap() {
                found.push(String::from_utf8(line).unwrap());
            }
            assert_eq!(found, expected);
        };
        check("", &[]);
        check("torn", &[]);
        check("a\n", &["a"]);
        check("a\nb\ntorn", &["b", "a"]);
        let long = "x".repeat(700_000);
        check(&format!("{long}\nshort\n{long}\n{long}"), &[&long, "short", &long]);
    }

    #[test]
    fn the_newest_records_are_found_over_several_days_in_order_of_time() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        write(root, NOON_MS - DAY_MS, &[record(NOON_MS - DAY_MS, "old"), record(NOON_MS - DAY_MS + 1, "older")], b"");
        write(
            root,
            NOON_MS,
            &[record(NOON_MS + 5, "late"), record(NOON_MS, "early"), record(NOON_MS + 9, "last")],
            b"",
        );
        assert_eq!(messages(root, 0, 100), ["old", "older", "early", "late", "last"]);
        assert_eq!(messages(root, 0, 4), ["older", "early", "late", "last"]);
        assert_eq!(messages(root, 0, 0), [""; 0]);
        assert_eq!(messages(root, NOON_MS + 1, 100), ["late", "last"]);
        assert_eq!(messages(root, NOON_MS - DAY_MS + 1, 100).len(), 4);
        assert_eq!(messages(&root.join("none"), 0, 100), [""; 0]);
    }

    #[test]
    fn torn_and_foreign_lines_are_skipped() {
        let directory = tempfile::tempdir().unwrap();
        write(
            directory.path(),
            NOON_MS,
            &[record(NOON_MS, "whole")],
            b"nonsense\n\xff\n{\"time_ms\":1}\n{\"time_ms\":17",
        );
        assert_eq!(messages(directory.path(), 0, 100), ["whole"]);
    }
}
