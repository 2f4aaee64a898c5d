//! Isolation and language runtimes: start, invoke, freeze and stop an instance.

#[cfg(feature = "defence-switches")]
pub mod attempts;
mod cgroup;
mod control_socket;
mod defence;
mod discovery;
pub mod doctor;
mod egress;
mod frames;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod helper;
mod host;
mod instance;
mod launcher;
mod managed;
mod output;
mod privilege;
mod process;
mod provided;
mod relay;
mod runtime_api;
mod runtimes;
mod sandbox;
mod seccomp;
mod startup;
mod steward;
mod stock;
mod stream;
mod sys;
mod temporary;
mod way;

pub use discovery::{NodeInterpreter, OfferedRuntime, PythonInterpreter, Runtimes, SearchPaths};
pub use egress::{EgressOptions, run_filler};
pub use host::StartSandboxError;
pub use instance::{
    ExpectedInstance, InitFailure, Instance, InstanceFactory, InstanceSpec, Invocation, InvokeFailure, LaunchError,
    OutputSink, ProcessExit, Reply, Usage,
};
pub use launcher::{HOST_USERS, run_launcher, run_launcher_for};
pub use privilege::{become_user, give_up_capabilities, keep_secrets_of_server};
pub use relay::{InstanceIdentity, Relay, RelayService};
pub use sandbox::{Sandbox, SandboxMode, SandboxOptions};
pub use startup::{LANGUAGE, LIBRARY_PATH, PYTHON_PATH, TIME_ZONE};
pub use steward::{Appointment, HelperCommands, Steward, run_steward};
pub use stock::{StockOptions, StockSnapshot};
pub use stream::{StreamPart, StreamSink};
pub use temporary::{TemporaryFiles, run_keeper};
pub use way::open_way_to;

/// Whether this build can leave out defences of a sandbox: true only in builds for the suite of attempts.
pub const HAS_DEFENCE_SWITCHES: bool = cfg!(feature = "defence-switches");
/// Whether this build opens its parsers to fuzz targets: true only in builds of `fuzz/`.
pub const HAS_FUZZING_DOORS: bool = cfg!(feature = "fuzzing");
