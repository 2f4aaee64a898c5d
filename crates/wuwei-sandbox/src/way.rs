//! A way to the data directory for a server that is not root any more, where a directory above it is closed to others.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_change, move_mount,
    open_tree, unmount,
};

use crate::launcher::{Step, at_step};
use crate::sys::enter_new_mount_namespace;

/// Lets this process reach a directory also as another user, who may not pass one above it (`/root`).
///
/// True when that took something. The process is root and has one thread; the path is absolute, without symbolic links.
/// In a mount namespace of this process alone the topmost closed directory then has nothing in it but the way to
/// `directory`, under the same path; all other processes see what they saw. Mounts of the host go on arriving here.
///
/// # Errors
/// When the kernel refuses, which names the step; what this process sees has not changed then.
pub fn open_way_to(directory: &Path) -> io::Result<bool> {
    let Some(closed) = topmost_closed(directory)? else { return Ok(false) };
    show_only(directory, closed).map_err(io::Error::other)?;
    Ok(true)
}

/// The first directory on the way to this one that does not let everybody through.
fn topmost_closed(directory: &Path) -> io::Result<Option<&Path>> {
    let mut closed = None;
    for above in directory.ancestors().skip(1) {
        if fs::metadata(above)?.permissions().mode() & 0o001 == 0 {
            closed = Some(above);
        }
    }
    Ok(closed)
}

fn show_only(directory: &Path, closed: &Path) -> Result<(), Step> {
    at_step("enter a mount namespace", enter_new_mount_namespace())?;
    let follow = MountPropagationFlags::REC | MountPropagationFlags::DOWNSTREAM;
    at_step("keep own mounts from the host", mount_change("/", follow))?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = at_step("open the data directory", open_tree(CWD, directory, flags))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let options = Some(c"mode=755,size=64k,nr_inodes=64");
    at_step("cover a closed directory", mount("wuwei", closed, "tmpfs", flags, options))?;
    let shown = at_step("make the way", make_way(directory, closed)).and_then(|()| {
        let moved = move_mount(&tree, "", CWD, directory, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH);
        at_step("show the data directory", moved)
    });
    if shown.is_err() {
        at_step("uncover a closed directory", unmount(closed, UnmountFlags::DETACH))?;
    }
    shown
}

fn make_way(directory: &Path, closed: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let made = directory.ancestors().take_while(|path| *path != closed);
    // Not left to the umask.
    made.into_iter().try_for_each(|path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
}

#[cfg(test)]
mod tests {
    use super::topmost_closed;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_topmost_closed_directory_is_found_and_the_directory_itself_does_not_count() {
        let root = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
        let directory = root.path().join("a/b/c");
        fs::create_dir_all(&directory).unwrap();
        let close = |path: &str| fs::set_permissions(root.path().join(path), Permissions::from_mode(0o700)).unwrap();
        close("a/b/c");
        assert_eq!(topmost_closed(&directory).unwrap(), None);
        close("a/b");
        assert_eq!(topmost_closed(&directory).unwrap(), Some(root.path().join("a/b").as_path()));
        close("a");
        assert_eq!(topmost_closed(&directory).unwrap(), Some(root.path().join("a").as_path()));
    }
}
