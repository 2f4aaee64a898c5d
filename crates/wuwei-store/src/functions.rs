//! The catalog of functions.
//!
//! A function is one aggregate under one key: `$LATEST`, the counter of versions, an index of the versions that are
//! published, aliases, URLs, resource policies, tags and settings. The versions themselves, and the index of URLs by id,
//! lie under keys that are written once, before the aggregate that names them; so compare-and-set of the one key is
//! enough, and what a lost race or a crash leaves behind is named by nobody.

mod access;
mod attachments;
mod controls;
mod logging;
mod memory;
mod numbers;
mod publishing;
mod record;
mod usage;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::Notify;
use wuwei_model::{
    Alias, CodeDigest, EventInvokeConfig, FunctionKey, FunctionUrl, FunctionVersion, Policy, ProvisionedConcurrency,
    RecursiveLoop, RuntimeUpdate,
};

use crate::StoreError;
use crate::keyvalue::{Entry, Expected, KeyValue, KeyValueError, Revision};
use crate::packages::References;
use crate::vault::Vault;
pub(crate) use access::StoredPolicy;
use access::UrlRecord;
pub use memory::KnownFunction;
use memory::Memory;
pub use record::RecordError;
use record::{FunctionRecord, VersionRecord};
pub(crate) use record::{StoredArchitecture, damaged};
pub use usage::{AccountUsage, Guarantee};

/// Entries that a walk over the whole catalog takes at a time.
const PAGE_LENGTH: usize = 200;

/// A function: `$LATEST` and the counter of its versions; one aggregate, written by compare-and-set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// `$LATEST`.
    pub latest: FunctionVersion,
    /// Highest number ever published; 0 before the first. Numbers are never reused.
    pub last_published: u64,
    /// UUID, new for each CreateFunction: distinguishes a re-created function of the same name.
    pub generation: String,
    /// URLs by qualifier: `$LATEST` or an alias.
    pub urls: BTreeMap<String, FunctionUrl>,
    /// Resource policies by qualifier: `$LATEST`, the number of a version, or an alias. One without statements only keeps the revision
    /// of its version.
    pub policies: BTreeMap<String, Policy>,
    /// By name.
    pub aliases: BTreeMap<String, Alias>,
    /// Of the function; versions and aliases have none of their own.
    pub tags: BTreeMap<String, String>,
    /// As many calls as can run at a time, and what others leave to it; `None` where nobody has said.
    pub reserved_concurrency: Option<u32>,
    /// By qualifier: the number of a version, or an alias.
    pub provisioned_concurrency: BTreeMap<String, ProvisionedConcurrency>,
    /// By qualifier: `$LATEST`, the number of a version, or an alias.
    pub event_invoke: BTreeMap<String, EventInvokeConfig>,
    /// By version; those that are updated automatically are left out.
    pub runtime_updates: BTreeMap<String, RuntimeUpdate>,
    /// What is done when it calls itself in a loop.
    pub recursive_loop: RecursiveLoop,
    /// ARN of the code signing configuration that its code is checked by.
    pub code_signing: Option<String>,
}

impl Function {
    /// A function without versions, and without anything beside `$LATEST`.
    #[must_use]
    pub fn new(latest: FunctionVersion, generation: String) -> Self {
        Self {
            latest,
            last_published: 0,
            generation,
            urls: BTreeMap::new(),
            policies: BTreeMap::new(),
            aliases: BTreeMap::new(),
            tags: BTreeMap::new(),
            reserved_concurrency: None,
            provisioned_concurrency: BTreeMap::new(),
            event_invoke: BTreeMap::new(),
            runtime_updates: BTreeMap::new(),
            recursive_loop: RecursiveLoop::default(),
            code_signing: None,
        }
    }

    /// Concurrency that is kept for it.
    #[must_use]
    pub fn guarantee(&self) -> Guarantee {
        let requested = self.provisioned_concurrency.values().map(|provision| provision.requested);
        Guarantee { reserved: self.reserved_concurrency, provisioned: requested.fold(0, u32::saturating_add) }
    }
}

/// Catalog of functions; environment variables are sealed before they reach the database.
pub struct Functions {
    store: Arc<dyn KeyValue>,
    vault: Arc<Vault>,
    /// Told when a package may have lost the last function that names it.
    freed: Arc<Notify>,
    memory: Memory,
    /// Entries that nothing names and that could not be removed.
    unswept: Mutex<Vec<String>>,
}

impl Functions {
    pub(crate) fn new(store: Arc<dyn KeyValue>, vault: Arc<Vault>, freed: Arc<Notify>) -> Self {
        Self { store, vault, freed, memory: Memory::default(), unswept: Mutex::default() }
    }

    /// Stores a new function; [`StoreError::Exists`] when the key is taken.
    ///
    /// Its versions are numbered on from those of a function of this name that was deleted.
    pub async fn create(&self, function: &Function) -> Result<Revision, StoreError> {
        let key = function_key(&function.latest.key);
        loop {
            let last = self.last_number(&function.latest.key).await?;
            let mut record = FunctionRecord::new(function, &key, &self.vault);
            record.last_published = record.last_published.max(last);
            let revision = match self.store.put(&key, record.encode(), Expected::Absent).await {
                Err(KeyValueError::Conflict { .. }) => return Err(StoreError::Exists),
                result => result?,
            };
            if self.last_number(&function.latest.key).await? == last {
                return Ok(revision);
            }
            // Another one of this name has come and gone since the number was read.
            self.store.delete(&key, Some(revision)).await?;
        }
    }

    /// The function with its revision.
    pub async fn get(&self, key: &FunctionKey) -> Result<Option<(Function, Revision)>, StoreError> {
        let Some((record, entry)) = self.record(key).await? else { return Ok(None) };
        Ok(Some((record.into_function(key, &entry.key, &self.vault)?, entry.revision)))
    }

    /// The function as of the last write that was answered; from memory while nothing is written.
    pub async fn known(&self, key: &FunctionKey) -> Result<Option<Arc<KnownFunction>>, StoreError> {
        let generation = self.store.generation();
        if let Some(known) = self.memory.functions.get(key, generation) {
            return Ok(Some(known));
        }
        let Some((function, _)) = self.get(key).await? else { return Ok(None) };
        let known = Arc::new(KnownFunction::new(function));
        self.memory.functions.put(key.clone(), Arc::clone(&known), generation);
        Ok(Some(known))
    }

    /// A published version, as [`Functions::known`] gives the function.
    pub async fn known_version(
        &self,
        key: &FunctionKey,
        number: u64,
    ) -> Result<Option<Arc<FunctionVersion>>, StoreError> {
        let generation = self.store.generation();
        let place = (key.clone(), number);
        if let Some(known) = self.memory.versions.get(&place, generation) {
            return Ok(Some(known));
        }
        let Some(version) = self.version(key, number).await? else { return Ok(None) };
        let known = Arc::new(version);
        self.memory.versions.put(place, Arc::clone(&known), generation);
        Ok(Some(known))
    }

    /// Replaces all but versions and their counter; [`StoreError::Conflict`] when the stored revision is not `expected` (also after deletion).
    ///
    /// Versions and their counter stay as they are: only [`Functions::publish`] moves them.
    pub async fn update(&self, function: &Function, expected: Revision) -> Result<Revision, StoreError> {
        let (stored, _) = self.record_at(&function.latest.key, expected).await?;
        let key = function_key(&function.latest.key);
        let has_new_code = stored.latest.digests(&key)? != digests_of(&function.latest);
        let record = FunctionRecord::new(function, &key, &self.vault).with_versions_of(stored);
        let revision = self.store.put(&key, record.encode(), Expected::Revision(expected)).await?;
        if has_new_code {
            self.freed.notify_one();
        }
        Ok(revision)
    }

    /// Removes the function and all its versions; false when there was none.
    pub async fn delete(&self, key: &FunctionKey) -> Result<bool, StoreError> {
        loop {
            let Some((record, entry)) = self.record(key).await? else { return Ok(false) };
            self.keep_number(key, record.last_published).await?;
            match self.store.delete(&entry.key, Some(entry.revision)).await {
                Ok(false) => return Ok(false),
                Ok(true) => {
                    self.freed.notify_one();
                    // The function is gone from here on.
                    for (number, token) in &record.versions {
                        self.sweep(&version_key(key, &record.generation, *number, token)).await;
                    }
                    for id in record.url_ids() {
                        self.forget_url(id).await;
                    }
                    return Ok(true);
                }
                // Somebody wrote in between: whoever deletes means the function, not one of its revisions.
                Err(KeyValueError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Functions in order of name, after `after` (exclusive), at most `limit`.
    pub async fn list(
        &self,
        account: &str,
        region: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Function>, StoreError> {
        let prefix = format!("function/{account}/{region}/");
        let after = after.map(|name| format!("{prefix}{name}"));
        let mut functions = Vec::new();
        for entry in self.store.list(&prefix, after.as_deref(), limit).await? {
            let key = parse_function_key(&entry.key)?;
            let record = FunctionRecord::decode(&entry.key, &entry.value)?;
            functions.push(record.into_function(&key, &entry.key, &self.vault)?);
        }
        Ok(functions)
    }

    /// A published version.
    pub async fn version(&self, key: &FunctionKey, number: u64) -> Result<Option<FunctionVersion>, StoreError> {
        let Some((record, _)) = self.record(key).await? else { return Ok(None) };
        let Some(token) = record.versions.get(&number) else { return Ok(None) };
        let version = self.version_at(key, &version_key(key, &record.generation, number, token)).await?;
        Ok(version.map(|version| record.with_policy_revision(version)))
    }

    /// Published versions in ascending order, after `after` (exclusive), at most `limit`.
    pub async fn versions(
        &self,
        key: &FunctionKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<FunctionVersion>, StoreError> {
        let Some((record, _)) = self.record(key).await? else { return Ok(Vec::new()) };
        let mut versions = Vec::new();
        for (number, token) in record.versions.iter().filter(|(number, _)| **number > after).take(limit) {
            // A version that was deleted since the aggregate was read is not there any more, and is left out.
            let version = self.version_at(key, &version_key(key, &record.generation, *number, token)).await?;
            versions.extend(version.map(|version| record.with_policy_revision(version)));
        }
        Ok(versions)
    }

    /// Removes a published version; false when there was none. Its number is not given out again.
    ///
    /// One that an alias may lead to stays: [`StoreError::VersionInUse`].
    pub async fn delete_version(&self, key: &FunctionKey, number: u64) -> Result<bool, StoreError> {
        loop {
            let Some((mut record, entry)) = self.record(key).await? else { return Ok(false) };
            let Some(token) = record.versions.remove(&number) else { return Ok(false) };
            let aliases = record.aliases_of(number);
            if !aliases.is_empty() {
                return Err(StoreError::VersionInUse { aliases });
            }
            record.drop_qualifier(&number.to_string());
            match self.store.put(&entry.key, record.encode(), Expected::Revision(entry.revision)).await {
                Ok(_) => {
                    self.freed.notify_one();
                    self.sweep(&version_key(key, &record.generation, number, &token)).await;
                    return Ok(true);
                }
                Err(KeyValueError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reserves the id of a URL that the function is about to be given; [`StoreError::Exists`] when it is taken.
    ///
    /// The URL itself comes with the next [`Functions::update`]; until then nobody finds it.
    pub async fn reserve_url(&self, id: &str, key: &FunctionKey, qualifier: &str) -> Result<(), StoreError> {
        let record = UrlRecord::new(key, qualifier);
        match self.store.put(&url_key(id), encode(&record), Expected::Absent).await {
            Err(KeyValueError::Conflict { .. }) => Err(StoreError::Exists),
            result => Ok(result.map(|_revision| ())?),
        }
    }

    /// The function that has the URL of this id, and the qualifier that it is for. From memory while nothing is written.
    pub async fn find_url(&self, id: &str) -> Result<Option<(Arc<KnownFunction>, String)>, StoreError> {
        let generation = self.store.generation();
        let id = id.to_owned();
        let place = match self.memory.urls.get(&id, generation) {
            Some(place) => place,
            None => {
                let Some(entry) = self.store.get(&url_key(&id)).await? else { return Ok(None) };
                let place = Arc::new(UrlRecord::decode(&entry.key, &entry.value)?.into_parts());
                self.memory.urls.put(id.clone(), Arc::clone(&place), generation);
                place
            }
        };
        let (key, qualifier) = &*place;
        let Some(known) = self.known(key).await? else { return Ok(None) };
        // An id that was reserved, and never given or taken away since, is nobody's.
        let is_given = known.function.urls.get(qualifier).is_some_and(|url| url.id == id);
        Ok(is_given.then(|| (known, qualifier.clone())))
    }

    /// Forgets an id that no function has any more.
    pub async fn forget_url(&self, id: &str) {
        self.sweep(&url_key(id)).await;
    }

    /// Removes an entry that nothing names any more. What cannot be removed now goes later, at the next start at the
    /// latest.
    async fn sweep(&self, key: &str) {
        if !self.try_sweep(key).await {
            self.freed.notify_one();
        }
    }

    async fn try_sweep(&self, key: &str) -> bool {
        let swept = self.store.delete(key, None).await;
        if let Err(error) = &swept {
            tracing::warn!(%error, key, "an entry that nothing names stays for now");
            self.unswept().push(key.to_owned());
        }
        swept.is_ok()
    }

    /// Tries once more to remove what could not be removed.
    pub(crate) async fn sweep_again(&self) {
        let keys = std::mem::take(&mut *self.unswept());
        for key in keys {
            self.try_sweep(&key).await;
        }
    }

    /// Whether something could not be removed.
    pub(crate) fn has_unswept(&self) -> bool {
        !self.unswept().is_empty()
    }

    fn unswept(&self) -> MutexGuard<'_, Vec<String>> {
        self.unswept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes versions and ids of URLs that no function names, and returns the packages that the catalog refers to.
    ///
    /// Only before the catalog is handed out: a version that is just being published looks abandoned.
    pub(crate) async fn settle(&self) -> Result<References, StoreError> {
        let mut references = References::default();
        let mut named = HashSet::new();
        for entry in self.all("function/").await? {
            let key = parse_function_key(&entry.key)?;
            let record = FunctionRecord::decode(&entry.key, &entry.value)?;
            references.add(&record.latest.digests(&entry.key)?);
            let keys = record.versions.iter();
            named.extend(keys.map(|(number, token)| version_key(&key, &record.generation, *number, token)));
            named.extend(record.url_ids().map(url_key));
        }
        for entry in self.all("url/").await? {
            if !named.contains(&entry.key) {
                self.store.delete(&entry.key, None).await?;
            }
        }
        for entry in self.all("version/").await? {
            if named.contains(&entry.key) {
                references.add(&VersionRecord::decode(&entry.key, &entry.value)?.digests(&entry.key)?);
            } else {
                self.store.delete(&entry.key, None).await?;
            }
        }
        Ok(references)
    }

    /// The packages that the catalog refers to. One that a function comes to name while this works may be missing, if it
    /// was admitted meanwhile.
    pub(crate) async fn references(&self) -> Result<References, StoreError> {
        let mut references = References::default();
        for entry in self.all("function/").await? {
            references.add(&FunctionRecord::decode(&entry.key, &entry.value)?.latest.digests(&entry.key)?);
        }
        // Those included that no function names: they are few, and go at the next start.
        for entry in self.all("version/").await? {
            references.add(&VersionRecord::decode(&entry.key, &entry.value)?.digests(&entry.key)?);
        }
        Ok(references)
    }

    async fn all(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let after = entries.last().map(|entry| entry.key.clone());
            let page = self.store.list(prefix, after.as_deref(), PAGE_LENGTH).await?;
            let is_last = page.len() < PAGE_LENGTH;
            entries.extend(page);
            if is_last {
                return Ok(entries);
            }
        }
    }

    async fn record(&self, key: &FunctionKey) -> Result<Option<(FunctionRecord, Entry)>, StoreError> {
        let Some(entry) = self.store.get(&function_key(key)).await? else { return Ok(None) };
        Ok(Some((FunctionRecord::decode(&entry.key, &entry.value)?, entry)))
    }

    async fn record_at(&self, key: &FunctionKey, expected: Revision) -> Result<(FunctionRecord, Entry), StoreError> {
        let found = self.record(key).await?;
        found.filter(|(_, entry)| entry.revision == expected).ok_or(StoreError::Conflict)
    }

    async fn version_at(&self, key: &FunctionKey, version_key: &str) -> Result<Option<FunctionVersion>, StoreError> {
        let Some(Entry { value, .. }) = self.store.get(version_key).await? else { return Ok(None) };
        let record = VersionRecord::decode(version_key, &value)?;
        Ok(Some(record.into_version(key, version_key, &self.vault)?))
    }
}

/// A stored aggregate or version cannot be understood.
#[derive(Debug, Error)]
#[error("record `{key}` in the store is damaged")]
pub struct DamagedRecordError {
    key: String,
    #[source]
    source: RecordError,
}

/// Packages of the code and of the layers, in order.
fn digests_of(version: &FunctionVersion) -> Vec<CodeDigest> {
    std::iter::once(version.code.digest).chain(version.settings.layer_digests()).collect()
}

fn function_key(key: &FunctionKey) -> String {
    format!("function/{}/{}/{}", key.account, key.region, key.name)
}

/// Numbers are padded, so that the order of the keys is theirs.
fn version_key(key: &FunctionKey, generation: &str, number: u64, token: &str) -> String {
    format!("version/{}/{}/{}/{generation}/{number:020}/{token}", key.account, key.region, key.name)
}

/// Finds the function of a URL.
fn url_key(id: &str) -> String {
    format!("url/{id}")
}

fn parse_function_key(key: &str) -> Result<FunctionKey, DamagedRecordError> {
    let mut parts = key.splitn(4, '/').skip(1).map(str::to_owned);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(account), Some(region), Some(name)) => Ok(FunctionKey { account, region, name }),
        (Some(_) | None, _, _) => Err(DamagedRecordError { key: key.to_owned(), source: RecordError::Key }),
    }
}

pub(crate) fn encode<T: serde::Serialize>(record: &T) -> Bytes {
    serde_json::to_vec(record).expect("records have string keys and no values that JSON lacks").into()
}

#[cfg(test)]
mod tests;
