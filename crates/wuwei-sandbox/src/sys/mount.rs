use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::checked;

/// `_IO(0xb7, 1)`.
const NS_GET_USERNS: libc::Ioctl = 0xb701;

/// What a mount must forbid. Attributes are only ever added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MountAttributes {
    /// No writing.
    pub(crate) read_only: bool,
    /// Device nodes do nothing.
    pub(crate) no_devices: bool,
    /// Programs get no further user, group or capabilities.
    pub(crate) no_setuid: bool,
}

/// Adds attributes to a detached mount tree and everything below it.
///
/// Source: `mount_setattr(2)`, Linux 5.12.
pub(crate) fn set_mount_attributes(tree: BorrowedFd<'_>, attributes: MountAttributes) -> io::Result<()> {
    let mut set = 0;
    if attributes.no_setuid {
        set |= libc::MOUNT_ATTR_NOSUID;
    }
    if attributes.read_only {
        set |= libc::MOUNT_ATTR_RDONLY;
    }
    if attributes.no_devices {
        set |= libc::MOUNT_ATTR_NODEV;
    }
    change(tree, libc::AT_RECURSIVE, set, 0)
}

/// Shows the files of a mount that is attached nowhere yet as the user namespace maps their owners.
///
/// Source: `mount_setattr(2)`, `MOUNT_ATTR_IDMAP`, Linux 5.12.
pub(crate) fn map_owners(mount: BorrowedFd<'_>, namespace: BorrowedFd<'_>) -> io::Result<()> {
    change(mount, 0, libc::MOUNT_ATTR_IDMAP, u64::from(namespace.as_raw_fd().unsigned_abs()))
}

/// The user namespace that a namespace belongs to.
///
/// Source: ioctl_ns(2), `NS_GET_USERNS`, Linux 4.9.
pub(crate) fn owner_of_namespace(namespace: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: takes no argument and returns a descriptor.
    let owner = checked(unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_USERNS) }.into())?;
    let owner = RawFd::try_from(owner).map_err(io::Error::other)?;
    // SAFETY: the kernel has just opened this descriptor for us and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(owner) })
}

fn change(tree: BorrowedFd<'_>, flags: libc::c_int, set: u64, namespace: u64) -> io::Result<()> {
    let change = libc::mount_attr { attr_set: set, attr_clr: 0, propagation: 0, userns_fd: namespace };
    let flags = libc::AT_EMPTY_PATH | flags;
    let size = mem::size_of::<libc::mount_attr>();
    // SAFETY: the path is a terminated empty string and `change` outlives the call; the kernel only reads them.
    checked(unsafe {
        libc::syscall(libc::SYS_mount_setattr, tree.as_raw_fd(), c"".as_ptr(), flags, &raw const change, size)
    })?;
    Ok(())
}
