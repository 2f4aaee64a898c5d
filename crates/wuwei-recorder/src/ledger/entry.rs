//! One attempt, and its compact form.

use std::sync::Arc;
use std::time::SystemTime;

use time::Date;
use wuwei_model::{Architecture, FunctionKey, InvocationReport, Outcome, Version};

use crate::files::{day_of, unix_ms};
use crate::meter::FunctionCounts;

/// What one attempt used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// When it ended, in milliseconds since the Unix epoch.
    pub(crate) time_ms: u64,
    pub(crate) function: Arc<FunctionKey>,
    pub(crate) version: Version,
    pub(crate) architecture: Architecture,
    /// Size of `/tmp`, in MB.
    pub(crate) ephemeral_mb: u32,
    pub(crate) request_id: String,
    pub(crate) outcome: Outcome,
    pub(crate) duration_us: u64,
    /// Set after a cold start.
    pub(crate) init_us: Option<u64>,
    pub(crate) billed_ms: u64,
    pub(crate) cpu_us: u64,
    pub(crate) memory_mb: u32,
    pub(crate) peak_bytes: u64,
}

impl Entry {
    pub(crate) fn new(
        at: SystemTime,
        function: &Arc<FunctionKey>,
        version: Version,
        architecture: Architecture,
        ephemeral_mb: u32,
        report: &InvocationReport,
    ) -> Self {
        let us = |duration: std::time::Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self {
            time_ms: u64::try_from(unix_ms(at)).unwrap_or(0),
            function: Arc::clone(function),
            version,
            architecture,
            ephemeral_mb,
            request_id: report.id.as_str().to_owned(),
            outcome: report.outcome,
            duration_us: us(report.duration),
            init_us: report.init.map(us),
            billed_ms: report.billed_ms,
            cpu_us: report.cpu_us,
            memory_mb: report.memory_mb,
            peak_bytes: report.peak_memory_bytes,
        }
    }

    /// The day in UTC on which it ended.
    pub(crate) fn day(&self) -> Date {
        day_of(i64::try_from(self.time_ms).unwrap_or(i64::MAX))
    }

    /// What it adds to its function's numbers.
    pub(crate) fn counts(&self) -> FunctionCounts {
        FunctionCounts {
            invocations: 1,
            errors: u64::from(self.outcome != Outcome::Success),
            cold_starts: u64::from(self.init_us.is_some()),
            duration_us: self.duration_us,
            cpu_us: self.cpu_us,
            billed_ms: self.billed_ms,
            ..FunctionCounts::default()
        }
    }

    /// Appends the compact form; `name` stands for the function.
    pub(super) fn encode(&self, name: u64, buffer: &mut Vec<u8>) {
        let uuid = uuid_bytes(&self.request_id);
        let flags = outcome_code(self.outcome)
            | if self.init_us.is_some() { COLD } else { 0 }
            | if self.architecture == Architecture::Arm64 { ARM } else { 0 }
            | if uuid.is_some() { UUID } else { 0 };
        buffer.push(flags);
        let version = match self.version {
            Version::Latest => 0,
            Version::Published(number) => number,
        };
        for number in [self.time_ms, name, version] {
            put_number(buffer, number);
        }
        match uuid {
            Some(bytes) => buffer.extend(bytes),
            None => put_text(buffer, &self.request_id),
        }
        put_number(buffer, self.duration_us);
        if let Some(init_us) = self.init_us {
            put_number(buffer, init_us);
        }
        let (memory_mb, ephemeral_mb) = (u64::from(self.memory_mb), u64::from(self.ephemeral_mb));
        for number in [self.billed_ms, self.cpu_us, memory_mb, ephemeral_mb, self.peak_bytes] {
            put_number(buffer, number);
        }
    }

    /// Reads the compact form; `name_of` knows the functions. `None` when it does not make sense.
    pub(super) fn decode(mut bytes: &[u8], name_of: impl Fn(u64) -> Option<Arc<FunctionKey>>) -> Option<Self> {
        let bytes = &mut bytes;
        let flags = take(bytes, 1)?.first().copied()?;
        let time_ms = take_number(bytes)?;
        let function = name_of(take_number(bytes)?)?;
        let version = match take_number(bytes)? {
            0 => Version::Latest,
            number => Version::Published(number),
        };
        let request_id = if flags & UUID == 0 { take_text(bytes)? } else { uuid_text(take(bytes, 16)?) };
        let duration_us = take_number(bytes)?;
        let init_us = if flags & COLD == 0 { None } else { Some(take_number(bytes)?) };
        Some(Self {
            time_ms,
            function,
            version,
            architecture: if flags & ARM == 0 { Architecture::X86_64 } else { Architecture::Arm64 },
            request_id,
            outcome: outcome_of(flags & OUTCOME)?,
            duration_us,
            init_us,
            billed_ms: take_number(bytes)?,
            cpu_us: take_number(bytes)?,
            memory_mb: u32::try_from(take_number(bytes)?).ok()?,
            ephemeral_mb: u32::try_from(take_number(bytes)?).ok()?,
            peak_bytes: take_number(bytes)?,
        })
    }
}

/// The bits of the first byte that say how the attempt ended.
const OUTCOME: u8 = 0b0000_1111;
const COLD: u8 = 0b0001_0000;
const ARM: u8 = 0b0010_0000;
const UUID: u8 = 0b0100_0000;

fn outcome_code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Success => 0,
        Outcome::FunctionError => 1,
        Outcome::Timeout => 2,
        Outcome::OutOfMemory => 3,
        Outcome::Crash => 4,
    }
}

fn outcome_of(code: u8) -> Option<Outcome> {
    match code {
        0 => Some(Outcome::Success),
        1 => Some(Outcome::FunctionError),
        2 => Some(Outcome::Timeout),
        3 => Some(Outcome::OutOfMemory),
        4 => Some(Outcome::Crash),
        _ => None,
    }
}

/// Seven bits a byte, the lowest first; the highest bit of a byte says that there are more.
pub(super) fn put_number(buffer: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        buffer.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    buffer.push(u8::try_from(number).unwrap_or(0));
}

pub(super) fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?.first().copied()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

pub(super) fn put_text(buffer: &mut Vec<u8>, text: &str) {
    put_number(buffer, u64::try_from(text.len()).unwrap_or(u64::MAX));
    buffer.extend(text.as_bytes());
}

pub(super) fn take_text(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(take_number(bytes)?).ok()?;
    String::from_utf8(take(bytes, length)?.to_vec()).ok()
}

fn take<'bytes>(bytes: &mut &'bytes [u8], length: usize) -> Option<&'bytes [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

/// The bytes of a UUID in its usual lower-case form; `None` for any other text.
fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    let mut bytes = [0; 16];
    if digits.len() != 32 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    (uuid_text(&bytes) == text).then_some(bytes)
}

fn uuid_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.extend([byte >> 4, byte & 0x0f].map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0')));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Entry, put_number, take_number};
    use std::sync::Arc;
    use wuwei_model::{Architecture, FunctionKey, Outcome, Version};

    fn entry() -> Entry {
        let (account, region, name) = ("000000000000".to_owned(), "us-east-1".to_owned(), "f".to_owned());
        Entry {
            time_ms: 1_795_161_600_007,
            function: Arc::new(FunctionKey { account, region, name }),
            version: Version::Latest,
            architecture: Architecture::X86_64,
            ephemeral_mb: 512,
            request_id: "8f5a1c6e-0000-4000-8000-00000000000f".to_owned(),
            outcome: Outcome::Success,
            duration_us: 1_234,
            init_us: None,
            billed_ms: 2,
            cpu_us: 900,
            memory_mb: 128,
            peak_bytes: 40_000_000,
        }
    }

    fn survives(entry: &Entry) -> usize {
        let mut bytes = Vec::new();
        entry.encode(3, &mut bytes);
        let decoded = Entry::decode(&bytes, |name| (name == 3).then(|| Arc::clone(&entry.function))).unwrap();
        assert_eq!(decoded, *entry);
        for length in 0..bytes.len() {
            assert_eq!(Entry::decode(&bytes[..length], |_| Some(Arc::clone(&entry.function))), None, "{length}");
        }
        bytes.len()
    }

    #[test]
    fn entries_survive_their_compact_form_and_are_small() {
        assert!(survives(&entry()) <= 48);
        for outcome in [Outcome::FunctionError, Outcome::Timeout, Outcome::OutOfMemory, Outcome::Crash] {
            survives(&Entry { outcome, init_us: Some(90_000), ..entry() });
        }
        survives(&Entry { architecture: Architecture::Arm64, version: Version::Published(7), ..entry() });
        let largest = Entry { duration_us: u64::MAX, cpu_us: u64::MAX, memory_mb: u32::MAX, ..entry() };
        survives(&largest);
        for request_id in ["", "no uuid", "8F5A1C6E-0000-4000-8000-00000000000F", "日本"] {
            survives(&Entry { request_id: request_id.to_owned(), ..entry() });
        }
    }

    #[test]
    fn numbers_of_every_size_are_read_back() {
        for shift in 0..64 {
            for number in [1_u64 << shift, (1_u64 << shift) - 1] {
                let mut bytes = Vec::new();
                put_number(&mut bytes, number);
                assert_eq!(take_number(&mut bytes.as_slice()), Some(number));
            }
        }
        assert_eq!(take_number(&mut [0xff; 11].as_slice()), None);
    }
}
