use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::InvokeError;
use crate::engine::STOP_LIMIT;
use crate::testing::{World, function};

const GRACE: Duration = Duration::from_secs(2);

#[tokio::test(start_paused = true)]
async fn running_calls_finish_new_ones_are_refused_and_all_instances_stop() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let (answer, remote, event) = world.cold_call(&function, "one").await;
    let idle = world.warm(&Arc::new(crate::testing::function("other"))).await;
    let engine = world.engine.clone();
    let shutdown = tokio::spawn(async move { engine.shutdown(GRACE).await });
    world.until("the idle one stops at once", |_| idle.state.is_stopped()).await;
    assert!(matches!(world.call(&function, "late").await.unwrap(), Err(InvokeError::ShuttingDown)));
    event.succeed();
    answer.await.unwrap().unwrap();
    let began = Instant::now();
    shutdown.await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(100));
    assert!(remote.state.is_stopped());
    assert_eq!(world.engine.snapshot().memory_reserved_mb, 0);
}

#[tokio::test(start_paused = true)]
async fn what_still_runs_after_the_grace_is_ended_and_its_log_says_so() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let (running, remote, _event) = world.cold_call(&function, "one").await;
    let waiting = world.call(&function, "two");
    let (initialising, _initialise) = world.launch().await.initialising();
    let began = Instant::now();
    world.engine.shutdown(GRACE).await;
    assert!(began.elapsed() < GRACE + Duration::from_millis(100));
    assert!(matches!(running.await.unwrap(), Err(InvokeError::ShuttingDown)));
    assert!(matches!(waiting.await.unwrap(), Err(InvokeError::ShuttingDown)));
    assert!(remote.state.is_stopped());
    assert!(initialising.state.is_stopped());
    assert_eq!(world.journal.lines().last().unwrap(), "END one Crash");
    assert_eq!(world.factory.memory_mb(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_its_instance_when_shutdown_begins_is_served_within_the_grace() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let answer = world.call(&function, "one");
    let launch = world.launch().await;
    let engine = world.engine.clone();
    let shutdown = tokio::spawn(async move { engine.shutdown(GRACE).await });
    let mut remote = launch.ready();
    remote.event().await.succeed();
    answer.await.unwrap().unwrap();
    shutdown.await.unwrap();
    assert!(remote.state.is_stopped());
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_does_not_stop_cannot_hold_up_the_shutdown_for_ever() {
    let mut world = World::new();
    let remote = world.warm(&Arc::new(function("f"))).await;
    remote.state.hang_when_stopped();
    let began = Instant::now();
    world.engine.shutdown(GRACE).await;
    assert!(began.elapsed() <= STOP_LIMIT + Duration::from_secs(1));
    // Given up, it was dropped, and with that killed.
    assert_eq!(world.factory.memory_mb(), 0);
}

#[tokio::test(start_paused = true)]
async fn shutting_down_twice_does_no_harm() {
    let world = World::new();
    world.engine.shutdown(GRACE).await;
    world.engine.shutdown(GRACE).await;
}
