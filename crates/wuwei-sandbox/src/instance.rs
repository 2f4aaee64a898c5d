//! What the engine sees of a sandbox: instances that initialise, answer invocations, freeze and stop.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use wuwei_model::{EgressPolicy, InvocationId, Runtime};

use crate::relay::InstanceIdentity;
use crate::stock::StockSnapshot;
use crate::stream::StreamSink;
use crate::temporary::TemporaryFiles;

/// All that is needed to start one execution environment. `Debug` shows nothing of the environment.
#[derive(Clone)]
pub struct InstanceSpec {
    /// 32 lower-case hexadecimal digits, unique in the life of the data directory; also ends the log stream's name.
    pub instance_id: String,
    /// For whom it runs.
    pub identity: InstanceIdentity,
    /// Runtime identifier; must be one that [`InstanceFactory::supports`].
    pub runtime: Runtime,
    /// The unpacked package on the host, shown read-only at `/var/task`.
    pub code_dir: PathBuf,
    /// Its layers on the host, put together, shown read-only at `/opt`; an empty one when there are none.
    pub layers_dir: Option<PathBuf>,
    /// Handler setting.
    pub handler: String,
    /// The complete environment of the runtime process (AWS's defined variables and the function's own); the
    /// sandbox adds only what depends on the runtime's channel (`AWS_LAMBDA_RUNTIME_API`), on the interpreter (`PATH`)
    /// and on the way back (`AWS_ENDPOINT_URL`, credentials).
    pub environment: Vec<(String, String)>,
    /// Memory limit, in MB.
    pub memory_mb: u32,
    /// Size of `/tmp`, in MB.
    pub ephemeral_mb: u32,
    /// What is in `/tmp` already: the files of the same environment, when its runtime is started again.
    pub temporary_files: TemporaryFiles,
    /// What it may reach; the server's default when there is none.
    pub egress: Option<EgressPolicy>,
}

/// A function that may be called soon: what of it decides on which sandboxes can be built ahead for it. `Debug` shows
/// nothing of the environment.
#[derive(Clone)]
pub struct ExpectedInstance {
    /// Runtime identifier.
    pub runtime: Runtime,
    /// As in [`InstanceSpec::environment`].
    pub environment: Vec<(String, String)>,
    /// Memory limit, in MB.
    pub memory_mb: u32,
    /// Size of `/tmp`, in MB.
    pub ephemeral_mb: u32,
    /// What it may reach; the server's default when there is none.
    pub egress: Option<EgressPolicy>,
    /// As in [`InstanceSpec::layers_dir`].
    pub layers_dir: Option<PathBuf>,
}

impl fmt::Debug for ExpectedInstance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ExpectedInstance").field("runtime", &self.runtime).finish_non_exhaustive()
    }
}

impl fmt::Debug for InstanceSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("InstanceSpec");
        shown.field("instance_id", &self.instance_id).field("runtime", &self.runtime).finish_non_exhaustive()
    }
}

/// One event on its way into an instance.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Request id.
    pub id: InvocationId,
    /// The event, JSON text as the caller sent it.
    pub payload: Bytes,
    /// Wall-clock deadline that the handler is told (`Lambda-Runtime-Deadline-Ms`).
    pub deadline: SystemTime,
    /// How long to wait for the answer before [`InvokeFailure::Timeout`].
    pub timeout: Duration,
    /// ARN as the caller named it, qualifier included when one was given.
    pub invoked_function_arn: String,
    /// `X-Amzn-Trace-Id`.
    pub trace_id: String,
    /// Decoded JSON of `X-Amz-Client-Context`.
    pub client_context: Option<String>,
    /// JSON of the Amazon Cognito identity that calls, where there is one.
    pub cognito_identity: Option<String>,
    /// Tenant that the instance belongs to, for functions that isolate tenants.
    pub tenant_id: Option<String>,
    /// Where parts of the answer go as they come, when the caller wants them so. A runtime that does not stream answers
    /// with [`Reply::Success`] all the same.
    pub stream: Option<StreamSink>,
}

/// What the runtime answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The handler's result, JSON text (or any bytes from a custom runtime).
    Success(Bytes),
    /// The answer went to [`Invocation::stream`] part by part; with AWS's error document when it broke off.
    Streamed {
        /// Set when the function failed after its first part.
        error: Option<Bytes>,
    },
    /// The handler failed: AWS's error document (`errorMessage`, `errorType`, `stackTrace`…) as JSON text.
    Error(Bytes),
}

/// How a runtime process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessExit {
    /// `exit(code)`.
    Code(i32),
    /// Killed by a signal (its number).
    Signal(i32),
    /// There never was one: the program could not be executed, for this reason (`errno`).
    NotExecuted(i32),
    /// Killed by the kernel because the instance passed its memory limit.
    OutOfMemory,
    /// The sandbox was torn down before the process could report.
    Lost,
}

/// Why initialisation did not finish. The instance must be stopped.
#[derive(Debug, Error)]
pub enum InitFailure {
    /// The runtime reported an error document (import failed, no such handler…).
    #[error("runtime reported an initialisation error")]
    Reported(Bytes),
    /// The runtime process ended.
    #[error("runtime ended during initialisation: {0:?}")]
    Exited(ProcessExit),
    /// The time limit passed.
    #[error("initialisation passed its time limit")]
    Timeout,
    /// The runtime broke the protocol.
    #[error("runtime broke the protocol during initialisation: {0}")]
    Protocol(String),
}

/// Why an invocation has no reply. The instance must be stopped.
#[derive(Debug, Error)]
pub enum InvokeFailure {
    /// The runtime process ended.
    #[error("runtime ended during the invocation: {0:?}")]
    Exited(ProcessExit),
    /// The runtime process ended before it took the event, which the function has seen nothing of: another may have it.
    #[error("runtime ended before it took the event: {0:?}")]
    NotTaken(ProcessExit, Box<Invocation>),
    /// The time limit passed.
    #[error("invocation passed its time limit")]
    Timeout,
    /// The answer is larger than [`wuwei_model::limits::SYNC_RESPONSE_BYTES_MAX`]; carries its size in bytes.
    #[error("response of {0} bytes exceeds the limit")]
    ResponseTooLarge(u64),
    /// The runtime broke the protocol.
    #[error("runtime broke the protocol: {0}")]
    Protocol(String),
}

/// Why an instance could not be started: the platform's fault, not the function's.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// This host does not offer the runtime; the text says which are there.
    #[error("runtime `{runtime}` is not on this host (found: {found})")]
    UnknownRuntime {
        /// The runtime asked for.
        runtime: String,
        /// Comma-separated identifiers.
        found: String,
    },
    /// `/var/task/bootstrap` is missing or not executable (AWS: `Runtime.InvalidEntrypoint`).
    #[error("package has no executable `bootstrap`")]
    NoBootstrap,
    /// The launcher could not build the sandbox; the text names the step.
    #[error("build sandbox: {0}")]
    Sandbox(String),
    /// Reduced isolation has no `/opt` of a function's own.
    #[error("functions with layers need full isolation: this server runs with --sandbox=reduced")]
    NoLayers,
    /// The launcher process is gone; it is being restarted.
    #[error("the sandbox launcher is not running")]
    LauncherGone,
}

impl LaunchError {
    /// Whether it is how this server is set up, which the caller may know.
    #[must_use]
    pub fn is_of_the_setup(&self) -> bool {
        match self {
            Self::NoLayers => true,
            Self::UnknownRuntime { .. } | Self::NoBootstrap | Self::Sandbox(_) | Self::LauncherGone => false,
        }
    }
}

/// Resources that an instance has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time of all its processes, in microseconds.
    pub cpu_us: u64,
    /// Highest memory use since the last [`Instance::reset_peak_memory`], in bytes.
    pub peak_memory_bytes: u64,
}

/// Takes what a function writes to stdout and stderr.
pub trait OutputSink: Send {
    /// One line (or a longer write that stays together), without the final newline; invalid UTF-8 is replaced.
    fn write_line(&mut self, at: SystemTime, text: &str);
}

/// Starts instances.
#[async_trait]
pub trait InstanceFactory: Send + Sync {
    /// Whether this host can run the runtime.
    fn supports(&self, runtime: &Runtime) -> bool;
    /// Builds a sandbox and starts the runtime in it; returns before its initialisation has finished.
    async fn launch(&self, spec: InstanceSpec) -> Result<Box<dyn Instance>, LaunchError>;
    /// Says that [`InstanceFactory::launch`] may be asked for such an instance soon. Returns at once.
    fn expect(&self, _expected: ExpectedInstance) {}
    /// What stands ready, and what became of it so far.
    fn stock(&self) -> StockSnapshot {
        StockSnapshot::default()
    }
}

/// One running execution environment. Dropping it kills all its processes.
#[async_trait]
pub trait Instance: Send + Sync {
    /// Waits until the runtime is ready for its first event; output goes to `output` as it comes.
    async fn initialise(&mut self, limit: Duration, output: &mut dyn OutputSink) -> Result<(), InitFailure>;
    /// Hands over one event and waits for its answer. All output written before the answer is in `output` on return.
    async fn invoke(&mut self, invocation: Invocation, output: &mut dyn OutputSink) -> Result<Reply, InvokeFailure>;
    /// How much of its initialisation was the function's own code: what the runtime says of itself, where it does.
    fn own_init(&self) -> Option<Duration> {
        None
    }
    /// CPU and memory used so far.
    fn usage(&self) -> Usage;
    /// The first half of [`Instance::usage`].
    fn cpu_us(&self) -> u64;
    /// The second half of [`Instance::usage`].
    fn peak_memory_bytes(&self) -> u64;
    /// Starts a new measurement of peak memory.
    fn reset_peak_memory(&self);
    /// Stops all its processes from running until [`Instance::thaw`].
    fn freeze(&self);
    /// Lets its processes run again.
    fn thaw(&self);
    /// Whether its processes are still there (an idle instance may die at any time).
    fn is_alive(&self) -> bool;
    /// Kills all processes and waits until they are gone and their cgroup is empty.
    async fn stop(self: Box<Self>);
}
