use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wuwei_store::{AccessKey, Role, Store};

use super::server_file::write_private;
use crate::config::Settings;
use crate::failure::Failure;

/// The operator's key: the content of `<data>/credentials.json`. `Debug` never shows the secret.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct StoredCredentials {
    /// Id of the key.
    pub(crate) access_key_id: String,
    /// Its secret.
    pub(crate) secret_access_key: String,
    /// Account that it belongs to.
    pub(crate) account: String,
}

impl StoredCredentials {
    /// The file's path below a data directory.
    pub(crate) fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("credentials.json")
    }
}

impl fmt::Debug for StoredCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StoredCredentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// The operator's key, and whether this start made it.
#[derive(Debug)]
pub(super) struct Ensured {
    pub(super) stored: StoredCredentials,
    pub(super) path: PathBuf,
    pub(super) is_new: bool,
}

/// Makes sure that `credentials.json` holds a key that works.
///
/// A file whose key is in the store stays as it is. Otherwise it is written with the oldest unrestricted admin key, or
/// with a new one when there is none; so a start that died between making and writing the first key heals itself.
pub(super) async fn ensure(store: &Store, settings: &Settings) -> Result<Ensured, Failure> {
    let path = StoredCredentials::path(&settings.data_dir);
    if let Some(stored) = read(&path)
        && store.access_keys().get(&stored.access_key_id).is_some_and(|key| key.secret == stored.secret_access_key)
    {
        return Ok(Ensured { stored, path, is_new: false });
    }
    let keys = store.access_keys();
    let listed = keys
        .list(&settings.account)
        .await
        .map_err(|error| Failure::local("cannot list the access keys").because(error))?;
    let existing = oldest_admin(&listed).and_then(|id| keys.get(id)).map(|key| stored_form(&key));
    let is_new = existing.is_none();
    let stored = match existing {
        Some(stored) => stored,
        None => {
            let made = keys.create(&settings.account, Role::Admin, "*").await;
            stored_form(&made.map_err(|error| Failure::local("cannot make the first access key").because(error))?)
        }
    };
    write_private(&path, &stored)?;
    Ok(Ensured { stored, path, is_new })
}

fn read(path: &Path) -> Option<StoredCredentials> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn oldest_admin(keys: &[AccessKey]) -> Option<&str> {
    let admins = keys.iter().filter(|key| key.role == Role::Admin && key.functions == "*");
    admins.min_by_key(|key| key.created_ms).map(|key| key.id.as_str())
}

fn stored_form(key: &AccessKey) -> StoredCredentials {
    StoredCredentials {
        access_key_id: key.id.clone(),
        secret_access_key: key.secret.clone(),
        account: key.account.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::{StoredCredentials, oldest_admin};
    use wuwei_store::{AccessKey, Role};

    fn key(id: &str, role: Role, functions: &str, created_ms: i64) -> AccessKey {
        AccessKey {
            id: id.to_owned(),
            secret: "secret".to_owned(),
            account: "000000000000".to_owned(),
            role,
            functions: functions.to_owned(),
            created_ms,
            derived: wuwei_store::DerivedKey::default(),
        }
    }

    #[test]
    fn the_operator_gets_the_oldest_admin_key_without_restrictions() {
        let keys = [
            key("newer", Role::Admin, "*", 30),
            key("restricted", Role::Admin, "a*", 1),
            key("deployer", Role::Deployer, "*", 2),
            key("older", Role::Admin, "*", 20),
        ];
        assert_eq!(oldest_admin(&keys), Some("older"));
        assert_eq!(oldest_admin(&keys[1..3]), None);
    }

    #[test]
    fn debug_text_hides_the_secret() {
        let stored = StoredCredentials {
            access_key_id: "AKIA".to_owned(),
            secret_access_key: "hunter2".to_owned(),
            account: "000000000000".to_owned(),
        };
        let text = format!("{stored:?}");
        assert!(text.contains("AKIA") && !text.contains("hunter2"));
    }
}
