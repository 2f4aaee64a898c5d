//! Blanks: sandboxes that were built ahead of their function and wait for it.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::defence::Defences;
use crate::egress::Egress;
use crate::frames::{AnswerKind, FrameReader};
use crate::host::{LauncherClient, Outfit, Reach, Shown, launch_ahead};
use crate::launcher::{Bind, LaunchRequest};
use crate::process::SandboxedProcess;
use crate::runtimes::race::has_ended;
use crate::temporary::{Temporaries, TemporaryFiles};

/// How long a runtime may take until it waits for its function.
const BOOT_LIMIT: Duration = Duration::from_secs(20);

/// What blanks are built with.
pub(crate) struct Supplies {
    pub(crate) client: Arc<LauncherClient>,
    pub(crate) egress: Arc<Egress>,
    pub(crate) temporaries: Arc<Temporaries>,
    /// The bootstraps on the host.
    pub(crate) runtime_dir: PathBuf,
}

/// What makes a blank an instance of one function.
pub(crate) struct Becoming {
    /// The function's files.
    pub(crate) binds: Vec<Bind>,
    /// The `/tmp` of its environment, where that has one already.
    pub(crate) temporary: Option<OwnedFd>,
    /// Its limit, not below that of the blank.
    pub(crate) memory_mb: u32,
    /// The document of the frame that the runtime waits for.
    pub(crate) assignment: String,
    /// All, but in tests of the single defences.
    pub(crate) defences: Defences,
}

/// A sandbox whose runtime waits for its function. Dropping it ends it.
pub(crate) struct Blank {
    process: SandboxedProcess,
    reach: Reach,
    /// Its limit.
    memory_mb: u32,
    /// What is in its `/tmp`: nothing yet.
    temporary_files: TemporaryFiles,
}

impl Blank {
    /// Builds one, and waits until its runtime waits.
    pub(crate) async fn build(
        client: &Arc<LauncherClient>,
        request: LaunchRequest,
        outfit: Outfit,
        temporary_files: TemporaryFiles,
    ) -> io::Result<Self> {
        let memory_mb = request.memory_mb;
        let (mut process, reach) = launch_ahead(client, request, outfit).await?;
        temporary_files.is_used_until(&process.reaped);
        let mut answers = FrameReader::default();
        let answer = tokio::time::timeout(BOOT_LIMIT, answers.read(&mut process.control)).await;
        let answer = answer.map_err(|elapsed| io::Error::new(io::ErrorKind::TimedOut, elapsed))?;
        match answer.map_err(io::Error::other)?.kind {
            AnswerKind::Ready => Ok(Self { process, reach, memory_mb, temporary_files }),
            AnswerKind::InitError
            | AnswerKind::Success
            | AnswerKind::Error
            | AnswerKind::LastWords
            | AnswerKind::ContentType
            | AnswerKind::Chunk => Err(io::Error::other("a blank said something else than that it waits")),
        }
    }

    /// Memory that it takes, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.process.controls.usage().peak_memory_bytes
    }

    /// The files of its `/tmp`, which become those of the instance's environment.
    pub(crate) fn temporary_files(&self) -> TemporaryFiles {
        self.temporary_files.clone()
    }

    /// Whether it still waits.
    pub(super) fn is_alive(&self) -> bool {
        !has_ended(&self.process.exit)
    }

    /// Makes it an instance of a function, whose runtime starts to initialise. What it printed and used before is
    /// nobody's.
    ///
    /// # Errors
    /// Nothing of it is left then, and nothing of the function has run.
    pub(crate) async fn become_instance(
        self,
        client: &LauncherClient,
        becoming: Becoming,
    ) -> io::Result<SandboxedProcess> {
        if becoming.memory_mb > self.memory_mb {
            self.reach.raise_limits(becoming.memory_mb)?;
        }
        // It has written nothing since it said that it waits.
        discard(&self.process)?;
        self.process.controls.begin();
        let (assignment, control) = (becoming.assignment, self.process.control.as_fd());
        let shown = Shown { binds: becoming.binds, temporary: becoming.temporary, assignment, control };
        self.reach.show(client, shown, becoming.defences).await?;
        Ok(self.process)
    }
}

/// Throws away what is in the output pipe.
fn discard(process: &SandboxedProcess) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match rustix::io::read(&process.output, &mut buffer) {
            Ok(0) => return Err(io::ErrorKind::BrokenPipe.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
