//! Late binding: which instance serves which call.

use std::sync::Arc;

use crate::InvokeError;
use crate::testing::{World, call, function};
use wuwei_model::{FunctionKey, Version};
use wuwei_sandbox::LaunchError;

#[tokio::test(start_paused = true)]
async fn a_second_call_at_the_same_time_gets_an_instance_of_its_own() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let (first, remote_one, event_one) = world.cold_call(&function, "one").await;
    let (second, remote_two, event_two) = world.cold_call(&function, "two").await;
    assert_ne!(remote_one.id, remote_two.id);
    assert_eq!(world.engine.snapshot().instances_busy, 2);
    event_two.succeed();
    event_one.succeed();
    assert_eq!(first.await.unwrap().unwrap().report.id.as_str(), "one");
    assert_eq!(second.await.unwrap().unwrap().report.id.as_str(), "two");
    assert_eq!(world.engine.snapshot().instances_idle, 2);
}

#[tokio::test(start_paused = true)]
async fn the_next_call_takes_the_idle_instance_and_reports_no_init() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let mut remote = world.warm(&function).await;
    let answer = world.call(&function, "two");
    remote.event().await.succeed();
    assert_eq!(answer.await.unwrap().unwrap().report.init, None);
    world.expect_no_launch().await;
    let snapshot = world.engine.snapshot();
    assert_eq!((snapshot.cold_starts, snapshot.invocations, snapshot.instances_idle), (1, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_instance_of_one_tenant_never_serves_another() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let mut remotes = Vec::new();
    for tenant in ["blue", "green"] {
        let answer = world.call_of_tenant(&function, tenant, tenant);
        let mut remote = world.launch().await.ready();
        let event = remote.event().await;
        assert_eq!(event.invocation.tenant_id.as_deref(), Some(tenant));
        event.succeed();
        answer.await.unwrap().unwrap();
        remotes.push(remote);
    }
    // Both are idle: each tenant gets its own again, and a call without one gets neither.
    let answer = world.call_of_tenant(&function, "again", "blue");
    remotes[0].event().await.succeed();
    answer.await.unwrap().unwrap();
    let (answer, _remote, event) = world.cold_call(&function, "nobody's").await;
    event.succeed();
    answer.await.unwrap().unwrap();
    assert_eq!(world.engine.snapshot().cold_starts, 3);
    // A change of the function ends those of every tenant.
    world.engine.retire(&function.key);
    world.until("all are gone", |snapshot| snapshot.instances_idle == 0).await;
}

#[tokio::test(start_paused = true)]
async fn the_most_recently_used_instance_goes_first() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let (first, _older, event_one) = world.cold_call(&function, "one").await;
    let (second, mut newer, event_two) = world.cold_call(&function, "two").await;
    event_one.succeed();
    first.await.unwrap().unwrap();
    event_two.succeed();
    second.await.unwrap().unwrap();
    let third = world.call(&function, "three");
    newer.event().await.succeed();
    third.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_is_served_by_an_instance_that_is_freed_before_its_own_is_ready() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let (first, mut remote, event) = world.cold_call(&function, "one").await;
    let second = world.call(&function, "two");
    let launch = world.launch().await;
    event.succeed();
    first.await.unwrap().unwrap();
    let event = remote.event().await;
    assert_eq!(event.invocation.id.as_str(), "two");
    event.succeed();
    assert_eq!(second.await.unwrap().unwrap().report.init, None);
    // The instance that nobody needs any more is kept for the next call.
    launch.ready();
    world.until("the late instance is idle", |snapshot| snapshot.instances_idle == 2).await;
}

#[tokio::test(start_paused = true)]
async fn waiting_calls_are_served_in_their_order_by_whichever_instance_is_ready() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let first = world.call(&function, "one");
    let launch_one = world.launch().await;
    let second = world.call(&function, "two");
    let launch_two = world.launch().await;
    let mut remote_two = launch_two.ready();
    let event = remote_two.event().await;
    assert_eq!(event.invocation.id.as_str(), "one");
    event.succeed();
    assert!(first.await.unwrap().unwrap().report.init.is_some());
    // Freed, it serves the second call, too, while the first launch is still under way.
    let event = remote_two.event().await;
    assert_eq!(event.invocation.id.as_str(), "two");
    event.succeed();
    second.await.unwrap().unwrap();
    launch_one.ready();
    world.until("both are idle", |snapshot| snapshot.instances_idle == 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_launch_fails_only_the_call_that_it_was_for() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let first = world.call(&function, "one");
    let launch_one = world.launch().await;
    let second = world.call(&function, "two");
    let launch_two = world.launch().await;
    launch_one.refuse(LaunchError::LauncherGone);
    assert!(matches!(first.await.unwrap(), Err(InvokeError::Launch(LaunchError::LauncherGone))));
    let mut remote = launch_two.ready();
    remote.event().await.succeed();
    second.await.unwrap().unwrap();
    world.until("only the second is left", |snapshot| snapshot.memory_reserved_mb == 128).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_instance_went_to_an_earlier_call_gets_another_when_the_earlier_ones_start_fails() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let _first = world.call(&function, "one");
    let launch_one = world.launch().await;
    let second = world.call(&function, "two");
    let mut remote_two = world.launch().await.ready();
    let held = remote_two.event().await;
    assert_eq!(held.invocation.id.as_str(), "one");
    launch_one.refuse(LaunchError::LauncherGone);
    let mut remote_three = world.launch().await.ready();
    let event = remote_three.event().await;
    assert_eq!(event.invocation.id.as_str(), "two");
    event.succeed();
    second.await.unwrap().unwrap();
    held.succeed();
}

#[tokio::test(start_paused = true)]
async fn the_second_start_for_such_a_call_is_its_own_and_fails_it() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let _first = world.call(&function, "one");
    let launch_one = world.launch().await;
    let second = world.call(&function, "two");
    let mut remote_two = world.launch().await.ready();
    let held = remote_two.event().await;
    launch_one.refuse(LaunchError::LauncherGone);
    world.launch().await.refuse(LaunchError::LauncherGone);
    assert!(matches!(second.await.unwrap(), Err(InvokeError::Launch(LaunchError::LauncherGone))));
    world.expect_no_launch().await;
    held.succeed();
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_does_not_stop_its_call_and_leaks_nothing() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let (answer, _remote, event) = world.cold_call(&function, "one").await;
    answer.abort();
    assert!(answer.await.unwrap_err().is_cancelled());
    event.succeed();
    world.until("the call is done", |snapshot| snapshot.invocations == 1 && snapshot.instances_idle == 1).await;
    // Neither does one that goes away while it waits.
    let busy = world.call(&function, "two");
    world.until("busy", |snapshot| snapshot.instances_busy == 1).await;
    let waiting = world.call(&function, "three");
    let launch = world.launch().await;
    waiting.abort();
    let mut remote = launch.ready();
    remote.event().await.succeed();
    world.until("the abandoned call is done", |snapshot| snapshot.invocations == 2).await;
    busy.abort();
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_died_while_idle_is_replaced_without_failing_the_call() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let dead = world.warm(&function).await;
    dead.state.die();
    let (answer, _remote, event) = world.cold_call(&function, "two").await;
    event.succeed();
    assert!(answer.await.unwrap().unwrap().function_error.is_none());
    assert!(dead.state.is_stopped());
    assert_eq!(world.engine.snapshot().memory_reserved_mb, 128);
}

#[tokio::test(start_paused = true)]
async fn instances_of_an_older_revision_or_another_version_never_serve_a_call() {
    let mut world = World::new();
    let old = Arc::new(function("f"));
    world.warm(&old).await;
    let mut newer = function("f");
    newer.last_modified_ms += 1;
    world.warm(&Arc::new(newer)).await;
    let mut published = function("f");
    published.version = Version::Published(1);
    world.warm(&Arc::new(published)).await;
    assert_eq!(world.engine.snapshot().instances_idle, 3);
}

#[tokio::test(start_paused = true)]
async fn a_new_revision_id_alone_is_no_reason_for_a_cold_start() {
    let mut world = World::new();
    let mut remote = world.warm(&Arc::new(function("f"))).await;
    let mut same = function("f");
    same.revision_id = "revision-2".to_owned();
    let answer = world.call(&Arc::new(same), "two");
    remote.event().await.succeed();
    answer.await.unwrap().unwrap();
    world.expect_no_launch().await;
}

#[tokio::test(start_paused = true)]
async fn retiring_stops_idle_instances_at_once_and_busy_ones_after_their_call() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let (busy, busy_remote, event) = world.cold_call(&function, "one").await;
    let idle_remote = world.warm(&function).await;
    let other = world.warm(&Arc::new(crate::testing::function("other"))).await;
    world.engine.retire(&function.key);
    world.until("the idle one is gone", |_| idle_remote.state.is_stopped()).await;
    assert!(!busy_remote.state.is_stopped());
    // A new call does not get what was retired.
    let (answer, _new, new_event) = world.cold_call(&function, "two").await;
    event.succeed();
    busy.await.unwrap().unwrap();
    world.until("the busy one is gone", |_| busy_remote.state.is_stopped()).await;
    new_event.succeed();
    answer.await.unwrap().unwrap();
    assert!(!other.state.is_stopped());
    world.until("the new one and the other's are left", |snapshot| snapshot.memory_reserved_mb == 256).await;
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_when_their_function_is_retired_are_still_served() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let answer = world.call(&function, "one");
    let launch = world.launch().await;
    world.engine.retire(&function.key);
    let mut remote = launch.ready();
    remote.event().await.succeed();
    answer.await.unwrap().unwrap();
    world.until("nothing is left", |snapshot| snapshot.memory_reserved_mb == 0).await;
    assert!(remote.state.is_stopped());
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_contained_to_its_call() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let (answer, remote, event) = world.cold_call(&function, "one").await;
    drop(event);
    assert!(matches!(answer.await.unwrap(), Err(InvokeError::Internal)));
    world.until("its instance is stopped", |snapshot| snapshot.memory_reserved_mb == 0).await;
    assert!(remote.state.is_stopped());
    assert_eq!((world.engine.snapshot().panics, world.engine.snapshot().failures), (1, 1));
    // So are panics in a launch and in an initialisation.
    let answer = world.call(&function, "two");
    drop(world.launch().await);
    assert!(matches!(answer.await.unwrap(), Err(InvokeError::Internal)));
    let answer = world.call(&function, "three");
    let (_remote, initialise) = world.launch().await.initialising();
    drop(initialise);
    assert!(matches!(answer.await.unwrap(), Err(InvokeError::Internal)));
    world.until("nothing is left", |snapshot| snapshot.memory_reserved_mb == 0).await;
    world.warm(&function).await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_is_built_from_the_function_and_its_environment() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let _answer = world.call(&function, "one");
    let launch = world.launch().await;
    let spec = &launch.spec;
    assert_eq!(spec.instance_id.len(), 32);
    assert!(spec.instance_id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)));
    assert!(spec.code_dir.ends_with(function.code.digest.to_hex()));
    let stream = format!("2026/11/20/[$LATEST]{}", spec.instance_id);
    assert!(spec.environment.contains(&("AWS_LAMBDA_LOG_STREAM_NAME".to_owned(), stream)));
    assert_eq!((spec.memory_mb, spec.ephemeral_mb, spec.handler.as_str()), (128, 512, "app.handler"));
    launch.ready();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_known_of_a_function_that_has_no_instances() {
    let world = World::new();
    let key = FunctionKey { account: "0".to_owned(), region: "r".to_owned(), name: "n".to_owned() };
    world.engine.retire(&key);
    assert_eq!(world.engine.snapshot(), crate::EngineSnapshot::default());
    assert!(world.engine.supports(&wuwei_model::Runtime::new("python3.11")));
    assert!(!world.engine.supports(&wuwei_model::Runtime::new("cobol")));
    drop(call("unused"));
}

#[tokio::test(start_paused = true)]
async fn code_is_in_use_from_the_admission_of_a_call_until_its_instance_is_gone() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let answer = world.call(&function, "one");
    // The function is deleted while the call waits for its instance.
    let launch = world.launch().await;
    world.engine.retire(&function.key);
    assert!(world.code.is_in_use());
    let mut remote = launch.ready();
    let event = remote.event().await;
    assert!(world.code.is_in_use());
    event.succeed();
    answer.await.unwrap().unwrap();
    world.until("the instance is gone", |snapshot| snapshot.memory_reserved_mb == 0).await;
    let code = Arc::clone(&world.code);
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(!code.is_in_use());
}

#[tokio::test(start_paused = true)]
async fn code_of_an_idle_instance_is_in_use() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let _remote = world.warm(&function).await;
    assert!(world.code.is_in_use());
}
