//! Records of the log: what has happened to events.

use std::sync::Arc;

use bytes::Bytes;
use wuwei_model::FunctionKey;

/// Identifies an event for good: the sequence of the record that accepted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub(crate) u64);

impl EventId {
    /// For people and programs to name it by.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

impl From<u64> for EventId {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

/// Whom events wait for: one function, until it is deleted. One that is made anew under its name is another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// The function's name.
    pub function: FunctionKey,
    /// Given by each CreateFunction; see `Function::generation` of the store.
    pub generation: String,
}

/// Why an event is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The function has failed as often as it is tried.
    RetriesExhausted,
    /// It has waited for as long as events may.
    EventAgeExceeded,
    /// The function's reserved concurrency is zero.
    NoConcurrency,
    /// The function was deleted.
    FunctionDeleted,
    /// The disk does not give back what was accepted.
    Damaged,
}

impl Cause {
    const ALL: [Self; 5] =
        [Self::RetriesExhausted, Self::EventAgeExceeded, Self::NoConcurrency, Self::FunctionDeleted, Self::Damaged];

    /// AWS's words where it has some.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RetriesExhausted => "RetriesExhausted",
            Self::EventAgeExceeded => "EventAgeExceeded",
            Self::NoConcurrency => "NoReservedConcurrency",
            Self::FunctionDeleted => "FunctionDeleted",
            Self::Damaged => "Damaged",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::RetriesExhausted => 1,
            Self::EventAgeExceeded => 2,
            Self::NoConcurrency => 3,
            Self::FunctionDeleted => 4,
            Self::Damaged => 5,
        }
    }

    fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.code() == code)
    }
}

/// Acceptance of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) lane: Arc<Lane>,
    pub(crate) accepted_at_ms: u64,
    pub(crate) content: Bytes,
}

/// Where an event stands that is not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It waits to be run, not before this time.
    Waiting { due_at_ms: u64 },
    /// It was given up.
    Dead { cause: Cause, at_ms: u64 },
}

/// What the log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// A new event, named by the sequence of this record.
    Accepted(Accepted),
    /// An attempt has failed that counts.
    Retried { id: EventId, attempts: u8, due_at_ms: u64 },
    /// It was given up, and waits for someone to look.
    Dead { id: EventId, cause: Cause, at_ms: u64 },
    /// Nothing of it is needed any more: it has succeeded, or was removed by hand.
    Finished { id: EventId },
    /// Given up before, it waits again as if it were new.
    Redriven { id: EventId, at_ms: u64 },
    /// It is here now; all records of it that come before mean nothing any more.
    Moved { id: EventId, attempts: u8, standing: Standing, accepted: Accepted },
}

const ACCEPTED: u8 = 1;
const RETRIED: u8 = 2;
const DEAD: u8 = 3;
const FINISHED: u8 = 4;
const REDRIVEN: u8 = 5;
const MOVED: u8 = 6;
/// Bytes that a `Moved` has more than the acceptance in it.
pub(crate) const MOVED_BYTES: u64 = 18;
/// In a `Moved`, for an event that waits.
const WAITING: u8 = 0;

impl Record {
    /// Kind and payload.
    pub(crate) fn encode(&self) -> (u8, Vec<u8>) {
        let mut payload = Vec::new();
        match self {
            Self::Accepted(accepted) => {
                accepted.put(&mut payload);
                (ACCEPTED, payload)
            }
            Self::Retried { id, attempts, due_at_ms } => {
                put_long(&mut payload, id.0);
                put_long(&mut payload, *due_at_ms);
                payload.push(*attempts);
                (RETRIED, payload)
            }
            Self::Dead { id, cause, at_ms } => {
                put_long(&mut payload, id.0);
                put_long(&mut payload, *at_ms);
                payload.push(cause.code());
                (DEAD, payload)
            }
            Self::Finished { id } => {
                put_long(&mut payload, id.0);
                (FINISHED, payload)
            }
            Self::Redriven { id, at_ms } => {
                put_long(&mut payload, id.0);
                put_long(&mut payload, *at_ms);
                (REDRIVEN, payload)
            }
            Self::Moved { id, attempts, standing, accepted } => {
                put_long(&mut payload, id.0);
                let (code, at_ms) = match standing {
                    Standing::Waiting { due_at_ms } => (WAITING, *due_at_ms),
                    Standing::Dead { cause, at_ms } => (cause.code(), *at_ms),
                };
                put_long(&mut payload, at_ms);
                payload.extend([*attempts, code]);
                accepted.put(&mut payload);
                (MOVED, payload)
            }
        }
    }

    /// Takes a payload apart; `None` when it says nothing known.
    pub(crate) fn decode(kind: u8, payload: &[u8]) -> Option<Self> {
        let mut rest = payload;
        let record = match kind {
            ACCEPTED => return Accepted::take(rest).map(Self::Accepted),
            RETRIED => Self::Retried {
                id: EventId(take_long(&mut rest)?),
                due_at_ms: take_long(&mut rest)?,
                attempts: take_byte(&mut rest)?,
            },
            DEAD => Self::Dead {
                id: EventId(take_long(&mut rest)?),
                at_ms: take_long(&mut rest)?,
                cause: Cause::of_code(take_byte(&mut rest)?)?,
            },
            FINISHED => Self::Finished { id: EventId(take_long(&mut rest)?) },
            REDRIVEN => Self::Redriven { id: EventId(take_long(&mut rest)?), at_ms: take_long(&mut rest)? },
            MOVED => {
                let (id, at_ms) = (EventId(take_long(&mut rest)?), take_long(&mut rest)?);
                let (attempts, code) = (take_byte(&mut rest)?, take_byte(&mut rest)?);
                let standing = match code {
                    WAITING => Standing::Waiting { due_at_ms: at_ms },
                    code => Standing::Dead { cause: Cause::of_code(code)?, at_ms },
                };
                return Some(Self::Moved { id, attempts, standing, accepted: Accepted::take(rest)? });
            }
            _later_version => return None,
        };
        rest.is_empty().then_some(record)
    }

    /// Which event a record has as a whole, if it has one; the rest of the payload is not looked at.
    pub(crate) fn id_of_whole_event(kind: u8, sequence: u64, payload: &[u8]) -> Option<EventId> {
        let mut rest = payload;
        match kind {
            ACCEPTED => Some(EventId(sequence)),
            MOVED => take_long(&mut rest).map(EventId),
            _other => None,
        }
    }

    /// The event's acceptance and its id, in a record that has the whole event.
    pub(crate) fn whole_event(self, sequence: u64) -> Option<(EventId, Accepted)> {
        match self {
            Self::Accepted(accepted) => Some((EventId(sequence), accepted)),
            Self::Moved { id, accepted, .. } => Some((id, accepted)),
            Self::Retried { .. } | Self::Dead { .. } | Self::Finished { .. } | Self::Redriven { .. } => None,
        }
    }
}

impl Accepted {
    /// Bytes of the payload, without making it.
    pub(crate) fn payload_bytes(&self) -> usize {
        let Lane { function: FunctionKey { account, region, name }, generation } = &*self.lane;
        let texts = [account, region, name, generation].into_iter().map(|text| 1 + text.len());
        8 + texts.sum::<usize>() + self.content.len()
    }

    fn put(&self, payload: &mut Vec<u8>) {
        payload.reserve(self.payload_bytes());
        put_long(payload, self.accepted_at_ms);
        let Lane { function: FunctionKey { account, region, name }, generation } = &*self.lane;
        for text in [account, region, name, generation] {
            let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
            payload.push(length);
            payload.extend_from_slice(&text.as_bytes()[..usize::from(length)]);
        }
        payload.extend_from_slice(&self.content);
    }

    fn take(mut rest: &[u8]) -> Option<Self> {
        let accepted_at_ms = take_long(&mut rest)?;
        let (account, region, name) = (take_text(&mut rest)?, take_text(&mut rest)?, take_text(&mut rest)?);
        let generation = take_text(&mut rest)?;
        let lane = Arc::new(Lane { function: FunctionKey { account, region, name }, generation });
        Some(Self { lane, accepted_at_ms, content: Bytes::copy_from_slice(rest) })
    }
}

impl Lane {
    /// Whether its texts can be written down: each is shorter than 256 bytes, far more than AWS's names have.
    pub(crate) fn is_encodable(&self) -> bool {
        let FunctionKey { account, region, name } = &self.function;
        [account, region, name, &self.generation].into_iter().all(|text| u8::try_from(text.len()).is_ok())
    }
}

fn put_long(payload: &mut Vec<u8>, number: u64) {
    payload.extend_from_slice(&number.to_le_bytes());
}

fn take_long(rest: &mut &[u8]) -> Option<u64> {
    let (bytes, left) = rest.split_first_chunk::<8>()?;
    *rest = left;
    Some(u64::from_le_bytes(*bytes))
}

fn take_byte(rest: &mut &[u8]) -> Option<u8> {
    let (byte, left) = rest.split_first()?;
    *rest = left;
    Some(*byte)
}

fn take_text(rest: &mut &[u8]) -> Option<String> {
    let length = usize::from(take_byte(rest)?);
    let (bytes, left) = rest.split_at_checked(length)?;
    *rest = left;
    String::from_utf8(bytes.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::{Accepted, Cause, EventId, Lane, Record, Standing};
    use bytes::Bytes;
    use std::sync::Arc;
    use wuwei_model::FunctionKey;

    fn accepted() -> Accepted {
        let function = FunctionKey { account: "000000000000".into(), region: "us-east-1".into(), name: "f".into() };
        let lane = Arc::new(Lane { function, generation: "g".into() });
        Accepted { lane, accepted_at_ms: 7, content: Bytes::from_static(b"{}") }
    }

    fn all() -> Vec<Record> {
        let id = EventId(9);
        let mut records = vec![
            Record::Accepted(accepted()),
            Record::Retried { id, attempts: 2, due_at_ms: 3 },
            Record::Finished { id },
            Record::Redriven { id, at_ms: 4 },
        ];
        for cause in Cause::ALL {
            records.push(Record::Dead { id, cause, at_ms: 5 });
            let standing = Standing::Dead { cause, at_ms: 6 };
            records.push(Record::Moved { id, attempts: 1, standing, accepted: accepted() });
        }
        let standing = Standing::Waiting { due_at_ms: 8 };
        records.push(Record::Moved { id, attempts: 1, standing, accepted: accepted() });
        records
    }

    #[test]
    fn records_are_read_back_as_they_were_written() {
        for record in all() {
            let (kind, payload) = record.encode();
            let whole = record.clone().whole_event(3).map(|(id, _)| id);
            assert_eq!(Record::id_of_whole_event(kind, 3, &payload), whole);
            assert_eq!(Record::decode(kind, &payload), Some(record));
        }
        assert_eq!(accepted().payload_bytes(), Record::Accepted(accepted()).encode().1.len());
    }

    #[test]
    fn a_record_that_is_cut_off_or_of_an_unknown_kind_is_none() {
        for record in all() {
            let (kind, payload) = record.encode();
            let head = payload.len() - record.whole_event(1).map_or(0, |(_, accepted)| accepted.content.len());
            for length in 0..head {
                assert_eq!(Record::decode(kind, &payload[..length]), None);
            }
        }
        assert_eq!(Record::decode(0, &[]), None);
        assert_eq!(Record::decode(7, &[0; 64]), None);
    }
}
