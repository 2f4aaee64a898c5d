//! The view of files inside a sandbox, built by its first process in its own mount namespace.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_bind, mount_change,
    move_mount, open_tree, unmount,
};

use super::enclosure::{Step, at_step};
use super::template::{DEVICES, SANDBOX_GID, SANDBOX_UID};
use crate::defence::{Defence, Defences};
use crate::sys::{MountAttributes, set_mount_attributes};

/// Files of `/proc` that tell about the host or act on it; each is covered by an empty device.
const COVERED: [&str; 17] = [
    "proc/cmdline",
    "proc/config.gz",
    "proc/diskstats",
    "proc/interrupts",
    "proc/iomem",
    "proc/ioports",
    "proc/kallsyms",
    "proc/kcore",
    "proc/key-users",
    "proc/keys",
    "proc/kmsg",
    "proc/modules",
    "proc/partitions",
    "proc/swaps",
    "proc/sysrq-trigger",
    "proc/timer_list",
    "proc/zoneinfo",
];

/// What to show where.
pub(super) struct View<'request> {
    /// The template on the host.
    pub(super) template: &'request Path,
    /// Sources on the host, targets relative to the root; read-only.
    pub(super) binds: &'request [(PathBuf, PathBuf)],
    /// Size of `/tmp`, where it is in memory.
    pub(super) ephemeral_mb: u32,
    /// Whether it shows processes in `/proc`.
    pub(super) has_processes: bool,
    /// What to attach as `/tmp`, where it is not.
    pub(super) temporary: Option<&'request OwnedFd>,
    /// All, but in tests of the single defences.
    pub(super) defences: &'request Defences,
}

impl View<'_> {
    /// Builds the view and makes it the root of the calling process. Nothing of the host stays reachable.
    ///
    /// Runs as the launcher's uid (it must reach the sources) with all capabilities of the new user namespace.
    pub(super) fn enter(&self) -> Result<(), Step> {
        at_step("make mounts private", mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE))?;
        let (files, devices) = (file_attributes(self.defences), self.devices());
        let own_root = self.defences.include(Defence::OwnRoot);
        let root = tree(if own_root { self.template } else { Path::new("/") }, files)?;
        let mut trees = Vec::new();
        for (source, target) in self.binds {
            trees.push((tree(source, files)?, target.clone()));
        }
        if self.defences.include(Defence::FewDevices) {
            for device in DEVICES {
                trees.push((tree(&Path::new("/dev").join(device), devices)?, Path::new("dev").join(device)));
            }
        } else {
            trees.push((tree(Path::new("/dev"), devices)?, PathBuf::from("dev")));
        }
        attach(&root, self.template)?;
        at_step("enter the new root", rustix::process::fchdir(&root))?;
        for (tree, target) in trees.iter().filter(|(_, target)| own_root || target.exists()) {
            attach(tree, target)?;
        }
        self.mount_memory_file_systems()?;
        if self.has_processes {
            self.mount_processes()?;
        }
        at_step("pivot_root", rustix::process::pivot_root(".", "."))?;
        at_step("detach the host's root", unmount(".", UnmountFlags::DETACH))?;
        at_step("change to the new root", rustix::process::chdir("/"))
    }

    fn mount_memory_file_systems(&self) -> Result<(), Step> {
        let owner = format!("uid={SANDBOX_UID},gid={SANDBOX_GID}");
        // Pages are charged to the instance's memory; the inode limit keeps empty files from eating the kernel's.
        let bounded = |defence, value: u32| if self.defences.include(defence) { value } else { 0 };
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        match self.temporary {
            // Its size and its number of files are those of its image.
            Some(temporary) => attach(temporary, Path::new("tmp"))?,
            None => {
                let megabytes = bounded(Defence::TemporaryBytes, self.ephemeral_mb);
                let inodes = bounded(Defence::TemporaryFiles, self.ephemeral_mb * 256);
                let temporary = format!("size={megabytes}m,nr_inodes={inodes},mode=1777,{owner}");
                at_step("mount /tmp", mount_with("tmpfs", "tmp", flags, &temporary))?;
            }
        }
        let megabytes = bounded(Defence::SharedBytes, 64);
        let shared = format!("size={megabytes}m,nr_inodes=4096,mode=1777,{owner}");
        at_step("mount /dev/shm", mount_with("tmpfs", "dev/shm", flags | MountFlags::NOEXEC, &shared))
    }

    fn mount_processes(&self) -> Result<(), Step> {
        if self.defences.include(Defence::ProcessNamespace) {
            let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
            at_step("mount /proc", mount_with("proc", "proc", flags, ""))?;
        } else {
            attach(&tree(Path::new("/proc"), file_attributes(self.defences))?, Path::new("proc"))?;
        }
        if !self.defences.include(Defence::CoveredFiles) {
            return Ok(());
        }
        for path in COVERED.iter().map(Path::new).filter(|path| path.exists()) {
            // One call; what is forbidden for the device is forbidden for its copies.
            at_step("cover a file of /proc", mount_bind("dev/null", path))?;
        }
        Ok(())
    }

    /// What holds for device nodes: they can be written to, but not changed.
    fn devices(&self) -> MountAttributes {
        MountAttributes {
            read_only: self.defences.include(Defence::ReadOnlyDevices),
            no_devices: false,
            no_setuid: true,
        }
    }
}

/// What holds for files of the host.
pub(super) fn file_attributes(defences: &Defences) -> MountAttributes {
    MountAttributes {
        read_only: defences.include(Defence::ReadOnlyFiles),
        no_devices: defences.include(Defence::NoDeviceFiles),
        no_setuid: defences.include(Defence::NoSetuidFiles),
    }
}

fn mount_with(kind: &str, target: &str, flags: MountFlags, options: &str) -> io::Result<()> {
    let options = std::ffi::CString::new(options)?;
    mount(kind, target, kind, flags, options.as_c_str())?;
    Ok(())
}

/// A detached copy of what is mounted at `source` and below.
pub(super) fn tree(source: &Path, attributes: MountAttributes) -> Result<OwnedFd, Step> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let opened = open_tree(CWD, source, flags).map_err(io::Error::from).and_then(|tree| {
        set_mount_attributes(tree.as_fd(), attributes)?;
        Ok(tree)
    });
    opened.map_err(|source_error| Step::new(format!("open `{}`", source.display()), source_error))
}

pub(super) fn attach(tree: &OwnedFd, target: &Path) -> Result<(), Step> {
    move_mount(tree, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|error| Step::new(format!("attach `{}`", target.display()), error.into()))
}
