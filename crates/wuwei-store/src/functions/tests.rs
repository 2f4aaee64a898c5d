mod controls;

use std::sync::Arc;

use wuwei_model::{
    ApplicationLogLevel, Architecture, Attachments, CodeDigest, EnvironmentVariables, FileSystem, FunctionCode,
    FunctionKey, FunctionSettings, FunctionUrl, FunctionVersion, LastUpdateStatus, LayerKey, LayerReference, LogFormat,
    LoggingConfig, Policy, PolicyPrincipal, PolicyStatement, Runtime, State, SystemLogLevel, UrlAuthType, UrlCors,
    UrlInvokeMode, Version, VpcNetwork,
};

use super::record::VersionRecord;
use super::{Function, Functions};
use crate::StoreError;
use crate::keyvalue::KeyValue;
use crate::schema::MIGRATIONS;
use crate::sqlite::SqliteKeyValue;
use crate::vault::Vault;

const SECRET: &str = "hunter2-hunter2-hunter2";

struct Catalog {
    directory: tempfile::TempDir,
    functions: Arc<Functions>,
    store: Arc<dyn KeyValue>,
}

fn catalog() -> Catalog {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn KeyValue> = Arc::new(SqliteKeyValue::open(&directory.path().join("db"), MIGRATIONS).unwrap());
    let vault = Arc::new(Vault::open(directory.path(), true).unwrap());
    let functions = Arc::new(Functions::new(Arc::clone(&store), vault, Arc::default()));
    Catalog { directory, functions, store }
}

fn key(name: &str) -> FunctionKey {
    FunctionKey { account: "000000000000".to_owned(), region: "us-east-1".to_owned(), name: name.to_owned() }
}

fn function(name: &str) -> Function {
    let variables = [("TOKEN".to_owned(), SECRET.to_owned())];
    let latest = FunctionVersion {
        key: key(name),
        version: Version::Latest,
        settings: FunctionSettings {
            runtime: Runtime::new("python3.11"),
            role: wuwei_model::ExecutionRole {
                arn: "arn:aws:iam::000000000000:role/r".to_owned(),
                id: Some("AROAEXAMPLE".to_owned()),
            },
            handler: "app.handler".to_owned(),
            description: "says \"hello\"".to_owned(),
            timeout_s: 3,
            memory_mb: 128,
            ephemeral_mb: 512,
            environment: Some(EnvironmentVariables::new(variables.into())),
            architecture: Architecture::Arm64,
            logging: LoggingConfig {
                format: LogFormat::Json { application: ApplicationLogLevel::Trace, system: SystemLogLevel::Warn },
                group: Some("/mine".to_owned()),
            },
            layers: vec![LayerReference {
                key: LayerKey {
                    account: "111111111111".to_owned(),
                    region: "us-east-1".to_owned(),
                    name: "l".to_owned(),
                },
                version: 3,
                code: FunctionCode { digest: CodeDigest::of(b"layer"), size_bytes: 5 },
            }],
            attachments: Attachments {
                dead_letter: Some("arn:aws:sqs:us-east-1:000000000000:q".to_owned()),
                network: Some(VpcNetwork {
                    subnets: vec!["subnet-1".to_owned()],
                    security_groups: vec!["sg-1".to_owned()],
                    allows_ipv6: true,
                }),
                file_systems: vec![FileSystem { arn: "arn".to_owned(), mount_path: "/mnt/a".to_owned() }],
                kms_key: Some("arn:aws:kms:us-east-1:000000000000:key/k".to_owned()),
                traces_actively: true,
                snapshots: true,
            },
            isolates_tenants: true,
        },
        code: FunctionCode { digest: CodeDigest::of(name.as_bytes()), size_bytes: 42 },
        last_modified_ms: 1_795_000_000_123,
        revision_id: "r0".to_owned(),
        state: State::Pending,
        state_reason: Some("The function is being created.".to_owned()),
        last_update_status: LastUpdateStatus::InProgress,
        last_update_reason: Some("because".to_owned()),
    };
    let generation = format!("generation-of-{name}");
    Function::new(latest, generation)
}

fn published(function: &Function, number: u64) -> (Function, FunctionVersion) {
    let aggregate = Function { last_published: number, ..function.clone() };
    let version = FunctionVersion { version: Version::Published(number), ..function.latest.clone() };
    (aggregate, version)
}

async fn numbers(functions: &Functions, name: &str, after: u64, limit: usize) -> Vec<Version> {
    let versions = functions.versions(&key(name), after, limit).await.unwrap();
    versions.into_iter().map(|version| version.version).collect()
}

#[tokio::test]
async fn a_function_is_read_back_as_it_was_written() {
    let Catalog { functions, .. } = &catalog();
    let written = function("f");
    let revision = functions.create(&written).await.unwrap();
    assert_eq!(functions.get(&key("f")).await.unwrap(), Some((written, revision)));
    assert_eq!(functions.get(&key("g")).await.unwrap(), None);

    let mut bare = function("bare");
    bare.latest.settings.environment = None;
    bare.latest.settings.architecture = Architecture::X86_64;
    (bare.latest.state, bare.latest.state_reason) = (State::Failed, None);
    (bare.latest.last_update_status, bare.latest.last_update_reason) = (LastUpdateStatus::Failed, None);
    functions.create(&bare).await.unwrap();
    assert_eq!(functions.get(&key("bare")).await.unwrap().unwrap().0, bare);
}

#[tokio::test]
async fn a_taken_name_and_a_stale_revision_are_refused() {
    let Catalog { functions, .. } = &catalog();
    let mut written = function("f");
    let first = functions.create(&written).await.unwrap();
    assert!(matches!(functions.create(&written).await, Err(StoreError::Exists)));
    written.latest.settings.memory_mb = 256;
    let second = functions.update(&written, first).await.unwrap();
    assert!(matches!(functions.update(&written, first).await, Err(StoreError::Conflict)));
    assert_eq!(functions.get(&key("f")).await.unwrap(), Some((written.clone(), second)));
    functions.delete(&key("f")).await.unwrap();
    functions.create(&written).await.unwrap();
    assert!(matches!(functions.update(&written, second).await, Err(StoreError::Conflict)));
}

#[tokio::test]
async fn functions_are_listed_by_name_in_pages_of_their_account_and_region() {
    let Catalog { functions, .. } = &catalog();
    for name in ["b", "a", "c"] {
        functions.create(&function(name)).await.unwrap();
    }
    let mut other = function("a");
    other.latest.key.region = "us-east-10".to_owned();
    functions.create(&other).await.unwrap();
    let list = async |after, limit| {
        let found = functions.list("000000000000", "us-east-1", after, limit).await.unwrap();
        found.into_iter().map(|function| function.latest.key.name).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 2).await, ["a", "b"]);
    assert_eq!(list(Some("b"), 2).await, ["c"]);
    assert_eq!(list(Some("c"), 2).await, [""; 0]);
}

#[tokio::test]
async fn versions_are_immutable_listed_in_order_and_never_numbered_twice() {
    let Catalog { functions, .. } = &catalog();
    let mut latest = function("f");
    let mut revision = functions.create(&latest).await.unwrap();
    for number in 1..=11 {
        latest.latest.settings.description = format!("number {number}");
        let (aggregate, version) = published(&latest, number);
        revision = functions.publish(&aggregate, revision, &version).await.unwrap();
        assert_eq!(functions.version(&key("f"), number).await.unwrap(), Some(version));
    }
    assert_eq!(numbers(functions, "f", 0, 2).await, [Version::Published(1), Version::Published(2)]);
    assert_eq!(numbers(functions, "f", 9, 9).await, [Version::Published(10), Version::Published(11)]);

    assert!(functions.delete_version(&key("f"), 11).await.unwrap());
    assert!(!functions.delete_version(&key("f"), 11).await.unwrap());
    assert_eq!(functions.version(&key("f"), 11).await.unwrap(), None);
    let (stored, revision) = functions.get(&key("f")).await.unwrap().unwrap();
    assert_eq!(stored.last_published, 11);
    let (aggregate, again) = published(&stored, 11);
    let refused = functions.publish(&aggregate, revision, &again).await;
    assert!(matches!(refused, Err(StoreError::VersionNumber { last: 11, .. })));

    // An update does not lose versions, nor can it turn the counter back.
    let reset = Function { last_published: 0, ..stored };
    functions.update(&reset, revision).await.unwrap();
    assert_eq!(functions.get(&key("f")).await.unwrap().unwrap().0.last_published, 11);
    assert_eq!(numbers(functions, "f", 0, 99).await.len(), 10);
}

#[tokio::test]
async fn a_function_comes_with_its_first_version_or_not_at_all() {
    let Catalog { functions, store, .. } = &catalog();
    let first = |numbered: &Function| published(numbered, numbered.last_published).1;
    let made = functions.create_published(&function("f"), first).await.unwrap();
    assert_eq!(made.version, Version::Published(1));
    assert_eq!(functions.version(&key("f"), 1).await.unwrap(), Some(made));
    assert_eq!(functions.get(&key("f")).await.unwrap().unwrap().0.last_published, 1);
    // A name that is taken leaves no version of the second behind.
    assert!(matches!(functions.create_published(&function("f"), first).await, Err(StoreError::Exists)));
    assert_eq!(store.list("version/", None, 9).await.unwrap().len(), 1);
    // Numbers go on after those of a function that was deleted.
    functions.delete(&key("f")).await.unwrap();
    let again = functions.create_published(&function("f"), first).await.unwrap();
    assert_eq!(again.version, Version::Published(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_publishers_one_wins_and_its_version_is_the_one_that_is_kept() {
    let Catalog { functions, store, .. } = &catalog();
    let base = function("f");
    let mut revision = functions.create(&base).await.unwrap();
    for number in 1..=5 {
        let publishers: Vec<_> = (0..6)
            .map(|publisher| {
                let functions = Arc::clone(functions);
                let (aggregate, mut version) = published(&base, number);
                version.settings.description = format!("by {publisher}");
                tokio::spawn(async move { (functions.publish(&aggregate, revision, &version).await, version) })
            })
            .collect();
        let mut winners = Vec::new();
        for publisher in publishers {
            match publisher.await.unwrap() {
                (Ok(revision), version) => winners.push((revision, version)),
                (Err(error), _) => assert!(matches!(error, StoreError::Conflict), "{error}"),
            }
        }
        assert_eq!(winners.len(), 1);
        let (winning_revision, version) = winners.remove(0);
        assert_eq!(functions.version(&key("f"), number).await.unwrap(), Some(version));
        revision = winning_revision;
    }
    // The losers have taken their versions with them.
    assert_eq!(store.list("version/", None, 99).await.unwrap().len(), 5);
}

#[tokio::test]
async fn deleting_a_function_leaves_nothing_but_its_last_number_from_which_a_new_one_goes_on() {
    let Catalog { functions, store, .. } = &catalog();
    let first = function("f");
    let revision = functions.create(&first).await.unwrap();
    let (aggregate, version) = published(&first, 1);
    functions.publish(&aggregate, revision, &version).await.unwrap();
    assert!(functions.delete(&key("f")).await.unwrap());
    assert!(!functions.delete(&key("f")).await.unwrap());
    let left = store.list("", None, 99).await.unwrap();
    assert_eq!(
        left.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(),
        ["last-version/000000000000/us-east-1/f"]
    );
    let second = Function { generation: "another".to_owned(), ..first };
    let revision = functions.create(&second).await.unwrap();
    assert_eq!(functions.version(&key("f"), 1).await.unwrap(), None);
    assert_eq!(functions.get(&key("f")).await.unwrap().unwrap().0.last_published, 1);
    let (again, version) = published(&second, 1);
    assert!(matches!(functions.publish(&again, revision, &version).await, Err(StoreError::VersionNumber { .. })));
    let (next, version) = published(&second, 2);
    functions.publish(&next, revision, &version).await.unwrap();
}

#[tokio::test]
async fn settling_removes_what_interrupted_writes_left_and_names_the_packages_in_use() {
    let Catalog { functions, store, .. } = &catalog();
    let mut latest = function("f");
    let revision = functions.create(&latest).await.unwrap();
    let (aggregate, version) = published(&latest, 1);
    let revision = functions.publish(&aggregate, revision, &version).await.unwrap();
    let old_code = latest.latest.code.digest;
    latest.latest.code.digest = CodeDigest::of(b"new code");
    functions.update(&latest, revision).await.unwrap();
    // A publisher that died before its aggregate, and a deletion that died after it.
    let abandoned = store.list("version/", None, 1).await.unwrap().remove(0);
    for place in ["version/000000000000/us-east-1/f/g/1/x", "version/000000000000/us-east-1/gone/g/1/x"] {
        store.put(place, abandoned.value.clone(), crate::keyvalue::Expected::Absent).await.unwrap();
    }
    let digests = functions.settle().await.unwrap();
    let layer = CodeDigest::of(b"layer");
    assert_eq!(digests.packages, [old_code, latest.latest.code.digest, layer].into());
    let left = store.list("version/", None, 99).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].key, abandoned.key);
}

#[tokio::test]
async fn the_environment_is_in_no_file_of_the_database_and_cannot_be_moved_between_functions() {
    let Catalog { directory, functions, store, .. } = &catalog();
    let revision = functions.create(&function("f")).await.unwrap();
    let (aggregate, version) = published(&function("f"), 1);
    functions.publish(&aggregate, revision, &version).await.unwrap();
    functions.create(&function("g")).await.unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        files += 1;
        assert_eq!(memchr::memmem::find(&bytes, SECRET.as_bytes()), None);
        assert_eq!(memchr::memmem::find(&bytes, b"TOKEN"), None);
    }
    assert!(files >= 3);

    let f = store.get("function/000000000000/us-east-1/f").await.unwrap().unwrap();
    let g = store.get("function/000000000000/us-east-1/g").await.unwrap().unwrap();
    store.put(&g.key, f.value, crate::keyvalue::Expected::Revision(g.revision)).await.unwrap();
    let error = functions.get(&key("g")).await.unwrap_err();
    assert!(matches!(&error, StoreError::Failed(source) if source.to_string().contains("us-east-1/g")), "{error:?}");
    assert!(!format!("{error:?}").contains(SECRET));
}

#[test]
fn a_record_of_before_logging_configurations_loads_with_the_default() {
    let vault_directory = tempfile::tempdir().unwrap();
    let vault = Vault::open(vault_directory.path(), true).unwrap();
    let function = function("f");
    let text = VersionRecord::new(&function.latest, "k", &vault).encode();
    let mut document: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert!(document.as_object_mut().unwrap().remove("logging").is_some());
    let old = serde_json::to_vec(&document).unwrap();
    let loaded = VersionRecord::decode("k", &old).unwrap().into_version(&key("f"), "k", &vault).unwrap();
    assert_eq!(loaded.settings.logging, LoggingConfig::default());
    // What says nothing is not written, so that such records stay as they were.
    let again = VersionRecord::new(&loaded, "k", &vault).encode();
    assert!(!String::from_utf8_lossy(&again).contains("logging"));
}

fn url(id: &str) -> FunctionUrl {
    FunctionUrl {
        id: id.to_owned(),
        auth_type: UrlAuthType::None,
        invoke_mode: UrlInvokeMode::ResponseStream,
        cors: Some(UrlCors {
            allow_origins: vec!["*".to_owned()],
            max_age_s: Some(5),
            allow_credentials: Some(false),
            ..UrlCors::default()
        }),
        created_ms: 1,
        modified_ms: 2,
    }
}

fn policy(principal: PolicyPrincipal, revision_id: Option<&str>) -> Policy {
    let statement = PolicyStatement {
        id: "s".to_owned(),
        principal,
        action: "lambda:InvokeFunction".to_owned(),
        source_arn: Some("arn:aws:s3:::b".to_owned()),
        source_account: Some("000000000000".to_owned()),
        organization_id: Some("o-1234567890".to_owned()),
        event_source_token: Some("t".to_owned()),
        url_auth_type: Some(UrlAuthType::AwsIam),
        via_url: Some(true),
    };
    Policy { statements: vec![statement], revision_id: revision_id.map(str::to_owned) }
}

#[tokio::test]
async fn urls_and_policies_are_read_back_as_they_were_written_and_survive_publishing() {
    let Catalog { functions, .. } = &catalog();
    let mut written = function("f");
    let revision = functions.create(&written).await.unwrap();
    written.urls.insert("$LATEST".to_owned(), url("one"));
    for (qualifier, principal) in [
        ("$LATEST", PolicyPrincipal::Everyone),
        ("a", PolicyPrincipal::Account("000000000000".to_owned())),
        ("b", PolicyPrincipal::Arn("arn:aws:iam::000000000000:user/u".to_owned())),
        ("c", PolicyPrincipal::Service("s3.amazonaws.com".to_owned())),
    ] {
        written.policies.insert(qualifier.to_owned(), policy(principal, None));
    }
    let revision = functions.update(&written, revision).await.unwrap();
    assert_eq!(functions.get(&key("f")).await.unwrap().unwrap().0, written);
    let (aggregate, version) = published(&written, 1);
    functions.publish(&aggregate, revision, &version).await.unwrap();
    assert_eq!(functions.get(&key("f")).await.unwrap().unwrap().0, aggregate);
}

#[tokio::test]
async fn a_url_is_found_only_while_a_function_has_it() {
    let Catalog { functions, store, .. } = &catalog();
    let mut written = function("f");
    let revision = functions.create(&written).await.unwrap();
    functions.reserve_url("one", &key("f"), "$LATEST").await.unwrap();
    assert!(matches!(functions.reserve_url("one", &key("g"), "$LATEST").await, Err(StoreError::Exists)));
    assert_eq!(functions.find_url("one").await.unwrap(), None);

    written.urls.insert("$LATEST".to_owned(), url("one"));
    let revision = functions.update(&written, revision).await.unwrap();
    let (known, qualifier) = functions.find_url("one").await.unwrap().unwrap();
    assert_eq!((&known.function, qualifier.as_str()), (&written, "$LATEST"));
    assert_eq!(functions.find_url("two").await.unwrap(), None);

    functions.reserve_url("two", &key("f"), "$LATEST").await.unwrap();
    written.urls.insert("$LATEST".to_owned(), url("two"));
    functions.update(&written, revision).await.unwrap();
    assert_eq!(functions.find_url("one").await.unwrap(), None);
    functions.settle().await.unwrap();
    let left = store.list("url/", None, 9).await.unwrap();
    assert_eq!(left.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["url/two"]);
    assert_eq!(functions.find_url("two").await.unwrap().unwrap().1, "$LATEST");

    functions.delete(&key("f")).await.unwrap();
    assert_eq!(functions.find_url("two").await.unwrap(), None);
    assert_eq!(store.list("", None, 9).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_change_of_the_policy_of_a_version_gives_it_a_revision_and_goes_with_it() {
    let Catalog { functions, .. } = &catalog();
    let base = function("f");
    let revision = functions.create(&base).await.unwrap();
    let (mut aggregate, version) = published(&base, 1);
    let revision = functions.publish(&aggregate, revision, &version).await.unwrap();
    aggregate.policies.insert("1".to_owned(), policy(PolicyPrincipal::Everyone, Some("r1")));
    functions.update(&aggregate, revision).await.unwrap();
    assert_eq!(functions.version(&key("f"), 1).await.unwrap().unwrap().revision_id, "r1");
    assert_eq!(functions.versions(&key("f"), 0, 9).await.unwrap()[0].revision_id, "r1");
    functions.delete_version(&key("f"), 1).await.unwrap();
    assert!(functions.get(&key("f")).await.unwrap().unwrap().0.policies.is_empty());
}

#[tokio::test]
async fn a_record_of_the_first_schema_still_loads() {
    let Catalog { functions, store, .. } = &catalog();
    functions.create(&function("f")).await.unwrap();
    let entry = store.get("function/000000000000/us-east-1/f").await.unwrap().unwrap();
    let mut old: serde_json::Value = serde_json::from_slice(&entry.value).unwrap();
    for later in ["urls", "policies", "controls"] {
        assert!(old.as_object_mut().unwrap().remove(later).is_some());
    }
    let old = serde_json::to_vec(&old).unwrap().into();
    store.put(&entry.key, old, crate::keyvalue::Expected::Revision(entry.revision)).await.unwrap();
    assert_eq!(functions.get(&key("f")).await.unwrap().unwrap().0, function("f"));
}

async fn known(functions: &Functions) -> Option<Function> {
    functions.known(&key("f")).await.unwrap().map(|known| known.function.clone())
}

#[tokio::test]
async fn what_is_remembered_is_never_older_than_the_last_answered_write() {
    let Catalog { functions, store, .. } = &catalog();
    assert_eq!(known(functions).await, None);
    let mut written = function("f");
    let mut revision = functions.create(&written).await.unwrap();
    assert_eq!(known(functions).await, Some(written.clone()));
    for text in ["one", "two"] {
        written.latest.settings.description = text.to_owned();
        revision = functions.update(&written, revision).await.unwrap();
        assert_eq!(known(functions).await, Some(written.clone()));
    }
    assert_eq!(functions.known_version(&key("f"), 1).await.unwrap(), None);
    let (aggregate, version) = published(&written, 1);
    functions.publish(&aggregate, revision, &version).await.unwrap();
    assert_eq!(functions.known_version(&key("f"), 1).await.unwrap().as_deref(), Some(&version));
    functions.delete_version(&key("f"), 1).await.unwrap();
    assert_eq!(functions.known_version(&key("f"), 1).await.unwrap(), None);
    functions.delete(&key("f")).await.unwrap();
    assert_eq!(known(functions).await, None);

    // While nothing is written, the same is given out; and nothing of it is there for the next server.
    functions.create(&written).await.unwrap();
    let first = functions.known(&key("f")).await.unwrap().unwrap();
    let second = functions.known(&key("f")).await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &second) && Arc::ptr_eq(&first.latest, &second.latest));
    store.put("other", bytes::Bytes::new(), crate::keyvalue::Expected::Absent).await.unwrap();
    let third = functions.known(&key("f")).await.unwrap().unwrap();
    assert!(!Arc::ptr_eq(&first, &third));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_that_race_with_a_writer_never_leave_an_old_function_behind() {
    let Catalog { functions, .. } = &catalog();
    let mut written = function("f");
    let mut revision = functions.create(&written).await.unwrap();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (functions, stop) = (Arc::clone(functions), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                    known(&functions).await.unwrap();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for number in 0..200_u32 {
        written.latest.settings.timeout_s = number;
        revision = functions.update(&written, revision).await.unwrap();
        assert_eq!(known(functions).await.unwrap().latest.settings.timeout_s, number);
    }
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
}
