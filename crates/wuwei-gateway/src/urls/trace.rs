//! `X-Amzn-Trace-Id`: taken over from the caller, or made.

use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use uuid::Uuid;

/// Longest trace header that is taken over, in bytes.
const TRACE_BYTES_MAX: usize = 512;

/// The trace of a request: the caller's, or a new one that is not sampled.
pub(super) fn id_of(headers: &HeaderMap) -> String {
    let given = headers.get("x-amzn-trace-id").and_then(|value| value.to_str().ok());
    match given.filter(|text| text.contains("Root=") && text.len() <= TRACE_BYTES_MAX) {
        Some(text) => text.to_owned(),
        None => new(SystemTime::now()),
    }
}

/// `Root=1-<seconds in hexadecimal>-<24 hexadecimal digits>;Sampled=0`.
fn new(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let random = Uuid::new_v4().as_u128() & ((1 << 96) - 1);
    format!("Root=1-{seconds:08x}-{random:024x};Sampled=0")
}

#[cfg(test)]
mod tests {
    use super::{id_of, new};
    use http::{HeaderMap, HeaderValue};
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_new_trace_begins_with_the_time() {
        let trace = new(UNIX_EPOCH + Duration::from_secs(0x6931_1f6f));
        assert!(trace.starts_with("Root=1-69311f6f-"), "{trace}");
        assert_eq!(trace.len(), "Root=1-69311f6f-0123456789abcdef01234567;Sampled=0".len());
    }

    #[test]
    fn the_callers_trace_is_kept_when_it_is_one() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amzn-trace-id", HeaderValue::from_static("Root=1-5759e988-bd862e3fe1be46a994272793"));
        assert_eq!(id_of(&headers), "Root=1-5759e988-bd862e3fe1be46a994272793");
        headers.insert("x-amzn-trace-id", HeaderValue::from_static("nonsense"));
        assert!(id_of(&headers).starts_with("Root=1-"));
    }
}
