//! The mounter: the process that shows a function's code in a sandbox that was built ahead of it, and hands it over.
//!
//! It never builds anything, so that no order waits behind a sandbox in work. Each order is a handful of system calls, in
//! the mount namespace that came with it. It keeps nothing between two orders.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{DumpableBehavior, Signal, WaitId, WaitIdOptions};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::channel::{Received, receive, send};
use super::enclosure::{Step, at_step, leave};
use super::mounts::{attach, file_attributes, tree};
use super::protocol::{MountAnswer, MountOrder};
use crate::frames;
use crate::privilege::{keep_only, of_mounter};
use crate::sys::{Cloned, clone_process, close_from_all_but, map_owners, owner_of_namespace};

/// The mounter from the launcher's side.
pub(super) struct Mounter {
    /// Readable when it has ended.
    pub(super) pidfd: OwnedFd,
}

impl Mounter {
    /// Whether this process may have one.
    pub(super) fn is_possible() -> bool {
        rustix::process::geteuid().is_root()
            && rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(of_mounter()))
    }

    /// Starts one; gives the server's end of the socket to it.
    pub(super) fn start() -> Result<(Self, OwnedFd), Step> {
        let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (ours, theirs) = at_step("make the mounter's socket", pair)?;
        match at_step("start the mounter", clone_process(0, None))? {
            Cloned::Child => leave(run(&theirs)),
            Cloned::Parent { pid: _unused, pidfd } => Ok((Self { pidfd }, ours)),
        }
    }

    /// Ends it, if it has not ended, and collects its exit status.
    pub(super) fn end(&self) {
        if let Err(error) = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL) {
            tracing::debug!(%error, "the mounter was gone already");
        }
        if let Err(error) = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
            tracing::warn!(%error, "could not reap the mounter");
        }
    }
}

fn run(socket: &OwnedFd) -> i32 {
    // The launcher sees why by its end; nobody reads a log of its own.
    i32::from(give_up_privilege(socket).is_err() || serve(socket).is_err())
}

fn give_up_privilege(socket: &OwnedFd) -> Result<(), Step> {
    at_step("die with the launcher", rustix::process::set_parent_process_death_signal(Some(Signal::KILL)))?;
    // Copies of the launcher's descriptors, its socket to the server among them; the standard ones are harmless.
    at_step("close descriptors", close_from_all_but(3, &[socket.as_fd()]))?;
    keep_only(of_mounter())?;
    at_step("set no_new_privs", rustix::thread::set_no_new_privs(true))?;
    at_step("hide memory", rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable))
}

fn serve(socket: &OwnedFd) -> io::Result<()> {
    let home = Home::here()?;
    while let Some(Received { message, descriptors }) = receive::<MountOrder>(socket)? {
        let shown = match descriptors.as_slice() {
            [namespace, control, rest @ ..] => own_temporary(&message, namespace, rest.first())
                .and_then(|temporary| show(&message, namespace, temporary, &home))
                .and_then(|()| at_step("assign the sandbox", assign(&message.assignment, control))),
            [] | [_] => Err(Step::new("take the order", io::ErrorKind::InvalidInput.into())),
        };
        let failure = shown.err().map(|step| step.to_string());
        send(socket, &MountAnswer { id: message.id, failure }, &[])?;
    }
    Ok(())
}

/// The mount that is to cover `/tmp`, if there is one, with its files in the hands of the sandbox's user.
fn own_temporary<'order>(
    order: &MountOrder,
    namespace: &OwnedFd,
    mount: Option<&'order OwnedFd>,
) -> Result<Option<&'order OwnedFd>, Step> {
    if !order.temporary {
        return Ok(None);
    }
    let owned = || {
        let mount = mount.ok_or(io::ErrorKind::InvalidInput)?;
        map_owners(mount.as_fd(), owner_of_namespace(namespace.as_fd())?.as_fd())?;
        Ok::<_, io::Error>(Some(mount))
    };
    at_step("own /tmp", owned())
}

/// Mounts in the sandbox what was opened on the host.
fn show(order: &MountOrder, namespace: &OwnedFd, temporary: Option<&OwnedFd>, home: &Home) -> Result<(), Step> {
    let attributes = file_attributes(&order.defences);
    let trees: Vec<_> = order
        .binds
        .iter()
        .map(|bind| Ok((tree(&bind.source, attributes)?, bind.target.as_path())))
        .collect::<Result<_, Step>>()?;
    let enter = move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount));
    at_step("enter the sandbox's mounts", enter)?;
    let attached = trees
        .iter()
        .map(|(tree, target)| (tree, *target))
        .chain(temporary.map(|mount| (mount, Path::new("/tmp"))))
        .try_for_each(|(tree, target)| attach(tree, target));
    if home.come_back().is_err() {
        // Elsewhere it would open the files of a sandbox for another: the launcher starts a new one.
        leave(1);
    }
    attached
}

/// Tells the runtime that waits whose it is. Done here, it need not wait until the server has heard of the mount.
fn assign(document: &str, control: &OwnedFd) -> io::Result<()> {
    let frame = frames::assignment_frame(document);
    // The first bytes on this socket, which has room for them.
    let written = rustix::io::write(control, &frame)?;
    if written == frame.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Where the mounter opens files: the launcher's own view.
struct Home {
    namespace: fs::File,
    root: OwnedFd,
    directory: OwnedFd,
}

impl Home {
    fn here() -> io::Result<Self> {
        let open = |path| rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        Ok(Self { namespace: fs::File::open("/proc/self/ns/mnt")?, root: open("/")?, directory: open(".")? })
    }

    /// Entering a mount namespace leads to its root: the own root and directory may be others.
    fn come_back(&self) -> io::Result<()> {
        move_into_link_name_space(self.namespace.as_fd(), Some(LinkNameSpaceType::Mount))?;
        rustix::process::fchdir(&self.root)?;
        rustix::process::chroot(".")?;
        Ok(rustix::process::fchdir(&self.directory)?)
    }
}
