//! What a call is answered with, and what its log and report say.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::{Instant, advance};

use crate::testing::{World, call, function};
use crate::{Answer, InvokeError};
use wuwei_model::{FunctionErrorKind, InvocationId, Outcome};
use wuwei_sandbox::{InvokeFailure, LaunchError, ProcessExit, Reply};

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.payload).unwrap()
}

fn expect_error(answer: &Answer, outcome: Outcome, error_type: &str) {
    assert_eq!(answer.function_error, Some(FunctionErrorKind::Unhandled));
    assert_eq!(answer.report.outcome, outcome);
    assert!(text(answer).contains(&format!(r#""errorType":"{error_type}""#)), "{}", text(answer));
}

#[tokio::test(start_paused = true)]
async fn a_cold_call_reports_its_duration_and_the_init_before_it() {
    let mut world = World::new();
    let pending = world.call(&Arc::new(function("f")), "one");
    let (mut remote, initialise) = world.launch().await.initialising();
    advance(Duration::from_millis(100)).await;
    initialise.send(Ok(())).unwrap();
    let event = remote.event().await;
    remote.state.set_usage(70_000, 40_000_000);
    advance(Duration::from_micros(5_500)).await;
    event.succeed();
    let answer = pending.await.unwrap().unwrap();
    assert_eq!((text(&answer), answer.function_error), ("\"done\"", None));
    let report = &answer.report;
    assert_eq!(report.outcome, Outcome::Success);
    assert_eq!(report.duration, Duration::from_micros(5_500));
    assert_eq!(report.init, Some(Duration::from_millis(100)));
    assert_eq!(report.billed_ms, 106);
    assert_eq!((report.memory_mb, report.peak_memory_bytes), (128, 40_000_000));
    // The peak of the init belongs to the call that waited for it.
    assert_eq!(remote.state.peak_resets(), 0);
    let lines = ["INIT_START python3.11", "initialising", "START one", "running", "END one Success"];
    assert_eq!(world.journal.lines(), lines);
    assert_eq!(answer.log_tail, b"START one\nrunning\nEND one Success\n");
}

#[tokio::test(start_paused = true)]
async fn a_warm_call_reports_only_what_was_used_since_the_call_before() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let (first, mut remote, event) = world.cold_call(&function, "one").await;
    remote.state.set_usage(70_000, 40_000_000);
    event.succeed();
    first.await.unwrap().unwrap();
    let second = world.call(&function, "two");
    let event = remote.event().await;
    remote.state.set_usage(71_500, 30_000_000);
    event.succeed();
    let report = second.await.unwrap().unwrap().report;
    assert_eq!((report.peak_memory_bytes, report.init), (30_000_000, None));
    assert_eq!(remote.state.peak_resets(), 1);
    // What runs on after the answer is metered too, until it is frozen.
    assert_eq!(world.journal.cpu_us(), [70_000, 0]);
    remote.state.set_usage(71_700, 30_000_000);
    advance(Duration::from_millis(10)).await;
    world.until("it is frozen", |_| remote.state.is_frozen()).await;
    assert_eq!(world.journal.cpu_us(), [70_000, 1_700]);
}

#[tokio::test(start_paused = true)]
async fn cpu_time_after_an_answer_belongs_to_that_call_also_when_the_next_comes_at_once_or_the_instance_goes() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let mut remote = world.warm(&function).await;
    remote.state.set_usage(4_000, 1);
    let second = world.call(&function, "two");
    let event = remote.event().await;
    remote.state.set_usage(6_000, 1);
    event.succeed();
    second.await.unwrap().unwrap();
    remote.state.set_usage(7_000, 1);
    world.engine.retire(&function.key);
    world.until("it has stopped", |_| remote.state.is_stopped()).await;
    assert_eq!(world.journal.cpu_us(), [4_000, 3_000]);
}

#[tokio::test(start_paused = true)]
async fn the_event_carries_deadline_trace_and_context() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let (_answer, mut remote, event) = world.cold_call(&function, "one").await;
    let invocation = &event.invocation;
    let left = invocation.deadline.duration_since(SystemTime::now()).unwrap();
    assert!(left > Duration::from_secs(1) && left <= Duration::from_secs(3), "{left:?}");
    assert_eq!(invocation.timeout, Duration::from_secs(3));
    assert_eq!(invocation.payload, Bytes::from_static(b"{}"));
    let trace_id = &invocation.trace_id;
    assert!(trace_id.starts_with("Root=1-"), "{trace_id}");
    let lengths: Vec<usize> = trace_id.split(';').map(str::len).collect();
    assert_eq!(lengths, ["Root=1-".len() + 8 + 1 + 24, "Parent=".len() + 16, "Sampled=0".len()]);
    event.succeed();

    let mut traced = call("two");
    traced.trace_id = Some("Root=1-2-3".to_owned());
    traced.client_context = Some("{\"custom\":1}".to_owned());
    let engine = world.engine.clone();
    let _answer = tokio::spawn(async move { engine.invoke(function, traced).await });
    let event = remote.event().await;
    assert_eq!(event.invocation.trace_id, "Root=1-2-3");
    assert_eq!(event.invocation.client_context.as_deref(), Some("{\"custom\":1}"));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_handler_is_passed_on_and_its_instance_kept() {
    let mut world = World::new();
    let (answer, _remote, event) = world.cold_call(&Arc::new(function("f")), "one").await;
    let document = Bytes::from_static(br#"{"errorMessage":"no","errorType":"ValueError"}"#);
    event.end(Ok(Reply::Error(document.clone())));
    let answer = answer.await.unwrap().unwrap();
    expect_error(&answer, Outcome::FunctionError, "ValueError");
    assert_eq!(answer.payload, document);
    let snapshot = world.engine.snapshot();
    assert_eq!((snapshot.errors, snapshot.instances_idle), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_shown_with_its_limit_and_ends_the_runtime() {
    for ignores_limits in [false, true] {
        let mut world = World::new();
        let pending = world.call(&Arc::new(function("f")), "one");
        let (mut remote, initialise) = world.launch().await.initialising();
        if ignores_limits {
            remote.state.ignore_limits();
        }
        initialise.send(Ok(())).unwrap();
        let _held = remote.event().await;
        let began = Instant::now();
        let answer = pending.await.unwrap().unwrap();
        assert!(began.elapsed() <= Duration::from_secs(4) + Duration::from_millis(10));
        expect_error(&answer, Outcome::Timeout, "Sandbox.Timedout");
        assert_eq!(answer.report.duration, Duration::from_secs(3));
        assert_eq!(answer.report.billed_ms, 3_000);
        assert!(text(&answer).contains("RequestId: one Error: Task timed out after 3.00 seconds"));
        let tail = String::from_utf8(answer.log_tail).unwrap();
        assert!(tail.contains("Z one Task timed out after 3.00 seconds\nEND one Timeout\n"), "{tail}");
        world.until("its runtime is stopped", |_| remote.state.is_stopped()).await;
        assert_eq!(world.engine.snapshot().instances_idle, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn every_failure_without_an_answer_ends_the_runtime() {
    let check = async |failure, outcome, error_type: &str| {
        let mut world = World::new();
        let (answer, remote, event) = world.cold_call(&Arc::new(function("f")), "one").await;
        event.end(Err(failure));
        let answer = answer.await.unwrap().unwrap();
        expect_error(&answer, outcome, error_type);
        assert_eq!(answer.report.error_type.as_deref(), Some(error_type));
        world.until("its runtime is stopped", |_| remote.state.is_stopped()).await;
        assert_eq!(world.engine.snapshot().instances_idle, 1);
    };
    let exit_error = "Runtime.ExitError";
    check(InvokeFailure::Exited(ProcessExit::Code(1)), Outcome::Crash, exit_error).await;
    check(InvokeFailure::Exited(ProcessExit::OutOfMemory), Outcome::OutOfMemory, "Runtime.OutOfMemory").await;
    check(InvokeFailure::Protocol("forged frame".to_owned()), Outcome::Crash, exit_error).await;
    let too_large = "Function.ResponseSizeTooLarge";
    check(InvokeFailure::ResponseTooLarge(7_000_000), Outcome::FunctionError, too_large).await;
}

#[tokio::test(start_paused = true)]
async fn a_package_without_bootstrap_is_the_functions_error_and_other_launch_errors_are_not() {
    let mut world = World::new();
    let function = Arc::new(function("f"));
    let pending = world.call(&function, "one");
    world.launch().await.refuse(LaunchError::NoBootstrap);
    world.launch().await.refuse(LaunchError::NoBootstrap);
    let answer = pending.await.unwrap().unwrap();
    expect_error(&answer, Outcome::Crash, "Runtime.InvalidEntrypoint");
    assert_eq!(answer.report.id, InvocationId::new("one"));
    let lines = world.journal.lines();
    assert_eq!(lines[1], "INIT_REPORT init Runtime.InvalidEntrypoint 0 ms");
    assert_eq!(lines[2..4], ["INIT_REPORT invoke Runtime.InvalidEntrypoint 0 ms", "START one"]);
    assert!(lines[4].starts_with("PLATFORM RequestId: one Error: Couldn't find"), "{lines:?}");
    let pending = world.call(&function, "two");
    world.launch().await.refuse(LaunchError::Sandbox("mount /proc".to_owned()));
    assert!(matches!(pending.await.unwrap(), Err(InvokeError::Launch(LaunchError::Sandbox(_)))));
    world.until("nothing is left", |snapshot| snapshot.memory_reserved_mb == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_cold_call_says_where_its_time_went_and_a_warm_one_says_nothing() {
    let mut world = World::with(|options| options.memory_budget_mb = 128);
    let (first, _busy, event) = world.cold_call(&Arc::new(function("f")), "one").await;
    let function = Arc::new(function("g"));
    // There is no memory until the first has ended, which makes room.
    let second = world.call(&function, "two");
    world.until("it waits", |snapshot| snapshot.calls_waiting == 1).await;
    advance(Duration::from_millis(70)).await;
    event.succeed();
    assert_eq!(first.await.unwrap().unwrap().cold_start.unwrap().handler, Duration::from_millis(70));
    let (mut remote, initialise) = world.launch().await.initialising();
    let initialising = || world.journal.lines().iter().filter(|line| *line == "initialising").count();
    world.until("the sandbox is built", |_| initialising() == 2).await;
    advance(Duration::from_millis(20)).await;
    initialise.send(Ok(())).unwrap();
    let event = remote.event().await;
    advance(Duration::from_millis(3)).await;
    event.succeed();
    let cold_start = second.await.unwrap().unwrap().cold_start.unwrap();
    let ms = cold_start.phases().map(|(name, duration)| (name, duration.as_millis()));
    assert_eq!(ms, [("queue", 70), ("sandbox", 0), ("runtime", 0), ("init", 20), ("handler", 3)]);
    assert_eq!(world.journal.cold_starts().last(), Some(&("two".to_owned(), cold_start)));
    let third = world.call(&function, "three");
    remote.event().await.succeed();
    assert_eq!(third.await.unwrap().unwrap().cold_start, None);
}
