//! The narrow waist of the store: small values under keys, written by compare-and-set.
//!
//! Both implementations (embedded SQLite, later NATS JetStream) offer exactly this, so nothing here may lean on
//! what only one of them has: no transactions over several keys, no queries. `watch` (a snapshot, then changes),
//! queues (`enqueue`, `claim`, `ack`) and leases with fencing tokens are traits of their own, for the parts that
//! bring their first users.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;

/// Opaque revision of a stored value: a later write of the same key has a greater one, also after a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub(crate) u64);

/// What must hold for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The key has no value.
    Absent,
    /// The value of the key has this revision.
    Revision(Revision),
}

/// A value with its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// UTF-8 text of components joined by `/`.
    pub key: String,
    /// The bytes as they were put.
    pub value: Bytes,
    /// Revision of the value.
    pub revision: Revision,
}

/// Why a value could not be read or written.
#[derive(Clone, Debug, Error)]
pub enum KeyValueError {
    /// The expectation did not hold; nothing was written. Read again and decide.
    #[error("key `{key}` was changed by another writer")]
    Conflict {
        /// The key.
        key: String,
    },
    /// The storage failed; the write may or may not have happened.
    #[error("store cannot {operation}")]
    Backend {
        /// What was tried, for example `write`.
        operation: &'static str,
        /// The implementation's own error.
        #[source]
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The store is shut down, or has stopped itself because the disk lost a write.
    #[error("store has stopped")]
    Stopped,
}

/// Durable values under keys. Every method is safe to cancel; a cancelled write happens or does not, as a whole.
#[async_trait]
pub trait KeyValue: Send + Sync {
    /// The value of a key, as of the last write that was answered.
    async fn get(&self, key: &str) -> Result<Option<Entry>, KeyValueError>;
    /// Writes the value if `expected` holds, and returns its revision once it is durable.
    async fn put(&self, key: &str, value: Bytes, expected: Expected) -> Result<Revision, KeyValueError>;
    /// Removes the value, only at this revision when one is given; false when there was none.
    async fn delete(&self, key: &str, expected: Option<Revision>) -> Result<bool, KeyValueError>;
    /// Entries whose keys start with `prefix`, in order of the keys' bytes, after `after` (exclusive), at most `limit`.
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Entry>, KeyValueError>;
    /// Grows with every change, before whoever wrote it is answered. What was read since it last grew is what is there.
    fn generation(&self) -> u64;
}

#[cfg(test)]
pub(crate) mod conformance;
