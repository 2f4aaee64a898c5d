//! What the engine needs of the store and the recorder, as traits, so that its tests need neither.

use std::path::PathBuf;
use std::time::SystemTime;

use wuwei_model::{ColdStart, EgressPolicy, FunctionKey, FunctionVersion, InitReport, InvocationId, InvocationReport};
use wuwei_recorder::{LogStream, Recorder};
use wuwei_sandbox::OutputSink;
use wuwei_store::Store;

/// Finds unpacked packages, and what their functions may reach.
pub(crate) trait CodeStore: Send + Sync {
    /// The package of a version and its layers, which stay for as long as what is returned lives.
    fn open_code(&self, function: &FunctionVersion) -> CodeInUse;
    /// The policy of a function, unless it has the server's default.
    fn egress(&self, function: &FunctionKey) -> Option<EgressPolicy>;
}

/// An unpacked package that is needed, with its layers.
pub(crate) struct CodeInUse {
    pub(crate) directory: PathBuf,
    /// Its layers, put together.
    pub(crate) layers: Option<PathBuf>,
    /// Dropped when it is needed no more.
    pub(crate) _hold: Box<dyn Send + Sync>,
}

impl CodeStore for Store {
    fn open_code(&self, function: &FunctionVersion) -> CodeInUse {
        let (packages, digest) = (self.packages(), &function.code.digest);
        let merged = function.settings.merged_layers();
        let hold = (packages.begin_use(digest), merged.map(|merged| packages.begin_use(&merged)));
        CodeInUse {
            directory: packages.code_dir(digest),
            layers: merged.map(|merged| packages.code_dir(&merged)),
            _hold: Box::new(hold),
        }
    }

    fn egress(&self, function: &FunctionKey) -> Option<EgressPolicy> {
        self.egress().get(function)
    }
}

/// Opens the logs of instances.
pub(crate) trait Journal: Send + Sync {
    /// Opens the log of a new instance.
    fn open(&self, function: &FunctionVersion, instance_id: &str) -> Box<dyn InstanceLog>;
    /// Counts a call that was refused with 429.
    fn throttled(&self, function: &FunctionKey);
}

impl Journal for Recorder {
    fn open(&self, function: &FunctionVersion, instance_id: &str) -> Box<dyn InstanceLog> {
        Box::new(self.stream(function, instance_id))
    }

    fn throttled(&self, function: &FunctionKey) {
        self.throttled(function);
    }
}

/// The log of one instance; see [`LogStream`] for what each method writes.
pub(crate) trait InstanceLog: Send + Sync {
    fn name(&self) -> &str;
    fn init_start(&mut self, at: SystemTime, runtime: &str);
    fn init_report(&mut self, at: SystemTime, report: &InitReport);
    fn start(&mut self, at: SystemTime, id: &InvocationId);
    fn line(&mut self, at: SystemTime, text: &str);
    fn platform_line(&mut self, at: SystemTime, text: &str);
    fn end(&mut self, at: SystemTime, report: &InvocationReport);
    fn complete(&mut self, cpu_us: u64) -> bool;
    fn cold_start(&mut self, at: SystemTime, id: &InvocationId, cold_start: &ColdStart);
    fn tail(&self) -> Vec<u8>;
}

impl InstanceLog for LogStream {
    fn name(&self) -> &str {
        self.name()
    }
    fn init_start(&mut self, at: SystemTime, runtime: &str) {
        self.init_start(at, runtime);
    }
    fn init_report(&mut self, at: SystemTime, report: &InitReport) {
        self.init_report(at, report);
    }
    fn start(&mut self, at: SystemTime, id: &InvocationId) {
        self.start(at, id);
    }
    fn line(&mut self, at: SystemTime, text: &str) {
        self.line(at, text);
    }
    fn platform_line(&mut self, at: SystemTime, text: &str) {
        self.platform_line(at, text);
    }
    fn end(&mut self, at: SystemTime, report: &InvocationReport) {
        self.end(at, report);
    }
    fn complete(&mut self, cpu_us: u64) -> bool {
        self.complete(cpu_us)
    }
    fn cold_start(&mut self, at: SystemTime, id: &InvocationId, cold_start: &ColdStart) {
        self.cold_start(at, id, cold_start);
    }
    fn tail(&self) -> Vec<u8> {
        self.tail()
    }
}

/// Carries a function's output into its instance's log.
pub(crate) struct LogSink<'log>(pub(crate) &'log mut dyn InstanceLog);

impl OutputSink for LogSink<'_> {
    fn write_line(&mut self, at: SystemTime, text: &str) {
        self.0.line(at, text);
    }
}
