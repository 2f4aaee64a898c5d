//! One sandboxed process tree, as the launcher hands it over: channels, exit, meter.

use std::sync::{Arc, OnceLock};

use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::sync::watch;

use crate::control_socket::ControlSocket;
use crate::egress::Lease;
use crate::instance::{ProcessExit, Usage};
use crate::relay::RelayServer;

/// A running sandbox. Dropping it kills all its processes.
pub(crate) struct SandboxedProcess {
    /// Our end of the socket that the managed bootstrap finds at descriptor 3.
    pub(crate) control: ControlSocket,
    /// 127.0.0.1:9001 inside the sandbox's network namespace, served from outside; only for runtimes that need it.
    pub(crate) runtime_api: Option<TcpListener>,
    /// 127.0.0.1:9002 inside the sandbox's network namespace, until it is served.
    pub(crate) relay_listener: Option<TcpListener>,
    /// The way back to the platform, for as long as the sandbox is there.
    pub(crate) relay: Option<RelayServer>,
    /// Of its network, for as long as the sandbox is there.
    #[expect(dead_code, reason = "it is held, and does its work when it is dropped")]
    pub(crate) lease: Option<Lease>,
    /// Read end of the pipe that is both stdout and stderr.
    pub(crate) output: pipe::Receiver,
    /// Set once the launcher has seen the last of its processes end; `exit` also changes when the launcher itself has ended.
    pub(crate) reaped: Arc<OnceLock<Usage>>,
    /// `None` while it runs.
    pub(crate) exit: watch::Receiver<Option<ProcessExit>>,
    /// Accounting, freezing, killing.
    pub(crate) controls: Arc<dyn ProcessControls>,
}

/// Levers on a sandbox that need no launcher round trip, but for `kill`.
pub(crate) trait ProcessControls: Send + Sync {
    /// CPU and memory used so far.
    fn usage(&self) -> Usage;
    /// The first half of [`ProcessControls::usage`].
    fn cpu_us(&self) -> u64;
    /// The second half of [`ProcessControls::usage`].
    fn peak_memory_bytes(&self) -> u64;
    /// What was used until now does not count any more: the sandbox was built ahead, and gets its function now.
    fn begin(&self) {}
    /// Starts a new measurement of peak memory.
    fn reset_peak_memory(&self);
    /// Stops all processes from running.
    fn freeze(&self);
    /// Lets them run again.
    fn thaw(&self);
    /// Kills all processes; `exit` of the process changes when they are gone. Idempotent.
    fn kill(&self);
}
