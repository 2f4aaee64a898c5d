//! Errors of the store as a whole.

use std::error::Error;

use thiserror::Error;
use wuwei_model::Version;

use crate::access_keys::DamagedAccessKeyError;
use crate::egress::DamagedEgressError;
use crate::functions::DamagedRecordError;
use crate::keyvalue::KeyValueError;
use crate::lock::DataDirectoryError;
use crate::sqlite::OpenDatabaseError;
use crate::vault::MasterKeyError;

/// Why an operation on the store did not happen. The first two are the caller's to handle, the rest the platform's.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The key is taken.
    #[error("function exists already")]
    Exists,
    /// The stored value is not the one that the caller read. Read again and decide.
    #[error("changed by another writer")]
    Conflict,
    /// A version to be published has a number that is not the next: a fault of the caller's code.
    #[error("version `{version}` cannot follow version {last}")]
    VersionNumber {
        /// The version that was to be published.
        version: Version,
        /// Highest number published before.
        last: u64,
    },
    /// A version to be removed is one that aliases may lead to.
    #[error("version is in use by aliases")]
    VersionInUse {
        /// Their names.
        aliases: Vec<String>,
    },
    /// The storage failed, or what it holds cannot be read.
    #[error("store failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

impl StoreError {
    pub(crate) fn random(source: getrandom::Error) -> Self {
        Self::Failed(source.into())
    }
}

impl From<KeyValueError> for StoreError {
    fn from(error: KeyValueError) -> Self {
        match error {
            KeyValueError::Conflict { .. } => Self::Conflict,
            KeyValueError::Backend { .. } | KeyValueError::Stopped => Self::Failed(error.into()),
        }
    }
}

impl From<DamagedRecordError> for StoreError {
    fn from(error: DamagedRecordError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<DamagedEgressError> for StoreError {
    fn from(error: DamagedEgressError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<DamagedAccessKeyError> for StoreError {
    fn from(error: DamagedAccessKeyError) -> Self {
        Self::Failed(error.into())
    }
}

/// Why a data directory cannot be opened. All are the operator's to solve; the texts say how.
#[derive(Debug, Error)]
pub enum OpenStoreError {
    /// The directory is in use, or not ours alone.
    #[error(transparent)]
    Directory(#[from] DataDirectoryError),
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] OpenDatabaseError),
    /// The key that seals secrets is missing or wrong.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// What the database holds cannot be read.
    #[error("read the store")]
    Contents(#[source] StoreError),
    /// Packages cannot be tidied up.
    #[error("tidy up the code packages")]
    Packages(#[source] std::io::Error),
}
