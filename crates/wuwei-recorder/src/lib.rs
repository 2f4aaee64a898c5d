//! What happened: the log of each function, START/END/REPORT lines, and the usage of each invocation.
//!
//! A [`LogStream`] hands records to a bounded queue; one thread appends them to a file for each function and day and
//! then shows them to those who [`Recorder::follow`] the function. Nothing of this is on an invocation's path.

mod files;
mod followers;
mod lines;
mod queue;
mod read;
mod record;
mod recorder;
mod stream;
mod tail;
mod writer;

pub use record::{Level, LogRecord};
pub use recorder::{Recorder, RecorderError};
pub use stream::LogStream;
