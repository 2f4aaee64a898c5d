//! What the log needs of a file system, as a trait: tests put one in its place that loses power, fails and fills up.

mod disk;
#[cfg(test)]
pub(crate) mod simulated;

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

pub use disk::DiskFiles;

/// The files of one directory. A name is on the disk only after [`Files::sync_directory`].
pub trait Files: Debug + Send + Sync + 'static {
    /// Names of all files, in no order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Makes a file that was not there, reads as zeros, and has its place on the disk already.
    fn create(&self, name: &str, length: u64) -> io::Result<Arc<dyn LogFile>>;
    /// Opens a file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>>;
    /// Gives a file another name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Takes a file's name away; whoever has it open can go on reading.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Waits until names made, changed and taken away before are so on the disk.
    fn sync_directory(&self) -> io::Result<()>;
}

/// An open file.
pub trait LogFile: Debug + Send + Sync {
    /// In bytes.
    fn length(&self) -> io::Result<u64>;
    /// Fills the buffer; [`io::ErrorKind::UnexpectedEof`] where the file ends before.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of it. After an error nobody knows how much.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Waits until what was written before is on the disk. After an error the file must not be written any more: a second
    /// attempt may succeed without the data being there.
    fn sync(&self) -> io::Result<()>;
    /// Syncs, and forgets what memory has of the file: what is read from here on is what the disk has.
    fn settle(&self) -> io::Result<()>;
}
