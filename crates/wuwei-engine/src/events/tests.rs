//! The dispatcher before an engine of fakes, with a real queue.

use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::TempDir;
use wuwei_model::{FunctionVersion, InvocationId};
use wuwei_queue::{
    Cause, Clock, Counts, DiskFiles, DurableQueue, EventQueue, Lane, QueueOptions, RetryPolicy, SystemClock,
};
use wuwei_sandbox::Reply;

use super::{AsyncCall, EventCatalog, Events, Runnable};
use crate::testing::{World, function};

const QUICK: RetryPolicy =
    RetryPolicy { retries: 2, age_max_ms: 3_600_000, delays_ms: [1, 1], backoff_first_ms: 1, backoff_max_ms: 1 };

/// Answers the same for every function, until told otherwise.
struct OneAnswer(Mutex<Runnable>);

#[async_trait]
impl EventCatalog for OneAnswer {
    async fn find(&self, _lane: &Lane, _qualifier: Option<&str>) -> Runnable {
        self.0.lock().unwrap().clone()
    }
}

/// What is on the disk stays when the rest is made anew.
struct Scene {
    world: World,
    queue: Arc<DurableQueue>,
    events: Events,
    catalog: Arc<OneAnswer>,
    function: Arc<FunctionVersion>,
}

impl Scene {
    fn new(directory: &Path) -> Self {
        Self::with(directory, World::new())
    }

    fn with(directory: &Path, world: World) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let files = Arc::new(DiskFiles::open(directory).unwrap());
        let options = QueueOptions { segment_bytes: 1 << 16, ..QueueOptions::default() };
        let queue = Arc::new(DurableQueue::open(files, Arc::clone(&clock), options).unwrap());
        let events = Events::new(Arc::clone(&queue) as _, clock, world.engine.clone());
        let function = Arc::new(function("f"));
        let catalog = Arc::new(OneAnswer(Mutex::new(Runnable::Version(Arc::clone(&function), QUICK))));
        events.start(Arc::clone(&catalog) as _);
        Self { world, queue, events, catalog, function }
    }

    fn answer(&self, runnable: Runnable) {
        *self.catalog.0.lock().unwrap() = runnable;
    }

    async fn send(&self, id: &str) {
        self.send_to("1", id).await;
    }

    async fn send_to(&self, generation: &str, id: &str) {
        let lane = Lane { function: self.function.key.clone(), generation: generation.to_owned() };
        let call = AsyncCall {
            id: InvocationId::new(id),
            qualifier: None,
            invoked_function_arn: self.function.key.arn(),
            trace_id: None,
            client_context: None,
            tenant_id: None,
            payload: Bytes::from_static(b"{}"),
        };
        self.events.accept(Arc::new(lane), call).await.unwrap();
    }

    async fn until(&self, expected: Counts) {
        while self.events.counts() != expected {
            tokio::task::yield_now().await;
        }
    }

    async fn causes(&self) -> Vec<(Cause, u8)> {
        let letters = self.queue.dead_letters(None, 10).await.unwrap();
        letters.into_iter().map(|letter| (letter.cause, letter.attempts)).collect()
    }
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

const NONE: Counts = Counts { waiting: 0, running: 0, dead: 0 };
const ONE_DEAD: Counts = Counts { waiting: 0, running: 0, dead: 1 };

#[tokio::test]
async fn an_event_that_succeeds_is_run_once_and_gone() {
    let directory = directory();
    let mut scene = Scene::new(directory.path());
    scene.send("one").await;
    let mut remote = scene.world.launch().await.ready();
    let event = remote.event().await;
    assert_eq!((event.invocation.id.as_str(), &event.invocation.payload[..]), ("one", &b"{}"[..]));
    event.succeed();
    scene.until(NONE).await;
}

#[tokio::test]
async fn an_event_whose_function_fails_is_tried_three_times_with_the_same_id() {
    let directory = directory();
    let mut scene = Scene::new(directory.path());
    scene.send("one").await;
    let mut remote = scene.world.launch().await.ready();
    for _ in 0..3 {
        let event = remote.event().await;
        assert_eq!(event.invocation.id.as_str(), "one");
        event.end(Ok(Reply::Error(Bytes::from_static(b"{}"))));
    }
    scene.until(ONE_DEAD).await;
    assert_eq!(scene.causes().await, [(Cause::RetriesExhausted, 2)]);
}

#[tokio::test]
async fn an_event_without_room_waits_and_that_does_not_count() {
    let directory = directory();
    let world = World::with(|options| options.account_concurrency = 1);
    let mut scene = Scene::with(directory.path(), world);
    let (call, mut remote, held) = scene.world.cold_call(&Arc::clone(&scene.function), "held").await;
    scene.answer(Runnable::Version(Arc::clone(&scene.function), RetryPolicy { retries: 0, ..QUICK }));
    scene.send("one").await;
    while scene.world.engine.snapshot().throttles < 2 {
        tokio::task::yield_now().await;
    }
    held.succeed();
    call.await.unwrap().unwrap();
    let event = remote.event().await;
    assert_eq!(event.invocation.id.as_str(), "one");
    event.succeed();
    scene.until(NONE).await;
}

#[tokio::test]
async fn a_function_with_many_events_does_not_keep_another_waiting() {
    let directory = directory();
    let world = World::with(|options| options.account_concurrency = 1);
    let mut scene = Scene::with(directory.path(), world);
    scene.send("first").await;
    let mut remote = scene.world.launch().await.ready();
    let mut event = remote.event().await;
    for number in 0..20 {
        scene.send(&format!("many-{number}")).await;
    }
    scene.send_to("2", "other").await;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|id| id != "other") {
        event.succeed();
        event = remote.event().await;
        seen.push(event.invocation.id.as_str().to_owned());
    }
    event.succeed();
    assert!(seen.len() <= 3, "{seen:?}");
}

#[tokio::test]
async fn an_event_whose_function_is_gone_or_may_not_run_is_given_up_unseen() {
    for (runnable, cause) in
        [(Runnable::Deleted, Cause::FunctionDeleted), (Runnable::NoConcurrency, Cause::NoConcurrency)]
    {
        let directory = directory();
        let mut scene = Scene::new(directory.path());
        scene.answer(runnable);
        scene.send("one").await;
        scene.until(ONE_DEAD).await;
        assert_eq!(scene.causes().await, [(cause, 0)]);
        scene.world.expect_no_launch().await;
    }
}

#[tokio::test]
async fn an_event_that_is_too_old_is_given_up_unseen() {
    let directory = directory();
    let mut scene = Scene::new(directory.path());
    scene.answer(Runnable::Version(Arc::clone(&scene.function), RetryPolicy { age_max_ms: 0, ..QUICK }));
    scene.send("one").await;
    scene.until(ONE_DEAD).await;
    assert_eq!(scene.causes().await, [(Cause::EventAgeExceeded, 0)]);
    scene.world.expect_no_launch().await;
}

#[tokio::test]
async fn an_attempt_that_a_shutdown_cuts_off_is_made_again_at_the_next_start_and_does_not_count() {
    let directory = directory();
    let mut scene = Scene::new(directory.path());
    scene.send("one").await;
    let mut remote = scene.world.launch().await.ready();
    let event = remote.event().await;
    scene.events.stop();
    scene.world.engine.shutdown(std::time::Duration::ZERO).await;
    scene.events.join().await;
    drop((event, remote, scene));
    let mut scene = Scene::new(directory.path());
    scene.answer(Runnable::Version(Arc::clone(&scene.function), RetryPolicy { retries: 0, ..QUICK }));
    let mut remote = scene.world.launch().await.ready();
    let event = remote.event().await;
    assert_eq!(event.invocation.id.as_str(), "one");
    event.succeed();
    scene.until(NONE).await;
}

#[tokio::test]
async fn after_a_stop_events_are_taken_and_run_at_the_next_start_only() {
    let directory = directory();
    let mut scene = Scene::new(directory.path());
    scene.events.stop();
    scene.events.join().await;
    scene.send("one").await;
    scene.world.expect_no_launch().await;
    drop(scene);
    let mut scene = Scene::new(directory.path());
    scene.world.launch().await.ready().event().await.succeed();
    scene.until(NONE).await;
}
