//! What happened: the log of each function, START/END/REPORT lines, and the ledger of what each invocation used.
//!
//! A [`LogStream`] hands records to a bounded queue; one thread appends them to a file for each function and day and
//! then shows them to those who [`Recorder::follow`] the function. The end of an invocation is also an entry of the
//! ledger, which another thread appends to a file for each day. Nothing of this is on an invocation's path.

mod application;
mod audit;
mod events;
mod files;
mod followers;
mod holdings;
mod ledger;
mod lines;
mod meter;
mod platform;
mod price;
mod queue;
mod rate;
mod read;
mod record;
mod recorder;
mod stream;
mod streams;
mod tail;
#[cfg(test)]
mod testing;
mod writer;

pub use audit::{AuditEntry, AuditLog};
pub use events::{Direction, EventPage, EventQuery, LocatedRecord, Position};
pub use holdings::LogLimits;
pub use ledger::{Usage, UsageRow};
pub use meter::{FUNCTIONS_METERED_MAX, FunctionCounts};
pub use price::{AWS_LIST_PRICE, Price, PriceBook};
pub use record::{Level, LogRecord};
pub use recorder::{Recorder, RecorderError, RecorderSnapshot};
pub use stream::LogStream;
pub use streams::{LogSummary, StreamSummary};
