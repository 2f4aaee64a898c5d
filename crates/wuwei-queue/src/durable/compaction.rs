//! Moves what is still needed of the oldest segment to the end of the log, so that the segment can be removed.

use super::{Shared, frame_bytes};
use crate::log::Log;
use crate::machine::Machine;
use crate::record::{Accepted, Record};

/// Bytes that are moved with one batch: others wait for it.
const PORTION_BYTES: u64 = 1 << 20;
/// Bytes that are read for one batch.
const WALKED_BYTES: u32 = 4 << 20;
/// Segments that may be there whatever is in them.
const SLACK_SEGMENTS: u64 = 4;
/// The same on a full disk, where each one counts.
const SLACK_SEGMENTS_WHEN_FULL: u64 = 2;

/// One segment at a time.
#[derive(Debug, Default)]
pub(super) struct Compaction {
    /// The segment, and where its next portion begins.
    under_way: Option<(u32, u32)>,
    /// A segment that did not get empty: a part of it cannot be read.
    stuck: Option<u32>,
}

impl Compaction {
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Begins when less than half of the log is needed. Each byte is so moved once for each that was written, at most.
    pub(super) fn consider(&mut self, log: &Log, machine: &Machine, is_disk_full: bool) {
        let Some(oldest) = log.oldest().filter(|oldest| Some(*oldest) != self.stuck) else { return };
        if self.is_under_way() {
            return;
        }
        let (bytes, live) = (log.bytes(), machine.live_bytes());
        let is_worth_it = if is_disk_full {
            bytes > live + SLACK_SEGMENTS_WHEN_FULL * log.segment_bytes()
        } else {
            bytes > 2 * live + SLACK_SEGMENTS * log.segment_bytes()
        };
        if is_worth_it {
            self.under_way = Some((oldest, 0));
        }
    }

    /// The next portion, as records to be written before any others.
    pub(super) fn next(&mut self, log: &Log, shared: &Shared) -> Vec<Record> {
        let Some((segment, start)) = self.under_way else { return Vec::new() };
        let (mut moves, mut bytes) = (Vec::new(), 0);
        let walked = log.walk(segment, start, |visit| {
            if bytes >= PORTION_BYTES || visit.place.offset.saturating_sub(start) >= WALKED_BYTES {
                return false;
            }
            let whole = Record::id_of_whole_event(visit.kind, visit.sequence, visit.payload);
            let Some(id) = whole else { return true };
            // Locked for one event at a time. What is durable of it is changed by nobody else than this thread.
            let (standing, accepted_at_ms) = {
                let machine = shared.machine();
                (machine.standing(id, visit.place), machine.accepted_at_ms(id))
            };
            let Some((attempts, standing)) = standing else { return true };
            let event = Record::decode(visit.kind, visit.payload).and_then(|record| record.whole_event(visit.sequence));
            if let Some((_, accepted)) = event {
                bytes += frame_bytes(visit.payload.len());
                let accepted_at_ms = accepted_at_ms.unwrap_or(accepted.accepted_at_ms);
                let accepted = Accepted { accepted_at_ms, ..accepted };
                moves.push(Record::Moved { id, attempts, standing, accepted });
            }
            true
        });
        self.under_way = match walked {
            Ok(Some(next)) => Some((segment, next)),
            Ok(None) => {
                let live = shared.machine().live_bytes_of(segment);
                if moves.is_empty() && live > 0 {
                    tracing::error!(segment, bytes = live, "a segment of events is kept: parts of it cannot be read");
                    self.stuck = Some(segment);
                }
                // Once more from here, to see that nothing is left.
                (!moves.is_empty()).then_some((segment, start))
            }
            Err(error) => {
                tracing::error!(%error, segment, "a segment of events cannot be read");
                self.stuck = Some(segment);
                None
            }
        };
        moves
    }

    /// The last portion was not written. What was moved before is moved.
    pub(super) fn abandon(&mut self) {
        self.under_way = None;
    }
}
