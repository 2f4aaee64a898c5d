//! Numbers of versions outlive their function: AWS never gives one out again, even when a function is made anew.

use wuwei_model::FunctionKey;

use super::Functions;
use super::record::damaged_text;
use crate::StoreError;
use crate::keyvalue::{Expected, KeyValueError, Revision};

impl Functions {
    /// The highest number that a deleted function of this name had; 0 when there was none.
    pub(super) async fn last_number(&self, key: &FunctionKey) -> Result<u64, StoreError> {
        Ok(self.stored_number(key).await?.map_or(0, |(number, _)| number))
    }

    /// Keeps the number of a function that is about to be deleted. Harmless when it is not deleted after all.
    pub(super) async fn keep_number(&self, key: &FunctionKey, number: u64) -> Result<(), StoreError> {
        loop {
            let expected = match self.stored_number(key).await? {
                Some((stored, _)) if stored >= number => return Ok(()),
                None if number == 0 => return Ok(()),
                Some((_, revision)) => Expected::Revision(revision),
                None => Expected::Absent,
            };
            match self.store.put(&number_key(key), super::encode(&number), expected).await {
                Ok(_revision) => return Ok(()),
                Err(KeyValueError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn stored_number(&self, key: &FunctionKey) -> Result<Option<(u64, Revision)>, StoreError> {
        let Some(entry) = self.store.get(&number_key(key)).await? else { return Ok(None) };
        let number = serde_json::from_slice(&entry.value).map_err(|source| damaged_text(&entry.key, source))?;
        Ok(Some((number, entry.revision)))
    }
}

fn number_key(key: &FunctionKey) -> String {
    format!("last-version/{}/{}/{}", key.account, key.region, key.name)
}
