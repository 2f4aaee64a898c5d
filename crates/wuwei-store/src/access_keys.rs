//! Access keys of the API, answered from memory.

mod derived;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::StoreError;
use crate::keyvalue::{Entry, Expected, KeyValue};
use crate::vault::{UnsealError, Vault};
pub use derived::DerivedKey;

const PREFIX: &str = "access-key/";
/// First letters of the id of a long-lived key, as AWS has them.
const ID_PREFIX: &str = "AKIA";
const ID_RANDOM_CHARACTERS: usize = 16;
const ID_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// 40 characters of base64.
const SECRET_BYTES: usize = 30;
const PAGE_LENGTH: usize = 200;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything, keys included.
    Admin,
    /// Create, change and delete functions, and all below.
    Deployer,
    /// Invoke functions, and all below.
    Invoker,
    /// Read.
    Viewer,
}

/// An access key; `Debug` never shows the secret.
#[derive(Clone)]
pub struct AccessKey {
    /// `AKIA` and 16 characters of `A-Z2-7`.
    pub id: String,
    /// 40 characters of base64.
    pub secret: String,
    /// Twelve digits.
    pub account: String,
    /// What it may do.
    pub role: Role,
    /// Glob over function names, `*` by default.
    pub functions: String,
    /// Milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// What signatures are checked with, made of the secret.
    pub derived: DerivedKey,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, secret: _, account, role, functions, created_ms, derived: _ } = self;
        formatter
            .debug_struct("AccessKey")
            .field("id", id)
            .field("account", account)
            .field("role", role)
            .field("functions", functions)
            .field("created_ms", created_ms)
            .finish_non_exhaustive()
    }
}

/// An access key as it is stored, under `access-key/<id>`. No `Debug`.
#[derive(Serialize, Deserialize)]
struct AccessKeyRecord {
    sealed_secret: String,
    account: String,
    role: StoredRole,
    functions: String,
    created_ms: i64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredRole {
    Admin,
    Deployer,
    Invoker,
    Viewer,
}

/// A stored access key cannot be read.
#[derive(Debug, Error)]
pub enum DamagedAccessKeyError {
    /// It is not the JSON that it should be.
    #[error("access key `{id}` in the store cannot be read")]
    Text {
        /// Its id.
        id: String,
        /// The parser's error.
        #[source]
        source: serde_json::Error,
    },
    /// Its secret does not open.
    #[error("secret of access key `{id}` does not open")]
    Sealed {
        /// Its id.
        id: String,
        /// The cause.
        #[source]
        source: UnsealError,
    },
}

/// Access keys; secrets are sealed with the master key.
pub struct AccessKeys {
    store: Arc<dyn KeyValue>,
    vault: Arc<Vault>,
    /// Every key of the store, by id.
    by_id: RwLock<HashMap<String, Arc<AccessKey>>>,
}

impl AccessKeys {
    /// Reads all keys into memory.
    pub(crate) async fn load(store: Arc<dyn KeyValue>, vault: Arc<Vault>) -> Result<Self, StoreError> {
        let mut by_id = HashMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = store.list(PREFIX, after.as_deref(), PAGE_LENGTH).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for entry in &page {
                let key = open(entry, &vault)?;
                by_id.insert(key.id.clone(), Arc::new(key));
            }
        }
        Ok(Self { store, vault, by_id: RwLock::new(by_id) })
    }

    /// Makes a key: `AKIA` + 16 of `A-Z2-7`, secret of 40 characters. Durable when it returns.
    pub async fn create(&self, account: &str, role: Role, functions: &str) -> Result<AccessKey, StoreError> {
        let key = AccessKey {
            id: new_id()?,
            secret: new_secret()?,
            account: account.to_owned(),
            role,
            functions: functions.to_owned(),
            created_ms: now_ms(),
            derived: DerivedKey::default(),
        };
        let place = format!("{PREFIX}{}", key.id);
        let record = AccessKeyRecord {
            sealed_secret: self.vault.seal(&place, key.secret.as_bytes()),
            account: key.account.clone(),
            role: match role {
                Role::Admin => StoredRole::Admin,
                Role::Deployer => StoredRole::Deployer,
                Role::Invoker => StoredRole::Invoker,
                Role::Viewer => StoredRole::Viewer,
            },
            functions: key.functions.clone(),
            created_ms: key.created_ms,
        };
        let value = serde_json::to_vec(&record).expect("the record has nothing that JSON lacks");
        self.store.put(&place, value.into(), Expected::Absent).await?;
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).insert(key.id.clone(), Arc::new(key.clone()));
        Ok(key)
    }

    /// The key of this id. Answered from memory: on the path of every request.
    pub fn get(&self, id: &str) -> Option<Arc<AccessKey>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Keys of an account, oldest first.
    #[expect(clippy::unused_async, reason = "a clustered store will have to ask")]
    pub async fn list(&self, account: &str) -> Result<Vec<AccessKey>, StoreError> {
        let mut keys: Vec<AccessKey> = {
            let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
            by_id.values().filter(|key| key.account == account).map(|key| AccessKey::clone(key)).collect()
        };
        keys.sort_by(|left, right| (left.created_ms, &left.id).cmp(&(right.created_ms, &right.id)));
        Ok(keys)
    }

    /// Removes a key; false when there was none. It opens nothing from here on, also if the disk fails.
    pub async fn delete(&self, id: &str) -> Result<bool, StoreError> {
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        Ok(self.store.delete(&format!("{PREFIX}{id}"), None).await?)
    }
}

fn open(entry: &Entry, vault: &Vault) -> Result<AccessKey, DamagedAccessKeyError> {
    let id = entry.key.strip_prefix(PREFIX).unwrap_or(&entry.key).to_owned();
    let record: AccessKeyRecord = match serde_json::from_slice(&entry.value) {
        Ok(record) => record,
        Err(source) => return Err(DamagedAccessKeyError::Text { id, source }),
    };
    let secret = match vault.unseal(&entry.key, &record.sealed_secret) {
        Ok(secret) => String::from_utf8_lossy(&secret).into_owned(),
        Err(source) => return Err(DamagedAccessKeyError::Sealed { id, source }),
    };
    Ok(AccessKey {
        id,
        secret,
        account: record.account,
        role: match record.role {
            StoredRole::Admin => Role::Admin,
            StoredRole::Deployer => Role::Deployer,
            StoredRole::Invoker => Role::Invoker,
            StoredRole::Viewer => Role::Viewer,
        },
        functions: record.functions,
        created_ms: record.created_ms,
        derived: DerivedKey::default(),
    })
}

fn new_id() -> Result<String, StoreError> {
    let mut random = [0_u8; ID_RANDOM_CHARACTERS];
    getrandom::fill(&mut random).map_err(StoreError::random)?;
    // 32 characters divide 256: each is equally likely.
    let characters = random.iter().map(|byte| char::from(ID_ALPHABET[usize::from(byte % 32)]));
    Ok(ID_PREFIX.chars().chain(characters).collect())
}

fn new_secret() -> Result<String, StoreError> {
    let mut random = [0_u8; SECRET_BYTES];
    getrandom::fill(&mut random).map_err(StoreError::random)?;
    Ok(STANDARD.encode(random))
}

fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
