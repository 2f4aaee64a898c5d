use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::checked;

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
    let change = libc::mount_attr { attr_set: set, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    let size = mem::size_of::<libc::mount_attr>();
    // SAFETY: the path is a terminated empty string and `change` outlives the call; the kernel only reads them.
    checked(unsafe {
        libc::syscall(libc::SYS_mount_setattr, tree.as_raw_fd(), c"".as_ptr(), flags, &raw const change, size)
    })?;
    Ok(())
}
