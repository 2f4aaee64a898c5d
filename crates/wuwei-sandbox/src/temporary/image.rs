//! File systems in sparse files without names: the last one who holds such a file system takes all of it along.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, SeekFrom, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};

use crate::launcher::{SANDBOX_GID, SANDBOX_UID, Step, at_step};
use crate::sys::{attach_loop_device, give_file_system_up};

const MEGABYTE: u64 = 1024 * 1024;
/// What a file system needs for itself, at most: a part of its size, and some more.
const OVERHEAD_PART: u64 = 16;
const OVERHEAD_BYTES: u64 = 24 * MEGABYTE;
/// Where the tools of ext4 are.
const TOOLS: &str = "/usr/sbin:/sbin:/usr/bin:/bin";
/// How a tool finds the image, which has no name.
const STANDARD_INPUT: &str = "/proc/self/fd/0";
/// No journal: nothing is to be found again after a crash. No space for growing.
const FEATURES: &str = "^has_journal,^resize_inode";
/// Free space of a disk that functions do not get: one part in so many, and no less than this.
const RESERVE_PART: u64 = 20;
const RESERVE_BYTES: u64 = 1024 * MEGABYTE;

/// An empty file system, to be copied.
pub(super) struct Template {
    file: File,
    bytes: u64,
}

impl Template {
    /// Makes a file system whose files may take so much, to the block.
    pub(super) fn make(directory: &Path, megabytes: u32) -> Result<Self, Step> {
        let wanted = u64::from(megabytes) * MEGABYTE;
        let bytes = wanted + wanted / OVERHEAD_PART + OVERHEAD_BYTES;
        let file = at_step("make an image", nameless_file(directory, bytes))?;
        let options = format!("lazy_itable_init=1,nodiscard,root_owner={SANDBOX_UID}:{SANDBOX_GID}");
        run(
            "mkfs.ext4",
            &["-q", "-F", "-O", FEATURES, "-m", "0", "-b", "4096", "-E", &options, STANDARD_INPUT],
            &file,
        )?;
        let template = Self { file, bytes };
        let available = template.prepare_root()?;
        let surplus = available.checked_sub(wanted / 4096);
        let surplus =
            surplus.ok_or_else(|| Step::new("fit an image", io::Error::other("its overhead is too large")))?;
        // Blocks for nobody.
        run("tune2fs", &["-r", &surplus.to_string(), STANDARD_INPUT], &template.file)?;
        Ok(template)
    }

    /// Empties the root and opens it to its owner; gives the number of blocks that are available then.
    fn prepare_root(&self) -> Result<u64, Step> {
        let mount = mount_image(self.file.as_fd())?;
        at_step("empty an image", rustix::fs::unlinkat(&mount, "lost+found", AtFlags::REMOVEDIR))?;
        let root = at_step("open an image", root_of(mount.as_fd()))?;
        at_step("open an image to its owner", rustix::fs::fchmod(&root, Mode::from_raw_mode(0o1777)))?;
        Ok(at_step("measure an image", rustix::fs::fstatfs(&root))?.f_bavail)
    }

    /// A file system of its own, which is mounted nowhere yet.
    pub(super) fn copy(&self, directory: &Path) -> Result<OwnedFd, Step> {
        at_step("look at the disk", has_room(directory, self.bytes))?;
        let file = at_step("make an image", nameless_file(directory, self.bytes))?;
        at_step("fill an image", copy_data(&self.file, &file))?;
        mount_image(file.as_fd())
    }
}

/// Mounts the file system again that a mount shows.
pub(super) fn mount_again(mount: BorrowedFd<'_>) -> Result<OwnedFd, Step> {
    let device = at_step("find a device", device_of(mount))?;
    mount_device(&Path::new("/dev").join(device.file_name().unwrap_or_default()))
}

/// Whether what a mount shows is in a nameless file of the directory.
pub(super) fn is_ours(mount: BorrowedFd<'_>, directory: &Path) -> bool {
    let image = device_of(mount).and_then(|device| std::fs::read_to_string(device.join("loop/backing_file")));
    image.is_ok_and(|image| is_nameless_in(directory, image.trim_end_matches('\n')))
}

fn is_nameless_in(directory: &Path, image: &str) -> bool {
    let Some(image) = image.strip_suffix(" (deleted)").map(Path::new) else { return false };
    let is_number =
        |name: &str| name.strip_prefix('#').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    image.parent() == Some(directory) && image.file_name().and_then(|name| name.to_str()).is_some_and(is_number)
}

/// Where the kernel tells about the block device that a mount shows.
fn device_of(mount: BorrowedFd<'_>) -> io::Result<PathBuf> {
    let device = rustix::fs::fstat(mount)?.st_dev;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    std::fs::canonicalize(format!("/sys/dev/block/{major}:{minor}"))
}

/// Ends a file system; what was not written yet is not written any more.
pub(super) fn give_up(mount: &OwnedFd) -> io::Result<()> {
    give_file_system_up(root_of(mount.as_fd())?.as_fd())
}

fn mount_image(image: BorrowedFd<'_>) -> Result<OwnedFd, Step> {
    let (device, path): (OwnedFd, PathBuf) = at_step("attach an image to a device", attach_loop_device(image))?;
    let mount = mount_device(&path);
    // The device is the file system's from here on, and free when that has ended.
    drop(device);
    mount
}

/// A mount that is attached nowhere: it ends with its last descriptor.
fn mount_device(path: &Path) -> Result<OwnedFd, Step> {
    let mounted = || {
        let context = fsopen("ext4", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(context.as_fd(), "source", path)?;
        // No thread that writes zeroes: the image is full of holes.
        fsconfig_set_flag(context.as_fd(), "noinit_itable")?;
        fsconfig_create(context.as_fd())?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    at_step("mount an image", mounted())
}

fn root_of(mount: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(openat(mount, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

fn nameless_file(directory: &Path, bytes: u64) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = File::from(openat(CWD, directory, flags, Mode::RUSR | Mode::WUSR)?);
    file.set_len(bytes)?;
    Ok(file)
}

/// Copies what a sparse file has; holes stay holes.
fn copy_data(from: &File, to: &File) -> io::Result<()> {
    let mut at = 0;
    loop {
        at = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(rustix::io::Errno::NXIO) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(from, SeekFrom::Hole(at))?;
        let (mut read_at, mut write_at) = (at, at);
        while read_at < end {
            let left = usize::try_from(end - read_at).unwrap_or(usize::MAX);
            if rustix::fs::copy_file_range(from, Some(&mut read_at), to, Some(&mut write_at), left)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        at = end;
    }
}

fn has_room(directory: &Path, bytes: u64) -> io::Result<()> {
    let disk = rustix::fs::statvfs(directory)?;
    let reserve = (disk.f_blocks * disk.f_frsize / RESERVE_PART).max(RESERVE_BYTES);
    if disk.f_bavail * disk.f_frsize < reserve + bytes {
        return Err(io::Error::new(io::ErrorKind::StorageFull, "too little of it is free"));
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "this is the sandbox crate, which starts processes")]
fn run(program: &str, arguments: &[&str], image: &File) -> Result<(), Step> {
    let image = at_step(program, image.try_clone())?;
    let output = Command::new(program).env("PATH", TOOLS).args(arguments).stdin(Stdio::from(image)).output();
    let output = at_step(program, output)?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Step::new(program, io::Error::other(complaint)))
}

#[cfg(test)]
mod tests {
    use super::is_nameless_in;
    use std::path::Path;

    #[test]
    fn only_nameless_files_of_the_directory_are_ours() {
        let check = |image: &str, expected| assert_eq!(is_nameless_in(Path::new("/d/run"), image), expected, "{image}");
        check("/d/run/#12345 (deleted)", true);
        check("/d/run/#12345", false);
        check("/d/run/image (deleted)", false);
        check("/d/#12345 (deleted)", false);
        check("/d/run/x/#12345 (deleted)", false);
        check("/d/run/../#12345 (deleted)", false);
        check("", false);
    }
}
