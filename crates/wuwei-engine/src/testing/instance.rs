use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use wuwei_model::Runtime;
use wuwei_sandbox::{
    InitFailure, Instance, InstanceFactory, InstanceSpec, Invocation, InvokeFailure, LaunchError, OutputSink, Reply,
    Usage,
};

type InvokeResult = Result<Reply, InvokeFailure>;

/// Passes each launch to the test, and watches the memory of all instances.
pub(crate) struct FakeFactory {
    launches: mpsc::Sender<Launch>,
    memory: Arc<Memory>,
}

#[derive(Default)]
struct Memory {
    now_mb: AtomicU64,
    most_mb: AtomicU64,
}

impl Memory {
    fn add(&self, memory_mb: u32) {
        let now = self.now_mb.fetch_add(u64::from(memory_mb), Ordering::SeqCst) + u64::from(memory_mb);
        self.most_mb.fetch_max(now, Ordering::SeqCst);
    }
}

impl FakeFactory {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Launch>) {
        let (launches, receiver) = mpsc::channel(4_096);
        (Self { launches, memory: Arc::default() }, receiver)
    }

    /// Highest sum of the memory of all instances between the start of their launch and the end of their stop.
    pub(crate) fn most_memory_mb(&self) -> u64 {
        self.memory.most_mb.load(Ordering::SeqCst)
    }

    pub(crate) fn memory_mb(&self) -> u64 {
        self.memory.now_mb.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl InstanceFactory for FakeFactory {
    fn supports(&self, runtime: &Runtime) -> bool {
        runtime.as_str() == "python3.11"
    }

    async fn launch(&self, spec: InstanceSpec) -> Result<Box<dyn Instance>, LaunchError> {
        self.memory.add(spec.memory_mb);
        let hold = MemoryHold { memory: Arc::clone(&self.memory), memory_mb: spec.memory_mb };
        let (decide, decision) = oneshot::channel();
        self.launches.send(Launch { spec, decide }).await.unwrap();
        let (init, events, state) = decision.await.expect("scripted panic in a launch")?;
        Ok(Box::new(FakeInstance { init: Some(init), events, state, _hold: hold }))
    }
}

struct MemoryHold {
    memory: Arc<Memory>,
    memory_mb: u32,
}

impl Drop for MemoryHold {
    fn drop(&mut self) {
        self.memory.now_mb.fetch_sub(u64::from(self.memory_mb), Ordering::SeqCst);
    }
}

type Parts = (oneshot::Receiver<Result<(), InitFailure>>, mpsc::Sender<Event>, Arc<RemoteState>);

/// A launch under way; dropping it panics in the factory.
pub(crate) struct Launch {
    pub(crate) spec: InstanceSpec,
    decide: oneshot::Sender<Result<Parts, LaunchError>>,
}

impl Launch {
    /// Launched and initialised.
    pub(crate) fn ready(self) -> Remote {
        let (remote, initialise) = self.initialising();
        initialise.send(Ok(())).unwrap();
        remote
    }

    /// Launched; the test ends the initialisation (dropping the sender panics in it).
    pub(crate) fn initialising(self) -> (Remote, oneshot::Sender<Result<(), InitFailure>>) {
        let (initialise, init) = oneshot::channel();
        let (sender, events) = mpsc::channel(1);
        let state = Arc::new(RemoteState::default());
        assert!(self.decide.send(Ok((init, sender, Arc::clone(&state)))).is_ok(), "the engine gave the launch up");
        (Remote { id: self.spec.instance_id, events, state }, initialise)
    }

    pub(crate) fn refuse(self, error: LaunchError) {
        assert!(self.decide.send(Err(error)).is_ok(), "the engine gave the launch up");
    }
}

/// The test's end of an instance.
pub(crate) struct Remote {
    pub(crate) id: String,
    pub(crate) state: Arc<RemoteState>,
    events: mpsc::Receiver<Event>,
}

impl Remote {
    /// The next event that reaches the instance.
    pub(crate) async fn event(&mut self) -> Event {
        let patience = Duration::from_secs(3_600);
        tokio::time::timeout(patience, self.events.recv()).await.expect("an event comes").expect("it still runs")
    }

    /// The next event; `None` once the instance is gone.
    pub(crate) async fn next_event(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

/// What happened to an instance, and what it says of itself.
#[derive(Default)]
pub(crate) struct RemoteState {
    pub(crate) dead: AtomicBool,
    pub(crate) frozen: AtomicBool,
    pub(crate) freezes: AtomicUsize,
    pub(crate) peak_resets: AtomicUsize,
    pub(crate) stopped: AtomicBool,
    pub(crate) stop_hangs: AtomicBool,
    pub(crate) ignores_limits: AtomicBool,
    pub(crate) usage: Mutex<Usage>,
}

impl RemoteState {
    pub(crate) fn is(flag: &AtomicBool) -> bool {
        flag.load(Ordering::SeqCst)
    }
    pub(crate) fn is_frozen(&self) -> bool {
        Self::is(&self.frozen)
    }
    pub(crate) fn is_stopped(&self) -> bool {
        Self::is(&self.stopped)
    }
    pub(crate) fn freezes(&self) -> usize {
        self.freezes.load(Ordering::SeqCst)
    }
    pub(crate) fn peak_resets(&self) -> usize {
        self.peak_resets.load(Ordering::SeqCst)
    }
    pub(crate) fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }
    pub(crate) fn ignore_limits(&self) {
        self.ignores_limits.store(true, Ordering::SeqCst);
    }
    pub(crate) fn hang_when_stopped(&self) {
        self.stop_hangs.store(true, Ordering::SeqCst);
    }
    pub(crate) fn set_usage(&self, cpu_us: u64, peak_memory_bytes: u64) {
        *self.usage.lock().unwrap() = Usage { cpu_us, peak_memory_bytes };
    }
}

/// An event in an instance's hand; dropping it panics in the instance.
pub(crate) struct Event {
    pub(crate) invocation: Invocation,
    reply: oneshot::Sender<InvokeResult>,
}

impl Event {
    pub(crate) fn succeed(self) {
        self.end(Ok(Reply::Success(Bytes::from_static(b"\"done\""))));
    }

    pub(crate) fn end(self, result: InvokeResult) {
        assert!(self.reply.send(result).is_ok(), "the engine gave the invocation up");
    }
}

struct FakeInstance {
    init: Option<oneshot::Receiver<Result<(), InitFailure>>>,
    events: mpsc::Sender<Event>,
    state: Arc<RemoteState>,
    _hold: MemoryHold,
}

#[async_trait]
impl Instance for FakeInstance {
    async fn initialise(&mut self, limit: Duration, output: &mut dyn OutputSink) -> Result<(), InitFailure> {
        output.write_line(SystemTime::now(), "initialising");
        let init = self.init.take().expect("initialised once");
        let overrun = if RemoteState::is(&self.state.ignores_limits) { 3_600 } else { 0 };
        match tokio::time::timeout(limit + Duration::from_secs(overrun), init).await {
            Ok(result) => result.expect("scripted panic in an initialisation"),
            Err(_) => Err(InitFailure::Timeout),
        }
    }

    async fn invoke(&mut self, invocation: Invocation, output: &mut dyn OutputSink) -> InvokeResult {
        assert!(!self.state.is_frozen(), "a frozen instance gets no event");
        assert!(!RemoteState::is(&self.state.dead), "a dead instance gets no event");
        output.write_line(SystemTime::now(), "running");
        let overrun = if RemoteState::is(&self.state.ignores_limits) { 3_600 } else { 0 };
        let timeout = invocation.timeout + Duration::from_secs(overrun);
        let (reply, replied) = oneshot::channel();
        self.events.try_send(Event { invocation, reply }).expect("one event at a time");
        match tokio::time::timeout(timeout, replied).await {
            Ok(result) => result.expect("scripted panic in an invocation"),
            Err(_) => Err(InvokeFailure::Timeout),
        }
    }

    fn usage(&self) -> Usage {
        *self.state.usage.lock().unwrap()
    }

    fn cpu_us(&self) -> u64 {
        self.state.usage.lock().unwrap().cpu_us
    }

    fn peak_memory_bytes(&self) -> u64 {
        self.state.usage.lock().unwrap().peak_memory_bytes
    }

    fn reset_peak_memory(&self) {
        self.state.peak_resets.fetch_add(1, Ordering::SeqCst);
    }

    fn freeze(&self) {
        assert!(!self.state.frozen.swap(true, Ordering::SeqCst), "frozen twice");
        self.state.freezes.fetch_add(1, Ordering::SeqCst);
    }

    fn thaw(&self) {
        assert!(self.state.frozen.swap(false, Ordering::SeqCst), "thawed twice");
    }

    fn is_alive(&self) -> bool {
        !RemoteState::is(&self.state.dead)
    }

    async fn stop(self: Box<Self>) {
        if RemoteState::is(&self.state.stop_hangs) {
            std::future::pending::<()>().await;
        }
        self.state.stopped.store(true, Ordering::SeqCst);
    }
}
