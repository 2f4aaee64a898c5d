//! The log of one instance.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::SystemTime;

use time::OffsetDateTime;
use time::macros::format_description;
use wuwei_model::{FunctionKey, InvocationId, InvocationReport, Version};

use crate::files::unix_ms;
use crate::lines;
use crate::queue::QueuedRecord;
use crate::record::{Level, LogRecord};
use crate::recorder::Shared;
use crate::tail::Tail;

/// Longest message of a record, in bytes: the size of a CloudWatch log event. Longer ones are split.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html>
const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// The log of one instance. Not shared: one invocation at a time writes to it.
///
/// No method fails or waits for the disk. A function that writes faster than the disk takes it loses lines, and a
/// platform line in their place says how many.
pub struct LogStream {
    shared: Arc<Shared>,
    function: Arc<FunctionKey>,
    version: Version,
    name: String,
    request_id: Option<String>,
    tail: Tail,
    /// Bytes of this stream that wait for the disk.
    backlog: Arc<AtomicUsize>,
    /// Lines of the function's that found no room, since the last one that did.
    lost_lines: u64,
}

impl fmt::Debug for LogStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arn = self.function.arn();
        formatter.debug_struct("LogStream").field("function", &arn).field("name", &self.name).finish_non_exhaustive()
    }
}

impl LogStream {
    pub(crate) fn new(
        shared: Arc<Shared>,
        function: &FunctionKey,
        version: Version,
        instance_id: &str,
        at: SystemTime,
    ) -> Self {
        let day = OffsetDateTime::from(at).date();
        let day = day.format(format_description!("[year]/[month]/[day]")).expect("dates have all three parts");
        Self {
            shared,
            function: Arc::new(function.clone()),
            version,
            name: format!("{day}/[{version}]{instance_id}"),
            request_id: None,
            tail: Tail::default(),
            backlog: Arc::default(),
            lost_lines: 0,
        }
    }

    /// `<YYYY/MM/DD>/[<version>]<32 hex>`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes `INIT_START Runtime Version: …` as AWS does.
    pub fn init_start(&mut self, at: SystemTime, runtime: &str) {
        let line = lines::init_start(&self.function.region, runtime);
        self.platform(at, line);
    }

    /// Writes `START RequestId: … Version: …` and begins the tail of this invocation.
    pub fn start(&mut self, at: SystemTime, id: &InvocationId) {
        self.tail = Tail::default();
        self.request_id = Some(id.as_str().to_owned());
        self.platform(at, lines::start(id, self.version));
    }

    /// A line of the function's. Longer ones than 256 KB become several records.
    pub fn line(&mut self, at: SystemTime, text: &str) {
        self.tail.add(text);
        let mut rest = text;
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

    /// Writes END and REPORT in AWS's exact tab-separated form, and ends the tail.
    pub fn end(&mut self, at: SystemTime, report: &InvocationReport) {
        self.tell_lost_lines(at);
        self.platform(at, lines::end(&report.id));
        self.platform(at, lines::report(report));
        self.request_id = None;
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

    fn put(&self, at: SystemTime, message: String) {
        self.shared.queue.put(self.queued(at, Level::Platform, message));
    }

    fn offer(&mut self, at: SystemTime, message: &str) {
        let queued = self.queued(at, Level::Function, message.to_owned());
        if self.lost_lines > 0 {
            // The line that finds room again comes after the words about those that did not.
            if !self.shared.queue.has_room_for(&queued) {
                self.lost_lines += 1;
                return;
            }
            self.tell_lost_lines(at);
        }
        if !self.shared.queue.offer(queued) {
            self.lost_lines += 1;
        }
    }

    fn tell_lost_lines(&mut self, at: SystemTime) {
        let lost_lines = std::mem::take(&mut self.lost_lines);
        if lost_lines > 0 {
            self.put(
                at,
                format!("wuwei: {lost_lines} lines lost here: the log was written faster than it could be stored"),
            );
        }
    }

    fn queued(&self, at: SystemTime, level: Level, message: String) -> QueuedRecord {
        let record = LogRecord {
            time_ms: unix_ms(at),
            stream: self.name.clone(),
            request_id: self.request_id.clone(),
            level,
            message,
        };
        QueuedRecord::new(Arc::clone(&self.function), record, Arc::clone(&self.backlog))
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
