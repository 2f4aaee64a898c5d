use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use wuwei_model::{FunctionKey, FunctionVersion, InitReport, InvocationId, InvocationReport};

use crate::collaborators::{InstanceLog, Journal};

/// Keeps the lines of all logs, in short form.
#[derive(Default)]
pub(crate) struct FakeJournal {
    lines: Arc<Mutex<Vec<String>>>,
}

impl FakeJournal {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

impl Journal for FakeJournal {
    fn open(&self, function: &FunctionVersion, instance_id: &str) -> Box<dyn InstanceLog> {
        let name = format!("2026/11/20/[{}]{instance_id}", function.version);
        Box::new(FakeLog { name, lines: Arc::clone(&self.lines), tail: String::new() })
    }

    fn throttled(&self, function: &FunctionKey) {
        self.lines.lock().unwrap().push(format!("THROTTLED {}", function.name));
    }
}

struct FakeLog {
    name: String,
    lines: Arc<Mutex<Vec<String>>>,
    tail: String,
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
    }
    fn tail(&self) -> Vec<u8> {
        self.tail.clone().into_bytes()
    }
}
