//! Isolation and language runtimes: start, invoke, freeze and stop an instance.

#[cfg(feature = "defence-switches")]
pub mod attempts;
mod cgroup;
mod defence;
mod discovery;
pub mod doctor;
mod egress;
mod frames;
mod host;
mod instance;
mod launcher;
mod managed;
mod output;
mod process;
mod provided;
mod relay;
mod runtime_api;
mod runtimes;
mod sandbox;
mod seccomp;
mod startup;
mod stock;
mod stream;
mod sys;

pub use discovery::{NodeInterpreter, OfferedRuntime, PythonInterpreter, Runtimes, SearchPaths};
pub use egress::{EgressOptions, run_filler};
pub use host::StartSandboxError;
pub use instance::{
    ExpectedInstance, InitFailure, Instance, InstanceFactory, InstanceSpec, Invocation, InvokeFailure, LaunchError,
    OutputSink, ProcessExit, Reply, Usage,
};
pub use launcher::run_launcher;
pub use relay::{InstanceIdentity, Relay, RelayService};
pub use sandbox::{Sandbox, SandboxMode, SandboxOptions};
pub use startup::{LANGUAGE, LIBRARY_PATH, PYTHON_PATH, TIME_ZONE};
pub use stock::{StockOptions, StockSnapshot};
pub use stream::{StreamPart, StreamSink};

/// Whether this build can leave out defences of a sandbox: true only in builds for the suite of attempts.
pub const HAS_DEFENCE_SWITCHES: bool = cfg!(feature = "defence-switches");
