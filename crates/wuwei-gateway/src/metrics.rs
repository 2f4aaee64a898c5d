//! `/metrics` in Prometheus's text format.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use http::StatusCode;

use wuwei_engine::{EngineSnapshot, StockSnapshot};
use wuwei_queue::Counts as EventCounts;
use wuwei_recorder::{FunctionCounts, RecorderSnapshot};

use crate::gateway::{Counters, Parts};
use crate::wire::Answer;

/// The answer to `GET /metrics`.
pub(crate) fn answer(parts: &Parts) -> Answer {
    let text = render(
        &parts.options.version,
        parts.started.elapsed().as_secs_f64(),
        &parts.counters,
        (&parts.engine.snapshot(), parts.events.counts()),
        &parts.recorder.snapshot(),
    );
    Answer::new(StatusCode::OK, "text/plain; version=0.0.4", text)
}

fn render(
    version: &str,
    uptime_s: f64,
    counters: &Counters,
    (engine, events): (&EngineSnapshot, EventCounts),
    recorder: &RecorderSnapshot,
) -> String {
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, samples: &[(String, String)]| {
        write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n").expect("writing to a String cannot fail");
        for (labels, value) in samples {
            writeln!(text, "{name}{labels} {value}").expect("writing to a String cannot fail");
        }
    };
    let plain = |value: String| [(String::new(), value)];
    metric(
        "wuwei_build_info",
        "gauge",
        "Which build this is.",
        &[(format!("{{version=\"{version}\"}}"), "1".to_owned())],
    );
    metric("wuwei_uptime_seconds", "gauge", "Time since the server started.", &plain(format!("{uptime_s:.3}")));
    let answers: Vec<(String, String)> = (1..)
        .zip(&counters.answers)
        .map(|(class, count)| (format!("{{status=\"{class}xx\"}}"), count.load(Ordering::Relaxed).to_string()))
        .collect();
    metric("wuwei_gateway_answers_total", "counter", "Answers by class of status.", &answers);
    let panics = counters.panics.load(Ordering::Relaxed).to_string();
    metric("wuwei_gateway_panics_total", "counter", "Handlers that failed by a bug of wuwei's.", &plain(panics));
    let connections = counters.connections.load(Ordering::Relaxed).to_string();
    metric("wuwei_gateway_connections", "gauge", "Connections that are open.", &plain(connections));
    let instances =
        [("idle", engine.instances_idle), ("busy", engine.instances_busy), ("starting", engine.instances_starting)];
    let instances = instances.map(|(state, count)| (format!("{{state=\"{state}\"}}"), count.to_string()));
    metric("wuwei_instances", "gauge", "Instances by what they do.", &instances);
    let memory = engine.memory_reserved_mb.to_string();
    metric("wuwei_memory_reserved_megabytes", "gauge", "Memory settings of all instances.", &plain(memory));
    metric(
        "wuwei_calls_waiting",
        "gauge",
        "Calls that wait for an instance.",
        &plain(engine.calls_waiting.to_string()),
    );
    let states = [("waiting", events.waiting), ("running", events.running), ("dead", events.dead)];
    let states = states.map(|(state, count)| (format!("{{state=\"{state}\"}}"), count.to_string()));
    metric("wuwei_events", "gauge", "Asynchronous invocations that are not done, by what they do.", &states);
    let counted = [
        ("wuwei_invocations_total", "Calls that were answered.", engine.invocations),
        ("wuwei_cold_starts_total", "Calls that were served by an instance started for them.", engine.cold_starts),
        ("wuwei_throttles_total", "Calls that were refused with 429.", engine.throttles),
        ("wuwei_function_errors_total", "Answered calls that ended in an error of the function.", engine.errors),
        ("wuwei_failures_total", "Calls that the platform could not answer.", engine.failures),
        ("wuwei_engine_panics_total", "Calls during which the engine failed by a bug.", engine.panics),
    ];
    for (name, help, value) in counted {
        metric(name, "counter", help, &plain(value.to_string()));
    }
    let counted = [
        ("wuwei_lost_log_lines_total", "Log lines lost because they came too fast.", recorder.lost_log_lines),
        ("wuwei_ledger_entries_total", "Entries of the ledger that are on the disk.", recorder.ledger_entries),
        ("wuwei_lost_ledger_entries_total", "Entries that the disk refused for good.", recorder.lost_ledger_entries),
    ];
    for (name, help, value) in counted {
        metric(name, "counter", help, &plain(value.to_string()));
    }
    stock(&mut metric, &engine.stock);
    for (name, help, value_of) in FUNCTION_METRICS {
        metric(name, "counter", help, &function_samples(recorder, *value_of));
    }
    text
}

/// What stands ready, and what became of it.
fn stock(metric: &mut impl FnMut(&str, &str, &str, &[(String, String)]), stock: &StockSnapshot) {
    let sample = |label: &str, value: &str, count: u64| (format!("{{{label}=\"{value}\"}}"), count.to_string());
    let ready = [sample("state", "ready", stock.ready), sample("state", "building", stock.building)];
    metric("wuwei_stock_blanks", "gauge", "Sandboxes that are built ahead, by what they do.", &ready);
    let starts = [
        sample("from", "stock", stock.handed_out),
        sample("from", "empty", stock.missed),
        sample("from", "unsuited", stock.unsuited),
    ];
    let help =
        "Starts: from a sandbox that was built ahead, because there was none, or because none suits the function.";
    metric("wuwei_stock_starts_total", "counter", help, &starts);
    let help = "Sandboxes built ahead that failed, died, or could not be given to a function.";
    metric("wuwei_stock_lost_total", "counter", help, &[(String::new(), stock.lost.to_string())]);
}

/// How one number of a function is written.
type ValueOf = fn(&FunctionCounts) -> String;

/// What is counted of each function; see [`wuwei_recorder::FUNCTIONS_METERED_MAX`] for how many have numbers of
/// their own.
const FUNCTION_METRICS: &[(&str, &str, ValueOf)] = &[
    ("wuwei_function_invocations_total", "Attempts that ended, with whatever outcome.", |counts| {
        counts.invocations.to_string()
    }),
    ("wuwei_function_failed_invocations_total", "Attempts that did not end in success.", |counts| {
        counts.errors.to_string()
    }),
    ("wuwei_function_cold_starts_total", "Attempts whose report names an initialisation.", |counts| {
        counts.cold_starts.to_string()
    }),
    ("wuwei_function_throttles_total", "Calls of the function that were refused with 429.", |counts| {
        counts.throttles.to_string()
    }),
    ("wuwei_function_duration_seconds_total", "Durations of attempts, without initialisations.", |counts| {
        seconds(counts.duration_us)
    }),
    ("wuwei_function_billed_seconds_total", "Billed durations of attempts.", |counts| {
        seconds(counts.billed_ms.saturating_mul(1_000))
    }),
    ("wuwei_function_cpu_seconds_total", "CPU time that attempts used.", |counts| seconds(counts.cpu_us)),
    ("wuwei_function_lost_log_lines_total", "Log lines of the function that were lost.", |counts| {
        counts.lost_log_lines.to_string()
    }),
];

/// One sample for each function, and one for all that have none of their own, once there are such.
fn function_samples(recorder: &RecorderSnapshot, value_of: ValueOf) -> Vec<(String, String)> {
    let own = recorder
        .functions
        .iter()
        .map(|(key, counts)| (format!("{{account=\"{}\",function=\"{}\"}}", key.account, key.name), value_of(counts)));
    let others = (recorder.others != FunctionCounts::default())
        .then(|| ("{account=\"\",function=\"(others)\"}".to_owned(), value_of(&recorder.others)));
    own.chain(others).collect()
}

/// Microseconds as seconds.
fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::gateway::Counters;
    use std::collections::BTreeMap;
    use std::sync::atomic::Ordering;
    use wuwei_engine::EngineSnapshot;
    use wuwei_model::FunctionKey;
    use wuwei_queue::Counts as EventCounts;
    use wuwei_recorder::{FunctionCounts, RecorderSnapshot};

    fn page() -> String {
        let counters = Counters::default();
        counters.answers[1].store(3, Ordering::Relaxed);
        let engine = EngineSnapshot { cold_starts: 7, ..EngineSnapshot::default() };
        let key = FunctionKey { account: "000000000000".into(), region: "us-east-1".into(), name: "f".into() };
        let counts = FunctionCounts { invocations: 4, duration_us: 1_500_000, ..FunctionCounts::default() };
        let others = FunctionCounts { throttles: 2, ..FunctionCounts::default() };
        let recorder =
            RecorderSnapshot { functions: vec![(key, counts)], others, lost_log_lines: 9, ..Default::default() };
        render("1.2.3", 4.5, &counters, (&engine, EventCounts { dead: 8, ..EventCounts::default() }), &recorder)
    }

    /// Name, type, labels and help of every metric, as a row of docs/metrics.md.
    fn rows(page: &str) -> Vec<String> {
        let samples = page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
        let mut labels = BTreeMap::new();
        for (sample, _) in samples {
            let (name, rest) = sample.split_once('{').unwrap_or((sample, ""));
            let names = rest.split(',').filter_map(|label| Some(format!("`{}`", label.split_once('=')?.0)));
            labels.insert(name, names.collect::<Vec<_>>().join(", "));
        }
        let mut kinds = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let helps = page.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '));
        let row = |(name, help): (&str, &str)| {
            let (of, kind) = kinds.next().unwrap();
            assert_eq!(of, name);
            format!("| `{name}` | {kind} | {} | {help} |", labels[name])
        };
        helps.map(row).collect()
    }

    #[test]
    fn every_metric_has_help_type_and_a_sample() {
        let text = page();
        for line in [
            "wuwei_build_info{version=\"1.2.3\"} 1",
            "wuwei_gateway_answers_total{status=\"2xx\"} 3",
            "wuwei_cold_starts_total 7",
            "wuwei_events{state=\"dead\"} 8",
            "wuwei_lost_log_lines_total 9",
            "wuwei_function_invocations_total{account=\"000000000000\",function=\"f\"} 4",
            "wuwei_function_duration_seconds_total{account=\"000000000000\",function=\"f\"} 1.500000",
            "wuwei_function_throttles_total{account=\"\",function=\"(others)\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn the_documentation_names_every_metric_and_no_other() {
        let documented = include_str!("../../../docs/metrics.md");
        let documented: Vec<&str> = documented.lines().filter(|line| line.starts_with("| `wuwei_")).collect();
        let rows = rows(&page());
        assert_eq!(documented, rows, "docs/metrics.md must hold exactly these rows:\n{}", rows.join("\n"));
    }
}
