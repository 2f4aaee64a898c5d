//! Limits: of accounts, of memory, of the queue, and of patience.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, advance};

use super::{NO_CAPACITY, QUEUE_LIMIT};
use crate::engine::STOP_LIMIT;
use crate::fleet::QUEUED_STARTS_MAX;
use crate::starting::LAUNCH_LIMIT;
use crate::testing::{PendingAnswer, Remote, World, function, function_of_mb};
use crate::{Answer, InvokeError};
use wuwei_sandbox::LaunchError;

fn world_of_mb(memory_budget_mb: u64) -> World {
    World::with(|options| {
        options.memory_budget_mb = memory_budget_mb;
        options.account_concurrency = 5_000;
    })
}

async fn expect_throttled(answer: PendingAnswer) {
    let result: Result<Answer, InvokeError> = answer.await.unwrap();
    assert!(matches!(result, Err(InvokeError::TooManyRequests(NO_CAPACITY))), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_past_the_accounts_limit_is_refused_until_one_has_finished() {
    let mut world = World::with(|options| options.account_concurrency = 1);
    let function = Arc::new(function("f"));
    let (answer, mut remote, event) = world.cold_call(&function, "one").await;
    expect_throttled(world.call(&function, "two")).await;
    let mut other_account = crate::testing::function("f");
    other_account.key.account = "111111111111".to_owned();
    world.warm(&Arc::new(other_account)).await;
    event.succeed();
    answer.await.unwrap().unwrap();
    let third = world.call(&function, "three");
    remote.event().await.succeed();
    third.await.unwrap().unwrap();
    assert_eq!(world.engine.snapshot().throttles, 1);
}

#[tokio::test(start_paused = true)]
async fn a_start_past_the_memory_budget_evicts_the_least_recently_used_idle_instance_of_any_function() {
    let mut world = world_of_mb(256);
    let older = world.warm(&function_of_mb("a", 128)).await;
    let newer = world.warm(&function_of_mb("b", 128)).await;
    let (answer, _remote, event) = world.cold_call(&function_of_mb("c", 128), "c").await;
    assert!(older.state.is_stopped());
    assert!(!newer.state.is_stopped());
    event.succeed();
    answer.await.unwrap().unwrap();
    assert_eq!(world.factory.most_memory_mb(), 256);
}

#[tokio::test(start_paused = true)]
async fn as_many_idle_instances_are_evicted_as_a_big_one_needs_and_no_more() {
    let mut world = world_of_mb(512);
    let mut remotes = Vec::new();
    for name in ["a", "b", "c", "d"] {
        remotes.push(world.warm(&function_of_mb(name, 128)).await);
    }
    let (answer, _remote, event) = world.cold_call(&function_of_mb("big", 200), "big").await;
    event.succeed();
    answer.await.unwrap().unwrap();
    let stopped: Vec<bool> = remotes.iter().map(|remote| remote.state.is_stopped()).collect();
    assert_eq!(stopped, [true, true, false, false]);
    assert!(world.factory.most_memory_mb() <= 512);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_memory_waits_for_an_instance_of_another_function_to_come_free() {
    let mut world = world_of_mb(128);
    let (first, remote, event) = world.cold_call(&function_of_mb("a", 128), "a").await;
    let second = world.call(&function_of_mb("b", 128), "b");
    world.expect_no_launch().await;
    assert_eq!(world.engine.snapshot().calls_waiting, 1);
    event.succeed();
    first.await.unwrap().unwrap();
    let mut other = world.launch().await.ready();
    assert!(remote.state.is_stopped());
    other.event().await.succeed();
    second.await.unwrap().unwrap();
    assert_eq!(world.factory.most_memory_mb(), 128);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_memory_is_served_by_a_freed_instance_of_its_own_function() {
    let mut world = world_of_mb(128);
    let function = function_of_mb("a", 128);
    let (first, mut remote, event) = world.cold_call(&function, "one").await;
    let second = world.call(&function, "two");
    world.until("it waits", |snapshot| snapshot.calls_waiting == 1).await;
    event.succeed();
    first.await.unwrap().unwrap();
    remote.event().await.succeed();
    second.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_queued_start_is_forgotten_when_its_call_was_served_otherwise() {
    let mut world = world_of_mb(256);
    let function = function_of_mb("a", 128);
    let (first, mut remote, event) = world.cold_call(&function, "one").await;
    let (other, other_remote, other_event) = world.cold_call(&function_of_mb("b", 128), "other").await;
    let second = world.call(&function, "two");
    world.until("it waits", |snapshot| snapshot.calls_waiting == 1).await;
    event.succeed();
    first.await.unwrap().unwrap();
    let event = remote.event().await;
    // Memory that could be had now is of no use to anyone.
    other_event.succeed();
    other.await.unwrap().unwrap();
    world.expect_no_launch().await;
    assert!(!other_remote.state.is_stopped());
    event.succeed();
    second.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_instance_is_on_its_way_waits_longer_than_the_queue_allows() {
    let mut world = World::with(|options| options.init_limit = Duration::from_secs(60));
    let answer = world.call(&Arc::new(function("f")), "one");
    let (mut remote, initialise) = world.launch().await.initialising();
    advance(QUEUE_LIMIT + Duration::from_secs(5)).await;
    initialise.send(Ok(())).unwrap();
    remote.event().await.succeed();
    answer.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_gets_no_memory_in_time_is_refused() {
    let mut world = world_of_mb(128);
    let mut slow = function("slow");
    slow.settings.timeout_s = 900;
    let (_long, _remote, event) = world.cold_call(&Arc::new(slow), "a").await;
    let began = Instant::now();
    expect_throttled(world.call(&function_of_mb("b", 128), "b")).await;
    assert!(began.elapsed() >= QUEUE_LIMIT);
    assert!(began.elapsed() < QUEUE_LIMIT + Duration::from_millis(10));
    assert_eq!(world.engine.snapshot().calls_waiting, 0);
    event.succeed();
    world.expect_no_launch().await;
}

#[tokio::test(start_paused = true)]
async fn a_function_bigger_than_the_budget_is_refused_at_once() {
    let world = world_of_mb(255);
    expect_throttled(world.call(&function_of_mb("big", 256), "big")).await;
    assert_eq!(world.engine.snapshot().throttles, 1);
}

#[tokio::test(start_paused = true)]
async fn a_big_function_that_waits_does_not_hold_up_a_small_one() {
    let mut world = world_of_mb(512);
    let (_busy, _remote, event) = world.cold_call(&function_of_mb("busy", 256), "busy").await;
    let big = world.call(&function_of_mb("big", 512), "big");
    world.until("the big one waits", |snapshot| snapshot.calls_waiting == 1).await;
    let (small, _small_remote, small_event) = world.cold_call(&function_of_mb("small", 256), "small").await;
    small_event.succeed();
    small.await.unwrap().unwrap();
    event.succeed();
    let mut big_remote = world.launch().await.ready();
    big_remote.event().await.succeed();
    big.await.unwrap().unwrap();
    assert_eq!(world.factory.most_memory_mb(), 512);
}

#[tokio::test(start_paused = true)]
async fn the_queue_for_memory_is_bounded_and_drains_in_order() {
    let mut world = world_of_mb(128);
    let function = function_of_mb("a", 128);
    let (first, mut remote, event) = world.cold_call(&function, "first").await;
    let mut waiting = Vec::new();
    for number in 0..QUEUED_STARTS_MAX {
        waiting.push(world.call(&function, &number.to_string()));
    }
    world.until("all wait", |snapshot| snapshot.calls_waiting == QUEUED_STARTS_MAX).await;
    expect_throttled(world.call(&function, "one too many")).await;
    event.succeed();
    first.await.unwrap().unwrap();
    for (number, answer) in waiting.into_iter().enumerate() {
        let event = remote.event().await;
        assert_eq!(event.invocation.id.as_str(), number.to_string());
        event.succeed();
        answer.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_does_not_stop_gives_its_memory_back_after_a_limit() {
    let mut world = world_of_mb(128);
    let stubborn = world.warm(&function_of_mb("a", 128)).await;
    stubborn.state.hang_when_stopped();
    let began = Instant::now();
    let (answer, _remote, event) = world.cold_call(&function_of_mb("b", 128), "b").await;
    assert!(began.elapsed() >= STOP_LIMIT);
    event.succeed();
    answer.await.unwrap().unwrap();
    assert_eq!(world.factory.most_memory_mb(), 128);
}

#[tokio::test(start_paused = true)]
async fn a_launch_that_hangs_fails_its_call_after_a_limit() {
    let mut world = World::new();
    let began = Instant::now();
    let answer = world.call(&Arc::new(function("f")), "one");
    let _held = world.launch().await;
    let result = answer.await.unwrap();
    assert!(matches!(result, Err(InvokeError::Launch(LaunchError::Sandbox(_)))), "{result:?}");
    assert!(began.elapsed() >= LAUNCH_LIMIT);
    world.until("nothing is left", |snapshot| snapshot.memory_reserved_mb == 0).await;
}

/// Many calls of functions of different sizes on several threads, with launches that fail and instances that die.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_load_every_call_ends_and_the_budget_holds() {
    const CALLS: usize = 990;
    let mut world = world_of_mb(1_024);
    let (engine, factory) = (world.engine.clone(), Arc::clone(&world.factory));
    let functions: Vec<_> = (1..=6).map(|size| function_of_mb(&format!("f{size}"), 128 * size)).collect();
    let answers: Vec<_> =
        (0..CALLS).map(|number| world.call(&functions[number % functions.len()], &number.to_string())).collect();
    let instances = tokio::spawn(async move {
        for number in 1_usize.. {
            let launch = world.launch().await;
            if number.is_multiple_of(13) {
                launch.refuse(LaunchError::LauncherGone);
            } else {
                tokio::spawn(serve(launch.ready()));
            }
        }
    });
    let (mut done, mut failed) = (0, 0);
    for answer in answers {
        match answer.await.unwrap() {
            Ok(_) => done += 1,
            Err(InvokeError::Launch(_)) => failed += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(done > 0 && failed > 0, "{done} done, {failed} failed");
    engine.shutdown(Duration::ZERO).await;
    assert!(factory.most_memory_mb() <= 1_024, "{}", factory.most_memory_mb());
    assert_eq!(factory.memory_mb(), 0);
    let snapshot = engine.snapshot();
    assert_eq!((snapshot.memory_reserved_mb, snapshot.calls_waiting, snapshot.instances_busy), (0, 0, 0));
    instances.abort();
}

/// Answers seven events; with the last the instance dies.
async fn serve(mut remote: Remote) {
    for number in 1..=7 {
        let Some(event) = remote.next_event().await else { return };
        tokio::task::yield_now().await;
        if number == 7 {
            remote.state.die();
        }
        event.succeed();
    }
}
