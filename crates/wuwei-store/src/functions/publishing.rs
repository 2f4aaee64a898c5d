//! Publishes versions: the version first, under a key of its own, then the aggregate that names it.

use wuwei_model::{FunctionVersion, Version};

use super::record::{FunctionRecord, VersionRecord};
use super::{Function, Functions, digests_of, function_key, version_key};
use crate::StoreError;
use crate::keyvalue::{Expected, KeyValueError, Revision};

impl Functions {
    /// As [`Functions::create`], with a first version: both are there, or none.
    ///
    /// `first` makes the version of a function that has its number as its `last_published`.
    pub async fn create_published(
        &self,
        function: &Function,
        first: impl Fn(&Function) -> FunctionVersion + Send + Sync,
    ) -> Result<FunctionVersion, StoreError> {
        let name = &function.latest.key;
        let key = function_key(name);
        loop {
            let last = self.last_number(name).await?;
            let mut numbered = function.clone();
            numbered.last_published = numbered.last_published.max(last) + 1;
            let number = numbered.last_published;
            let version = first(&numbered);
            let token = new_token()?;
            let place = version_key(name, &numbered.generation, number, &token);
            self.store
                .put(&place, VersionRecord::new(&version, &place, &self.vault).encode(), Expected::Absent)
                .await?;
            let mut record = FunctionRecord::new(&numbered, &key, &self.vault);
            record.versions.insert(number, token.clone());
            let revision = match self.store.put(&key, record.encode(), Expected::Absent).await {
                Ok(revision) => revision,
                Err(error) => {
                    self.abandon(&numbered, number, &token).await;
                    return Err(match error {
                        KeyValueError::Conflict { .. } => StoreError::Exists,
                        other => other.into(),
                    });
                }
            };
            if self.last_number(name).await? == last {
                return Ok(version);
            }
            // Another one of this name has come and gone since the number was read.
            self.store.delete(&key, Some(revision)).await?;
            self.sweep(&place).await;
        }
    }

    /// Stores a published version, and the aggregate with its new `last_published`, compare-and-set on the aggregate.
    ///
    /// The version's number must be `function.last_published` and greater than every number before
    /// ([`StoreError::VersionNumber`]).
    pub async fn publish(
        &self,
        function: &Function,
        expected: Revision,
        version: &FunctionVersion,
    ) -> Result<Revision, StoreError> {
        let function_name = &function.latest.key;
        let (stored, _) = self.record_at(function_name, expected).await?;
        let number = match version.version {
            Version::Published(number) if number == function.last_published && number > stored.last_published => number,
            Version::Published(_) | Version::Latest => {
                return Err(StoreError::VersionNumber { version: version.version, last: stored.last_published });
            }
        };
        let token = new_token()?;
        let version_key = version_key(function_name, &stored.generation, number, &token);
        let version_record = VersionRecord::new(version, &version_key, &self.vault);
        self.store.put(&version_key, version_record.encode(), Expected::Absent).await?;

        let key = function_key(function_name);
        let has_new_code = stored.latest.digests(&key)? != digests_of(&function.latest);
        let mut record = FunctionRecord::new(function, &key, &self.vault).with_versions_of(stored);
        record.last_published = number;
        record.versions.insert(number, token.clone());
        let result = self.store.put(&key, record.encode(), Expected::Revision(expected)).await;
        if result.is_err() {
            self.abandon(function, number, &token).await;
        }
        if has_new_code {
            self.freed.notify_one();
        }
        Ok(result?)
    }

    /// Removes a version whose function could not be stored with it, unless it was after all.
    async fn abandon(&self, function: &Function, number: u64, token: &str) {
        let key = &function.latest.key;
        match self.record(key).await {
            Ok(Some((record, _))) if record.versions.get(&number).is_some_and(|named| named == token) => {}
            Ok(_) => self.sweep(&version_key(key, &function.generation, number, token)).await,
            Err(error) => tracing::warn!(%error, "a version that nobody names stays until the next start"),
        }
    }
}

/// A key of its own for each attempt: two racing publishers cannot write over one another's version.
fn new_token() -> Result<String, StoreError> {
    Ok(format!("{:016x}", getrandom::u64().map_err(StoreError::random)?))
}
