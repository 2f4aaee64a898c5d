//! `/metrics` in Prometheus's text format.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use http::StatusCode;

use wuwei_engine::EngineSnapshot;

use crate::gateway::{Counters, Parts};
use crate::wire::Answer;

/// The answer to `GET /metrics`.
pub(crate) fn answer(parts: &Parts) -> Answer {
    let text = render(
        &parts.options.version,
        parts.started.elapsed().as_secs_f64(),
        &parts.counters,
        &parts.engine.snapshot(),
    );
    Answer::new(StatusCode::OK, "text/plain; version=0.0.4", text)
}

fn render(version: &str, uptime_s: f64, counters: &Counters, engine: &EngineSnapshot) -> String {
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
    text
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::gateway::Counters;
    use std::sync::atomic::Ordering;
    use wuwei_engine::EngineSnapshot;

    #[test]
    fn every_metric_has_help_type_and_a_sample() {
        let counters = Counters::default();
        counters.answers[1].store(3, Ordering::Relaxed);
        let text = render("1.2.3", 4.5, &counters, &EngineSnapshot { cold_starts: 7, ..EngineSnapshot::default() });
        assert!(text.contains("wuwei_build_info{version=\"1.2.3\"} 1\n"), "{text}");
        assert!(text.contains("wuwei_gateway_answers_total{status=\"2xx\"} 3\n"), "{text}");
        let helps = text.lines().filter(|line| line.starts_with("# HELP ")).count();
        let types = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
        assert_eq!((helps, types), (14, 14));
        assert!(text.contains("wuwei_cold_starts_total 7\n"), "{text}");
    }
}
