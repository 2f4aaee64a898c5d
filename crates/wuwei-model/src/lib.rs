//! The words all parts of wuwei share: functions, versions, ARNs, limits, the AWS service model, and errors.
//!
//! Pure: no I/O, no async, no clock. Wire formats live at the edge that speaks them.

mod alias;
mod attachments;
mod code_signing;
mod controls;
mod digest;
mod egress;
mod event_source;
mod filter_pattern;
mod function;
mod function_url;
mod glob;
pub mod iam;
mod invocation;
mod layer;
pub mod limits;
mod logging;
mod name;
mod policy;
mod secret;
pub mod service;

pub use alias::{Alias, AliasRoute, Weight};
pub use attachments::{Attachments, FileSystem, VpcNetwork};
pub use code_signing::{CodeSigningConfig, UntrustedArtifact};
pub use controls::{
    EventInvokeConfig, ProvisionedConcurrency, RecursiveLoop, RuntimeUpdate, UnknownRecursiveLoopError,
};
pub use digest::{CodeDigest, ParseCodeDigestError};
pub use egress::{EgressError, EgressHost, EgressPolicy, EgressTarget, IpNetwork, is_never_reachable, is_public};
pub use event_source::{EventSourceKind, EventSourceMapping};
pub use filter_pattern::{FilterPattern, InvalidFilterPatternError};
pub use function::{
    Architecture, ExecutionRole, FunctionCode, FunctionKey, FunctionSettings, FunctionVersion, LastUpdateStatus,
    Runtime, RuntimeFamily, State, Version,
};
pub use function_url::{FunctionUrl, UnknownUrlSettingError, UrlAuthType, UrlCors, UrlInvokeMode};
pub use glob::glob_matches;
pub use invocation::{ColdStart, FunctionErrorKind, InitPhase, InitReport, InvocationId, InvocationReport, Outcome};
pub use layer::{LayerKey, LayerReference, LayerVersion, ParseLayerArnError, merged_digest};
pub use logging::{ApplicationLogLevel, LogFormat, LoggingConfig, SystemLogLevel};
pub use name::{FunctionReference, ParseFunctionReferenceError};
pub use policy::{Policy, PolicyCaller, PolicyPrincipal, PolicyQuestion, PolicyStatement};
pub use secret::EnvironmentVariables;
