use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cgroup::{LimitFile, MeterFile};
use crate::defence::Defences;
use crate::instance::{ProcessExit, Usage};

/// How much of a sandbox there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Isolation {
    /// Namespaces, a root of its own, a uid of its own, filter and limits.
    Full,
    /// Filter and limits only, on hosts that give no namespaces: the host's files and network are visible.
    Reduced,
}

/// First message to a launcher: what holds for its whole life.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// Names the control groups of this server, and chooses the host users of its sandboxes.
    pub(crate) server: String,
    /// Directory of the root template; made by the launcher.
    pub(crate) template: PathBuf,
    /// Kind of sandbox.
    pub(crate) isolation: Isolation,
}

/// How a sandbox that is built ahead of its function waits for it: it gets an assignment over the control socket, once its
/// code is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ahead {
    /// The program is started, and waits by itself.
    Booted,
    /// The process that will become the program waits.
    Held,
}

/// A host file or directory that a sandbox shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bind {
    /// On the host.
    pub(crate) source: PathBuf,
    /// Absolute path in the sandbox.
    pub(crate) target: PathBuf,
}

/// A booted interpreter that runtimes can be forked from, by all that it was started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ZygoteKind {
    /// Program, on the host and in the sandbox.
    pub(crate) program: PathBuf,
    /// Arguments after the program's name.
    pub(crate) arguments: Vec<String>,
    /// Complete environment.
    pub(crate) environment: Vec<(String, String)>,
    /// What it sees of the host: what its forks will see, without the code of any function.
    pub(crate) binds: Vec<Bind>,
}

/// One sandbox to build. Comes with two descriptors, the child's control socket and the write end of its output; with
/// a mount for `/tmp`, if it says so; and with one of a network namespace, unless it is to have an empty one of its own
/// (both in full isolation only).
///
/// `Debug` shows nothing of the environment.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct LaunchRequest {
    /// Chosen by the server, unique per launcher.
    pub(crate) id: u64,
    /// Name of the control groups: the instance id.
    pub(crate) name: String,
    /// Program, as a path in the sandbox.
    pub(crate) program: PathBuf,
    /// Arguments after the program's name.
    pub(crate) arguments: Vec<String>,
    /// Program that starts `program` in its own way: it gets `program` and `arguments` as its arguments.
    pub(crate) wrapper: Option<PathBuf>,
    /// Complete environment.
    pub(crate) environment: Vec<(String, String)>,
    /// Working directory, as a path in the sandbox.
    pub(crate) working_directory: PathBuf,
    /// Read-only views of the host, code included.
    pub(crate) binds: Vec<Bind>,
    /// Memory limit.
    pub(crate) memory_mb: u32,
    /// Size of `/tmp`.
    pub(crate) ephemeral_mb: u32,
    /// Whether a mount for `/tmp` comes with it; else it is in memory.
    #[serde(default)]
    pub(crate) temporary: bool,
    /// Whether the runtime gets the control socket, at descriptor 3.
    pub(crate) control: bool,
    /// Whether a listener for the Runtime API is wanted (full isolation only).
    pub(crate) runtime_api: bool,
    /// Whether a listener for the way back to the platform is wanted (full isolation only).
    pub(crate) relay: bool,
    /// Whether it is built ahead of its function (full isolation only). Then the binds are those of every function, and
    /// of a program that is held the environment and working directory come with the assignment.
    pub(crate) ahead: Option<Ahead>,
    /// What the runtime may be forked from in place of being executed. It must come to the same: a blank's program.
    pub(crate) zygote: Option<ZygoteKind>,
    /// What protects the host from it: everything, but for tests of the single defences.
    #[serde(default)]
    pub(crate) defences: Defences,
}

impl fmt::Debug for LaunchRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, name, program) = (self.id, &self.name, &self.program);
        let mut shown = formatter.debug_struct("LaunchRequest");
        shown.field("id", &id).field("name", name).field("program", program).finish_non_exhaustive()
    }
}

/// Server to launcher.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Prepare; answered by `Ready` or `Unable`.
    Setup(Setup),
    /// Build a sandbox; answered by `Started` or `Failed`.
    Launch(Box<LaunchRequest>),
    /// Kill everything in a sandbox; `Exited` follows.
    Kill {
        /// Of the launch.
        id: u64,
    },
}

/// Launcher to server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Event {
    /// Set up. Comes with the socket to the mounter where sandboxes can be built ahead.
    Ready,
    /// The mounter has ended; comes with the socket to another one.
    Mounter,
    /// Not set up; the launcher exits.
    Unable {
        /// What failed, for people.
        reason: String,
    },
    /// The sandbox runs. Comes with the wanted listeners (the Runtime API's, then the relay's), then the meter's files;
    /// and, when it was built ahead, with its mount namespace and the files of its limits.
    Started {
        /// Of the launch.
        id: u64,
        /// How many of the descriptors are listeners.
        listeners: usize,
        /// What the next descriptors are.
        meter: Vec<MeterFile>,
        /// What the descriptors after the mount namespace are, when it was built ahead.
        limits: Option<Vec<LimitFile>>,
    },
    /// The sandbox was not built; nothing is left of it.
    Failed {
        /// Of the launch.
        id: u64,
        /// Step and cause, for people.
        reason: String,
    },
    /// All processes of the sandbox are gone.
    Exited {
        /// Of the launch.
        id: u64,
        /// How the runtime process ended.
        exit: ProcessExit,
        /// What the sandbox used in its whole life; its own files say nothing any more.
        usage: Usage,
    },
}

/// Server to mounter: show this in a sandbox. Comes with the sandbox's mount namespace.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MountOrder {
    /// Chosen by the server.
    pub(crate) id: u64,
    /// Read-only views of the host.
    pub(crate) binds: Vec<Bind>,
    /// Whether a mount comes with it that is to cover `/tmp`.
    #[serde(default)]
    pub(crate) temporary: bool,
    /// What the runtime is told when all is there: the document of a frame for its control socket, which comes along.
    pub(crate) assignment: String,
    /// What protects the host from it: everything, but for tests of the single defences.
    #[serde(default)]
    pub(crate) defences: Defences,
}

/// Mounter to server, in the order of the orders.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MountAnswer {
    /// Of the order.
    pub(crate) id: u64,
    /// Step and cause, for people, when it could not be done; the sandbox is of no use then.
    pub(crate) failure: Option<String>,
}
