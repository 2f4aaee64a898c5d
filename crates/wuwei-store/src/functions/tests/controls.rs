//! Aliases, tags and settings in the aggregate.

use wuwei_model::{
    Alias, AliasRoute, EventInvokeConfig, ProvisionedConcurrency, RecursiveLoop, RuntimeUpdate, Version, Weight,
};

use super::{Catalog, catalog, function, key, published};
use crate::keyvalue::Expected;
use crate::{AccountUsage, Function, Guarantee, StoreError};

fn alias(version: Version, route: Option<u64>) -> Alias {
    let route = route.map(|version| AliasRoute { version, weight: Weight::new(0.1).unwrap() });
    Alias { version, description: "d".to_owned(), route, revision_id: "r".to_owned() }
}

fn with_everything(name: &str) -> Function {
    let mut function = function(name);
    function.aliases.insert("live".to_owned(), alias(Version::Published(1), Some(2)));
    function.aliases.insert("latest".to_owned(), alias(Version::Latest, None));
    function.tags.insert("team".to_owned(), String::new());
    function.reserved_concurrency = Some(0);
    let provision = ProvisionedConcurrency { requested: 3, modified_ms: 4 };
    function.provisioned_concurrency.insert("live".to_owned(), provision);
    let config = EventInvokeConfig {
        maximum_retry_attempts: Some(0),
        maximum_event_age_s: Some(60),
        on_success: None,
        on_failure: Some("arn:aws:sqs:us-east-1:000000000000:q".to_owned()),
        modified_ms: 5,
    };
    function.event_invoke.insert("$LATEST".to_owned(), config);
    function.runtime_updates.insert("1".to_owned(), RuntimeUpdate::Manual("arn".to_owned()));
    function.runtime_updates.insert("$LATEST".to_owned(), RuntimeUpdate::FunctionUpdate);
    function.recursive_loop = RecursiveLoop::Allow;
    function
}

#[tokio::test]
async fn settings_are_read_back_as_they_were_written_and_survive_publishing() {
    let Catalog { functions, .. } = &catalog();
    let base = function("f");
    let revision = functions.create(&base).await.unwrap();
    let written = with_everything("f");
    let revision = functions.update(&written, revision).await.unwrap();
    assert_eq!(functions.get(&key("f")).await.unwrap().unwrap().0, written);
    let (aggregate, version) = published(&written, 1);
    functions.publish(&aggregate, revision, &version).await.unwrap();
    assert_eq!(functions.get(&key("f")).await.unwrap().unwrap().0, aggregate);
}

#[tokio::test]
async fn a_version_goes_with_its_settings_but_not_while_an_alias_may_lead_to_it() {
    let Catalog { functions, .. } = &catalog();
    let base = function("f");
    let mut revision = functions.create(&base).await.unwrap();
    let mut aggregate = base;
    for number in 1..=2 {
        let (next, version) = published(&aggregate, number);
        revision = functions.publish(&next, revision, &version).await.unwrap();
        aggregate = next;
    }
    aggregate.aliases.insert("live".to_owned(), alias(Version::Published(1), Some(2)));
    aggregate.event_invoke.insert("2".to_owned(), EventInvokeConfig::default());
    aggregate.runtime_updates.insert("2".to_owned(), RuntimeUpdate::FunctionUpdate);
    let provision = ProvisionedConcurrency { requested: 1, modified_ms: 0 };
    aggregate.provisioned_concurrency.insert("2".to_owned(), provision);
    let revision = functions.update(&aggregate, revision).await.unwrap();
    for number in 1..=2 {
        match functions.delete_version(&key("f"), number).await {
            Err(StoreError::VersionInUse { aliases }) => assert_eq!(aliases, ["live"]),
            other => panic!("{other:?}"),
        }
    }
    aggregate.aliases.clear();
    functions.update(&aggregate, revision).await.unwrap();
    assert!(functions.delete_version(&key("f"), 2).await.unwrap());
    let left = functions.get(&key("f")).await.unwrap().unwrap().0;
    assert!(left.event_invoke.is_empty() && left.runtime_updates.is_empty());
    assert!(left.provisioned_concurrency.is_empty());
}

#[tokio::test]
async fn what_an_account_has_is_counted_over_its_functions_and_versions() {
    let Catalog { functions, .. } = &catalog();
    let mut reserved = function("a");
    reserved.reserved_concurrency = Some(7);
    let revision = functions.create(&reserved).await.unwrap();
    let (aggregate, version) = published(&reserved, 1);
    functions.publish(&aggregate, revision, &version).await.unwrap();
    functions.create(&with_everything("b")).await.unwrap();
    let mut elsewhere = function("c");
    elsewhere.latest.key.account = "111111111111".to_owned();
    functions.create(&elsewhere).await.unwrap();

    let usage = functions.usage("000000000000", "us-east-1").await.unwrap();
    let b = Guarantee { reserved: Some(0), provisioned: 3 };
    let a = Guarantee { reserved: Some(7), provisioned: 0 };
    let guarantees = [("a".to_owned(), a), ("b".to_owned(), b)].into();
    assert_eq!(usage, AccountUsage { functions: 2, code_bytes: 3 * 42, guarantees });
    assert_eq!((usage.guaranteed(), usage.guaranteed_to_others("a")), (7, 0));
    assert_eq!(functions.guarantees().await.unwrap(), [(key("a"), a), (key("b"), b)]);
}

#[tokio::test]
async fn a_record_of_the_third_schema_loads_and_keeps_what_it_has() {
    let Catalog { functions, store, .. } = &catalog();
    functions.create(&with_everything("f")).await.unwrap();
    let entry = store.get("function/000000000000/us-east-1/f").await.unwrap().unwrap();
    let mut old: serde_json::Value = serde_json::from_slice(&entry.value).unwrap();
    assert!(old.as_object_mut().unwrap().remove("controls").is_some());
    let old = serde_json::to_vec(&old).unwrap().into();
    store.put(&entry.key, old, Expected::Revision(entry.revision)).await.unwrap();
    assert_eq!(functions.get(&key("f")).await.unwrap().unwrap().0, function("f"));
}
