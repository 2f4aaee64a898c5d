//! The catalog of layers.
//!
//! A layer is one aggregate under one key, with all of its versions: one write, whatever changes. Numbers are never
//! given out twice, also when all versions are gone.

mod record;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tokio::sync::Notify;
use wuwei_model::{CodeDigest, LayerKey, LayerVersion};

use crate::StoreError;
use crate::keyvalue::{Entry, Expected, KeyValue, KeyValueError, Revision};
use record::LayerRecord;

const PREFIX: &str = "layer/";
/// Entries that a walk over all layers takes at a time.
const PAGE_LENGTH: usize = 100;

/// A layer with its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Which.
    pub key: LayerKey,
    /// Highest number ever given to a version; 0 before the first.
    pub last: u64,
    /// By number.
    pub versions: BTreeMap<u64, LayerVersion>,
}

impl Layer {
    /// A layer without versions.
    #[must_use]
    pub fn new(key: LayerKey) -> Self {
        Self { key, last: 0, versions: BTreeMap::new() }
    }
}

/// Catalog of layers.
pub struct Layers {
    store: Arc<dyn KeyValue>,
    /// Told when a package may have lost the last version that names it.
    freed: Arc<Notify>,
}

impl Layers {
    pub(crate) fn new(store: Arc<dyn KeyValue>, freed: Arc<Notify>) -> Self {
        Self { store, freed }
    }

    /// The layer with its revision.
    pub async fn get(&self, key: &LayerKey) -> Result<Option<(Layer, Revision)>, StoreError> {
        let Some(entry) = self.store.get(&layer_key(key)).await? else { return Ok(None) };
        Ok(Some((LayerRecord::decode(&entry.key, &entry.value)?.into_layer(key.clone(), &entry.key)?, entry.revision)))
    }

    /// Stores a layer; `expected` is the revision that it was read at, `None` for one that is not stored yet.
    /// [`StoreError::Conflict`] when another writer was first.
    pub async fn put(&self, layer: &Layer, expected: Option<Revision>) -> Result<Revision, StoreError> {
        let expected = expected.map_or(Expected::Absent, Expected::Revision);
        Ok(self.store.put(&layer_key(&layer.key), LayerRecord::new(layer).encode(), expected).await?)
    }

    /// Gives a version the next number, and returns it.
    pub async fn publish(&self, key: &LayerKey, version: &LayerVersion) -> Result<u64, StoreError> {
        loop {
            let (mut layer, revision) = match self.get(key).await? {
                Some((layer, revision)) => (layer, Some(revision)),
                None => (Layer::new(key.clone()), None),
            };
            layer.last += 1;
            layer.versions.insert(layer.last, version.clone());
            match self.put(&layer, revision).await {
                Ok(_revision) => return Ok(layer.last),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Stores a version under a number of its own; [`StoreError::Exists`] when that is taken by another package.
    pub async fn import(&self, key: &LayerKey, number: u64, version: &LayerVersion) -> Result<(), StoreError> {
        loop {
            let (mut layer, revision) = match self.get(key).await? {
                Some((layer, revision)) => (layer, Some(revision)),
                None => (Layer::new(key.clone()), None),
            };
            match layer.versions.get(&number) {
                Some(known) if known.code == version.code => return Ok(()),
                Some(_other) => return Err(StoreError::Exists),
                None => {}
            }
            layer.last = layer.last.max(number);
            layer.versions.insert(number, version.clone());
            match self.put(&layer, revision).await {
                Ok(_revision) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes a version; false when there was none. Functions that use it keep it.
    pub async fn delete_version(&self, key: &LayerKey, number: u64) -> Result<bool, StoreError> {
        loop {
            let Some((mut layer, revision)) = self.get(key).await? else { return Ok(false) };
            if layer.versions.remove(&number).is_none() {
                return Ok(false);
            }
            match self.put(&layer, Some(revision)).await {
                Ok(_revision) => {
                    self.freed.notify_one();
                    return Ok(true);
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Layers in order of name, after `after` (exclusive), at most `limit`; those without versions, too.
    pub async fn list(
        &self,
        account: &str,
        region: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Layer>, StoreError> {
        let prefix = format!("{PREFIX}{account}/{region}/");
        let after = after.map(|name| format!("{prefix}{name}"));
        let mut layers = Vec::new();
        for entry in self.store.list(&prefix, after.as_deref(), limit).await? {
            let name = entry.key.strip_prefix(&prefix).unwrap_or(&entry.key).to_owned();
            let key = LayerKey { account: account.to_owned(), region: region.to_owned(), name };
            layers.push(LayerRecord::decode(&entry.key, &entry.value)?.into_layer(key, &entry.key)?);
        }
        Ok(layers)
    }

    /// Packages of all versions of an account, in bytes.
    pub async fn code_bytes(&self, account: &str, region: &str) -> Result<u64, StoreError> {
        let mut bytes = 0;
        for entry in self.all(&format!("{PREFIX}{account}/{region}/")).await? {
            bytes += LayerRecord::decode(&entry.key, &entry.value)?.code_bytes();
        }
        Ok(bytes)
    }

    /// Packages that versions of layers are made of.
    pub(crate) async fn referenced_packages(&self) -> Result<HashSet<CodeDigest>, StoreError> {
        let mut digests = HashSet::new();
        for entry in self.all(PREFIX).await? {
            digests.extend(LayerRecord::decode(&entry.key, &entry.value)?.digests(&entry.key)?);
        }
        Ok(digests)
    }

    async fn all(&self, prefix: &str) -> Result<Vec<Entry>, KeyValueError> {
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
}

fn layer_key(key: &LayerKey) -> String {
    format!("{PREFIX}{}/{}/{}", key.account, key.region, key.name)
}

#[cfg(test)]
mod tests;
