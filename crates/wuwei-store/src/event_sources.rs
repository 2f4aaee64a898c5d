//! The catalog of event source mappings.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::{Mutex, MutexGuard};
use wuwei_model::EventSourceMapping;

use crate::StoreError;
use crate::functions::{DamagedRecordError, RecordError, damaged, encode};
use crate::keyvalue::{Entry, Expected, KeyValue, Revision};

/// Entries that a walk takes at a time.
const PAGE_LENGTH: usize = 200;

/// Catalog of event source mappings.
pub struct EventSourceMappings {
    store: Arc<dyn KeyValue>,
    changing: Mutex<()>,
}

#[derive(Serialize, Deserialize)]
struct StoredMapping {
    function: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    qualifier: Option<String>,
    /// Members of the API, as they were checked.
    settings: Map<String, Value>,
    modified_ms: i64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
}

impl EventSourceMappings {
    pub(crate) fn new(store: Arc<dyn KeyValue>) -> Self {
        Self { store, changing: Mutex::default() }
    }

    /// Nobody else who asks for it changes anything while what is returned lives: for rules about several mappings.
    pub async fn lock(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// The mapping with its revision.
    pub async fn get(
        &self,
        account: &str,
        region: &str,
        id: &str,
    ) -> Result<Option<(EventSourceMapping, Revision)>, StoreError> {
        let key = format!("{}{id}", prefix_of(account, region));
        let Some(entry) = self.store.get(&key).await? else { return Ok(None) };
        Ok(Some((read(account, region, id, &entry)?, entry.revision)))
    }

    /// Stores a mapping; `expected` is the revision that it was read at, `None` for a new one.
    /// [`StoreError::Conflict`] when another writer was first.
    pub async fn put(&self, mapping: &EventSourceMapping, expected: Option<Revision>) -> Result<Revision, StoreError> {
        // Taken apart in full: a field added to the model does not compile here until somebody decides.
        let EventSourceMapping { account, region, id, function, qualifier, settings, modified_ms, tags } = mapping;
        let stored = StoredMapping {
            function: function.clone(),
            qualifier: qualifier.clone(),
            settings: settings.clone(),
            modified_ms: *modified_ms,
            tags: tags.clone(),
        };
        let expected = expected.map_or(Expected::Absent, Expected::Revision);
        Ok(self.store.put(&format!("{}{id}", prefix_of(account, region)), encode(&stored), expected).await?)
    }

    /// Removes a mapping; false when there was none.
    pub async fn delete(&self, account: &str, region: &str, id: &str) -> Result<bool, StoreError> {
        Ok(self.store.delete(&format!("{}{id}", prefix_of(account, region)), None).await?)
    }

    /// Mappings in order of id, after `after` (exclusive), at most `limit`.
    pub async fn list(
        &self,
        account: &str,
        region: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<EventSourceMapping>, StoreError> {
        let prefix = prefix_of(account, region);
        let after = after.map(|id| format!("{prefix}{id}"));
        let entries = self.store.list(&prefix, after.as_deref(), limit).await?;
        let mappings = entries.iter().map(|entry| {
            let id = entry.key.strip_prefix(&prefix).unwrap_or(&entry.key);
            Ok(read(account, region, id, entry)?)
        });
        mappings.collect()
    }

    /// All mappings of an account, in order of id.
    pub async fn all(&self, account: &str, region: &str) -> Result<Vec<EventSourceMapping>, StoreError> {
        let mut mappings: Vec<EventSourceMapping> = Vec::new();
        loop {
            let after = mappings.last().map(|mapping| mapping.id.clone());
            let page = self.list(account, region, after.as_deref(), PAGE_LENGTH).await?;
            let is_last = page.len() < PAGE_LENGTH;
            mappings.extend(page);
            if is_last {
                return Ok(mappings);
            }
        }
    }
}

fn prefix_of(account: &str, region: &str) -> String {
    format!("event-source/{account}/{region}/")
}

fn read(account: &str, region: &str, id: &str, entry: &Entry) -> Result<EventSourceMapping, DamagedRecordError> {
    let stored: StoredMapping =
        serde_json::from_slice(&entry.value).map_err(|source| damaged(&entry.key, RecordError::Text(source)))?;
    let StoredMapping { function, qualifier, settings, modified_ms, tags } = stored;
    Ok(EventSourceMapping {
        account: account.to_owned(),
        region: region.to_owned(),
        id: id.to_owned(),
        function,
        qualifier,
        settings,
        modified_ms,
        tags,
    })
}
