//! How the server gets its helper processes: from a steward, or, without one, by starting them itself.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rustix::process::Pid;

use crate::steward::{Helper, Steward};

/// Starts one kind of helper.
#[derive(Clone, Debug)]
pub(crate) enum HelperStarter {
    /// As a child of this process, with its privilege.
    Own {
        /// Its `main` turns into the helper with `arguments`.
        program: PathBuf,
        /// Arguments.
        arguments: Vec<String>,
    },
    /// By a steward, which is root.
    Steward(Steward, Helper),
}

/// A helper that was started.
#[derive(Debug)]
pub(crate) struct HelperProcess {
    #[cfg(test)]
    pid: Pid,
    /// Ours to collect; a steward collects its own.
    child: Mutex<Option<Child>>,
}

impl HelperStarter {
    /// Starts a helper that finds `socket` as its descriptor 0.
    pub(crate) async fn start(&self, socket: OwnedFd) -> io::Result<HelperProcess> {
        let (pid, child) = match self {
            Self::Own { program, arguments } => start_child(program, arguments, socket)?,
            Self::Steward(steward, helper) => (steward.start_helper(*helper, socket).await?, None),
        };
        tracing::debug!(pid = pid.as_raw_pid(), "a helper process was started");
        Ok(HelperProcess {
            #[cfg(test)]
            pid,
            child: Mutex::new(child),
        })
    }
}

fn start_child(program: &Path, arguments: &[String], socket: OwnedFd) -> io::Result<(Pid, Option<Child>)> {
    #[expect(clippy::disallowed_methods, reason = "this is the sandbox crate, which starts processes")]
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::from(socket))
        .stdout(Stdio::null())
        // A Ctrl-C at the terminal is for the server, which tells its helpers when it has drained.
        .process_group(0)
        .spawn()?;
    Ok((Pid::from_child(&child), Some(child)))
}

impl HelperProcess {
    /// Its process id.
    #[cfg(test)]
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Collects the exit status of a helper that has closed its socket, so that it does not stay as a zombie.
    pub(crate) async fn reap(&self) {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut child) = child else { return };
        let waited = tokio::task::spawn_blocking(move || child.wait()).await;
        if let Err(error) = waited.map_err(io::Error::other).flatten() {
            tracing::warn!(%error, "could not wait for a helper process");
        }
    }
}
