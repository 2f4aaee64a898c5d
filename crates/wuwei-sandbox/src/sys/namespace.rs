use std::io;

use super::checked;

/// Moves the calling (only) thread to a new, empty network namespace.
pub(crate) fn enter_new_network_namespace() -> io::Result<()> {
    // SAFETY: of all flags of unshare(2) this one changes nothing that memory or open descriptors depend on.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNET) }.into())?;
    Ok(())
}

/// Moves the calling (only) thread to a copy of its mount namespace.
pub(crate) fn enter_new_mount_namespace() -> io::Result<()> {
    // SAFETY: of all flags of unshare(2) this one changes nothing that memory or open descriptors depend on.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNS) }.into())?;
    Ok(())
}
