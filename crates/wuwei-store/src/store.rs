//! The handle that holds the parts together.

mod collection;

use std::path::Path;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::access_keys::AccessKeys;
use crate::code_signing::CodeSigningConfigs;
use crate::egress::EgressRules;
use crate::error::{OpenStoreError, StoreError};
use crate::event_sources::EventSourceMappings;
use crate::functions::Functions;
use crate::identity::{AccountRecord, LogGroupRecord, PolicyRecord, RoleRecord};
use crate::keyvalue::{Expected, KeyValue};
use crate::layers::Layers;
use crate::lock::DirectoryLock;
use crate::packages::Packages;
use crate::records::Records;
use crate::schema::MIGRATIONS;
use crate::sqlite::{self, SqliteKeyValue};
use crate::vault::Vault;

const DATABASE_FILE: &str = "wuwei.db";
/// Key of a sealed constant: it opens only with the master key that this database was made with.
const KEY_CHECK: &str = "master-key-check";
/// What tokens are sealed for: nothing that lies in the database opens as one.
const TOKEN_CONTEXT: &str = "session-token";
const KEY_CHECK_TEXT: &[u8] = b"wuwei";

/// Handle to everything durable; cheap to clone. The data directory is free again when the last clone is dropped.
#[derive(Clone)]
pub struct Store {
    parts: Arc<Parts>,
}

// Fields are dropped in this order: the lock goes last, when the database is closed.
struct Parts {
    functions: Functions,
    layers: Layers,
    code_signing: CodeSigningConfigs,
    event_sources: EventSourceMappings,
    access_keys: AccessKeys,
    egress: EgressRules,
    packages: Packages,
    accounts: Records<AccountRecord>,
    roles: Records<RoleRecord>,
    policies: Records<PolicyRecord>,
    log_groups: Records<LogGroupRecord>,
    vault: Arc<Vault>,
    /// Told when a package may have become garbage.
    freed: Arc<Notify>,
    _lock: Arc<DirectoryLock>,
}

impl Store {
    /// Opens (creates, upgrades) the state under `data_dir` (0700) and locks it against a second server.
    ///
    /// What an interrupted deployment left behind, and packages that no function refers to, are removed.
    pub async fn open(data_dir: &Path) -> Result<Self, OpenStoreError> {
        let directory = data_dir.to_owned();
        let locked = tokio::task::spawn_blocking(move || DirectoryLock::acquire(&directory)).await;
        Self::open_locked(locked.expect("locking does not panic, and nobody cancels it")?).await
    }

    /// As [`Store::open`], in a data directory that was locked before.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_locked(lock: DirectoryLock) -> Result<Self, OpenStoreError> {
        let data_dir = lock.directory().to_owned();
        let directory = data_dir.clone();
        let opened = tokio::task::spawn_blocking(move || open_blocking(&directory)).await;
        let (vault, database) = opened.expect("opening does not panic, and nobody cancels it")?;
        let data_dir = data_dir.as_path();
        let lock = Arc::new(lock);
        let vault = Arc::new(vault);
        let database: Arc<dyn KeyValue> = Arc::new(database);
        check_master_key(&*database, &vault, data_dir).await?;

        let freed = Arc::new(Notify::new());
        let functions = Functions::new(Arc::clone(&database), Arc::clone(&vault), Arc::clone(&freed));
        let mut references = functions.settle().await.map_err(OpenStoreError::Contents)?;
        let layers = Layers::new(Arc::clone(&database), Arc::clone(&freed));
        references.packages.extend(layers.referenced_packages().await.map_err(OpenStoreError::Contents)?);
        let code_signing = CodeSigningConfigs::new(Arc::clone(&database));
        let event_sources = EventSourceMappings::new(Arc::clone(&database));
        let egress = EgressRules::load(Arc::clone(&database)).await.map_err(OpenStoreError::Contents)?;
        let accounts = Records::load(Arc::clone(&database), "account/").await.map_err(OpenStoreError::Contents)?;
        let roles = Records::load(Arc::clone(&database), "role/").await.map_err(OpenStoreError::Contents)?;
        let policies = Records::load(Arc::clone(&database), "policy/").await.map_err(OpenStoreError::Contents)?;
        let log_groups = Records::load(Arc::clone(&database), "log-group/").await.map_err(OpenStoreError::Contents)?;
        let access_keys = AccessKeys::load(database, Arc::clone(&vault)).await.map_err(OpenStoreError::Contents)?;
        let packages = Packages::open(data_dir, Arc::clone(&lock), references, Arc::clone(&freed)).await;
        let packages = packages.map_err(OpenStoreError::Packages)?;
        let parts = Arc::new(Parts {
            functions,
            layers,
            code_signing,
            event_sources,
            access_keys,
            egress,
            packages,
            accounts,
            roles,
            policies,
            log_groups,
            vault,
            freed: Arc::clone(&freed),
            _lock: lock,
        });
        tokio::spawn(collection::run(Arc::downgrade(&parts), freed));
        Ok(Self { parts })
    }

    /// The catalog.
    #[must_use]
    pub fn functions(&self) -> &Functions {
        &self.parts.functions
    }

    /// Layers.
    #[must_use]
    pub fn layers(&self) -> &Layers {
        &self.parts.layers
    }

    /// Who may sign code.
    #[must_use]
    pub fn code_signing(&self) -> &CodeSigningConfigs {
        &self.parts.code_signing
    }

    /// What brings events to functions.
    #[must_use]
    pub fn event_sources(&self) -> &EventSourceMappings {
        &self.parts.event_sources
    }

    /// Code packages.
    #[must_use]
    pub fn packages(&self) -> &Packages {
        &self.parts.packages
    }

    /// What functions may reach.
    #[must_use]
    pub fn egress(&self) -> &EgressRules {
        &self.parts.egress
    }

    /// Accounts beside the first.
    #[must_use]
    pub fn accounts(&self) -> &Records<AccountRecord> {
        &self.parts.accounts
    }

    /// Roles; see [`RoleRecord::key`].
    #[must_use]
    pub fn roles(&self) -> &Records<RoleRecord> {
        &self.parts.roles
    }

    /// Policies that roles can share; see [`PolicyRecord::key`].
    #[must_use]
    pub fn policies(&self) -> &Records<PolicyRecord> {
        &self.parts.policies
    }

    /// What somebody has said of log groups; see [`LogGroupRecord::key`].
    #[must_use]
    pub fn log_groups(&self) -> &Records<LogGroupRecord> {
        &self.parts.log_groups
    }

    /// Text that only this store can read again, for whoever keeps it.
    #[must_use]
    pub fn seal_token(&self, plain: &[u8]) -> String {
        self.parts.vault.seal(TOKEN_CONTEXT, plain)
    }

    /// What a text of [`Store::seal_token`] says; `None` for any other text.
    #[must_use]
    pub fn unseal_token(&self, token: &str) -> Option<Vec<u8>> {
        self.parts.vault.unseal(TOKEN_CONTEXT, token).ok()
    }

    /// Access keys of the API.
    #[must_use]
    pub fn access_keys(&self) -> &AccessKeys {
        &self.parts.access_keys
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        // The collection finds the store gone and ends.
        self.freed.notify_one();
    }
}

fn open_blocking(directory: &Path) -> Result<(Vault, SqliteKeyValue), OpenStoreError> {
    let path = directory.join(DATABASE_FILE);
    // A newer database is refused, and a missing key noticed, before anything is written.
    let is_new = sqlite::schema_version(&path, MIGRATIONS)? == 0;
    let vault = Vault::open(directory, is_new)?;
    let database = SqliteKeyValue::open(&path, MIGRATIONS)?;
    Ok((vault, database))
}

async fn check_master_key(database: &dyn KeyValue, vault: &Vault, directory: &Path) -> Result<(), OpenStoreError> {
    let contents = |error| OpenStoreError::Contents(StoreError::from(error));
    match database.get(KEY_CHECK).await.map_err(contents)? {
        Some(entry) => {
            let opened = vault.unseal(KEY_CHECK, &String::from_utf8_lossy(&entry.value));
            if opened.is_ok_and(|text| text == KEY_CHECK_TEXT) {
                Ok(())
            } else {
                Err(Vault::wrong_key(directory).into())
            }
        }
        // Not there yet: a new database, or one whose first start ended here.
        None => {
            let sealed = vault.seal(KEY_CHECK, KEY_CHECK_TEXT);
            database.put(KEY_CHECK, sealed.into(), Expected::Absent).await.map_err(contents)?;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
