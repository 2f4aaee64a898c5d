//! The log of one instance.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use time::OffsetDateTime;
use time::macros::format_description;
use wuwei_model::{
    Architecture, ColdStart, FunctionKey, FunctionVersion, InitReport, InvocationId, InvocationReport, LogFormat,
    SystemLogLevel, Version,
};

use crate::application;
use crate::files::unix_ms;
use crate::ledger::{Entry, OpenEntry};
use crate::lines;
use crate::meter::FunctionMeter;
use crate::platform::{self, Event};
use crate::queue::{Backlog, QueuedRecord};
use crate::record::Level;
use crate::recorder::Shared;
use crate::tail::Tail;

/// Longest message of a record, in bytes: the size of a CloudWatch log event. Longer ones are split.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html>
const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// The log of an account and region in which cold starts are written down. No function has such a name.
const COLD_STARTS: &str = "$cold-starts";

/// The log of one instance. Not shared: one invocation at a time writes to it.
///
/// No method fails or waits for the disk. A function that writes faster than its rate allows or the disk takes it loses
/// lines, and a platform line in their place says how many. The end of an invocation goes into the ledger too.
pub struct LogStream {
    shared: Arc<Shared>,
    function: Arc<FunctionKey>,
    version: Version,
    architecture: Architecture,
    ephemeral_mb: u32,
    format: LogFormat,
    meter: Arc<FunctionMeter>,
    name: Arc<str>,
    request_id: Option<Arc<str>>,
    /// Of the last invocation, until its CPU time is complete.
    open_entry: Option<OpenEntry>,
    tail: Tail,
    /// Bytes of this stream that wait for the disk.
    backlog: Backlog,
    /// Lines of the function's that found no room, since the last one that did.
    lost_lines: u64,
    lost_bytes: u64,
}

impl fmt::Debug for LogStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arn = self.function.arn();
        formatter.debug_struct("LogStream").field("function", &arn).field("name", &self.name).finish_non_exhaustive()
    }
}

impl LogStream {
    pub(crate) fn new(shared: Arc<Shared>, function: &FunctionVersion, instance_id: &str, at: SystemTime) -> Self {
        let day = OffsetDateTime::from(at).date();
        let day = day.format(format_description!("[year]/[month]/[day]")).expect("dates have all three parts");
        let version = function.version;
        Self {
            meter: shared.meters.of(&function.key),
            shared,
            function: Arc::new(function.key.clone()),
            version,
            architecture: function.settings.architecture,
            ephemeral_mb: function.settings.ephemeral_mb,
            format: function.settings.logging.format,
            name: format!("{day}/[{version}]{instance_id}").into(),
            request_id: None,
            open_entry: None,
            tail: Tail::default(),
            backlog: Backlog::default(),
            lost_lines: 0,
            lost_bytes: 0,
        }
    }

    /// `<YYYY/MM/DD>/[<version>]<32 hex>`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes `INIT_START Runtime Version: …` as AWS does.
    pub fn init_start(&mut self, at: SystemTime, runtime: &str) {
        match self.format {
            LogFormat::Text => self.platform(at, lines::init_start(&self.function.region, runtime)),
            LogFormat::Json { system, .. } => {
                self.event(at, system, platform::init_start(at, &self.function, self.version, runtime));
            }
        }
    }

    /// Writes `INIT_REPORT …` of an init that failed.
    pub fn init_report(&mut self, at: SystemTime, report: &InitReport) {
        match self.format {
            LogFormat::Text => self.platform(at, lines::init_report(report)),
            LogFormat::Json { system, .. } => self.event(at, system, platform::init_report(at, report)),
        }
    }

    /// Writes `START RequestId: … Version: …` and begins the tail of this invocation.
    pub fn start(&mut self, at: SystemTime, id: &InvocationId) {
        self.tail = Tail::default();
        self.open_entry = None;
        self.request_id = Some(id.as_str().into());
        match self.format {
            LogFormat::Text => self.platform(at, lines::start(id, self.version)),
            LogFormat::Json { system, .. } => self.event(at, system, platform::start(at, id.as_str(), self.version)),
        }
    }

    /// A line of the function's. Longer ones than 256 KB become several records. In JSON format one of a level that
    /// is not asked for is left out.
    pub fn line(&mut self, at: SystemTime, text: &str) {
        let judged = match self.format {
            LogFormat::Text => Some(Cow::Borrowed(text)),
            LogFormat::Json { application, .. } => application::judge(text, application, at),
        };
        let Some(text) = judged else { return };
        self.tail.add(&text);
        let mut rest = &*text;
        loop {
            let (part, next) = rest.split_at(split_point(rest));
            self.offer(at, part);
            rest = next;
            if rest.is_empty() {
                break;
            }
        }
    }

    /// A line of the platform's own (`… Task timed out after 3.00 seconds`).
    pub fn platform_line(&mut self, at: SystemTime, text: &str) {
        self.platform(at, text.to_owned());
    }

    /// Writes END and REPORT in AWS's exact tab-separated form (in JSON format: its events), ends the tail, and enters
    /// the attempt into the ledger.
    pub fn end(&mut self, at: SystemTime, report: &InvocationReport) {
        self.tell_lost_lines(at);
        match self.format {
            LogFormat::Text => {
                self.platform(at, lines::end(&report.id));
                self.platform(at, lines::report(report));
            }
            LogFormat::Json { system, .. } => {
                self.event(at, system, platform::runtime_done(at, report));
                self.event(at, system, platform::report(at, report));
            }
        }
        self.request_id = None;
        let entry = Entry::new(at, &self.function, self.version, self.architecture, self.ephemeral_mb, report);
        self.meter.attempt(entry.counts());
        self.open_entry = Some(self.shared.ledger.append_open(entry));
    }

    /// Adds to the ledger what the last invocation's environment has used since its report, up to its rest; once. False
    /// when that is too late, or no invocation has ended: it then counts for the next one.
    pub fn complete(&mut self, cpu_us: u64) -> bool {
        let is_counted = self.open_entry.take().is_some_and(|entry| entry.complete(cpu_us));
        if is_counted {
            self.meter.late_cpu(cpu_us);
        }
        is_counted
    }

    /// Writes down where the time of a cold start went: in a log of its own, because the function's has AWS's lines only.
    pub fn cold_start(&mut self, at: SystemTime, id: &InvocationId, cold_start: &ColdStart) {
        let message = platform::cold_start(at, id, &self.function, self.version, cold_start);
        let log = FunctionKey { name: COLD_STARTS.to_owned(), ..FunctionKey::clone(&self.function) };
        let mut queued = self.queued(at, Level::Platform, message);
        queued.function = Arc::new(log);
        self.shared.queue.put(queued);
    }

    /// Last 4 KB of the log of the invocation that ended (or runs), as AWS returns for `LogType=Tail`.
    ///
    /// Complete also where lines are lost to the disk.
    #[must_use]
    pub fn tail(&self) -> Vec<u8> {
        self.tail.text()
    }

    fn platform(&mut self, at: SystemTime, message: String) {
        self.tail.add(&message);
        self.put(at, message);
    }

    fn event(&mut self, at: SystemTime, least: SystemLogLevel, event: Event) {
        if event.level >= least {
            self.platform(at, event.text);
        }
    }

    fn put(&self, at: SystemTime, message: String) {
        self.shared.queue.put(self.queued(at, Level::Platform, message));
    }

    fn offer(&mut self, at: SystemTime, message: &str) {
        let queued = self.queued(at, Level::Function, message.to_owned());
        if self.lost_lines > 0 {
            // The line that finds room again comes after the words about those that did not.
            if !self.shared.queue.has_ample_room_for(&queued) || !self.meter.may_write(queued.weight(), Instant::now())
            {
                return self.lose(message);
            }
            self.tell_lost_lines(at);
        } else if !self.meter.may_write(queued.weight(), Instant::now()) {
            return self.lose(message);
        }
        if !self.shared.queue.offer(queued) {
            self.lose(message);
        }
    }

    fn lose(&mut self, message: &str) {
        self.lost_lines += 1;
        self.lost_bytes += u64::try_from(message.len()).unwrap_or(u64::MAX);
        self.meter.log_line_lost();
    }

    fn tell_lost_lines(&mut self, at: SystemTime) {
        let lost_lines = std::mem::take(&mut self.lost_lines);
        let lost_bytes = std::mem::take(&mut self.lost_bytes);
        if lost_lines == 0 {
            return;
        }
        let words = match self.format {
            LogFormat::Text => {
                format!("wuwei: {lost_lines} lines lost here: the log was written faster than it could be stored")
            }
            // WARN, which no system log level leaves out.
            LogFormat::Json { .. } => platform::logs_dropped(at, lost_lines, lost_bytes).text,
        };
        self.put(at, words);
    }

    fn queued(&self, at: SystemTime, level: Level, message: String) -> QueuedRecord {
        QueuedRecord {
            function: Arc::clone(&self.function),
            time_ms: unix_ms(at),
            stream: Arc::clone(&self.name),
            request_id: self.request_id.clone(),
            level,
            backlog: self.backlog.of(&message),
            message,
        }
    }
}

/// Where a record's worth of text ends, between characters.
fn split_point(text: &str) -> usize {
    let mut boundaries = (0..=text.len().min(MESSAGE_BYTES_MAX)).rev();
    boundaries.find(|index| text.is_char_boundary(*index)).unwrap_or(0)
}

impl Drop for LogStream {
    fn drop(&mut self) {
        self.tell_lost_lines(SystemTime::now());
    }
}

#[cfg(test)]
mod tests;
