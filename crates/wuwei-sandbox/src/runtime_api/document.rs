//! Error documents: AWS's form of what a runtime reports.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::{Map, Value, json};

/// Names the error where the body does not; also a trailer of streamed answers.
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
/// Trailer of streamed answers: the error document, base64.
const ERROR_BODY: &str = "lambda-runtime-function-error-body";
/// An error document with a fourth member, `cause`, which is for traces only.
const WITH_CAUSE: &str = "application/vnd.aws.lambda.error.cause+json";
const UNKNOWN: &str = "Runtime.Unknown";

/// A document of this type and message.
pub(crate) fn document(error_type: &str, message: &str) -> Bytes {
    Bytes::from(json!({ "errorType": error_type, "errorMessage": message }).to_string())
}

/// The document of `POST error` and `POST init/error`: the body as it is; one made of the header when there is none.
pub(super) fn of_report(headers: &HeaderMap, body: Bytes) -> Bytes {
    if body.is_empty() {
        return document(text(headers, ERROR_TYPE).unwrap_or(UNKNOWN), "");
    }
    let with_cause = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == WITH_CAUSE);
    if with_cause && let Ok(Value::Object(mut members)) = serde_json::from_slice::<Value>(&body) {
        let kept = ["errorMessage", "errorType", "stackTrace"];
        let kept: Map<_, _> = kept.iter().filter_map(|name| members.remove_entry(*name)).collect();
        return Bytes::from(Value::Object(kept).to_string());
    }
    body
}

/// The document of an answer that broke off with an error, as its trailers tell.
///
/// The body should be an error document in base64; some official clients send plain text in it.
pub(super) fn of_trailers(trailers: &HeaderMap) -> Option<Bytes> {
    let (error_type, body) = (text(trailers, ERROR_TYPE), text(trailers, ERROR_BODY));
    if error_type.is_none() && body.is_none() {
        return None;
    }
    let body = body.unwrap_or_default();
    let decoded = BASE64_STANDARD.decode(body).unwrap_or_else(|_not_encoded| body.as_bytes().to_vec());
    if serde_json::from_slice::<Map<String, Value>>(&decoded).is_ok() {
        return Some(Bytes::from(decoded));
    }
    Some(document(error_type.unwrap_or(UNKNOWN), &String::from_utf8_lossy(&decoded)))
}

fn text<'headers>(headers: &'headers HeaderMap, name: &str) -> Option<&'headers str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::{of_report, of_trailers};
    use bytes::Bytes;
    use http::{HeaderMap, HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        pairs.collect()
    }

    #[test]
    fn a_report_stays_as_it_is_loses_its_cause_or_is_made_of_its_header() {
        let check = |given: &[(&'static str, &'static str)], body: &'static str, expected: &str| {
            assert_eq!(of_report(&headers(given), Bytes::from(body)), expected, "{given:?} {body}");
        };
        check(&[], "{\"errorType\": \"E\"}", "{\"errorType\": \"E\"}");
        check(&[], "no document", "no document");
        check(&[], "", r#"{"errorMessage":"","errorType":"Runtime.Unknown"}"#);
        check(
            &[("lambda-runtime-function-error-type", "Function.Odd")],
            "",
            r#"{"errorMessage":"","errorType":"Function.Odd"}"#,
        );
        let cause = [("content-type", "application/vnd.aws.lambda.error.cause+json")];
        check(&cause, r#"{"cause":{},"errorMessage":"m","errorType":"E"}"#, r#"{"errorMessage":"m","errorType":"E"}"#);
        check(&cause, "[]", "[]");
    }

    #[test]
    fn trailers_are_a_document_in_base64_or_any_text() {
        let check = |given: &[(&'static str, &'static str)], expected: Option<&'static str>| {
            assert_eq!(of_trailers(&headers(given)), expected.map(Bytes::from), "{given:?}");
        };
        let (kind, body) = ("lambda-runtime-function-error-type", "lambda-runtime-function-error-body");
        check(&[], None);
        check(&[(kind, "E"), (body, "eyJlcnJvclR5cGUiOiJEIn0=")], Some(r#"{"errorType":"D"}"#));
        check(&[(kind, "E"), (body, "cGxhaW4=")], Some(r#"{"errorMessage":"plain","errorType":"E"}"#));
        check(&[(kind, "E"), (body, "!")], Some(r#"{"errorMessage":"!","errorType":"E"}"#));
        check(&[(kind, "E")], Some(r#"{"errorMessage":"","errorType":"E"}"#));
        check(&[(body, "cGxhaW4=")], Some(r#"{"errorMessage":"plain","errorType":"Runtime.Unknown"}"#));
    }
}
