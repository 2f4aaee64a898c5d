//! The words all parts of wuwei share: functions, versions, ARNs, limits, the AWS service model, and errors.
//!
//! Pure: no I/O, no async, no clock. Wire formats live at the edge that speaks them.

mod digest;
mod function;
mod invocation;
pub mod limits;
mod logging;
mod name;
mod secret;
pub mod service;

pub use digest::{CodeDigest, ParseCodeDigestError};
pub use function::{
    Architecture, FunctionCode, FunctionKey, FunctionSettings, FunctionVersion, LastUpdateStatus, Runtime,
    RuntimeFamily, State, Version,
};
pub use invocation::{FunctionErrorKind, InvocationId, InvocationReport, Outcome};
pub use logging::{ApplicationLogLevel, LogFormat, LoggingConfig, SystemLogLevel};
pub use name::{FunctionReference, ParseFunctionReferenceError};
pub use secret::EnvironmentVariables;
