//! Instances that are there before any call.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::advance;
use wuwei_model::{FunctionVersion, Version};
use wuwei_sandbox::LaunchError;

use super::Provision;
use crate::testing::{World, function, function_of_mb};

fn version(name: &str) -> Arc<FunctionVersion> {
    Arc::new(FunctionVersion { version: Version::Published(1), ..function(name) })
}

fn ready(count: u32) -> Provision {
    Provision { requested: count, allocated: count, available: count, failure: None }
}

#[tokio::test(start_paused = true)]
async fn provisioned_instances_are_started_ahead_and_outlive_their_keep_alive() {
    let mut world = World::new();
    let version = version("f");
    world.engine.provision(&version.key, &[(Arc::clone(&version), 2)]);
    assert_eq!(world.engine.provision_of(&version), Provision { requested: 2, ..Provision::default() });
    let (first, second) = (world.launch().await, world.launch().await);
    let told = first.spec.environment.iter().any(|(_, value)| value == "provisioned-concurrency");
    assert!(told, "{:?}", first.spec.environment);
    let (_one, mut two) = (first.ready(), second.ready());
    world.until("both are there", |snapshot| snapshot.instances_idle == 2).await;
    assert_eq!(world.engine.provision_of(&version), ready(2));
    advance(Duration::from_secs(7_200)).await;
    world.expect_no_launch().await;
    assert_eq!(world.engine.provision_of(&version), ready(2));
    let answer = world.call(&version, "one");
    two.event().await.succeed();
    assert_eq!(answer.await.unwrap().unwrap().report.init, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_provisioned_no_more_goes_with_its_keep_alive() {
    let mut world = World::new();
    let version = version("f");
    world.engine.provision(&version.key, &[(Arc::clone(&version), 1)]);
    let _remote = world.launch().await.ready();
    world.until("it is there", |snapshot| snapshot.instances_idle == 1).await;
    advance(Duration::from_secs(7_200)).await;
    world.engine.provision(&version.key, &[]);
    world.until("it is gone", |snapshot| snapshot.instances_idle == 0 && snapshot.memory_reserved_mb == 0).await;
    assert_eq!(world.engine.provision_of(&version), Provision::default());
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_is_told_and_not_tried_again_until_it_is_asked_for() {
    let mut world = World::new();
    let version = version("f");
    let wanted = [(Arc::clone(&version), 1)];
    world.engine.provision(&version.key, &wanted);
    world.launch().await.refuse(LaunchError::Sandbox("broken".to_owned()));
    world.until("it is given up", |snapshot| snapshot.memory_reserved_mb == 0).await;
    world.expect_no_launch().await;
    let failure = world.engine.provision_of(&version).failure.unwrap();
    assert!(failure.contains("broken"), "{failure}");
    world.engine.provision(&version.key, &wanted);
    let _remote = world.launch().await.ready();
    world.until("it is there", |snapshot| snapshot.instances_idle == 1).await;
    assert_eq!(world.engine.provision_of(&version), ready(1));
}

#[tokio::test(start_paused = true)]
async fn memory_for_others_is_not_taken_from_provisioned_instances() {
    let mut world = World::with(|options| options.memory_budget_mb = 256);
    let (kept, other) = (version("kept"), function_of_mb("other", 128));
    world.engine.provision(&kept.key, &[(Arc::clone(&kept), 1)]);
    let _kept = world.launch().await.ready();
    world.until("it is there", |snapshot| snapshot.instances_idle == 1).await;
    world.warm(&other).await;
    // Evicts the other function's idle instance, the provisioned one being older.
    world.warm(&function_of_mb("third", 128)).await;
    assert_eq!(world.engine.provision_of(&kept), ready(1));
}

#[tokio::test(start_paused = true)]
async fn a_function_that_goes_takes_its_provisioned_instances_along() {
    let mut world = World::new();
    let version = version("f");
    world.engine.provision(&version.key, &[(Arc::clone(&version), 1)]);
    let _remote = world.launch().await.ready();
    world.until("it is there", |snapshot| snapshot.instances_idle == 1).await;
    world.engine.retire(&version.key);
    world.until("it is gone", |snapshot| snapshot.memory_reserved_mb == 0).await;
    world.expect_no_launch().await;
}
