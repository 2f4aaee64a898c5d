use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::process::Pid;
use rustix::thread::{Uid, set_thread_res_uid};

use super::checked;

/// The `libc` crate has it as a 32-bit constant, which is zero.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Which side of a [`clone_process`] the caller finds itself on.
pub(crate) enum Cloned {
    /// The new process.
    Child,
    /// The caller, with the child's pid and a descriptor for it (close-on-exec).
    Parent {
        /// Pid in the caller's namespace.
        pid: Pid,
        /// For waiting and signalling without races on the pid.
        pidfd: OwnedFd,
    },
}

/// Makes a child process with a copy of the address space, in new namespaces (`CLONE_NEW*` of `flags`), and on cgroup
/// v2 already inside `cgroup`.
///
/// The caller must be single-threaded: the child has only the calling thread, and locks that others held would stay locked.
///
/// Source: clone(2), `clone3`; `CLONE_PIDFD` from Linux 5.2, `CLONE_INTO_CGROUP` from 5.7.
pub(crate) fn clone_process(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: `clone_args` is a plain structure of integers, for which all zeroes is a valid value.
    let mut arguments: libc::clone_args = unsafe { mem::zeroed() };
    arguments.flags = flags | libc::CLONE_PIDFD as u64;
    arguments.pidfd = (&raw mut pidfd).addr() as u64;
    arguments.exit_signal = libc::SIGCHLD as u64;
    if let Some(directory) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::from(directory.as_raw_fd().unsigned_abs());
    }
    let size = mem::size_of::<libc::clone_args>();
    // SAFETY: without CLONE_VM the child has its own copy of memory and stack, as after fork; `arguments` outlives the
    // call and `pidfd` is written before it returns in the parent.
    let pid = checked(unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size) })?;
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(Cloned::Child);
    };
    // SAFETY: the kernel has just opened this descriptor for us and nobody else knows its number.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Cloned::Parent { pid, pidfd })
}

/// As [`clone_process`], into a new user namespace that belongs to `owner`; the caller must be root.
///
/// A user namespace belongs to the effective user of its maker, and what its processes hold of the things that the kernel
/// counts for users (inotify instances, message queue bytes, waiting signals) is counted for that user on the host, too.
///
/// Source: `create_user_ns` and `inc_ucount` of the kernel, from Linux 4.9.
pub(crate) fn clone_process_of(owner: u32, flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    set_thread_res_uid(Uid::ROOT, Uid::from_raw(owner), Uid::ROOT)?;
    // The child still opens the files that the launcher may open.
    // SAFETY: changes who the calling thread is to file systems; touches no memory.
    unsafe { libc::setfsuid(0) };
    let cloned = clone_process(flags, cgroup);
    // The child takes its user later: in its namespace there is no root.
    if !matches!(cloned, Ok(Cloned::Child)) {
        set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
    }
    cloned
}

/// Moves the calling (only) thread to a new cgroup namespace, rooted at the groups that it is in.
pub(crate) fn enter_new_cgroup_namespace() -> io::Result<()> {
    // SAFETY: of all flags of unshare(2) this one changes nothing that memory or descriptors depend on.
    checked(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) }.into())?;
    Ok(())
}
