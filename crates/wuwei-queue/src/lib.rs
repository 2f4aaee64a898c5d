//! Events that wait for their functions: accepted means on the disk, and there until they are done or given up.
//!
//! The truth is a log of records ([`DurableQueue`] has it written by one thread, many records to one sync). What is due
//! when, who has which event, and how often it was tried is a state machine in memory, built from the log at a start;
//! bodies stay on the disk. [`RetryPolicy`] has AWS's rules of what becomes of an event after an attempt.

mod clock;
mod durable;
mod files;
mod log;
mod machine;
mod policy;
mod queue;
#[cfg(test)]
mod random;
mod record;

pub use clock::{Clock, SystemClock};
pub use durable::{DurableQueue, QueueOptions};
pub use files::{DiskFiles, Files, LogFile};
pub use log::OpenError;
pub use machine::{Counts, DeadLetter, Lease};
pub use policy::{Counting, Next, Progress, RetryPolicy, Verdict};
pub use queue::{Claimed, EnqueueError, EventQueue, NewEvent, QueueError};
pub use record::{Cause, EventId, Lane};
