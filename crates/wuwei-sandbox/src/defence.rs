//! The defences of a sandbox, each by a name, so that a test can leave exactly one of them out.
//!
//! A test of a refusal proves little while nobody knows what refused. With the feature `defence-switches` a launch can
//! name defences to leave out, and the suite of attempts shows that each attempt succeeds then. Without the feature
//! (every build but that one) there is nothing to switch: [`Defences::include`] is the constant `true`.

use serde::{Deserialize, Serialize};

/// One step of building a sandbox that keeps something out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defence-switches", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "defence-switches", serde(rename_all = "kebab-case"))]
pub(crate) enum Defence {
    /// The filter of system calls.
    CallFilter,
    /// Privileges never come back by starting a program.
    NoNewPrivileges,
    /// No capability in any set.
    NoCapabilities,
    /// A user and group of its own, not root.
    OwnUser,
    /// What the kernel counts for a user is counted for the sandbox's own.
    OwnAccount,
    /// Processes of its own, that end with the first of them.
    ProcessNamespace,
    /// Message queues, semaphores and shared memory of its own.
    MessageNamespace,
    /// A host name of its own.
    NameNamespace,
    /// Networks of its own.
    NetworkNamespace,
    /// Control groups seem to begin at its own.
    GroupNamespace,
    /// A root of its own in place of the host's.
    OwnRoot,
    /// What is shown of the host cannot be written.
    ReadOnlyFiles,
    /// Programs on shown files get no further user, group or capabilities.
    NoSetuidFiles,
    /// Device nodes among shown files do nothing.
    NoDeviceFiles,
    /// Five harmless devices in place of the host's `/dev`.
    FewDevices,
    /// The nodes of those devices cannot be changed.
    ReadOnlyDevices,
    /// Files of `/proc` that tell about the host are covered.
    CoveredFiles,
    /// `/tmp` has a size.
    TemporaryBytes,
    /// `/tmp` has a number of files.
    TemporaryFiles,
    /// `/dev/shm` has a size.
    SharedBytes,
    /// Open descriptors per process.
    DescriptorLimit,
    /// Memory images of crashed processes are not written, nor handed to a program of the host.
    NoCoreDumps,
    /// The control group's limit of memory.
    MemoryLimit,
    /// The control group's limit of memory in network buffers.
    BufferLimit,
    /// The control group's limit of processes.
    ProcessLimit,
    /// The control group's share of the CPU.
    CpuShare,
    /// The sandbox's first process cannot be looked into.
    HiddenReaper,
    /// Descriptors of the platform are closed.
    ClosedDescriptors,
    /// A session and process group of its own.
    OwnSession,
    /// Everything in the control group is killed at the end.
    GroupKill,
    /// Nothing runs between two calls.
    Freezing,
    /// An answer counts for the call that it names only.
    RequestIds,
    /// A call has one answer, and nothing after it is kept.
    OneAnswer,
    /// An answer has a size.
    AnswerLimit,
}

/// Whether one of the server's own defences stands: always.
#[cfg(not(feature = "defence-switches"))]
pub(crate) const fn stands(_defence: Defence) -> bool {
    true
}

/// Whether one of the server's own defences stands: unless the test has left it out.
#[cfg(feature = "defence-switches")]
pub(crate) fn stands(defence: Defence) -> bool {
    Defences { left_out: LEFT_OUT.lock().expect("no code panics while it holds this lock").clone() }.include(defence)
}

/// Leaves out defences of the server itself, in this process, from now on.
#[cfg(feature = "defence-switches")]
pub(crate) fn leave_out(defences: Vec<Defence>) {
    *LEFT_OUT.lock().expect("no code panics while it holds this lock") = defences;
}

#[cfg(feature = "defence-switches")]
static LEFT_OUT: std::sync::Mutex<Vec<Defence>> = std::sync::Mutex::new(Vec::new());

/// Which defences a sandbox has: all of them.
#[cfg(not(feature = "defence-switches"))]
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Defences {}

#[cfg(not(feature = "defence-switches"))]
impl Defences {
    /// Always: there is no switch in this build.
    #[expect(clippy::unused_self, reason = "the same signature as where it can be false")]
    pub(crate) const fn include(&self, _defence: Defence) -> bool {
        true
    }
}

/// Which defences a sandbox has: all but those that the test leaves out.
#[cfg(feature = "defence-switches")]
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Defences {
    /// Named by the test.
    #[serde(default)]
    pub(crate) left_out: Vec<Defence>,
}

#[cfg(feature = "defence-switches")]
impl Defences {
    /// Whether the sandbox is to have this one.
    pub(crate) fn include(&self, defence: Defence) -> bool {
        !self.left_out.contains(&defence)
    }
}
