//! Code signing configurations.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wuwei_model::{CodeSigningConfig, UntrustedArtifact};

use crate::StoreError;
use crate::functions::{DamagedRecordError, RecordError, damaged, encode};
use crate::keyvalue::{Entry, Expected, KeyValue, Revision};

/// Catalog of code signing configurations.
pub struct CodeSigningConfigs {
    store: Arc<dyn KeyValue>,
}

#[derive(Serialize, Deserialize)]
struct StoredConfig {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    publishers: Vec<String>,
    untrusted: StoredUntrusted,
    modified_ms: i64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredUntrusted {
    Warn,
    Enforce,
}

impl CodeSigningConfigs {
    pub(crate) fn new(store: Arc<dyn KeyValue>) -> Self {
        Self { store }
    }

    /// The configuration with its revision.
    pub async fn get(
        &self,
        account: &str,
        region: &str,
        id: &str,
    ) -> Result<Option<(CodeSigningConfig, Revision)>, StoreError> {
        let Some(entry) = self.store.get(&format!("{}{id}", prefix_of(account, region))).await? else {
            return Ok(None);
        };
        let revision = entry.revision;
        Ok(Some((read(account, region, id, &entry)?, revision)))
    }

    /// Stores a configuration; `expected` is the revision that it was read at, `None` for a new one.
    /// [`StoreError::Conflict`] when another writer was first.
    pub async fn put(&self, config: &CodeSigningConfig, expected: Option<Revision>) -> Result<Revision, StoreError> {
        // Taken apart in full: a field added to the model does not compile here until somebody decides.
        let CodeSigningConfig { account, region, id, description, publishers, untrusted, modified_ms, tags } = config;
        let stored = StoredConfig {
            description: description.clone(),
            publishers: publishers.clone(),
            untrusted: match untrusted {
                UntrustedArtifact::Warn => StoredUntrusted::Warn,
                UntrustedArtifact::Enforce => StoredUntrusted::Enforce,
            },
            modified_ms: *modified_ms,
            tags: tags.clone(),
        };
        let expected = expected.map_or(Expected::Absent, Expected::Revision);
        Ok(self.store.put(&format!("{}{id}", prefix_of(account, region)), encode(&stored), expected).await?)
    }

    /// Removes a configuration; false when there was none.
    pub async fn delete(&self, account: &str, region: &str, id: &str) -> Result<bool, StoreError> {
        Ok(self.store.delete(&format!("{}{id}", prefix_of(account, region)), None).await?)
    }

    /// Configurations in order of id, after `after` (exclusive), at most `limit`.
    pub async fn list(
        &self,
        account: &str,
        region: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<CodeSigningConfig>, StoreError> {
        let prefix = prefix_of(account, region);
        let after = after.map(|id| format!("{prefix}{id}"));
        let entries = self.store.list(&prefix, after.as_deref(), limit).await?;
        let configs = entries.iter().map(|entry| {
            let id = entry.key.strip_prefix(&prefix).unwrap_or(&entry.key);
            Ok(read(account, region, id, entry)?)
        });
        configs.collect()
    }
}

fn prefix_of(account: &str, region: &str) -> String {
    format!("code-signing/{account}/{region}/")
}

fn read(account: &str, region: &str, id: &str, entry: &Entry) -> Result<CodeSigningConfig, DamagedRecordError> {
    let stored: StoredConfig =
        serde_json::from_slice(&entry.value).map_err(|source| damaged(&entry.key, RecordError::Text(source)))?;
    Ok(CodeSigningConfig {
        account: account.to_owned(),
        region: region.to_owned(),
        id: id.to_owned(),
        description: stored.description,
        publishers: stored.publishers,
        untrusted: match stored.untrusted {
            StoredUntrusted::Warn => UntrustedArtifact::Warn,
            StoredUntrusted::Enforce => UntrustedArtifact::Enforce,
        },
        modified_ms: stored.modified_ms,
        tags: stored.tags,
    })
}
