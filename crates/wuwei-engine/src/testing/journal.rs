use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use wuwei_model::{ColdStart, FunctionKey, FunctionVersion, InitReport, InvocationId, InvocationReport};

use crate::collaborators::{InstanceLog, Journal};

/// Keeps the lines of all logs, in short form.
#[derive(Default)]
pub(crate) struct FakeJournal {
    lines: Arc<Mutex<Vec<String>>>,
    cpu_us: Arc<Mutex<Vec<u64>>>,
    cold_starts: Arc<Mutex<Vec<(String, ColdStart)>>>,
}

impl FakeJournal {
    /// Calls for which a runtime was started, and how.
    pub(crate) fn cold_starts(&self) -> Vec<(String, ColdStart)> {
        self.cold_starts.lock().unwrap().clone()
    }

    /// CPU time of each invocation that has ended, as far as it is known.
    pub(crate) fn cpu_us(&self) -> Vec<u64> {
        self.cpu_us.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

impl Journal for FakeJournal {
    fn open(&self, function: &FunctionVersion, instance_id: &str) -> Box<dyn InstanceLog> {
        let name = format!("2026/11/20/[{}]{instance_id}", function.version);
        let (lines, cpu_us) = (Arc::clone(&self.lines), Arc::clone(&self.cpu_us));
        let cold_starts = Arc::clone(&self.cold_starts);
        Box::new(FakeLog { name, lines, cpu_us, cold_starts, tail: String::new(), is_open: false })
    }

    fn throttled(&self, function: &FunctionKey) {
        self.lines.lock().unwrap().push(format!("THROTTLED {}", function.name));
    }
}

struct FakeLog {
    name: String,
    lines: Arc<Mutex<Vec<String>>>,
    cpu_us: Arc<Mutex<Vec<u64>>>,
    cold_starts: Arc<Mutex<Vec<(String, ColdStart)>>>,
    tail: String,
    /// Whether CPU time can be added to the last invocation.
    is_open: bool,
}

impl FakeLog {
    fn write(&mut self, line: String) {
        self.tail.push_str(&line);
        self.tail.push('\n');
        self.lines.lock().unwrap().push(line);
    }
}

impl InstanceLog for FakeLog {
    fn name(&self) -> &str {
        &self.name
    }
    fn init_start(&mut self, _: SystemTime, runtime: &str) {
        self.write(format!("INIT_START {runtime}"));
    }
    fn init_report(&mut self, _: SystemTime, report: &InitReport) {
        let status = report.error_type.as_deref().unwrap_or("timeout");
        self.write(format!("INIT_REPORT {} {status} {} ms", report.phase.as_str(), report.duration.as_millis()));
    }
    fn start(&mut self, _: SystemTime, id: &InvocationId) {
        self.tail.clear();
        self.is_open = false;
        self.write(format!("START {id}"));
    }
    fn line(&mut self, _: SystemTime, text: &str) {
        self.write(text.to_owned());
    }
    fn platform_line(&mut self, _: SystemTime, text: &str) {
        self.write(format!("PLATFORM {text}"));
    }
    fn end(&mut self, _: SystemTime, report: &InvocationReport) {
        self.write(format!("END {} {:?}", report.id, report.outcome));
        self.cpu_us.lock().unwrap().push(report.cpu_us);
        self.is_open = true;
    }
    fn complete(&mut self, cpu_us: u64) -> bool {
        let is_open = std::mem::take(&mut self.is_open);
        if is_open {
            *self.cpu_us.lock().unwrap().last_mut().unwrap() += cpu_us;
        }
        is_open
    }
    fn cold_start(&mut self, _: SystemTime, id: &InvocationId, cold_start: &ColdStart) {
        self.cold_starts.lock().unwrap().push((id.as_str().to_owned(), *cold_start));
    }
    fn tail(&self) -> Vec<u8> {
        self.tail.clone().into_bytes()
    }
}
