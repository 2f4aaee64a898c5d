//! Code packages: checked, stored by digest, unpacked once.
//!
//! A package is there as a whole or not at all: it is unpacked beside its place, made durable, and renamed. It goes when
//! no function refers to it and nobody uses it any more; what a crash leaves goes at the next start.

mod entry_name;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod links;
mod merge;
mod plan;
mod references;
mod unpack;
mod uses;

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::{Notify, Semaphore};
use tokio::task::spawn_blocking;
use wuwei_model::{CodeDigest, FunctionCode, merged_digest};

use crate::StoreError;
use crate::lock::DirectoryLock;
use plan::Plan;
pub(crate) use references::References;
pub use uses::PackageUse;
use uses::Uses;

/// Packages that are checked or unpacked at a time; others wait. Each may hold its directory of entries in memory.
const CONCURRENT_PACKAGES: usize = 2;

/// Why a zip is refused: the caller's fault, except [`PackageError::Storage`], where a retry may help.
#[derive(Debug, Error)]
pub enum PackageError {
    /// No directory of entries that can be read.
    #[error("package is not a zip file")]
    NotAZip,
    /// Nothing in it.
    #[error("package is empty")]
    Empty,
    /// More inflated bytes than the limit that it carries.
    #[error("package unpacks to more than {0} bytes")]
    UnpackedTooLarge(u64),
    /// More entries (directories included) than the limit that it carries.
    #[error("package has more than {0} entries")]
    TooManyEntries(usize),
    /// A name, a file type or the target of a symbolic link that could reach out of the package.
    #[error("package has an unsafe entry: {0}")]
    UnsafeEntry(String),
    /// Two entries of one name, or a file where another entry needs a directory.
    #[error("package has clashing entries: {0}")]
    ClashingEntries(String),
    /// Entries that share bytes of the file.
    #[error("package has overlapping entries")]
    OverlappingEntries,
    /// An entry that needs a password.
    #[error("package has an encrypted entry `{0}`")]
    EncryptedEntry(String),
    /// An entry that does not inflate, has the wrong checksum, or is compressed in an unknown way.
    #[error("package entry `{name}` cannot be read")]
    DamagedEntry {
        /// The entry.
        name: String,
        /// What the reader says.
        #[source]
        source: io::Error,
    },
    /// The platform's own failure.
    #[error("store a package")]
    Storage(#[source] io::Error),
}

/// Code packages, stored by digest, unpacked once.
pub struct Packages {
    shelves: Arc<Shelves>,
    permits: Arc<Semaphore>,
    uses: Arc<Uses>,
}

/// A package that is stored, and not removed while this lives: until a function names it.
#[derive(Debug)]
pub struct AdmittedPackage {
    /// What the function gets.
    pub code: FunctionCode,
    _package_use: PackageUse,
}

/// Where the packages lie.
struct Shelves {
    root: PathBuf,
    // Held by work in progress too, so that no other server tidies up under it.
    _lock: Arc<DirectoryLock>,
}

impl Packages {
    /// Makes the directories, and removes what no one refers to. Nothing else may use `root` meanwhile.
    ///
    /// `freed` is told when a package may have become garbage.
    pub(crate) async fn open(
        root: &Path,
        lock: Arc<DirectoryLock>,
        referenced: References,
        freed: Arc<Notify>,
    ) -> io::Result<Self> {
        let shelves = Arc::new(Shelves { root: root.to_owned(), _lock: lock });
        let opened = Arc::clone(&shelves);
        spawn_blocking(move || opened.tidy(&referenced)).await.map_err(io::Error::other)??;
        let permits = Arc::new(Semaphore::new(CONCURRENT_PACKAGES));
        Ok(Self { shelves, permits, uses: Uses::new(freed) })
    }

    /// Checks the zip (bombs, traversal, symlinks out, duplicates), stores it, unpacks it.
    ///
    /// Durable when it returns. May be called at the same time for the same zip; cancelling it is safe, the work then
    /// ends by itself.
    pub async fn admit(&self, zip: Bytes) -> Result<AdmittedPackage, PackageError> {
        let uses = Arc::clone(&self.uses);
        self.work(move |shelves| {
            let code = code_of(&zip);
            // Before it is looked for: what is found then stays.
            let package_use = uses.begin_new(code.digest);
            shelves.admit(&zip, &code.digest)?;
            Ok(AdmittedPackage { code, _package_use: package_use })
        })
        .await
    }

    /// Keeps a package that a function names, for as long as what is returned lives.
    #[must_use]
    pub fn begin_use(&self, digest: &CodeDigest) -> PackageUse {
        self.uses.begin(*digest)
    }

    /// From now on it is noted which packages are used: call before finding out which ones are referred to.
    pub(crate) fn begin_collection(&self) {
        self.uses.begin_collection();
    }

    /// Packages that are neither referred to nor in use are removed; those that were used since the collection began, or
    /// still are, will be looked at again.
    pub(crate) async fn end_collection(&self, garbage: Vec<CodeDigest>) -> io::Result<()> {
        let (shelves, uses) = (Arc::clone(&self.shelves), Arc::clone(&self.uses));
        let removal = spawn_blocking(move || {
            let removals = garbage.iter().filter_map(|digest| uses.remove_unused(digest, || shelves.put_away(digest)));
            let removals: Vec<io::Result<Staging>> = removals.collect();
            uses.end_collection();
            // Dropping what was put away removes it; all that could be, whatever became of the rest.
            removals.into_iter().try_for_each(|removal| removal.map(drop))
        });
        removal.await.map_err(io::Error::other)?
    }

    /// What is stored and not among these.
    pub(crate) async fn not_among(&self, referenced: HashSet<CodeDigest>) -> io::Result<Vec<CodeDigest>> {
        let shelves = Arc::clone(&self.shelves);
        let listing = spawn_blocking(move || {
            let mut stored = shelves.stored()?;
            stored.retain(|digest| !referenced.contains(digest));
            Ok(stored.into_iter().collect())
        });
        listing.await.map_err(io::Error::other)?
    }

    /// Shows packages that are stored as one directory, the later ones on top: [`Packages::code_dir`] of
    /// [`wuwei_model::merged_digest`]. It is not removed while what is returned lives; `None` when there are none.
    ///
    /// The packages must be in use meanwhile.
    pub async fn merge(&self, layers: Vec<CodeDigest>) -> Result<Option<PackageUse>, PackageError> {
        let Some(digest) = merged_digest(&layers) else { return Ok(None) };
        let uses = Arc::clone(&self.uses);
        self.work(move |shelves| {
            let package_use = uses.begin_new(digest);
            shelves.merge(&layers, &digest).map_err(PackageError::Storage)?;
            Ok(Some(package_use))
        })
        .await
    }

    /// Bytes of all files of packages that are stored, unpacked.
    pub async fn unpacked_bytes(&self, digests: Vec<CodeDigest>) -> Result<u64, PackageError> {
        self.work(move |shelves| {
            let sizes = digests.iter().map(|digest| merge::bytes_below(&shelves.code(digest)));
            sizes.sum::<io::Result<u64>>().map_err(PackageError::Storage)
        })
        .await
    }

    /// Checks without storing (DryRun); with the bytes of all files of it, unpacked.
    pub async fn check(&self, zip: Bytes) -> Result<(FunctionCode, u64), PackageError> {
        self.work(move |_| Plan::of(&zip).map(|plan| (code_of(&zip), plan.unpacked_bytes))).await
    }

    /// The unpacked package; read-only, readable by everyone below the 0700 data directory.
    #[must_use]
    pub fn code_dir(&self, digest: &CodeDigest) -> PathBuf {
        self.shelves.code(digest)
    }

    /// The zip file as it was sent.
    pub async fn zip(&self, digest: &CodeDigest) -> Result<Option<Bytes>, StoreError> {
        match tokio::fs::read(self.shelves.zip(digest)).await {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::Failed(error.into())),
        }
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shelves) -> Result<T, PackageError> + Send + 'static,
    ) -> Result<T, PackageError> {
        let permits = Arc::clone(&self.permits);
        let permit = permits.acquire_owned().await.expect("the semaphore is never closed");
        let shelves = Arc::clone(&self.shelves);
        let done = spawn_blocking(move || {
            let _permit = permit;
            work(&shelves)
        });
        done.await.map_err(|panic| PackageError::Storage(io::Error::other(panic)))?
    }
}

fn code_of(zip: &[u8]) -> FunctionCode {
    FunctionCode { digest: CodeDigest::of(zip), size_bytes: u64::try_from(zip.len()).expect("lengths fit 64 bits") }
}

impl Shelves {
    fn code(&self, digest: &CodeDigest) -> PathBuf {
        self.root.join("code").join(digest.to_hex())
    }

    fn zip(&self, digest: &CodeDigest) -> PathBuf {
        self.root.join("packages").join(format!("{}.zip", digest.to_hex()))
    }

    fn admit(&self, zip: &[u8], digest: &CodeDigest) -> Result<(), PackageError> {
        if !(self.code(digest).is_dir() && self.zip(digest).is_file()) {
            let plan = Plan::of(zip)?;
            self.put(zip, &plan, digest).map_err(PackageError::Storage)?;
        }
        Ok(())
    }

    fn merge(&self, layers: &[CodeDigest], digest: &CodeDigest) -> io::Result<()> {
        if self.code(digest).is_dir() {
            return Ok(());
        }
        let sources: Vec<PathBuf> = layers.iter().map(|layer| self.code(layer)).collect();
        let staging = Staging::new(&self.root)?;
        let merged = staging.0.join("merged");
        merge::merge(&sources, &merged)?;
        self.put_directory(&merged, digest)
    }

    /// Every package, of which the zip or the directory is there.
    fn stored(&self) -> io::Result<HashSet<CodeDigest>> {
        let mut stored = HashSet::new();
        for directory in ["code", "packages"] {
            for entry in fs::read_dir(self.root.join(directory))? {
                stored.extend(digest_of_name(&entry?.file_name()));
            }
        }
        Ok(stored)
    }

    /// Takes a package from its place, which is quick; it is gone when what is returned is dropped.
    fn put_away(&self, digest: &CodeDigest) -> io::Result<Staging> {
        let staging = Staging::new(&self.root)?;
        let absent_is_fine = |result: io::Result<()>| match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        };
        // The zip, which says that the package is whole, goes first.
        absent_is_fine(fs::rename(self.zip(digest), staging.0.join("package.zip")))?;
        absent_is_fine(fs::rename(self.code(digest), staging.0.join("code")))?;
        Ok(staging)
    }

    /// Unpacks into a directory of its own, then moves it and the zip to their places; the zip, which says that the
    /// package is whole, goes last.
    fn put(&self, zip: &[u8], plan: &Plan, digest: &CodeDigest) -> io::Result<()> {
        let staging = Staging::new(&self.root)?;
        let unpacked = staging.0.join("code");
        unpack::unpack(zip, plan, &unpacked)?;
        let zip_file = staging.0.join("package.zip");
        let mut file = File::create_new(&zip_file)?;
        file.write_all(zip)?;
        file.sync_all()?;
        self.put_directory(&unpacked, digest)?;
        fs::rename(&zip_file, self.zip(digest))?;
        File::open(self.root.join("packages"))?.sync_all()
    }

    fn put_directory(&self, unpacked: &Path, digest: &CodeDigest) -> io::Result<()> {
        match fs::rename(unpacked, self.code(digest)) {
            Ok(()) => {}
            // Another call has brought the same package meanwhile. Which of the two it is depends on the file system.
            Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {}
            Err(error) => return Err(error),
        }
        File::open(self.root.join("code"))?.sync_all()
    }

    fn tidy(&self, references: &References) -> io::Result<()> {
        let incoming = self.root.join("incoming");
        if incoming.exists() {
            fs::remove_dir_all(&incoming)?;
        }
        for (name, mode) in [("incoming", 0o700), ("packages", 0o700), ("code", 0o755)] {
            let directory = self.root.join(name);
            if !directory.exists() {
                DirBuilder::new().mode(mode).create(&directory)?;
            }
            // Again, because the umask may have taken bits away.
            fs::set_permissions(&directory, Permissions::from_mode(mode))?;
        }
        for digest in self.stored()?.difference(&references.all()) {
            self.put_away(digest)?;
        }
        self.restore(&references.packages)?;
        for (digest, layers) in &references.merged {
            // One whose layers are damaged is told by them.
            if let Err(error) = self.merge(layers, digest) {
                tracing::error!(%digest, %error, "layers cannot be put together: functions with them will not start");
            }
        }
        Ok(())
    }

    /// Unpacks again what is referred to and has lost its directory: a backup need not hold `code/`.
    fn restore(&self, referenced: &HashSet<CodeDigest>) -> io::Result<()> {
        #[expect(clippy::iter_over_hash_type, reason = "each package is on its own")]
        for digest in referenced {
            if self.code(digest).is_dir() {
                continue;
            }
            let zip = match fs::read(self.zip(digest)) {
                Ok(zip) if CodeDigest::of(&zip) == *digest => zip,
                Ok(_) => {
                    tracing::error!(%digest, "a stored package is damaged: functions with it will not start");
                    continue;
                }
                Err(error) => {
                    tracing::error!(%digest, %error, "a package is missing: functions with it will not start");
                    continue;
                }
            };
            match Plan::of(&zip) {
                Ok(plan) => self.put(&zip, &plan, digest)?,
                Err(error) => tracing::error!(%digest, %error, "a stored package is not accepted any more"),
            }
        }
        Ok(())
    }
}

/// The package that a file or directory is; `None` for what is none of ours.
fn digest_of_name(name: &std::ffi::OsStr) -> Option<CodeDigest> {
    CodeDigest::from_hex(name.to_str()?.trim_end_matches(".zip"))
}

/// A directory below `incoming/`, removed with what is in it when dropped.
struct Staging(PathBuf);

impl Staging {
    fn new(root: &Path) -> io::Result<Self> {
        let path = root.join("incoming").join(uuid::Uuid::new_v4().simple().to_string());
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "leftovers of a package stay until the next start");
        }
    }
}

#[cfg(test)]
mod tests;
