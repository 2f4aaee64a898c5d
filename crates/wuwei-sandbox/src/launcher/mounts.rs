//! The view of files inside a sandbox, built by its first process in its own mount namespace.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_change, move_mount,
    open_tree, unmount,
};

use super::enclosure::{Step, at_step};
use super::template::{DEVICES, SANDBOX_GID, SANDBOX_UID};
use crate::sys::{MountAttributes, set_mount_attributes};

/// Files of `/proc` that tell about the host or act on it; each is covered by an empty device.
const COVERED: [&str; 6] =
    ["proc/kcore", "proc/keys", "proc/kallsyms", "proc/timer_list", "proc/sysrq-trigger", "proc/kmsg"];

const READ_ONLY: MountAttributes = MountAttributes { read_only: true, no_devices: true };
const DEVICE: MountAttributes = MountAttributes { read_only: false, no_devices: false };

/// What to show where.
pub(super) struct View<'request> {
    /// The template on the host.
    pub(super) template: &'request Path,
    /// Sources on the host, targets relative to the root; read-only.
    pub(super) binds: &'request [(PathBuf, PathBuf)],
    /// Size of `/tmp`.
    pub(super) ephemeral_mb: u32,
}

impl View<'_> {
    /// Builds the view and makes it the root of the calling process. Nothing of the host stays reachable.
    ///
    /// Runs as the launcher's uid (it must reach the sources) with all capabilities of the new user namespace.
    pub(super) fn enter(&self) -> Result<(), Step> {
        at_step("make mounts private", mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE))?;
        let root = tree(self.template, READ_ONLY)?;
        let mut trees = Vec::new();
        for (source, target) in self.binds {
            trees.push((tree(source, READ_ONLY)?, target.clone()));
        }
        for device in DEVICES {
            trees.push((tree(&Path::new("/dev").join(device), DEVICE)?, Path::new("dev").join(device)));
        }
        attach(&root, self.template)?;
        at_step("enter the new root", rustix::process::fchdir(&root))?;
        for (tree, target) in &trees {
            attach(tree, target)?;
        }
        self.mount_memory_file_systems()?;
        mount_processes()?;
        at_step("pivot_root", rustix::process::pivot_root(".", "."))?;
        at_step("detach the host's root", unmount(".", UnmountFlags::DETACH))?;
        at_step("change to the new root", rustix::process::chdir("/"))
    }

    fn mount_memory_file_systems(&self) -> Result<(), Step> {
        let owner = format!("uid={SANDBOX_UID},gid={SANDBOX_GID}");
        // Pages are charged to the instance's memory; the inode limit keeps empty files from eating the kernel's.
        let temporary = format!("size={}m,nr_inodes={},mode=1777,{owner}", self.ephemeral_mb, self.ephemeral_mb * 256);
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        at_step("mount /tmp", mount_with("tmpfs", "tmp", flags, &temporary))?;
        let shared = format!("size=64m,nr_inodes=4096,mode=1777,{owner}");
        at_step("mount /dev/shm", mount_with("tmpfs", "dev/shm", flags | MountFlags::NOEXEC, &shared))
    }
}

fn mount_processes() -> Result<(), Step> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    at_step("mount /proc", mount_with("proc", "proc", flags, ""))?;
    for path in COVERED.iter().map(Path::new).filter(|path| path.exists()) {
        attach(&tree(Path::new("dev/null"), DEVICE)?, path)?;
    }
    Ok(())
}

fn mount_with(kind: &str, target: &str, flags: MountFlags, options: &str) -> io::Result<()> {
    let options = std::ffi::CString::new(options)?;
    mount(kind, target, kind, flags, options.as_c_str())?;
    Ok(())
}

/// A detached copy of what is mounted at `source` and below.
fn tree(source: &Path, attributes: MountAttributes) -> Result<OwnedFd, Step> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let opened = open_tree(CWD, source, flags).map_err(io::Error::from).and_then(|tree| {
        set_mount_attributes(tree.as_fd(), attributes)?;
        Ok(tree)
    });
    opened.map_err(|source_error| Step::new(format!("open `{}`", source.display()), source_error))
}

fn attach(tree: &OwnedFd, target: &Path) -> Result<(), Step> {
    move_mount(tree, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|error| Step::new(format!("attach `{}`", target.display()), error.into()))
}
