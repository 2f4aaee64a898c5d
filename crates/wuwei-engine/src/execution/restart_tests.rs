//! Initialisation that failed, and runtimes that ended: the next call of the environment initialises it again.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::advance;

use crate::testing::{World, function};
use crate::{Answer, InvokeError};
use wuwei_model::Outcome;
use wuwei_sandbox::{InitFailure, InvokeFailure, LaunchError, ProcessExit};

const IMPORT_ERROR: &[u8] = br#"{"errorMessage":"no","errorType":"Runtime.ImportModuleError","requestId":""}"#;

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.payload).unwrap()
}

fn import_error() -> InitFailure {
    InitFailure::Reported(Bytes::from_static(IMPORT_ERROR))
}

#[tokio::test(start_paused = true)]
async fn an_init_that_fails_twice_answers_the_call_with_the_second_failure() {
    let mut world = World::new();
    let pending = world.call(&Arc::new(function("f")), "one");
    let (first, initialise) = world.launch().await.initialising();
    first.state.set_usage(9_000, 10_000_000);
    advance(Duration::from_millis(20)).await;
    initialise.send(Err(import_error())).unwrap();
    let (second, initialise) = world.launch().await.initialising();
    assert!(first.state.is_stopped(), "two runtimes would share one environment's memory");
    second.state.set_usage(8_000, 12_000_000);
    advance(Duration::from_millis(15)).await;
    initialise.send(Err(import_error())).unwrap();
    let answer = pending.await.unwrap().unwrap();
    assert_eq!(answer.payload, IMPORT_ERROR);
    let report = &answer.report;
    assert_eq!(report.outcome, Outcome::FunctionError);
    assert_eq!(report.error_type.as_deref(), Some("Runtime.ImportModuleError"));
    assert_eq!((report.duration, report.init, report.billed_ms), (Duration::from_millis(15), None, 15));
    assert_eq!((report.cpu_us, report.peak_memory_bytes), (17_000, 12_000_000));
    let lines = [
        "INIT_START python3.11",
        "initialising",
        "INIT_REPORT init Runtime.ImportModuleError 20 ms",
        "initialising",
        "INIT_REPORT invoke Runtime.ImportModuleError 15 ms",
        "START one",
        "END one FunctionError",
    ];
    assert_eq!(world.journal.lines(), lines);
    world.until("the second is stopped, too", |_| second.state.is_stopped()).await;
    let snapshot = world.engine.snapshot();
    assert_eq!((snapshot.instances_idle, snapshot.memory_reserved_mb, snapshot.cold_starts), (1, 128, 1));
}

#[tokio::test(start_paused = true)]
async fn an_init_over_its_limit_runs_again_under_the_functions_timeout() {
    for ignores_limits in [false, true] {
        let mut world = World::new();
        let pending = world.call(&Arc::new(function("f")), "one");
        let (slow, _initialise) = world.launch().await.initialising();
        if ignores_limits {
            slow.state.ignore_limits();
        }
        let (mut remote, initialise) = world.launch().await.initialising();
        advance(Duration::from_millis(2_000)).await;
        initialise.send(Ok(())).unwrap();
        let event = remote.event().await;
        assert_eq!(event.invocation.timeout, Duration::from_millis(1_000));
        let left = event.invocation.deadline.duration_since(SystemTime::now()).unwrap();
        assert!(left <= Duration::from_secs(3), "{left:?}");
        advance(Duration::from_millis(500)).await;
        event.succeed();
        let answer = pending.await.unwrap().unwrap();
        assert_eq!((answer.report.duration, answer.report.init), (Duration::from_millis(2_500), None));
        let waited = if ignores_limits { 11_000 } else { 10_000 };
        assert_eq!(world.journal.lines()[2], format!("INIT_REPORT init timeout {waited} ms"));
        assert_eq!(world.journal.lines()[4], "START one");
    }
}

#[tokio::test(start_paused = true)]
async fn an_init_over_the_functions_timeout_is_a_timeout_of_the_call() {
    let mut world = World::new();
    let pending = world.call(&Arc::new(function("f")), "one");
    let (_first, _held) = world.launch().await.initialising();
    let (second, _held_too) = world.launch().await.initialising();
    let answer = pending.await.unwrap().unwrap();
    assert!(text(&answer).contains("RequestId: one Error: Task timed out after 3.00 seconds"), "{}", text(&answer));
    let report = &answer.report;
    assert_eq!((report.outcome, report.duration, report.billed_ms), (Outcome::Timeout, Duration::from_secs(3), 3_000));
    let lines = world.journal.lines();
    assert_eq!(lines[4..6], ["INIT_REPORT invoke timeout 3000 ms", "START one"]);
    assert!(lines[6].ends_with("Z one Task timed out after 3.00 seconds"), "{lines:?}");
    world.until("it is stopped", |_| second.state.is_stopped()).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_the_next_call_initialises_again_and_counts_it() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let (answer, crashed, event) = world.cold_call(&function, "one").await;
    crashed.state.set_usage(5_000, 1);
    event.end(Err(InvokeFailure::Exited(ProcessExit::Code(1))));
    answer.await.unwrap().unwrap();
    let pending = world.call(&function, "two");
    let (mut remote, initialise) = world.launch().await.initialising();
    assert!(crashed.state.is_stopped());
    assert_ne!(remote.id, crashed.id);
    advance(Duration::from_millis(40)).await;
    initialise.send(Ok(())).unwrap();
    let event = remote.event().await;
    remote.state.set_usage(3_000, 2);
    advance(Duration::from_millis(2)).await;
    event.succeed();
    let report = pending.await.unwrap().unwrap().report;
    assert_eq!((report.duration, report.init), (Duration::from_millis(42), None));
    // One environment, one log stream: no second INIT_START.
    let lines = world.journal.lines();
    assert_eq!(lines.iter().filter(|line| line.starts_with("INIT_")).count(), 1, "{lines:?}");
    // And the call after that is an ordinary warm one.
    let third = world.call(&function, "three");
    remote.event().await.succeed();
    assert_eq!(third.await.unwrap().unwrap().report.duration, Duration::ZERO);
    world.expect_no_launch().await;
}

#[tokio::test(start_paused = true)]
async fn an_initialised_environment_is_preferred_to_one_that_must_begin_again() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let (first, mut warm, event_one) = world.cold_call(&function, "one").await;
    let (second, _crashed, event_two) = world.cold_call(&function, "two").await;
    event_one.succeed();
    first.await.unwrap().unwrap();
    event_two.end(Err(InvokeFailure::Exited(ProcessExit::Code(1))));
    second.await.unwrap().unwrap();
    let third = world.call(&function, "three");
    warm.event().await.succeed();
    third.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_cannot_be_built_again_is_the_platforms_fault() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let (answer, _crashed, event) = world.cold_call(&function, "one").await;
    event.end(Err(InvokeFailure::Timeout));
    answer.await.unwrap().unwrap();
    let pending = world.call(&function, "two");
    world.launch().await.refuse(LaunchError::LauncherGone);
    assert!(matches!(pending.await.unwrap(), Err(InvokeError::Launch(LaunchError::LauncherGone))));
    world.until("nothing is left", |snapshot| snapshot.memory_reserved_mb == 0).await;
}

#[tokio::test(start_paused = true)]
async fn environments_without_a_runtime_are_given_up_like_others() {
    let mut world = World::with(|options| options.memory_budget_mb = 128);
    let crashing = Arc::new(function("crashing"));
    let (answer, crashed, event) = world.cold_call(&crashing, "one").await;
    event.end(Err(InvokeFailure::Exited(ProcessExit::Code(1))));
    answer.await.unwrap().unwrap();
    // Another function needs the memory.
    world.warm(&Arc::new(function("other"))).await;
    assert!(crashed.state.is_stopped());
    assert_eq!(world.factory.most_memory_mb(), 128);
    world.engine.shutdown(Duration::from_secs(1)).await;
    assert_eq!(world.factory.memory_mb(), 0);
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_an_initialisation_inside_an_invocation() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let (answer, _crashed, event) = world.cold_call(&function, "one").await;
    event.end(Err(InvokeFailure::Exited(ProcessExit::Code(1))));
    answer.await.unwrap().unwrap();
    let pending = world.call(&function, "two");
    let (remote, _initialise) = world.launch().await.initialising();
    world.engine.shutdown(Duration::from_secs(1)).await;
    assert!(matches!(pending.await.unwrap(), Err(InvokeError::ShuttingDown)));
    assert!(remote.state.is_stopped());
    assert_eq!(world.engine.snapshot().memory_reserved_mb, 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_a_dying_runtime_did_not_take_goes_to_a_new_one_in_the_same_environment() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let mut dying = world.warm(&function).await;
    let pending = world.call(&function, "two");
    let event = dying.event().await;
    let invocation = Box::new(event.invocation.clone());
    advance(Duration::from_millis(5)).await;
    event.end(Err(InvokeFailure::NotTaken(ProcessExit::Code(0), invocation)));
    let (mut remote, initialise) = world.launch().await.initialising();
    assert!(dying.state.is_stopped());
    advance(Duration::from_millis(30)).await;
    initialise.send(Ok(())).unwrap();
    let event = remote.event().await;
    assert_eq!((event.invocation.id.as_str(), event.invocation.timeout), ("two", Duration::from_millis(2_965)));
    event.succeed();
    let answer = pending.await.unwrap().unwrap();
    assert_eq!((answer.report.outcome, answer.report.duration), (Outcome::Success, Duration::from_millis(35)));
    let lines = world.journal.lines();
    assert_eq!(lines.iter().filter(|line| line.starts_with("START two") || line.starts_with("END two")).count(), 2);

    // Once only: a runtime that never takes events fails its call.
    let pending = world.call(&function, "three");
    let event = remote.event().await;
    let invocation = Box::new(event.invocation.clone());
    event.end(Err(InvokeFailure::NotTaken(ProcessExit::Code(9), invocation.clone())));
    world.launch().await.ready().event().await.end(Err(InvokeFailure::NotTaken(ProcessExit::Code(9), invocation)));
    let report = pending.await.unwrap().unwrap().report;
    assert_eq!(report.error_type.as_deref(), Some("Runtime.ExitError"));
}
