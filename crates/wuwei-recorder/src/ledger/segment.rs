//! Files of the ledger: `<YYYY-MM-DD>.<number>.ledger`, days in UTC.
//!
//! After eight bytes that say what the file is come frames: length (u16), CRC-32 (u32) of what follows, both
//! little-endian, and the payload: a byte that says its kind and then a name of a function, for entries to refer to,
//! or an entry. A frame that is not whole ends the file for readers.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use time::Date;
use time::macros::format_description;
use wuwei_model::FunctionKey;

use super::entry::{Entry, put_number, put_text, take_number, take_text};

const MAGIC: &[u8; 8] = b"wuweiL01";
const NAME: u8 = 1;
const ENTRY: u8 = 2;
const HEADER_BYTES: usize = 6;
const EXTENSION: &str = "ledger";

/// The file that entries of one day are appended to.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) day: Date,
    file: File,
    /// Length of what is whole.
    length: u64,
    names: HashMap<Arc<FunctionKey>, u64>,
}

/// How an append failed.
#[derive(Debug)]
pub(super) enum AppendError {
    /// Nothing of it is in the file: it may be tried again.
    Nothing(io::Error),
    /// Nobody knows what of it is in the file; the file must be left alone.
    Unknown(io::Error),
}

impl Segment {
    /// Begins the next segment of a day.
    pub(super) fn begin(directory: &Path, day: Date) -> io::Result<Self> {
        let numbers = list(directory)?.into_iter().filter(|(other, _, _)| *other == day).map(|(_, number, _)| number);
        let number = numbers.max().map_or(0, |last| last + 1);
        let day_text = day.format(format_description!("[year]-[month]-[day]")).expect("dates have all three parts");
        let path = directory.join(format!("{day_text}.{number:06}.{EXTENSION}"));
        let mut file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(MAGIC)?;
        // The name of a file is not on the disk before its directory is.
        File::open(directory)?.sync_all()?;
        Ok(Self { day, file, length: 8, names: HashMap::new() })
    }

    /// Appends entries, all or none of them.
    pub(super) fn append(&mut self, entries: &[Entry]) -> Result<(), AppendError> {
        let (mut bytes, mut payload) = (Vec::new(), Vec::new());
        let mut names = Vec::new();
        for entry in entries {
            let known = self.names.get(&entry.function).copied();
            let name = known.unwrap_or_else(|| {
                let name = u64::try_from(self.names.len()).unwrap_or(u64::MAX);
                self.names.insert(Arc::clone(&entry.function), name);
                names.push(Arc::clone(&entry.function));
                payload.push(NAME);
                put_number(&mut payload, name);
                let FunctionKey { account, region, name } = &*entry.function;
                [account, region, name].into_iter().for_each(|text| put_text(&mut payload, text));
                put_frame(&mut bytes, &mut payload);
                u64::try_from(self.names.len()).unwrap_or(u64::MAX) - 1
            });
            payload.push(ENTRY);
            entry.encode(name, &mut payload);
            put_frame(&mut bytes, &mut payload);
        }
        let Err(error) = self.file.write_all(&bytes) else {
            self.length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            return Ok(());
        };
        for name in names {
            self.names.remove(&name);
        }
        match self.file.set_len(self.length) {
            Ok(()) => Err(AppendError::Nothing(error)),
            Err(_) => Err(AppendError::Unknown(error)),
        }
    }

    /// Waits for the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Moves a payload into a frame.
fn put_frame(bytes: &mut Vec<u8>, payload: &mut Vec<u8>) {
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    payload.truncate(usize::from(length));
    bytes.extend(length.to_le_bytes());
    bytes.extend(crc32fast::hash(payload).to_le_bytes());
    bytes.append(payload);
}

/// Segments with their days and numbers, in that order.
pub(super) fn list(directory: &Path) -> io::Result<Vec<(Date, u64, PathBuf)>> {
    let mut segments = Vec::new();
    for found in fs::read_dir(directory)? {
        let path = found?.path();
        if let Some((day, number)) = parse_name(&path) {
            segments.push((day, number, path));
        }
    }
    segments.sort();
    Ok(segments)
}

fn parse_name(path: &Path) -> Option<(Date, u64)> {
    if path.extension()? != EXTENSION {
        return None;
    }
    let (day, number) = path.file_stem()?.to_str()?.split_once('.')?;
    let day = Date::parse(day, format_description!("[year]-[month]-[day]")).ok()?;
    Some((day, number.parse().ok()?))
}

/// Shows each whole entry of a segment.
pub(super) fn read(path: &Path, mut show: impl FnMut(Entry)) -> io::Result<()> {
    let mut file = BufReader::with_capacity(256 * 1024, File::open(path)?);
    let mut magic = [0; MAGIC.len()];
    if !fill(&mut file, &mut magic)? || magic != *MAGIC {
        return Ok(());
    }
    let mut names: HashMap<u64, Arc<FunctionKey>> = HashMap::new();
    let (mut header, mut payload) = ([0; HEADER_BYTES], Vec::new());
    while fill(&mut file, &mut header)? {
        let [length_low, length_high, sum @ ..] = header;
        payload.resize(usize::from(u16::from_le_bytes([length_low, length_high])), 0);
        if !fill(&mut file, &mut payload)? || crc32fast::hash(&payload) != u32::from_le_bytes(sum) {
            break;
        }
        match payload.split_first() {
            Some((&NAME, mut rest)) => {
                if let Some((name, function)) = take_name(&mut rest) {
                    names.insert(name, Arc::new(function));
                }
            }
            Some((&ENTRY, rest)) => {
                if let Some(entry) = Entry::decode(rest, |name| names.get(&name).cloned()) {
                    show(entry);
                }
            }
            // Of a later wuwei.
            Some(_) | None => {}
        }
    }
    Ok(())
}

fn take_name(bytes: &mut &[u8]) -> Option<(u64, FunctionKey)> {
    let name = take_number(bytes)?;
    let (account, region) = (take_text(bytes)?, take_text(bytes)?);
    Some((name, FunctionKey { account, region, name: take_text(bytes)? }))
}

/// Reads so much; false where the file ends before.
fn fill(file: &mut BufReader<File>, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
