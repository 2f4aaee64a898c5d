//! Dispatch: finds or starts an instance for each invocation and settles its outcome.
//!
//! A call takes an idle instance of its function version, or waits while one is started: whichever comes first, an
//! instance that another call gave back or the new one, serves it (late binding).

mod account;
mod acquisition;
mod call;
mod collaborators;
mod counters;
mod engine;
mod environment;
mod events;
mod execution;
mod fleet;
mod lease;
mod live;
mod memory;
mod outcome;
mod pool;
mod reaper;
mod shutdown;
mod starting;
#[cfg(test)]
mod testing;
mod to_the_end;

pub use account::FunctionConcurrency;
pub use call::{Answer, Call, EngineOptions, InvokeError};
pub use counters::EngineSnapshot;
pub use engine::Engine;
pub use environment::is_reserved_variable;
pub use events::{AsyncCall, EventCatalog, Events, Runnable};
pub use fleet::Provision;
pub use to_the_end::{PanickedError, Task, ToTheEnd};
pub use wuwei_sandbox::{StockSnapshot, StreamPart, StreamSink};
