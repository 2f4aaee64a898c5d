//! The platform's lines, in AWS's exact tab-separated form.
//!
//! START and END: <https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html>. The tab at the end of a REPORT
//! without status, and its absence after `Status`, are as CloudWatch shows them (seen in published logs of 2023-2026).

use std::time::Duration;

use wuwei_model::{CodeDigest, InitReport, InvocationId, InvocationReport, Outcome, Version};

const BYTES_PER_MB: u64 = 1024 * 1024;

/// `INIT_START Runtime Version: …`. wuwei has no runtime versions of AWS's kind: the runtime's name stands for its
/// version, and the ARN ends in the SHA-256 of that.
pub(crate) fn init_start(region: &str, runtime: &str) -> String {
    let arn = runtime_version_arn(region, runtime);
    format!("INIT_START Runtime Version: {runtime}\tRuntime Version ARN: {arn}")
}

/// `arn:aws:lambda:<region>::runtime:<digest>`.
pub(crate) fn runtime_version_arn(region: &str, runtime: &str) -> String {
    let digest = CodeDigest::of(runtime.as_bytes()).to_hex();
    format!("arn:aws:lambda:{region}::runtime:{digest}")
}

/// `START RequestId: … Version: …`.
pub(crate) fn start(id: &InvocationId, version: Version) -> String {
    format!("START RequestId: {id} Version: {version}")
}

/// `END RequestId: …`.
pub(crate) fn end(id: &InvocationId) -> String {
    format!("END RequestId: {id}")
}

/// `INIT_REPORT Init Duration: …` of an init that failed.
///
/// Fields and order: <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>; tabs between them as
/// CloudWatch shows them.
pub(crate) fn init_report(report: &InitReport) -> String {
    let InitReport { phase, duration, error_type } = report;
    let status = match error_type {
        Some(error_type) => format!("error\tError Type: {error_type}"),
        None => "timeout".to_owned(),
    };
    let (duration, phase) = (milliseconds(*duration), phase.as_str());
    format!("INIT_REPORT Init Duration: {duration} ms\tPhase: {phase}\tStatus: {status}")
}

/// `REPORT RequestId: …`, with `Init Duration` after a cold start, and a status after what was not the handler's own
/// success or error.
pub(crate) fn report(report: &InvocationReport) -> String {
    let InvocationReport { id, outcome, error_type, duration, init, billed_ms, memory_mb, .. } = report;
    let used_mb = used_mb(report);
    let status = match (outcome, error_type) {
        (Outcome::Timeout, _) => "Status: timeout".to_owned(),
        (_, Some(error_type)) => format!("Status: error\tError Type: {error_type}"),
        (_, None) => String::new(),
    };
    let init = init.map(|init| format!("Init Duration: {} ms\t", milliseconds(init))).unwrap_or_default();
    format!(
        "REPORT RequestId: {id}\tDuration: {} ms\tBilled Duration: {billed_ms} ms\tMemory Size: {memory_mb} MB\t\
         Max Memory Used: {used_mb} MB\t{init}{status}",
        milliseconds(*duration)
    )
}

/// Highest memory use, in MB; never more than there is.
pub(crate) fn used_mb(report: &InvocationReport) -> u64 {
    match report.outcome {
        Outcome::OutOfMemory => u64::from(report.memory_mb),
        Outcome::Success | Outcome::FunctionError | Outcome::Timeout | Outcome::Crash => {
            // The kernel counts pages of the sandbox itself and of what it is about to reclaim.
            report.peak_memory_bytes.div_ceil(BYTES_PER_MB).min(u64::from(report.memory_mb))
        }
    }
}

/// Milliseconds with two digits after the point, rounded.
fn milliseconds(duration: Duration) -> String {
    let hundredths = (duration.as_micros() + 5) / 10;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::{init_report, init_start, milliseconds, report};
    use std::time::Duration;
    use wuwei_model::{InitPhase, InitReport, InvocationId, InvocationReport, Outcome};

    fn sample(outcome: Outcome, error_type: Option<&str>, init_us: Option<u64>) -> InvocationReport {
        InvocationReport {
            id: InvocationId::new("8f5a1c6e-0000-4000-8000-000000000001"),
            outcome,
            error_type: error_type.map(str::to_owned),
            duration: Duration::from_micros(12_344),
            init: init_us.map(Duration::from_micros),
            billed_ms: 13,
            memory_mb: 128,
            peak_memory_bytes: 39 * 1024 * 1024 + 1,
            cpu_us: 1,
        }
    }

    #[test]
    fn reports_have_the_form_of_aws() {
        let check = |outcome, error_type, init_us, end: &str| {
            let start = "REPORT RequestId: 8f5a1c6e-0000-4000-8000-000000000001\tDuration: 12.34 ms\t\
                         Billed Duration: 13 ms\tMemory Size: 128 MB\tMax Memory Used: ";
            assert_eq!(report(&sample(outcome, error_type, init_us)), format!("{start}{end}"));
        };
        check(Outcome::Success, None, None, "40 MB\t");
        check(Outcome::Success, None, Some(98_760), "40 MB\tInit Duration: 98.76 ms\t");
        check(Outcome::FunctionError, None, None, "40 MB\t");
        check(Outcome::Timeout, None, None, "40 MB\tStatus: timeout");
        check(Outcome::Timeout, None, Some(3_439_000), "40 MB\tInit Duration: 3439.00 ms\tStatus: timeout");
        let of_type = |error_type: &str| format!("Status: error\tError Type: {error_type}");
        let exit_error = format!("40 MB\tInit Duration: 0.08 ms\t{}", of_type("Runtime.ExitError"));
        check(Outcome::Crash, Some("Runtime.ExitError"), Some(80), &exit_error);
        let out_of_memory = format!("128 MB\t{}", of_type("Runtime.OutOfMemory"));
        check(Outcome::OutOfMemory, Some("Runtime.OutOfMemory"), None, &out_of_memory);
        let import = format!("40 MB\t{}", of_type("Runtime.ImportModuleError"));
        check(Outcome::FunctionError, Some("Runtime.ImportModuleError"), None, &import);
    }

    #[test]
    fn a_failed_init_has_phase_and_status() {
        let check = |phase, error_type: Option<&str>, end: &str| {
            let duration = Duration::from_micros(137_690);
            let failed = InitReport { phase, duration, error_type: error_type.map(str::to_owned) };
            assert_eq!(init_report(&failed), format!("INIT_REPORT Init Duration: 137.69 ms\tPhase: {end}"));
        };
        check(InitPhase::Init, None, "init\tStatus: timeout");
        check(InitPhase::Invoke, None, "invoke\tStatus: timeout");
        let error = "invoke\tStatus: error\tError Type: Runtime.ExitError";
        check(InitPhase::Invoke, Some("Runtime.ExitError"), error);
    }

    #[test]
    fn memory_used_is_never_more_than_configured() {
        let over = InvocationReport { peak_memory_bytes: 129 << 20, ..sample(Outcome::Success, None, None) };
        assert!(report(&over).contains("Max Memory Used: 128 MB\t"));
        let none = InvocationReport { peak_memory_bytes: 0, ..sample(Outcome::Success, None, None) };
        assert!(report(&none).contains("Max Memory Used: 0 MB\t"));
    }

    #[test]
    fn milliseconds_have_two_digits() {
        let check = |us, expected| assert_eq!(milliseconds(Duration::from_micros(us)), expected);
        check(0, "0.00");
        check(4, "0.00");
        check(5, "0.01");
        check(995, "1.00");
        check(1_570, "1.57");
        check(900_000_000, "900000.00");
    }

    #[test]
    fn init_start_names_the_runtime_and_an_arn_of_its_region() {
        let line = init_start("eu-west-1", "python3.11");
        let (version, arn) = line.split_once('\t').unwrap();
        assert_eq!(version, "INIT_START Runtime Version: python3.11");
        let digest = arn.strip_prefix("Runtime Version ARN: arn:aws:lambda:eu-west-1::runtime:").unwrap();
        assert!(digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
