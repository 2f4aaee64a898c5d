//! Sealing of what must never lie on the disk in the clear.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

const KEY_FILE: &str = "master.key";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
/// First byte of a sealed value: AES-256-GCM, then 12 bytes of nonce, ciphertext, 16 bytes of tag.
const FORMAT: u8 = 1;

/// Why there is no usable master key.
#[derive(Debug, Error)]
pub enum MasterKeyError {
    /// There is a database but no key: what is sealed in it cannot be read.
    #[error("master key `{}` is missing: put it back from a backup (what is sealed in the database cannot be read without it)", .path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The file is not a key.
    #[error("master key `{}` has {found} bytes instead of {KEY_BYTES}", .path.display())]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: usize,
    },
    /// The key is not the one that sealed this database.
    #[error("master key `{}` is not the key of this database: put the right one back from a backup", .path.display())]
    WrongKey {
        /// The file.
        path: PathBuf,
    },
    /// A file operation failed.
    #[error("{operation} `{}`", .path.display())]
    Io {
        /// For example `read master key`.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// A sealed value cannot be opened: damaged, moved from another record, or sealed with another key.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("sealed value cannot be opened")]
pub struct UnsealError;

/// Seals and opens values with the master key. Has no `Debug` that could show it.
pub(crate) struct Vault {
    cipher: Aes256Gcm,
}

impl Vault {
    /// Reads the key of a data directory; makes one when there is none and `create` allows it.
    pub(crate) fn open(directory: &Path, create: bool) -> Result<Self, MasterKeyError> {
        let path = directory.join(KEY_FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound && create => create_key(directory, &path)
                .map_err(|source| MasterKeyError::Io { operation: "create master key", path: path.clone(), source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(MasterKeyError::Missing { path }),
            Err(source) => return Err(MasterKeyError::Io { operation: "read master key", path, source }),
        };
        let found = bytes.len();
        let key = <[u8; KEY_BYTES]>::try_from(bytes);
        let key = key.ok().ok_or(MasterKeyError::WrongSize { path, found })?;
        Ok(Self::with_key(&key))
    }

    /// The error for a key that does not open this database.
    pub(crate) fn wrong_key(directory: &Path) -> MasterKeyError {
        MasterKeyError::WrongKey { path: directory.join(KEY_FILE) }
    }

    fn with_key(key: &[u8; KEY_BYTES]) -> Self {
        Self { cipher: Aes256Gcm::new(key.into()) }
    }

    /// Base64 of the sealed value. It opens only with the same `context`, the place where it is kept.
    pub(crate) fn seal(&self, context: &str, plain: &[u8]) -> String {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).expect("the system has random numbers once it has booted");
        let payload = Payload { msg: plain, aad: context.as_bytes() };
        let ciphertext = self.cipher.encrypt(&nonce.into(), payload).expect("values are far below 64 GiB");
        let mut sealed = Vec::with_capacity(1 + NONCE_BYTES + ciphertext.len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&ciphertext);
        STANDARD.encode(sealed)
    }

    /// What was sealed under `context`.
    pub(crate) fn unseal(&self, context: &str, sealed: &str) -> Result<Vec<u8>, UnsealError> {
        let sealed = STANDARD.decode(sealed).ok().ok_or(UnsealError)?;
        let (format, rest) = sealed.split_first().ok_or(UnsealError)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(UnsealError)?;
        if *format != FORMAT {
            return Err(UnsealError);
        }
        let payload = Payload { msg: ciphertext, aad: context.as_bytes() };
        self.cipher.decrypt(&(*nonce).into(), payload).ok().ok_or(UnsealError)
    }
}

/// Writes a new key beside its place and renames it: after a crash there is a whole key or none.
fn create_key(directory: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let mut key = vec![0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let unfinished = path.with_extension("key.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(&key)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    File::open(directory)?.sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::{MasterKeyError, UnsealError, Vault};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_sealed_value_opens_only_in_its_place_and_unchanged() {
        let vault = Vault::with_key(&[7; 32]);
        let sealed = vault.seal("function/a", b"hunter2");
        assert_eq!(vault.unseal("function/a", &sealed).unwrap(), b"hunter2");
        assert_eq!(vault.unseal("function/b", &sealed), Err(UnsealError));
        assert_eq!(Vault::with_key(&[8; 32]).unseal("function/a", &sealed), Err(UnsealError));
        for position in 0..sealed.len() {
            let mut damaged = sealed.clone().into_bytes();
            damaged[position] = if damaged[position] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(damaged).unwrap();
            assert_eq!(vault.unseal("function/a", &damaged), Err(UnsealError), "byte {position}");
        }
        assert_eq!(vault.unseal("function/a", ""), Err(UnsealError));
    }

    #[test]
    fn the_same_value_never_seals_to_the_same_text() {
        let vault = Vault::with_key(&[7; 32]);
        assert_ne!(vault.seal("k", b"v"), vault.seal("k", b"v"));
    }

    #[test]
    fn the_key_is_made_once_private_and_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let sealed = Vault::open(directory.path(), true).unwrap().seal("k", b"v");
        let file = directory.path().join("master.key");
        let metadata = std::fs::metadata(&file).unwrap();
        assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (32, 0o600));
        assert_eq!(Vault::open(directory.path(), true).unwrap().unseal("k", &sealed).unwrap(), b"v");
        std::fs::write(&file, b"short").unwrap();
        assert!(matches!(Vault::open(directory.path(), true), Err(MasterKeyError::WrongSize { found: 5, .. })));
        std::fs::remove_file(&file).unwrap();
        assert!(matches!(Vault::open(directory.path(), false), Err(MasterKeyError::Missing { .. })));
    }
}
