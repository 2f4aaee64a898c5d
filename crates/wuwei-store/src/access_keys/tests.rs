use std::sync::Arc;

use super::{AccessKeys, Role};
use crate::keyvalue::{Expected, KeyValue};
use crate::schema::MIGRATIONS;
use crate::sqlite::SqliteKeyValue;
use crate::vault::Vault;

struct Fixture {
    directory: tempfile::TempDir,
    store: Arc<dyn KeyValue>,
    vault: Arc<Vault>,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteKeyValue::open(&directory.path().join("db"), MIGRATIONS).unwrap());
        let vault = Arc::new(Vault::open(directory.path(), true).unwrap());
        Self { directory, store, vault }
    }

    async fn load(&self) -> AccessKeys {
        AccessKeys::load(Arc::clone(&self.store), Arc::clone(&self.vault)).await.unwrap()
    }
}

#[tokio::test]
async fn a_key_has_the_form_that_aws_clients_expect() {
    let keys = Fixture::new().load().await;
    let key = keys.create("000000000000", Role::Deployer, "team-*").await.unwrap();
    let random = key.id.strip_prefix("AKIA").unwrap();
    assert_eq!(random.len(), 16);
    assert!(random.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7')));
    assert_eq!(key.secret.len(), 40);
    assert!(key.created_ms > 1_700_000_000_000);
    let other = keys.create("000000000000", Role::Admin, "*").await.unwrap();
    assert!(other.id != key.id && other.secret != key.secret);
}

#[tokio::test]
async fn keys_survive_a_reload_and_a_deleted_one_opens_nothing() {
    let fixture = Fixture::new();
    let keys = fixture.load().await;
    for role in [Role::Admin, Role::Deployer, Role::Invoker, Role::Viewer] {
        let made = keys.create("000000000000", role, "team-*").await.unwrap();
        let reloaded = fixture.load().await;
        let read = reloaded.get(&made.id).unwrap();
        assert_eq!((&read.id, &read.secret, &read.account), (&made.id, &made.secret, &made.account));
        assert_eq!((read.role, &*read.functions, read.created_ms), (role, "team-*", made.created_ms));
    }
    keys.create("111111111111", Role::Admin, "*").await.unwrap();
    let listed = keys.list("000000000000").await.unwrap();
    assert_eq!(listed.len(), 4);
    assert!(listed.is_sorted_by_key(|key| key.created_ms));
    let gone = &listed[0].id;
    assert!(keys.delete(gone).await.unwrap());
    assert!(!keys.delete(gone).await.unwrap());
    assert!(keys.get(gone).is_none());
    assert!(fixture.load().await.get(gone).is_none());
}

#[tokio::test]
async fn a_secret_is_in_no_file_and_in_no_debug_text() {
    let fixture = Fixture::new();
    let key = fixture.load().await.create("000000000000", Role::Admin, "*").await.unwrap();
    for entry in std::fs::read_dir(fixture.directory.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert_eq!(memchr::memmem::find(&bytes, key.secret.as_bytes()), None);
    }
    let text = format!("{key:?}");
    assert!(text.contains(&key.id) && !text.contains(&key.secret));
}

#[tokio::test]
async fn a_secret_moved_to_another_key_does_not_open() {
    let fixture = Fixture::new();
    let keys = fixture.load().await;
    let weak = keys.create("000000000000", Role::Viewer, "*").await.unwrap();
    let strong = keys.create("000000000000", Role::Admin, "*").await.unwrap();
    let weak = fixture.store.get(&format!("access-key/{}", weak.id)).await.unwrap().unwrap();
    let strong = fixture.store.get(&format!("access-key/{}", strong.id)).await.unwrap().unwrap();
    fixture.store.put(&strong.key, weak.value, Expected::Revision(strong.revision)).await.unwrap();
    assert!(AccessKeys::load(Arc::clone(&fixture.store), Arc::clone(&fixture.vault)).await.is_err());
}

#[tokio::test]
async fn many_keys_are_loaded_over_several_pages() {
    let fixture = Fixture::new();
    let keys = Arc::new(fixture.load().await);
    let made: Vec<_> = (0..super::PAGE_LENGTH + 1)
        .map(|_| {
            let keys = Arc::clone(&keys);
            tokio::spawn(async move { keys.create("000000000000", Role::Viewer, "*").await.unwrap().id })
        })
        .collect();
    let reloaded_after = async {
        for id in made {
            id.await.unwrap();
        }
        fixture.load().await
    };
    assert_eq!(reloaded_after.await.list("000000000000").await.unwrap().len(), super::PAGE_LENGTH + 1);
}
