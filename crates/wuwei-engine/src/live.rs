//! An execution environment: the log that outlives a runtime, and the runtime itself.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use wuwei_model::{ColdStart, limits};
use wuwei_sandbox::{Instance, TemporaryFiles, Usage};

use crate::collaborators::{CodeInUse, InstanceLog};
use crate::engine::STOP_LIMIT;

/// From this age on a runtime gets no event.
const AGE_MAX: Duration = Duration::from_secs(limits::INSTANCE_AGE_S_MAX);

/// One execution environment. Its runtime may have ended: then the next call starts it again (AWS's "suppressed init").
pub(crate) struct Live {
    runtime: Runtime,
    pub(crate) log: Box<dyn InstanceLog>,
    /// What the function is made of; kept until nothing is left of the environment.
    pub(crate) code: CodeInUse,
    /// Started ahead of any call.
    pub(crate) provisioned: bool,
    /// Its `/tmp`, which survives its runtimes.
    pub(crate) temporary_files: TemporaryFiles,
    /// When the runtime was started.
    began: Instant,
    frozen: bool,
    /// How its runtime was started, until a call's answer tells.
    pub(crate) cold_start: Option<ColdStart>,
    /// CPU time of the runtime that is accounted for, in microseconds. That of an invocation is, once the environment has
    /// come to rest or the next one begins; so what it uses after an answer, until it is frozen, is in. Nothing is counted
    /// twice, and nothing is lost between two calls.
    metered_cpu_us: u64,
    /// What earlier runtimes of this environment used and no report has accounted for: failed initialisations.
    unreported: Usage,
}

enum Runtime {
    Running(Box<dyn Instance>),
    /// Being stopped, or gone.
    Ended(Option<JoinHandle<()>>),
}

impl Live {
    /// An environment without a runtime yet.
    pub(crate) fn empty(log: Box<dyn InstanceLog>, code: CodeInUse) -> Self {
        let runtime = Runtime::Ended(None);
        Self {
            runtime,
            log,
            code,
            provisioned: false,
            temporary_files: TemporaryFiles::default(),
            began: Instant::now(),
            frozen: false,
            cold_start: None,
            metered_cpu_us: 0,
            unreported: Usage::default(),
        }
    }

    /// Whether there is a runtime, or was one until it died by itself.
    pub(crate) fn has_runtime(&self) -> bool {
        matches!(self.runtime, Runtime::Running(_))
    }

    /// Whether it can take a call: unless its runtime has died by itself, or is too old for another event.
    pub(crate) fn is_fit(&self) -> bool {
        match &self.runtime {
            Runtime::Running(instance) => instance.is_alive() && self.began.elapsed() < AGE_MAX,
            Runtime::Ended(_) => true,
        }
    }

    /// The runtime with the log that its output goes to; `None` when it has ended.
    pub(crate) fn parts(&mut self) -> Option<(&mut dyn Instance, &mut dyn InstanceLog)> {
        match &mut self.runtime {
            Runtime::Running(instance) => Some((instance.as_mut(), self.log.as_mut())),
            Runtime::Ended(_) => None,
        }
    }

    /// Starts a new measurement of peak memory.
    pub(crate) fn reset_peak_memory(&self) {
        if let Runtime::Running(instance) = &self.runtime {
            instance.reset_peak_memory();
        }
    }

    /// What was used since the last report: CPU time that none has accounted for, highest memory.
    pub(crate) fn take_usage(&mut self) -> Usage {
        let mut usage = std::mem::take(&mut self.unreported);
        if let Runtime::Running(instance) = &self.runtime {
            let now = instance.usage();
            usage.cpu_us += now.cpu_us.saturating_sub(self.metered_cpu_us);
            usage.peak_memory_bytes = usage.peak_memory_bytes.max(now.peak_memory_bytes);
            self.metered_cpu_us = now.cpu_us;
        }
        usage
    }

    /// What an invocation used whose environment is kept: its CPU time follows when that comes to rest.
    pub(crate) fn take_usage_so_far(&mut self) -> Usage {
        let mut usage = std::mem::take(&mut self.unreported);
        if let Runtime::Running(instance) = &self.runtime {
            usage.peak_memory_bytes = usage.peak_memory_bytes.max(instance.peak_memory_bytes());
        }
        usage
    }

    /// The last invocation's CPU time is complete: the next one begins, or the environment has come to rest. What is too
    /// late for the last one stays for the next.
    pub(crate) fn complete_last(&mut self) {
        if let Runtime::Running(instance) = &self.runtime {
            let cpu_us = instance.cpu_us();
            if self.log.complete(cpu_us.saturating_sub(self.metered_cpu_us)) {
                self.metered_cpu_us = cpu_us;
            }
        }
    }

    /// Freezes the runtime, if it runs.
    pub(crate) fn freeze(&mut self) {
        if let Runtime::Running(instance) = &self.runtime
            && !self.frozen
        {
            self.frozen = true;
            instance.freeze();
            self.complete_last();
        }
    }

    /// Lets the runtime run, if it is frozen.
    pub(crate) fn thaw(&mut self) {
        if let Runtime::Running(instance) = &self.runtime
            && self.frozen
        {
            self.frozen = false;
            instance.thaw();
        }
    }

    /// Ends the runtime without waiting for it. What it used and no report has accounted for is kept.
    pub(crate) fn end_runtime(&mut self, tasks: &Handle) {
        self.complete_last();
        self.unreported = self.take_usage();
        if let Runtime::Running(instance) = std::mem::replace(&mut self.runtime, Runtime::Ended(None)) {
            self.runtime = Runtime::Ended(Some(tasks.spawn(stop(instance))));
        }
        self.metered_cpu_us = 0;
        self.frozen = false;
    }

    /// Waits until nothing is left of a runtime that was ended.
    pub(crate) async fn until_ended(&mut self) {
        if let Runtime::Ended(ending) = &mut self.runtime
            && let Some(ending) = ending.take()
            && let Err(error) = ending.await
        {
            tracing::error!(%error, "an instance could not be stopped in order");
        }
    }

    /// Puts a new runtime in the place of one that has ended.
    pub(crate) fn renew(&mut self, instance: Box<dyn Instance>) {
        self.runtime = Runtime::Running(instance);
        self.began = Instant::now();
    }

    /// Ends the environment; nothing of it is left when this returns.
    pub(crate) async fn stop(mut self: Box<Self>) {
        self.complete_last();
        match std::mem::replace(&mut self.runtime, Runtime::Ended(None)) {
            Runtime::Running(instance) => stop(instance).await,
            ended @ Runtime::Ended(_) => {
                self.runtime = ended;
                self.until_ended().await;
            }
        }
    }
}

/// Stops a runtime within a limit; past it, it is dropped, which kills it all the same.
async fn stop(instance: Box<dyn Instance>) {
    if timeout(STOP_LIMIT, instance.stop()).await.is_err() {
        tracing::error!("an instance did not stop within {} s and was given up", STOP_LIMIT.as_secs());
    }
}
