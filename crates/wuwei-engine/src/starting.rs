//! Starting one instance: launch, then initialisation, each within its limit.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout};
use uuid::Uuid;
use wuwei_model::FunctionVersion;
use wuwei_sandbox::{InitFailure, Instance, InstanceIdentity, InstanceSpec, LaunchError, Usage};

use crate::collaborators::{InstanceLog, LogSink};
use crate::engine::Shared;
use crate::environment::environment_of;
use crate::fleet::StartOrder;
use crate::lease::{Berth, Live};
use crate::outcome::init_report_line;

/// How long a sandbox may take to be built; a launcher that hangs must not hang calls.
pub(crate) const LAUNCH_LIMIT: Duration = Duration::from_secs(20);
/// What an instance may overrun a limit that it should keep by itself, before the engine steps in.
pub(crate) const OVERRUN: Duration = Duration::from_secs(1);

/// Why an instance could not be had; the call it was started for is told.
pub(crate) enum StartFailure {
    /// No sandbox. The log is for errors that are the function's.
    Launch(LaunchError, Box<dyn InstanceLog>),
    /// The runtime did not initialise.
    Initialisation(Box<FailedInitialisation>),
    /// A bug, or the shutdown of the engine.
    Interrupted,
}

/// An initialisation that failed, with all that its report needs.
pub(crate) struct FailedInitialisation {
    pub(crate) failure: InitFailure,
    pub(crate) log: Box<dyn InstanceLog>,
    pub(crate) duration: Duration,
    pub(crate) usage: Usage,
}

/// Starts the ordered instance and hands the result to the fleet, whatever happens.
pub(crate) async fn start(shared: Arc<Shared>, order: StartOrder) {
    let function = Arc::clone(&order.function);
    let mut settlement = Settlement { shared: Arc::clone(&shared), order: Some(order) };
    let mut killed = shared.killed.subscribe();
    // Not broken off at shutdown: a half-built sandbox is harder to clear away than a whole one.
    let (mut live, began) = match launch(&shared, &function).await {
        Ok(launched) => launched,
        Err(failure) => return settlement.fail(failure, None).await,
    };
    let limit = shared.options.init_limit;
    let Live { instance, log, .. } = &mut *live;
    let mut sink = LogSink(log.as_mut());
    let result = tokio::select! {
        result = timeout(limit + OVERRUN, instance.initialise(limit, &mut sink)) => Some(result),
        _ = killed.wait_for(|killed| *killed) => None,
    };
    let Some(result) = result else {
        return settlement.fail(StartFailure::Interrupted, Some(live.instance)).await;
    };
    let duration = began.elapsed();
    match result.unwrap_or(Err(InitFailure::Timeout)) {
        Ok(()) => settlement.succeed(live, duration),
        Err(failure) => {
            let usage = live.instance.usage();
            let Live { instance, mut log, .. } = *live;
            tracing::debug!(function = function.key.name, error = %failure, "initialisation failed");
            log.platform_line(SystemTime::now(), &init_report_line(&failure, duration));
            let failed = FailedInitialisation { failure, log, duration, usage };
            settlement.fail(StartFailure::Initialisation(Box::new(failed)), Some(instance)).await;
        }
    }
}

/// Builds the sandbox. The returned moment is when the runtime was started.
async fn launch(shared: &Shared, function: &FunctionVersion) -> Result<(Box<Live>, Instant), StartFailure> {
    let instance_id = Uuid::new_v4().simple().to_string();
    let mut log = shared.journal.open(function, &instance_id);
    let spec = InstanceSpec {
        environment: environment_of(function, log.name()),
        instance_id,
        identity: InstanceIdentity { function: function.key.clone(), role: function.settings.role.clone() },
        runtime: function.settings.runtime.clone(),
        code_dir: shared.code.code_dir(&function.code.digest),
        handler: function.settings.handler.clone(),
        memory_mb: function.settings.memory_mb,
        ephemeral_mb: function.settings.ephemeral_mb,
    };
    let began_at = SystemTime::now();
    let began = Instant::now();
    let late = |_elapsed| Err(LaunchError::Sandbox(format!("no answer within {} s", LAUNCH_LIMIT.as_secs())));
    let launched = timeout(LAUNCH_LIMIT, shared.factory.launch(spec)).await.unwrap_or_else(late);
    match launched {
        Ok(instance) => {
            log.init_start(began_at, function.settings.runtime.as_str());
            Ok((Box::new(Live { instance, log, frozen: false, metered_cpu_us: 0, began }), began))
        }
        Err(error) => {
            tracing::warn!(function = function.key.name, error = %error, "instance could not be launched");
            Err(StartFailure::Launch(error, log))
        }
    }
}

/// Tells the fleet how a start ended. Dropping it, in a panic or at shutdown, tells of a failure.
struct Settlement {
    shared: Arc<Shared>,
    order: Option<StartOrder>,
}

impl Settlement {
    fn succeed(mut self, live: Box<Live>, init: Duration) {
        let Some(order) = self.order.take() else { return };
        let berth = Arc::new(Berth::new(order.function.settings.memory_mb, live));
        self.shared.with_fleet(|fleet, effects| fleet.started(order.pool, order.owner, berth, init, effects));
    }

    /// The call is told first; the memory is free once the instance is gone.
    async fn fail(&mut self, failure: StartFailure, instance: Option<Box<dyn Instance>>) {
        let Some(order) = self.order.take() else { return };
        let shared = &self.shared;
        shared.with_fleet(|fleet, effects| fleet.start_failed(order.pool, order.owner, failure, effects));
        let memory_mb = order.function.settings.memory_mb;
        match instance {
            Some(instance) => shared.stop_instance(instance, memory_mb).await,
            None => shared.instance_is_gone(memory_mb),
        }
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
