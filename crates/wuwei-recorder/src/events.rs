//! A function's log as a sequence of events that can be read from any place, in both directions.
//!
//! All of it blocks, and none of it reads without bound: who wants more asks again, from where the last answer ended.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use time::Date;

use crate::files::{self, Part};
use crate::read::{BackwardLines, DISORDER_MS};
use crate::record::LogRecord;

/// Where a record lies in the log of its function. Later records have greater ones, as long as the log is not removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Julian day.
    pub day: i32,
    /// Number of the file among those of the day.
    pub part: u32,
    /// Bytes before it in the file.
    pub offset: u64,
}

impl Position {
    /// Behind everything.
    pub const END: Self = Self { day: i32::MAX, part: u32::MAX, offset: u64::MAX };

    fn at(part: &Part, offset: u64) -> Self {
        Self { day: part.day.to_julian_day(), part: part.number, offset }
    }

    /// Where a reader of a file begins who wants to begin here.
    fn offset_in(&self, part: &Part) -> Option<u64> {
        match (self.day, self.part).cmp(&(part.day.to_julian_day(), part.number)) {
            std::cmp::Ordering::Less => Some(0),
            std::cmp::Ordering::Equal => Some(self.offset),
            std::cmp::Ordering::Greater => None,
        }
    }
}

/// A record and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocatedRecord {
    /// Where it begins.
    pub position: Position,
    /// What it is.
    pub record: LogRecord,
}

/// Which way a log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From old to new.
    Forward,
    /// From new to old; the records of an answer still stand from old to new.
    Backward,
}

/// What is wanted of a log.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// Which way.
    pub direction: Direction,
    /// Forward: records at or after this place; backward: records before it. `None` is the end where the reading begins.
    pub from: Option<Position>,
    /// Least time, in milliseconds since the Unix epoch.
    pub since_ms: i64,
    /// Greatest time.
    pub until_ms: i64,
    /// Most records.
    pub limit: usize,
    /// Most bytes of messages, each counted with some overhead; one record is always given.
    pub message_bytes: usize,
    /// Most bytes that are looked at.
    pub examined_bytes: u64,
}

/// A piece of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// In the order of the log.
    pub records: Vec<LocatedRecord>,
    /// Where the next piece begins (forward), or ends (backward).
    pub next: Position,
    /// Nothing more is there to be read in this direction now.
    pub is_complete: bool,
}

/// What CloudWatch Logs counts for an event beside its message.
const EVENT_OVERHEAD_BYTES: usize = 26;
/// After so much time a page is given as it is: some patterns are slow on some messages.
const PATIENCE: Duration = Duration::from_secs(5);

/// Collects a page until it is full.
struct Collector<'query> {
    query: &'query EventQuery,
    records: Vec<LocatedRecord>,
    message_bytes: usize,
    examined_bytes: u64,
    began: Instant,
}

impl Collector<'_> {
    /// Whether another record may be looked at.
    fn has_room(&self) -> bool {
        let has_time = self.examined_bytes == 0 || self.began.elapsed() < PATIENCE;
        has_time && self.records.len() < self.query.limit && self.examined_bytes < self.query.examined_bytes
    }

    /// False when the record does not fit any more: it belongs to the next page.
    fn take(&mut self, position: Position, line: &[u8], keep: &dyn Fn(&LogRecord) -> bool) -> Looked {
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let Some(record) = LogRecord::decode(line) else {
            self.examined_bytes = self.examined_bytes.saturating_add(length);
            return Looked::Done;
        };
        let beyond = match self.query.direction {
            Direction::Forward => record.time_ms > self.query.until_ms.saturating_add(DISORDER_MS),
            Direction::Backward => record.time_ms < self.query.since_ms.saturating_sub(DISORDER_MS),
        };
        if beyond {
            return Looked::Beyond;
        }
        let is_wanted = record.time_ms >= self.query.since_ms && record.time_ms <= self.query.until_ms && keep(&record);
        if is_wanted {
            let weight = record.message.len() + EVENT_OVERHEAD_BYTES;
            if !self.records.is_empty() && self.message_bytes + weight > self.query.message_bytes {
                return Looked::Full;
            }
            self.message_bytes += weight;
            self.records.push(LocatedRecord { position, record });
        }
        self.examined_bytes = self.examined_bytes.saturating_add(length);
        Looked::Done
    }
}

enum Looked {
    Done,
    /// No room for it.
    Full,
    /// Nothing of interest comes after it.
    Beyond,
}

/// Reads a piece of a function's log.
pub(crate) fn read(
    function_directory: &Path,
    query: &EventQuery,
    keep: &dyn Fn(&LogRecord) -> bool,
) -> io::Result<EventPage> {
    match query.direction {
        Direction::Forward => forward(function_directory, query, keep),
        Direction::Backward => backward(function_directory, query, keep),
    }
}

fn collector(query: &EventQuery) -> Collector<'_> {
    Collector { query, records: Vec::new(), message_bytes: 0, examined_bytes: 0, began: Instant::now() }
}

fn day_of(time_ms: i64) -> Date {
    files::day_of(time_ms.clamp(0, 253_402_300_799_999))
}

fn forward(directory: &Path, query: &EventQuery, keep: &dyn Fn(&LogRecord) -> bool) -> io::Result<EventPage> {
    let first_day = day_of(query.since_ms.saturating_sub(DISORDER_MS));
    let last_day = day_of(query.until_ms.saturating_add(DISORDER_MS));
    let mut found = collector(query);
    let mut next = query.from.unwrap_or_default();
    for part in files::parts(directory)? {
        let Some(begin) = next.offset_in(&part).filter(|_| part.day >= first_day) else { continue };
        if part.day > last_day {
            break;
        }
        let Some(file) = open(&part)? else { continue };
        let begin = match begin {
            0 => offset_of_time(&part, query.since_ms.saturating_sub(DISORDER_MS))?,
            offset => next_line(&part, offset)?,
        };
        let mut lines = Lines::new(file, begin)?;
        next = Position::at(&part, begin);
        while let Some((offset, line)) = lines.next()? {
            if !found.has_room() {
                return Ok(EventPage { records: found.records, next, is_complete: false });
            }
            match found.take(Position::at(&part, offset), &line, keep) {
                Looked::Done => next = Position::at(&part, lines.offset),
                Looked::Full => return Ok(EventPage { records: found.records, next, is_complete: false }),
                Looked::Beyond => return Ok(EventPage { records: found.records, next, is_complete: true }),
            }
        }
    }
    Ok(EventPage { records: found.records, next, is_complete: true })
}

fn backward(directory: &Path, query: &EventQuery, keep: &dyn Fn(&LogRecord) -> bool) -> io::Result<EventPage> {
    let first_day = day_of(query.since_ms.saturating_sub(DISORDER_MS));
    let mut found = collector(query);
    let mut next = query.from.unwrap_or(Position::END);
    let mut is_complete = true;
    'parts: for part in files::parts(directory)?.into_iter().rev() {
        if part.day < first_day {
            break;
        }
        if Position::at(&part, 0) >= next {
            continue;
        }
        let Some(file) = open(&part)? else { continue };
        let is_same = (next.day, next.part) == (part.day.to_julian_day(), part.number);
        let mut lines = BackwardLines::before(file, if is_same { next.offset } else { u64::MAX })?;
        while let Some((offset, line)) = lines.next_with_offset()? {
            if !found.has_room() {
                is_complete = false;
                break 'parts;
            }
            let position = Position::at(&part, offset);
            match found.take(position, &line, keep) {
                Looked::Done => next = position,
                Looked::Full => {
                    is_complete = false;
                    break 'parts;
                }
                Looked::Beyond => break 'parts,
            }
        }
    }
    found.records.reverse();
    Ok(EventPage { records: found.records, next, is_complete })
}

/// The file; `None` when it was removed since it was listed.
fn open(part: &Part) -> io::Result<Option<File>> {
    match File::open(&part.path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Complete lines from a place on, with the place where each begins.
pub(crate) struct Lines {
    reader: BufReader<File>,
    /// Where the next line begins.
    pub(crate) offset: u64,
}

impl Lines {
    pub(crate) fn new(mut file: File, offset: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(offset))?;
        Ok(Self { reader: BufReader::with_capacity(64 * 1024, file), offset })
    }

    /// The next line without its newline; `None` at the end, and for what a write under way has left so far.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        let mut line = Vec::new();
        let length = self.reader.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Ok(None);
        }
        let began = self.offset;
        self.offset += u64::try_from(length).unwrap_or_default();
        Ok(Some((began, line)))
    }
}

/// The place itself when a line begins there, else where the next one does: a log that was removed and begun anew
/// has other places.
fn next_line(part: &Part, offset: u64) -> io::Result<u64> {
    let Some(mut file) = open(part)? else { return Ok(0) };
    let length = file.metadata()?.len();
    if offset >= length {
        return Ok(length);
    }
    file.seek(SeekFrom::Start(offset - 1))?;
    let mut before = [0];
    file.read_exact(&mut before)?;
    if before == [b'\n'] {
        return Ok(offset);
    }
    let mut lines = Lines::new(file, offset)?;
    Ok(lines.next()?.map_or(length, |_rest| lines.offset))
}

/// Where the records of a file begin that are not older than a time; found by halving, for a file is almost in order.
fn offset_of_time(part: &Part, time_ms: i64) -> io::Result<u64> {
    /// What is rather read through than halved.
    const SMALL_BYTES: u64 = 256 * 1024;
    let Some(file) = open(part)? else { return Ok(0) };
    let (mut low, mut high) = (0, file.metadata()?.len());
    while high.saturating_sub(low) > SMALL_BYTES {
        let middle = next_line(part, low + (high - low) / 2)?;
        let Some(file) = open(part)? else { return Ok(low) };
        let mut lines = Lines::new(file, middle)?;
        let time = loop {
            match lines.next()? {
                Some((_, line)) => match LogRecord::decode(&line) {
                    Some(record) => break Some(record.time_ms),
                    None => continue,
                },
                None => break None,
            }
        };
        match time {
            Some(time) if time < time_ms && middle < high => low = middle,
            Some(_) | None => high = low + (high - low) / 2,
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests;
