//! The privileged process that makes file systems for `/tmp`.
//!
//! It keeps nothing: a file system lives as long as the server or a sandbox holds it, and its image has no name. What takes
//! time (formatting, letting go of a large file system) keeps neither the launcher nor the server waiting.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use wuwei_model::limits::EPHEMERAL_MB_MIN;

use super::image::{Template, give_up, is_ours, mount_again};
use super::protocol::{Event, Request};
use crate::launcher::{Received, Step, at_step, receive, send};
use crate::privilege::{confine, of_keeper};
use crate::sys::adopt_launcher_socket;

/// Sizes that are kept ready to be copied.
const TEMPLATES_MAX: usize = 16;

/// Runs a keeper on the socket at descriptor 0 until the server goes away. Nothing else may run in this process.
///
/// # Errors
/// When the socket fails: the server sees it closed and starts another keeper.
pub fn run_keeper() -> io::Result<()> {
    let socket = adopt_launcher_socket()?;
    let Some(Received { message: Request::Setup { directory }, .. }) = receive::<Request>(&socket)? else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a keeper is started by `wuwei up` only"));
    };
    match Keeper::prepare(directory) {
        Ok(keeper) => {
            send(&socket, &Event::Ready, &[])?;
            keeper.serve(&socket)
        }
        Err(step) => send(&socket, &Event::Unable { reason: step.to_string() }, &[]),
    }
}

struct Keeper {
    directory: PathBuf,
    templates: BTreeMap<u32, Template>,
}

impl Keeper {
    /// Makes one file system to learn whether this host allows it.
    fn prepare(directory: PathBuf) -> Result<Self, Step> {
        confine(of_keeper())?;
        let mut keeper = Self { directory, templates: BTreeMap::new() };
        let mount = keeper.make(EPHEMERAL_MB_MIN)?;
        at_step("end a file system", give_up(&mount))?;
        Ok(keeper)
    }

    fn serve(mut self, socket: &OwnedFd) -> io::Result<()> {
        loop {
            match receive::<Request>(socket) {
                Ok(Some(Received { message, descriptors })) => self.answer(socket, &message, descriptors)?,
                Ok(None) => return Ok(()),
                Err(error) => tracing::error!(%error, "a request from the server could not be read"),
            }
        }
    }

    fn answer(&mut self, socket: &OwnedFd, request: &Request, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        // Whoever has taken the server over must not mount or end another file system of the host.
        let mount = descriptors.into_iter().next().filter(|mount| is_ours(mount.as_fd(), &self.directory));
        let lacking = || Step::new("find a mount", io::ErrorKind::InvalidInput.into());
        let (id, made) = match *request {
            Request::Setup { .. } => {
                tracing::error!("the server sent a second set-up");
                return Ok(());
            }
            Request::Make { id, megabytes } => (id, self.make(megabytes)),
            Request::Mount { id } => {
                (id, mount.as_ref().ok_or_else(lacking).and_then(|mount| mount_again(mount.as_fd())))
            }
            Request::GiveUp => {
                if let Some(Err(error)) = mount.as_ref().map(give_up) {
                    tracing::warn!(%error, "a file system of a function is written out before it ends");
                }
                return Ok(());
            }
        };
        let sent = match made {
            Ok(mount) => send(socket, &Event::Given { id }, &[mount.as_fd()]),
            Err(step) => send(socket, &Event::Failed { id, reason: step.to_string() }, &[]),
        };
        match sent {
            // The loop sees the end of the server's socket.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    fn make(&mut self, megabytes: u32) -> Result<OwnedFd, Step> {
        if !self.templates.contains_key(&megabytes) {
            if self.templates.len() >= TEMPLATES_MAX {
                self.templates.pop_last();
            }
            self.templates.insert(megabytes, Template::make(&self.directory, megabytes)?);
        }
        let template = self.templates.get(&megabytes);
        template.ok_or_else(|| Step::new("find a template", io::ErrorKind::NotFound.into()))?.copy(&self.directory)
    }
}
