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
    let mut arguments = clone_arguments(flags, &raw mut pidfd, cgroup);
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

fn clone_arguments(flags: u64, pidfd: *mut libc::c_int, cgroup: Option<BorrowedFd<'_>>) -> libc::clone_args {
    // SAFETY: `clone_args` is a plain structure of integers, for which all zeroes is a valid value.
    let mut arguments: libc::clone_args = unsafe { mem::zeroed() };
    arguments.flags = flags | libc::CLONE_PIDFD as u64;
    arguments.pidfd = pidfd.expose_provenance() as u64;
    arguments.exit_signal = libc::SIGCHLD as u64;
    if let Some(directory) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::from(directory.as_raw_fd().unsigned_abs());
    }
    arguments
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

#[cfg(test)]
mod tests {
    use super::{CLONE_INTO_CGROUP, clone_arguments};
    use std::os::fd::{AsFd as _, AsRawFd as _};

    #[test]
    fn the_kernel_writes_the_descriptor_of_a_child_where_the_arguments_say() {
        let mut pidfd: libc::c_int = -1;
        let arguments = clone_arguments(0, &raw mut pidfd, None);
        assert_eq!((arguments.flags & CLONE_INTO_CGROUP, arguments.cgroup, arguments.stack), (0, 0, 0));
        let written = std::ptr::with_exposed_provenance_mut::<libc::c_int>(usize::try_from(arguments.pidfd).unwrap());
        // SAFETY: the pointer is the one to `pidfd`, which nobody else uses here.
        unsafe { written.write(7) };
        assert_eq!(pidfd, 7);
    }

    #[test]
    fn a_child_is_made_in_the_group_that_is_given() {
        let directory = std::fs::File::open("/").unwrap();
        let arguments = clone_arguments(0, std::ptr::null_mut(), Some(directory.as_fd()));
        assert_eq!(arguments.flags & CLONE_INTO_CGROUP, CLONE_INTO_CGROUP);
        assert_eq!(arguments.cgroup, u64::from(directory.as_raw_fd().unsigned_abs()));
    }
}
