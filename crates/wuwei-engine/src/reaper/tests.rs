//! What happens to instances that no call needs.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, advance};

use crate::testing::{World, function};

#[tokio::test(start_paused = true)]
async fn an_idle_instance_is_frozen_within_10_ms_of_its_answer_and_thawed_before_the_next_event() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let mut remote = world.warm(&function).await;
    let answered = Instant::now();
    world.until("time passes by itself only when all tasks rest", |_| !remote.state.is_frozen()).await;
    while !remote.state.is_frozen() {
        advance(Duration::from_millis(1)).await;
        assert!(answered.elapsed() <= Duration::from_millis(10));
    }
    // The fake instance refuses events while it is frozen.
    let answer = world.call(&function, "two");
    remote.event().await.succeed();
    answer.await.unwrap().unwrap();
    assert_eq!(remote.state.freezes(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_instance_with_calls_in_quick_succession_is_never_frozen() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let mut remote = world.warm(&function).await;
    for number in 0..20 {
        advance(Duration::from_millis(4)).await;
        let answer = world.call(&function, &number.to_string());
        remote.event().await.succeed();
        answer.await.unwrap().unwrap();
    }
    assert_eq!(remote.state.freezes(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_instance_at_work_is_not_frozen() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let mut remote = world.warm(&function).await;
    let answer = world.call(&function, "two");
    let event = remote.event().await;
    advance(Duration::from_millis(500)).await;
    assert_eq!(remote.state.freezes(), 0);
    event.succeed();
    answer.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_was_started_for_nothing_is_frozen_too() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let (first, mut remote, event) = world.cold_call(&function, "one").await;
    let second = world.call(&function, "two");
    let launch = world.launch().await;
    event.succeed();
    first.await.unwrap().unwrap();
    remote.event().await.succeed();
    second.await.unwrap().unwrap();
    let late = launch.ready();
    world.until("it is idle", |snapshot| snapshot.instances_idle == 2).await;
    advance(Duration::from_millis(10)).await;
    world.until("it is frozen", |_| late.state.is_frozen()).await;
}

#[tokio::test(start_paused = true)]
async fn idle_instances_stop_when_their_keep_alive_has_passed() {
    let mut world = World::with(|options| options.keep_alive = Duration::from_secs(60));
    let function = Arc::new(function("f"));
    let (first, unused, event_one) = world.cold_call(&function, "one").await;
    let (second, mut used, event_two) = world.cold_call(&function, "two").await;
    event_one.succeed();
    first.await.unwrap().unwrap();
    event_two.succeed();
    second.await.unwrap().unwrap();
    advance(Duration::from_secs(40)).await;
    let third = world.call(&function, "three");
    used.event().await.succeed();
    third.await.unwrap().unwrap();
    advance(Duration::from_secs(30)).await;
    world.until("the unused one is gone", |_| unused.state.is_stopped()).await;
    assert!(!used.state.is_stopped());
    advance(Duration::from_secs(31)).await;
    world.until("nothing is left", |snapshot| snapshot.memory_reserved_mb == 0).await;
    assert!(used.state.is_stopped());
    assert_eq!(world.factory.memory_mb(), 0);
    // And it starts again from zero.
    world.warm(&function).await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_past_its_age_gets_no_further_event_and_one_before_it_does() {
    let age = Duration::from_secs(wuwei_model::limits::INSTANCE_AGE_S_MAX);
    let mut world = World::with(|options| options.keep_alive = 3 * age);
    let function = Arc::new(function("f"));
    let mut first = world.warm(&function).await;
    advance(age - Duration::from_secs(1)).await;
    let answer = world.call(&function, "young");
    first.event().await.succeed();
    answer.await.unwrap().unwrap();
    advance(Duration::from_secs(1)).await;
    let (answer, second, event) = world.cold_call(&function, "old").await;
    event.succeed();
    answer.await.unwrap().unwrap();
    world.until("the old instance has stopped", |_| first.state.is_stopped()).await;
    assert!(!second.state.is_stopped());
}
