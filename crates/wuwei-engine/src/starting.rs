//! Starting runtimes: launch, then initialisation, each within its limit.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use uuid::Uuid;
use wuwei_model::{ColdStart, FunctionVersion, InitPhase, InitReport};
use wuwei_sandbox::{InitFailure, InstanceIdentity, InstanceSpec, LaunchError};

use crate::collaborators::LogSink;
use crate::engine::Shared;
use crate::environment::environment_of;
use crate::fleet::StartOrder;
use crate::lease::Berth;
use crate::live::Live;
use crate::outcome::Setback;

/// How long a sandbox may take to be built; a launcher that hangs must not hang calls.
pub(crate) const LAUNCH_LIMIT: Duration = Duration::from_secs(20);
/// What an instance may overrun a limit that it should keep by itself, before the engine steps in.
pub(crate) const OVERRUN: Duration = Duration::from_secs(1);

/// Why an instance could not be had, and the function is not to blame; the call it was started for is told.
#[derive(Debug, Error)]
pub(crate) enum StartFailure {
    /// No sandbox.
    #[error("{0}")]
    Launch(LaunchError),
    /// A bug, or the shutdown of the engine.
    #[error("the start was interrupted")]
    Interrupted,
}

/// Why there is no initialised runtime.
pub(crate) enum Hindrance {
    /// The function is to blame.
    Function(Setback),
    /// The platform is.
    Platform(LaunchError),
    /// The engine shuts down.
    Shutdown,
}

/// Starts the ordered instance and hands the result to the fleet, whatever happens.
///
/// One whose initialisation fails is handed over without a runtime: its first call initialises it again, as on AWS.
pub(crate) async fn start(shared: Arc<Shared>, order: StartOrder) {
    let function = Arc::clone(&order.function);
    let mut settlement = Settlement { shared: Arc::clone(&shared), order: Some(order) };
    let mut killed = shared.killed.subscribe();
    let instance_id = new_instance_id();
    let mut log = shared.journal.open(&function, &instance_id);
    let began = Instant::now();
    log.init_start(SystemTime::now(), function.settings.runtime.as_str());
    let mut live = Box::new(Live::empty(log, shared.code.open_code(&function)));
    live.provisioned = settlement.order.as_ref().is_some_and(|order| order.provisioned);
    let launched = launch(&shared, &mut live, &function, instance_id).await;
    let initialised = match launched {
        Ok(()) => initialise(&mut live, shared.options.init_limit, &mut killed).await,
        Err(hindrance) => Err(hindrance),
    };
    match initialised {
        Ok(()) => settlement.succeed(live, Some(began.elapsed())),
        Err(Hindrance::Function(setback)) => {
            tracing::debug!(function = function.key.name, %setback, "initialisation failed");
            note_setback(&mut live, &setback, InitPhase::Init, began.elapsed());
            shared.end_runtime(&mut live);
            settlement.succeed(live, None);
        }
        Err(Hindrance::Platform(error)) => {
            tracing::warn!(function = function.key.name, %error, "instance could not be launched");
            settlement.fail(StartFailure::Launch(error), live).await;
        }
        Err(Hindrance::Shutdown) => settlement.fail(StartFailure::Interrupted, live).await,
    }
}

/// Launches and initialises a new runtime in an environment whose last one has ended, as part of an invocation that
/// began at `began` and has `limit`.
pub(crate) async fn restart(
    shared: &Shared,
    live: &mut Live,
    function: &FunctionVersion,
    began: Instant,
    killed: &mut watch::Receiver<bool>,
) -> Result<(), Hindrance> {
    let limit = Duration::from_secs(u64::from(function.settings.timeout_s));
    launch(shared, live, function, new_instance_id()).await?;
    initialise(live, limit.saturating_sub(began.elapsed()), killed).await
}

/// Writes AWS's line about a failed initialisation.
pub(crate) fn note_setback(live: &mut Live, setback: &Setback, phase: InitPhase, duration: Duration) {
    live.log.init_report(SystemTime::now(), &InitReport { phase, duration, error_type: setback.error_type() });
}

/// Builds the sandbox. Not broken off at shutdown: a half-built sandbox is harder to clear away than a whole one.
async fn launch(
    shared: &Shared,
    live: &mut Live,
    function: &FunctionVersion,
    instance_id: String,
) -> Result<(), Hindrance> {
    let spec = InstanceSpec {
        environment: environment_of(function, live.log.name(), live.provisioned),
        instance_id,
        identity: InstanceIdentity { function: function.key.clone(), role: function.settings.role.clone() },
        runtime: function.settings.runtime.clone(),
        code_dir: live.code.directory.clone(),
        layers_dir: live.code.layers.clone(),
        handler: function.settings.handler.clone(),
        memory_mb: function.settings.memory_mb,
        ephemeral_mb: function.settings.ephemeral_mb,
        temporary_files: live.temporary_files.clone(),
        egress: shared.code.egress(&function.key),
    };
    let began = Instant::now();
    let late = |_elapsed| Err(LaunchError::Sandbox(format!("no answer within {} s", LAUNCH_LIMIT.as_secs())));
    match timeout(LAUNCH_LIMIT, shared.factory.launch(spec)).await.unwrap_or_else(late) {
        Ok(instance) => {
            live.renew(instance);
            live.cold_start = Some(ColdStart { sandbox: began.elapsed(), ..ColdStart::default() });
            Ok(())
        }
        Err(LaunchError::NoBootstrap) => Err(Hindrance::Function(Setback::NoBootstrap)),
        Err(error) => Err(Hindrance::Platform(error)),
    }
}

async fn initialise(live: &mut Live, limit: Duration, killed: &mut watch::Receiver<bool>) -> Result<(), Hindrance> {
    let Some((instance, log)) = live.parts() else { return Err(Hindrance::Shutdown) };
    let mut sink = LogSink(log);
    let began = Instant::now();
    let result = tokio::select! {
        result = timeout(limit + OVERRUN, instance.initialise(limit, &mut sink)) => result,
        _ = killed.wait_for(|killed| *killed) => return Err(Hindrance::Shutdown),
    };
    let took = began.elapsed();
    let own = instance.own_init().unwrap_or(took);
    if let Some(cold_start) = &mut live.cold_start {
        // The function may say what it likes; and a runtime that was ready ahead begins before its launch has returned.
        let total = cold_start.sandbox + took;
        let init = own.min(total);
        let runtime = took.saturating_sub(init);
        *cold_start = ColdStart { sandbox: total - init - runtime, runtime, init, ..*cold_start };
    }
    result.unwrap_or(Err(InitFailure::Timeout)).map_err(|failure| Hindrance::Function(Setback::Initialisation(failure)))
}

/// Unique in the life of the data directory: 32 hexadecimal digits.
fn new_instance_id() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Tells the fleet how a start ended. Dropping it, in a panic or at shutdown, tells of a failure.
struct Settlement {
    shared: Arc<Shared>,
    order: Option<StartOrder>,
}

impl Settlement {
    fn succeed(mut self, live: Box<Live>, init: Option<Duration>) {
        let Some(order) = self.order.take() else { return };
        let berth = Arc::new(Berth::new(order.function.settings.memory_mb, live));
        self.shared.with_fleet(|fleet, effects| fleet.started(order.pool, order.owner, berth, init, effects));
    }

    /// The call is told first; the memory is free once the instance is gone.
    async fn fail(&mut self, failure: StartFailure, live: Box<Live>) {
        let Some(order) = self.order.take() else { return };
        let shared = &self.shared;
        shared.with_fleet(|fleet, effects| fleet.start_failed(order.pool, order.owner, failure, effects));
        live.stop().await;
        shared.instance_is_gone(order.function.settings.memory_mb);
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        if let Some(order) = self.order.take() {
            self.shared.with_fleet(|fleet, effects| {
                fleet.start_failed(order.pool, order.owner, StartFailure::Interrupted, effects);
            });
            self.shared.instance_is_gone(order.function.settings.memory_mb);
        }
    }
}
