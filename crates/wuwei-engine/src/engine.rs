use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use wuwei_model::{FunctionKey, FunctionVersion, Runtime, Version};
use wuwei_recorder::Recorder;
use wuwei_sandbox::{ExpectedInstance, InstanceFactory};
use wuwei_store::Store;

use crate::account::{AccountConcurrency, FunctionConcurrency, NotAdmitted};
use crate::acquisition::{Acquired, NO_CAPACITY, RESERVATION_USED_UP};
use crate::call::{Answer, Call, EngineOptions, InvokeError};
use crate::collaborators::{CodeInUse, CodeStore, Journal};
use crate::counters::{Counters, EngineSnapshot};
use crate::environment::environment_of;
use crate::execution::{Aftermath, execute};
use crate::fleet::{Effects, Fleet, Provision};
use crate::lease::Berth;
use crate::live::Live;
use crate::starting::StartFailure;
use crate::to_the_end::{Task, ToTheEnd};
use crate::{reaper, starting};

/// How long an instance may take to stop before the engine gives it up (dropping it kills it all the same).
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Runs calls on instances. A handle, cheap to clone.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// What all handles and tasks of one engine share.
pub(crate) struct Shared {
    pub(crate) options: EngineOptions,
    pub(crate) factory: Arc<dyn InstanceFactory>,
    pub(crate) code: Arc<dyn CodeStore>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) counters: Counters,
    /// Becomes true when what still runs must end.
    pub(crate) killed: watch::Sender<bool>,
    /// A call or an instance is gone: for shutdown, which waits for the last.
    pub(crate) progress: Notify,
    accounts: Mutex<AccountConcurrency>,
    fleet: Mutex<Fleet>,
    reaper: Arc<Notify>,
    tasks: Handle,
}

impl Engine {
    /// Starts the engine; must be called within a tokio runtime, which then runs all calls.
    #[must_use]
    pub fn start(options: EngineOptions, factory: Arc<dyn InstanceFactory>, store: Store, recorder: Recorder) -> Self {
        Self::assemble(options, factory, Arc::new(store), Arc::new(recorder))
    }

    pub(crate) fn assemble(
        options: EngineOptions,
        factory: Arc<dyn InstanceFactory>,
        code: Arc<dyn CodeStore>,
        journal: Arc<dyn Journal>,
    ) -> Self {
        let shared = Arc::new(Shared {
            factory,
            code,
            journal,
            counters: Counters::default(),
            killed: watch::Sender::new(false),
            progress: Notify::new(),
            accounts: Mutex::new(AccountConcurrency::new(options.account_concurrency)),
            fleet: Mutex::new(Fleet::new(options.memory_budget_mb, options.keep_alive)),
            reaper: Arc::new(Notify::new()),
            tasks: Handle::current(),
            options,
        });
        shared.tasks.spawn(reaper::run(Arc::downgrade(&shared), Arc::clone(&shared.reaper)));
        Self { shared }
    }

    /// Whether the host can run the runtime of a function that is being created.
    #[must_use]
    pub fn supports(&self, runtime: &Runtime) -> bool {
        self.shared.factory.supports(runtime)
    }

    /// Says that a function may be called soon; returns at once.
    pub fn expect(&self, function: &FunctionVersion) {
        let settings = &function.settings;
        self.shared.factory.expect(ExpectedInstance {
            runtime: settings.runtime.clone(),
            environment: environment_of(function, "", false),
            memory_mb: settings.memory_mb,
            ephemeral_mb: settings.ephemeral_mb,
            egress: self.shared.code.egress(&function.key),
            layers_dir: self.shared.code.open_code(function).layers,
        });
    }

    /// Runs one call to its end, also when the caller goes away (drops this future).
    ///
    /// # Errors
    /// [`InvokeError`] when the platform could not run the call. What the function did wrong is an [`Answer`].
    pub async fn invoke(&self, function: Arc<FunctionVersion>, call: Call) -> Result<Answer, InvokeError> {
        let admission = Admission::of(&self.shared, Arc::clone(&function))?;
        let call = async move {
            let result = admission.shared.attend(&function, call).await;
            admission.settle(&result);
            result
        };
        let tasks = self.shared.tasks.clone();
        let hand_over = move |rest: Task<_>| drop(tasks.spawn(rest));
        ToTheEnd::new(call, hand_over).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a call ended without a result");
            Err(InvokeError::Internal)
        })
    }

    /// Keeps concurrency for a function from now on, in the place of what was kept for it before.
    pub fn keep_concurrency(&self, key: &FunctionKey, concurrency: FunctionConcurrency) {
        self.shared.accounts().keep(key, concurrency);
    }

    /// Keeps so many instances of these versions of a function initialised from now on, and none of its others.
    pub fn provision(&self, key: &FunctionKey, wanted: &[(Arc<FunctionVersion>, u32)]) {
        self.shared.with_fleet(|fleet, effects| fleet.provision(key, wanted, effects));
    }

    /// What has become of [`Engine::provision`] for a version.
    #[must_use]
    pub fn provision_of(&self, function: &FunctionVersion) -> Provision {
        self.shared.fleet().provision_of(function)
    }

    /// Calls of one account in one region that may run or wait at a time.
    #[must_use]
    pub fn account_concurrency(&self) -> u32 {
        self.shared.options.account_concurrency
    }

    /// Lets go of all instances of one version of a function, as [`Engine::retire`] does of all.
    pub fn retire_version(&self, key: &FunctionKey, version: Version) {
        self.shared.with_fleet(|fleet, effects| fleet.retire_version(key, version, effects));
    }

    /// Lets go of all instances of a function after an update or deletion: idle ones stop, busy ones finish their
    /// call and end. Calls that wait already are still served by instances of what they asked for.
    pub fn retire(&self, key: &FunctionKey) {
        self.shared.with_fleet(|fleet, effects| fleet.retire(key, effects));
    }

    /// How many instances there are, and what happened so far.
    #[must_use]
    pub fn snapshot(&self) -> EngineSnapshot {
        let census = self.shared.fleet().census();
        let counters = &self.shared.counters;
        EngineSnapshot {
            instances_idle: census.idle,
            instances_busy: census.busy,
            instances_starting: census.starting,
            memory_reserved_mb: census.memory_mb,
            calls_waiting: census.waiting,
            invocations: counters.invocations.get(),
            cold_starts: counters.cold_starts.get(),
            throttles: counters.throttles.get(),
            errors: counters.errors.get(),
            failures: counters.failures.get(),
            panics: counters.panics.get(),
            stock: self.shared.factory.stock(),
        }
    }

    /// Refuses new calls, lets running ones finish up to `grace`, stops every instance.
    ///
    /// Returns when all are gone, at the latest a stop's limit (10 s) after `grace`.
    pub async fn shutdown(&self, grace: Duration) {
        self.shared.shutdown(grace).await;
    }
}

impl Shared {
    /// One admitted call, from its search for an instance to its answer.
    async fn attend(self: &Arc<Self>, function: &Arc<FunctionVersion>, call: Call) -> Result<Answer, InvokeError> {
        let arrived = Instant::now();
        match self.acquire(function, call.tenant_id.as_deref()).await? {
            Acquired::Instance(mut lease, init) => {
                if let Some(cold_start) = &mut lease.live().cold_start {
                    let started = cold_start.sandbox + cold_start.runtime + cold_start.init;
                    cold_start.queue = arrived.elapsed().saturating_sub(started);
                }
                if init.is_some() || !lease.live().has_runtime() {
                    self.counters.cold_starts.increment();
                }
                let execution = execute(self, lease.live(), function, call, init).await;
                // Before the answer goes out: whoever has it finds the environment idle.
                match execution.aftermath {
                    Aftermath::Keep => lease.keep(),
                    Aftermath::Reset => lease.reset(),
                    Aftermath::Discard => drop(lease),
                }
                execution.result
            }
            Acquired::Failed(StartFailure::Launch(error)) => Err(InvokeError::Launch(error)),
            Acquired::Failed(StartFailure::Interrupted) => Err(InvokeError::Internal),
        }
    }

    /// Changes the fleet, and then does what follows from the change.
    pub(crate) fn with_fleet<R>(self: &Arc<Self>, change: impl FnOnce(&mut Fleet, &mut Effects) -> R) -> R {
        let mut effects = Effects::default();
        let result = change(&mut self.fleet(), &mut effects);
        for order in effects.starts {
            self.tasks.spawn(starting::start(Arc::clone(self), order));
        }
        for berth in effects.stops {
            self.tasks.spawn(Arc::clone(self).stop_berth(berth));
        }
        if effects.wake_reaper {
            self.reaper.notify_one();
        }
        result
    }

    async fn stop_berth(self: Arc<Self>, berth: Arc<Berth>) {
        if let Some(live) = berth.take() {
            live.stop().await;
        }
        self.instance_is_gone(berth.memory_mb());
    }

    /// Ends the runtime of an environment in the background.
    pub(crate) fn end_runtime(&self, live: &mut Live) {
        live.end_runtime(&self.tasks);
    }

    pub(crate) fn instance_is_gone(self: &Arc<Self>, memory_mb: u32) {
        self.with_fleet(|fleet, effects| fleet.stopped(memory_mb, effects));
        self.progress.notify_waiters();
    }

    fn throttled(&self, function: &FunctionKey) {
        self.counters.throttles.increment();
        self.journal.throttled(function);
    }

    pub(crate) fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn accounts(&self) -> MutexGuard<'_, AccountConcurrency> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // It finds the engine gone and ends.
        self.reaper.notify_one();
    }
}

/// A call's place under its account's limit.
struct Admission {
    shared: Arc<Shared>,
    function: Arc<FunctionVersion>,
    /// The function may be changed or deleted while the call waits for an instance.
    _code: CodeInUse,
}

impl Admission {
    fn of(shared: &Arc<Shared>, function: Arc<FunctionVersion>) -> Result<Self, InvokeError> {
        let entered = shared.accounts().enter(&function.key);
        match entered {
            Ok(()) => {
                let code = shared.code.open_code(&function);
                Ok(Self { shared: Arc::clone(shared), function, _code: code })
            }
            Err(refused @ (NotAdmitted::Account | NotAdmitted::Function)) => {
                shared.throttled(&function.key);
                let of_function = refused == NotAdmitted::Function;
                Err(InvokeError::TooManyRequests(if of_function { RESERVATION_USED_UP } else { NO_CAPACITY }))
            }
            Err(NotAdmitted::Closed) => Err(InvokeError::ShuttingDown),
        }
    }

    /// Counts the outcome; the place is free before the caller has the answer.
    fn settle(self, result: &Result<Answer, InvokeError>) {
        let counters = &self.shared.counters;
        match result {
            Ok(answer) => {
                counters.invocations.increment();
                if answer.function_error.is_some() {
                    counters.errors.increment();
                }
            }
            Err(InvokeError::TooManyRequests(_)) => self.shared.throttled(&self.function.key),
            Err(InvokeError::Launch(_) | InvokeError::ShuttingDown | InvokeError::Internal) => {
                counters.failures.increment();
            }
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.counters.panics.increment();
            self.shared.counters.failures.increment();
        }
        self.shared.accounts().leave(&self.function.key);
        self.shared.progress.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
