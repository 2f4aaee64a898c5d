//! One server per data directory, and nobody else in it.

mod hand_over;

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use thiserror::Error;

/// Name of the lock file below the data directory.
const LOCK_FILE: &str = "lock";

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
pub enum DataDirectoryError {
    /// Another server holds it.
    #[error("data directory `{}` is used by another server ({})", .directory.display(), holder(.pid.as_ref()))]
    Locked {
        /// The directory.
        directory: PathBuf,
        /// Process id of the other server, where it could be read.
        pid: Option<u32>,
    },
    /// It belongs to another user.
    #[error("data directory `{}` belongs to user {owner}, this server runs as user {user}", .directory.display())]
    OtherOwner {
        /// The directory.
        directory: PathBuf,
        /// Its owner's user id.
        owner: u32,
        /// The server's user id.
        user: u32,
    },
    /// Others can enter it, and it holds files that are not ours, so that closing it could lock somebody out.
    #[error("data directory `{}` is open to other users (mode {mode:04o}) and in use: `chmod 700` it or choose another", .directory.display())]
    TooOpen {
        /// The directory.
        directory: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The path is a file.
    #[error("data directory `{}` is not a directory", .directory.display())]
    NotADirectory {
        /// The path.
        directory: PathBuf,
    },
    /// A file operation failed.
    #[error("{operation} `{}`", .path.display())]
    Io {
        /// For example `create directory`.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

fn holder(pid: Option<&u32>) -> String {
    pid.map_or_else(|| "process unknown".to_owned(), |pid| format!("process {pid}"))
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataDirectoryError {
    let path = path.to_owned();
    move |source| DataDirectoryError::Io { operation, path, source }
}

/// The exclusive right to a data directory, given back when dropped or when the process ends in any way.
///
/// It is an advisory lock (`flock`) of the open file, which is closed on exec: helper processes do not inherit it.
#[derive(Debug)]
pub struct DirectoryLock {
    directory: PathBuf,
    // Held, never read: closing the file is what gives the lock back.
    _file: File,
}

impl DirectoryLock {
    /// Makes `directory` if need be (0700), checks that it is ours alone, and locks it.
    pub(crate) fn acquire(directory: &Path) -> Result<Self, DataDirectoryError> {
        Self::acquire_from(directory, 0..0)
    }

    /// As [`crate::Store::open`] does, for a caller who is root, and also when one of the users `previous` has the
    /// directory: for [`DirectoryLock::hand_over`].
    ///
    /// # Errors
    /// When the directory is used by another server, or is not for this one.
    pub fn acquire_from(directory: &Path, previous: Range<u32>) -> Result<Self, DataDirectoryError> {
        make_private(directory, previous)?;
        let path = directory.join(LOCK_FILE);
        let no_link = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            // The directory may belong to a user whom root must not be led astray by.
            .custom_flags(no_link)
            .open(&path)
            .map_err(failed("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataDirectoryError::Locked { directory: directory.to_owned(), pid: read_pid(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock", &path)(source)),
        }
        write_pid(&mut file).map_err(failed("write", &path))?;
        Ok(Self { directory: directory.to_owned(), _file: file })
    }

    /// The locked directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The same directory under another path, from now on.
    #[must_use]
    pub fn known_as(self, directory: PathBuf) -> Self {
        Self { directory, ..self }
    }

    /// User that it belongs to.
    ///
    /// # Errors
    /// When it cannot be examined.
    pub fn owner(&self) -> Result<u32, DataDirectoryError> {
        let metadata = std::fs::metadata(&self.directory).map_err(failed("examine", &self.directory))?;
        Ok(metadata.uid())
    }

    /// Gives the directory, and all in it that is the server's, to this user and group. The group may pass through it,
    /// nobody else may. What belongs to them already is left as it is. The caller is root.
    ///
    /// # Errors
    /// When something cannot be given away.
    pub fn hand_over(&self, user: u32, group: u32) -> Result<(), DataDirectoryError> {
        let owner = self.owner()?;
        hand_over::hand_over(&self.directory, owner, user, group).map_err(failed("give away", &self.directory))
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn make_private(directory: &Path, previous: Range<u32>) -> Result<(), DataDirectoryError> {
    if let Some(parent) = directory.parent() {
        std::fs::create_dir_all(parent).map_err(failed("create directory", parent))?;
    }
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(failed("create directory", directory)(source)),
    }
    let metadata = std::fs::metadata(directory).map_err(failed("examine", directory))?;
    if !metadata.is_dir() {
        return Err(DataDirectoryError::NotADirectory { directory: directory.to_owned() });
    }
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != user && !(user == 0 && previous.contains(&owner)) {
        return Err(DataDirectoryError::OtherOwner { directory: directory.to_owned(), owner, user });
    }
    let mode = metadata.mode() & 0o7777;
    // One that was handed over: a server may be at work in it.
    let passage = if owner == user { 0 } else { 0o010 };
    if mode & 0o077 & !passage == 0 {
        return Ok(());
    }
    // `--data-dir /tmp` must not close /tmp: only a directory that is empty or already ours is tightened.
    let ours = directory.join(LOCK_FILE).is_file()
        || std::fs::read_dir(directory).map_err(failed("list", directory))?.next().is_none();
    if !ours || std::fs::set_permissions(directory, Permissions::from_mode(0o700)).is_err() {
        return Err(DataDirectoryError::TooOpen { directory: directory.to_owned(), mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
