//! What functions may reach, where a deployer said so; answered from memory.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use thiserror::Error;
use wuwei_model::{EgressError, EgressPolicy, FunctionKey};

use crate::StoreError;
use crate::keyvalue::{Expected, KeyValue};

const PREFIX: &str = "egress/";
const PAGE_LENGTH: usize = 200;

/// A stored policy cannot be read.
#[derive(Debug, Error)]
#[error("egress policy `{key}` in the store cannot be read")]
pub struct DamagedEgressError {
    key: String,
    #[source]
    source: EgressError,
}

/// Policies of functions, by function and not by version: what may be reached is a matter of the network, not of code.
pub struct EgressRules {
    store: Arc<dyn KeyValue>,
    /// All of the store; the keys are the store's, without their prefix.
    by_function: RwLock<BTreeMap<String, EgressPolicy>>,
}

impl EgressRules {
    /// Reads all policies into memory; those of functions that are gone are removed.
    pub(crate) async fn load(store: Arc<dyn KeyValue>) -> Result<Self, StoreError> {
        let mut by_function = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = store.list(PREFIX, after.as_deref(), PAGE_LENGTH).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for entry in &page {
                let name = entry.key.strip_prefix(PREFIX).unwrap_or(&entry.key);
                if store.get(&format!("function/{name}")).await?.is_none() {
                    store.delete(&entry.key, None).await?;
                    continue;
                }
                let text = String::from_utf8_lossy(&entry.value);
                let policy = text.parse().map_err(|source| DamagedEgressError { key: entry.key.clone(), source })?;
                by_function.insert(name.to_owned(), policy);
            }
        }
        Ok(Self { store, by_function: RwLock::new(by_function) })
    }

    /// The policy of a function, unless it has the server's default. On the path of every cold start.
    pub fn get(&self, function: &FunctionKey) -> Option<EgressPolicy> {
        self.by_function.read().unwrap_or_else(PoisonError::into_inner).get(&name_of(function)).cloned()
    }

    /// Gives a function a policy of its own. Durable when it returns.
    pub async fn set(&self, function: &FunctionKey, policy: EgressPolicy) -> Result<(), StoreError> {
        let name = name_of(function);
        let key = format!("{PREFIX}{name}");
        let expected = match self.store.get(&key).await? {
            Some(entry) => Expected::Revision(entry.revision),
            None => Expected::Absent,
        };
        self.store.put(&key, policy.to_string().into(), expected).await?;
        self.by_function.write().unwrap_or_else(PoisonError::into_inner).insert(name, policy);
        Ok(())
    }

    /// Gives a function the server's default again.
    pub async fn remove(&self, function: &FunctionKey) -> Result<(), StoreError> {
        let name = name_of(function);
        self.store.delete(&format!("{PREFIX}{name}"), None).await?;
        self.by_function.write().unwrap_or_else(PoisonError::into_inner).remove(&name);
        Ok(())
    }
}

fn name_of(function: &FunctionKey) -> String {
    format!("{}/{}/{}", function.account, function.region, function.name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use wuwei_model::{EgressPolicy, FunctionKey};

    use super::EgressRules;
    use crate::keyvalue::{Expected, KeyValue};
    use crate::schema::MIGRATIONS;
    use crate::sqlite::SqliteKeyValue;

    fn function(name: &str) -> FunctionKey {
        FunctionKey { account: "000000000000".to_owned(), region: "us-east-1".to_owned(), name: name.to_owned() }
    }

    #[tokio::test]
    async fn policies_survive_the_server_but_not_their_function() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("wuwei.db");
        let store: Arc<dyn KeyValue> = Arc::new(SqliteKeyValue::open(&path, MIGRATIONS).unwrap());
        store.put("function/000000000000/us-east-1/kept", Bytes::from_static(b"{}"), Expected::Absent).await.unwrap();
        let rules = EgressRules::load(Arc::clone(&store)).await.unwrap();
        assert_eq!(rules.get(&function("kept")), None);
        rules.set(&function("kept"), EgressPolicy::Internet).await.unwrap();
        rules.set(&function("kept"), EgressPolicy::None).await.unwrap();
        rules.set(&function("gone"), EgressPolicy::Internet).await.unwrap();
        let again = EgressRules::load(Arc::clone(&store)).await.unwrap();
        assert_eq!(again.get(&function("kept")), Some(EgressPolicy::None));
        assert_eq!(again.get(&function("gone")), None);
        again.remove(&function("kept")).await.unwrap();
        assert_eq!(again.get(&function("kept")), None);
        assert!(store.list("egress/", None, 10).await.unwrap().is_empty());
    }
}
