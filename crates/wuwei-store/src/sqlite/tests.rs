use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::{OpenDatabaseError, SqliteKeyValue, Worker, schema_version, write_ahead_log};
use crate::keyvalue::{Expected, KeyValue, KeyValueError, conformance};
use crate::schema::{MIGRATIONS, Migration};

struct Database {
    directory: tempfile::TempDir,
    store: Option<Arc<SqliteKeyValue>>,
}

impl Database {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Some(Arc::new(SqliteKeyValue::open(&directory.path().join("db"), MIGRATIONS).unwrap()));
        Self { directory, store }
    }

    fn store(&self) -> &Arc<SqliteKeyValue> {
        self.store.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        self.store = None;
        self.store = Some(Arc::new(SqliteKeyValue::open(&self.directory.path().join("db"), MIGRATIONS).unwrap()));
    }
}

#[tokio::test]
async fn it_keeps_the_promises_of_a_key_value_store() {
    let database = Database::new();
    let store: &SqliteKeyValue = database.store();
    conformance::values_are_read_back_with_growing_revisions(store).await;
    conformance::the_generation_grows_with_every_change(store).await;
    conformance::a_write_whose_expectation_fails_changes_nothing(store).await;
    conformance::a_revision_does_not_come_back_after_a_deletion(store).await;
    conformance::lists_are_ordered_bounded_and_keep_to_their_prefix(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_compare_and_set_has_one_winner() {
    let database = Database::new();
    let store: Arc<dyn KeyValue> = Arc::<SqliteKeyValue>::clone(database.store());
    conformance::of_concurrent_writers_with_one_expectation_exactly_one_wins(store).await;
}

#[tokio::test]
async fn values_and_the_revision_counter_survive_a_reopen() {
    let mut database = Database::new();
    let first = database.store().put("k", Bytes::from_static(b"v"), Expected::Absent).await.unwrap();
    database.store().delete("k", None).await.unwrap();
    let second = database.store().put("k", Bytes::from_static(b"w"), Expected::Absent).await.unwrap();
    database.reopen();
    let entry = database.store().get("k").await.unwrap().unwrap();
    assert_eq!((&entry.value[..], entry.revision), (&b"w"[..], second));
    database.store().delete("k", Some(second)).await.unwrap();
    database.reopen();
    let third = database.store().put("k", Bytes::new(), Expected::Absent).await.unwrap();
    assert!(first < second && second < third);
}

#[tokio::test]
async fn closing_folds_the_log_into_the_file() {
    let mut database = Database::new();
    let path = database.directory.path().join("db");
    database.store().put("k", Bytes::from_static(b"v"), Expected::Absent).await.unwrap();
    assert!(write_ahead_log(&path).metadata().unwrap().len() > 0);
    database.store = None;
    assert!(!write_ahead_log(&path).exists());
}

#[tokio::test]
async fn an_idle_writer_folds_the_log_so_that_it_starts_over() {
    const MEGABYTE: u64 = 1024 * 1024;
    let database = Database::new();
    let path = database.directory.path().join("db");
    let value = Bytes::from(vec![7; 1024 * 1024]);
    for round in 1..=6 {
        for number in 0..6 {
            database.store().put(&format!("{round}/{number}"), value.clone(), Expected::Absent).await.unwrap();
        }
        // All but what the writer may keep in the log while it is idle.
        let folded = async {
            while path.metadata().unwrap().len() < round * 6 * MEGABYTE - 5 * MEGABYTE {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), folded).await.unwrap();
    }
    // Without checkpoints the log would hold all 36 MB.
    assert!(write_ahead_log(&path).metadata().unwrap().len() < 18 * MEGABYTE);
}

#[tokio::test]
async fn a_log_of_committed_writes_is_recovered_after_a_crash() {
    let database = Database::new();
    database.store().put("k", Bytes::from_static(b"v"), Expected::Absent).await.unwrap();
    // The files as a `kill -9` leaves them: the log is not folded in.
    let copy = tempfile::tempdir().unwrap();
    for name in ["db", "db-wal"] {
        std::fs::copy(database.directory.path().join(name), copy.path().join(name)).unwrap();
    }
    let store = SqliteKeyValue::open(&copy.path().join("db"), MIGRATIONS).unwrap();
    assert_eq!(&store.get("k").await.unwrap().unwrap().value[..], b"v");
}

#[tokio::test]
async fn a_log_cut_anywhere_loses_only_its_last_writes() {
    let database = Database::new();
    for number in 0..8_u8 {
        database.store().put(&format!("k/{number}"), Bytes::from(vec![number; 3000]), Expected::Absent).await.unwrap();
    }
    let log = std::fs::read(database.directory.path().join("db-wal")).unwrap();
    let copy = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    for length in (0..=log.len()).step_by(log.len() / 37) {
        std::fs::copy(database.directory.path().join("db"), copy.path().join("db")).unwrap();
        std::fs::write(copy.path().join("db-wal"), &log[..length]).unwrap();
        let store = SqliteKeyValue::open(&copy.path().join("db"), MIGRATIONS).unwrap();
        let entries = store.list("k/", None, 100).await.unwrap();
        for (number, entry) in (0_u8..).zip(&entries) {
            assert_eq!((&entry.key, &entry.value[..]), (&format!("k/{number}"), &[number; 3000][..]));
        }
        seen.push(entries.len());
        drop(store);
        std::fs::remove_file(copy.path().join("db")).unwrap();
    }
    assert!(seen.is_sorted() && seen.first() == Some(&0) && seen.len() > 30, "{seen:?}");
}

#[test]
fn a_newer_database_is_refused_and_not_touched() {
    let known = MIGRATIONS.iter().map(|Migration { description, statements }| Migration { description, statements });
    let later = Migration { description: "later", statements: "CREATE TABLE later (id INTEGER) STRICT;" };
    let newer: Vec<Migration> = known.chain([later]).collect();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    drop(SqliteKeyValue::open(&path, &newer).unwrap());
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(SqliteKeyValue::open(&path, MIGRATIONS), Err(OpenDatabaseError::Schema { .. })));
    assert!(matches!(schema_version(&path, MIGRATIONS), Err(OpenDatabaseError::Schema { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(schema_version(&path, &newer).unwrap() as usize, newer.len());
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    std::fs::write(&path, "no database, but long enough to be read as a header of one, is it not? ".repeat(20))
        .unwrap();
    assert!(matches!(SqliteKeyValue::open(&path, MIGRATIONS), Err(OpenDatabaseError::Schema { .. })));
}

#[test]
fn a_missing_database_has_version_zero_and_is_not_made() {
    let path = Path::new("/nonexistent/db");
    assert_eq!(schema_version(path, MIGRATIONS).unwrap(), 0);
}

#[tokio::test]
async fn writes_after_the_writer_has_stopped_are_refused() {
    let store = SqliteKeyValue {
        generation: Arc::default(),
        reader: Worker { queue: None, thread: None },
        writer: Worker::start("store-writer", drop).unwrap(),
    };
    assert!(matches!(store.put("k", Bytes::new(), Expected::Absent).await, Err(KeyValueError::Stopped)));
    assert!(matches!(store.get("k").await, Err(KeyValueError::Stopped)));
}
