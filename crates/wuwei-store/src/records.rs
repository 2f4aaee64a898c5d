//! Collections of small records that are answered from memory and written through.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::sync::Mutex;

use crate::StoreError;
use crate::keyvalue::{Expected, KeyValue};

const PAGE_LENGTH: usize = 200;

/// A stored record cannot be read.
#[derive(Debug, Error)]
#[error("record `{key}` in the store cannot be read")]
pub struct DamagedEntryError {
    key: String,
    #[source]
    source: serde_json::Error,
}

impl From<DamagedEntryError> for StoreError {
    fn from(error: DamagedEntryError) -> Self {
        Self::Failed(error.into())
    }
}

/// What becomes of a record.
#[derive(Debug)]
pub enum Change<T> {
    /// It stays as it is, or away.
    Keep,
    /// It is written.
    Put(T),
    /// It goes.
    Remove,
}

/// Records of one kind, by key; components of keys are joined by `/`.
pub struct Records<T> {
    prefix: &'static str,
    store: Arc<dyn KeyValue>,
    by_key: RwLock<BTreeMap<String, Arc<T>>>,
    /// One writer at a time: what it has read is what it changes.
    changing: Mutex<()>,
}

impl<T: Serialize + DeserializeOwned> Records<T> {
    /// Reads all records into memory; `prefix` ends with `/`.
    pub(crate) async fn load(store: Arc<dyn KeyValue>, prefix: &'static str) -> Result<Self, StoreError> {
        let mut by_key = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = store.list(prefix, after.as_deref(), PAGE_LENGTH).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for entry in &page {
                let record = serde_json::from_slice(&entry.value);
                let record = record.map_err(|source| DamagedEntryError { key: entry.key.clone(), source })?;
                let key = entry.key.strip_prefix(prefix).unwrap_or(&entry.key);
                by_key.insert(key.to_owned(), Arc::new(record));
            }
        }
        Ok(Self { prefix, store, by_key: RwLock::new(by_key), changing: Mutex::default() })
    }

    /// The record of a key.
    pub fn get(&self, key: &str) -> Option<Arc<T>> {
        self.by_key.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Records whose keys begin with a text, in order of key.
    pub fn list(&self, beginning: &str) -> Vec<(String, Arc<T>)> {
        let by_key = self.by_key.read().unwrap_or_else(PoisonError::into_inner);
        let from = (Bound::Included(beginning.to_owned()), Bound::Unbounded);
        let found = by_key.range(from).take_while(|(key, _)| key.starts_with(beginning));
        found.map(|(key, record)| (key.clone(), Arc::clone(record))).collect()
    }

    /// Changes one record as it is decided from what it is. Durable when it returns; nobody writes in between.
    ///
    /// # Errors
    /// Those of `decide`, which change nothing; [`StoreError`] when the storage failed.
    pub async fn change<R, E: From<StoreError>>(
        &self,
        key: &str,
        decide: impl FnOnce(Option<&T>) -> Result<(Change<T>, R), E> + Send,
    ) -> Result<R, E> {
        let _one = self.changing.lock().await;
        let present = self.get(key);
        let (change, result) = decide(present.as_deref())?;
        let place = format!("{}{key}", self.prefix);
        match change {
            Change::Keep => {}
            Change::Put(record) => {
                let value =
                    serde_json::to_vec(&record).map_err(|source| DamagedEntryError { key: place.clone(), source });
                let value = value.map_err(StoreError::from)?;
                let stored = self.store.get(&place).await.map_err(StoreError::from)?;
                let expected = stored.map_or(Expected::Absent, |entry| Expected::Revision(entry.revision));
                self.store.put(&place, value.into(), expected).await.map_err(StoreError::from)?;
                let record = Arc::new(record);
                self.by_key.write().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), record);
            }
            Change::Remove => {
                // It opens nothing from here on, also if the disk fails.
                self.by_key.write().unwrap_or_else(PoisonError::into_inner).remove(key);
                self.store.delete(&place, None).await.map_err(StoreError::from)?;
            }
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Change, Records};
    use crate::StoreError;
    use crate::keyvalue::KeyValue;
    use crate::schema::MIGRATIONS;
    use crate::sqlite::SqliteKeyValue;

    #[tokio::test]
    async fn records_are_written_through_listed_in_order_and_survive() {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn KeyValue> =
            Arc::new(SqliteKeyValue::open(&directory.path().join("wuwei.db"), MIGRATIONS).unwrap());
        let records: Records<u32> = Records::load(Arc::clone(&store), "test/").await.unwrap();
        for (key, number) in [("a/2", 2), ("a/1", 1), ("b/1", 3)] {
            records.change(key, |_| Ok::<_, StoreError>((Change::Put(number), ()))).await.unwrap();
        }
        let doubled = records.change("a/1", |present| {
            let present = present.copied().unwrap_or_default();
            Ok::<_, StoreError>((Change::Put(present * 10), present))
        });
        assert_eq!(doubled.await.unwrap(), 1);
        records.change("b/1", |_| Ok::<_, StoreError>((Change::Remove, ()))).await.unwrap();
        let refused: Result<(), StoreError> = records.change("a/2", |_| Err(StoreError::Exists)).await;
        assert!(matches!(refused, Err(StoreError::Exists)));
        for records in [records, Records::load(store, "test/").await.unwrap()] {
            let found: Vec<(String, u32)> =
                records.list("a/").into_iter().map(|(key, number)| (key, *number)).collect();
            assert_eq!(found, [("a/1".to_owned(), 10), ("a/2".to_owned(), 2)]);
            assert!(records.get("b/1").is_none());
        }
    }

    #[tokio::test]
    async fn of_many_changes_at_a_time_none_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn KeyValue> =
            Arc::new(SqliteKeyValue::open(&directory.path().join("wuwei.db"), MIGRATIONS).unwrap());
        let records: Arc<Records<u32>> = Arc::new(Records::load(store, "test/").await.unwrap());
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let records = Arc::clone(&records);
            tasks.spawn(async move {
                let add = |present: Option<&u32>| Ok::<_, StoreError>((Change::Put(present.map_or(1, |n| n + 1)), ()));
                records.change("n", add).await
            });
        }
        for result in tasks.join_all().await {
            result.unwrap();
        }
        assert_eq!(*records.get("n").unwrap(), 20);
    }
}
