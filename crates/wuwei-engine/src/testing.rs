//! Fakes for the engine's tests: a factory whose launches, initialisations and events a test holds in its hand.

mod instance;
mod journal;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wuwei_model::{
    Architecture, Attachments, CodeDigest, EgressPolicy, FunctionCode, FunctionKey, FunctionSettings, FunctionVersion,
    InvocationId, LastUpdateStatus, LoggingConfig, Runtime, State, Version,
};

use crate::collaborators::{CodeInUse, CodeStore};
use crate::{Answer, Call, Engine, EngineOptions, EngineSnapshot, InvokeError};
use instance::FakeFactory;
pub(crate) use instance::{Event, Launch, Remote};
pub(crate) use journal::FakeJournal;

/// An engine among fakes.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) code: Arc<FakeCode>,
    pub(crate) journal: Arc<FakeJournal>,
    pub(crate) factory: Arc<FakeFactory>,
    launches: mpsc::Receiver<Launch>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// With changed options.
    pub(crate) fn with(change: impl FnOnce(&mut EngineOptions)) -> Self {
        let mut options = EngineOptions {
            keep_alive: Duration::from_secs(600),
            account_concurrency: 1_000,
            memory_budget_mb: 1_000_000,
            init_limit: Duration::from_secs(10),
        };
        change(&mut options);
        let (factory, launches) = FakeFactory::new();
        let (factory, journal) = (Arc::new(factory), Arc::new(FakeJournal::default()));
        let code = Arc::new(FakeCode::default());
        let code_of_engine: Arc<FakeCode> = Arc::clone(&code);
        let factory_of_engine: Arc<FakeFactory> = Arc::clone(&factory);
        let journal_of_engine: Arc<FakeJournal> = Arc::clone(&journal);
        let engine = Engine::assemble(options, factory_of_engine, code_of_engine, journal_of_engine);
        Self { engine, code, journal, factory, launches }
    }

    /// Makes a call that a test can await.
    pub(crate) fn call(&self, function: &Arc<FunctionVersion>, id: &str) -> PendingAnswer {
        let (engine, function, call) = (self.engine.clone(), Arc::clone(function), call(id));
        tokio::spawn(async move { engine.invoke(function, call).await })
    }

    /// As [`World::call`], for a tenant.
    pub(crate) fn call_of_tenant(&self, function: &Arc<FunctionVersion>, id: &str, tenant: &str) -> PendingAnswer {
        let (engine, function) = (self.engine.clone(), Arc::clone(function));
        let call = Call { tenant_id: Some(tenant.to_owned()), ..call(id) };
        tokio::spawn(async move { engine.invoke(function, call).await })
    }

    /// The next launch that the engine asks for.
    pub(crate) async fn launch(&mut self) -> Launch {
        let patience = Duration::from_secs(3_600);
        tokio::time::timeout(patience, self.launches.recv()).await.expect("a launch is asked for").unwrap()
    }

    /// A call that an instance, started for it, has in hand.
    pub(crate) async fn cold_call(
        &mut self,
        function: &Arc<FunctionVersion>,
        id: &str,
    ) -> (PendingAnswer, Remote, Event) {
        let answer = self.call(function, id);
        let mut remote = self.launch().await.ready();
        let event = remote.event().await;
        assert_eq!(event.invocation.id.as_str(), id);
        (answer, remote, event)
    }

    /// An instance that has served one call and is idle.
    pub(crate) async fn warm(&mut self, function: &Arc<FunctionVersion>) -> Remote {
        let (answer, remote, event) = self.cold_call(function, "warming").await;
        event.succeed();
        answer.await.unwrap().unwrap();
        remote
    }

    /// Lets tasks run until the state is reached.
    pub(crate) async fn until(&self, what: &str, reached: impl Fn(&EngineSnapshot) -> bool) {
        for _ in 0..10_000 {
            if reached(&self.engine.snapshot()) {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("never: {what}: {:?}", self.engine.snapshot());
    }

    /// No launch is asked for, even after all tasks have run.
    pub(crate) async fn expect_no_launch(&mut self) {
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
            assert!(self.launches.try_recv().is_err(), "an instance is started for nothing");
        }
    }
}

/// A call under way.
pub(crate) type PendingAnswer = JoinHandle<Result<Answer, InvokeError>>;

/// Counts who needs a package.
#[derive(Default)]
pub(crate) struct FakeCode {
    uses: Arc<()>,
}

impl FakeCode {
    pub(crate) fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.uses) > 1
    }
}

impl CodeStore for FakeCode {
    fn open_code(&self, function: &FunctionVersion) -> CodeInUse {
        let path = |digest: CodeDigest| PathBuf::from("code").join(digest.to_hex());
        CodeInUse {
            directory: path(function.code.digest),
            layers: function.settings.merged_layers().map(path),
            _hold: Box::new(Arc::clone(&self.uses)),
        }
    }

    fn egress(&self, _function: &FunctionKey) -> Option<EgressPolicy> {
        None
    }
}

/// `python3.11`, 128 MB, 3 s.
pub(crate) fn function(name: &str) -> FunctionVersion {
    FunctionVersion {
        key: FunctionKey { account: "000000000000".to_owned(), region: "us-east-1".to_owned(), name: name.to_owned() },
        version: Version::Latest,
        settings: FunctionSettings {
            runtime: Runtime::new("python3.11"),
            role: "arn:aws:iam::000000000000:role/r".to_owned().into(),
            handler: "app.handler".to_owned(),
            description: String::new(),
            timeout_s: 3,
            memory_mb: 128,
            ephemeral_mb: 512,
            environment: None,
            architecture: Architecture::X86_64,
            logging: LoggingConfig::default(),
            layers: Vec::new(),
            attachments: Attachments::default(),
            isolates_tenants: false,
        },
        code: FunctionCode { digest: CodeDigest::of(b"code"), size_bytes: 4 },
        last_modified_ms: 0,
        revision_id: "revision-1".to_owned(),
        state: State::Active,
        state_reason: None,
        last_update_status: LastUpdateStatus::Successful,
        last_update_reason: None,
    }
}

/// A function with this much memory.
pub(crate) fn function_of_mb(name: &str, memory_mb: u32) -> Arc<FunctionVersion> {
    let mut function = function(name);
    function.settings.memory_mb = memory_mb;
    Arc::new(function)
}

pub(crate) fn call(id: &str) -> Call {
    Call {
        id: InvocationId::new(id),
        payload: Bytes::from_static(b"{}"),
        invoked_function_arn: "arn:aws:lambda:us-east-1:000000000000:function:f".to_owned(),
        trace_id: None,
        client_context: None,
        tenant_id: None,
        stream: None,
    }
}
