//! CloudWatch Logs over the functions' stored logs, in AWS's JSON 1.1 protocol.
//!
//! A group is what somebody has made (`CreateLogGroup`), or what functions have written to: the logs of all functions
//! whose `LoggingConfig` names it.

mod dispatch;
mod error;
mod events;
mod group_operations;
mod groups;
mod retention;
mod streams;
mod tags;
mod token;

pub(crate) use dispatch::answer;
pub(crate) use retention::{apply as apply_retention, keep_applying as keep_applying_retention};
