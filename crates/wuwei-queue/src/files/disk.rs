//! The real file system.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate};
use rustix::io::Errno;

use super::{Files, LogFile};

/// Zeros that are written at a time where the file system cannot set space aside.
const ZEROS_BYTES: usize = 1 << 20;

/// A directory, closed to other users.
#[derive(Debug)]
pub struct DiskFiles {
    directory: PathBuf,
}

impl DiskFiles {
    /// Makes the directory (0700) if need be; its own name is on the disk when this returns.
    pub fn open(directory: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(Self { directory: directory.to_owned() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Files for DiskFiles {
    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    fn create(&self, name: &str, length: u64) -> io::Result<Arc<dyn LogFile>> {
        let path = self.path(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        if let Err(error) = set_aside(&file, length) {
            // What it has taken already would be missing for something that fits.
            if let Err(left) = fs::remove_file(&path) {
                tracing::warn!(%left, name, "a file without its space stays behind");
            }
            return Err(error);
        }
        Ok(Arc::new(DiskFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>> {
        Ok(Arc::new(DiskFile(OpenOptions::new().read(true).write(true).open(self.path(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }
}

fn set_aside(file: &File, length: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, length) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(file, length),
        result => Ok(result?),
    }
}

fn write_zeros(file: &File, length: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS_BYTES];
    let mut offset = 0;
    while offset < length {
        let count = usize::try_from(length - offset).map_or(ZEROS_BYTES, |rest| rest.min(ZEROS_BYTES));
        file.write_all_at(&zeros[..count], offset)?;
        offset += count as u64;
    }
    Ok(())
}

#[derive(Debug)]
struct DiskFile(File);

impl LogFile for DiskFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn settle(&self) -> io::Result<()> {
        self.0.sync_data()?;
        // After a failed sync the kernel takes what it could not write for written.
        Ok(fadvise(&self.0, 0, None, Advice::DontNeed)?)
    }
}

#[cfg(test)]
mod tests {
    use super::{DiskFiles, Files as _, write_zeros};
    use std::fs::{self, File};
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn a_new_file_reads_as_zeros_and_has_its_space_already() {
        let directory = tempfile::tempdir().unwrap();
        let files = DiskFiles::open(&directory.path().join("a/b")).unwrap();
        let file = files.create("one", 1 << 20).unwrap();
        let mut bytes = vec![1; 100];
        file.read_at(&mut bytes, (1 << 20) - 100).unwrap();
        assert_eq!(bytes, [0; 100]);
        assert!(fs::metadata(directory.path().join("a/b/one")).unwrap().blocks() * 512 >= 1 << 20);
        assert_eq!(files.create("one", 1).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_file_that_finds_no_space_is_not_left_behind() {
        let directory = tempfile::tempdir().unwrap();
        let files = DiskFiles::open(directory.path()).unwrap();
        files.create("large", 1 << 62).unwrap_err();
        assert_eq!(files.list().unwrap(), [""; 0]);
    }

    #[test]
    fn zeros_are_written_to_the_last_byte() {
        let file = tempfile::NamedTempFile::new().unwrap();
        write_zeros(&File::create(file.path()).unwrap(), (2 << 20) + 7).unwrap();
        assert_eq!(fs::read(file.path()).unwrap(), vec![0; (2 << 20) + 7]);
    }
}
