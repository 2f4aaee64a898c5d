//! What the Runtime API answers.

use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use wuwei_model::limits::SYNC_RESPONSE_BYTES_MAX;

use super::document::document;
use super::exchange::{Handed, Refusal};

/// The answer to `next`.
pub(super) fn event(Handed { invocation, attempt }: Handed) -> Response<Full<Bytes>> {
    let deadline = invocation.deadline.duration_since(UNIX_EPOCH).unwrap_or_default();
    let client_context = invocation.client_context.as_deref().map(single_line);
    let cognito_identity = invocation.cognito_identity.as_deref().map(single_line);
    let headers = [
        ("lambda-runtime-aws-request-id", Some(invocation.id.as_str())),
        ("lambda-runtime-invocation-id", Some(&*attempt)),
        ("lambda-runtime-deadline-ms", Some(&*deadline.as_millis().to_string())),
        ("lambda-runtime-invoked-function-arn", Some(&*invocation.invoked_function_arn)),
        ("lambda-runtime-trace-id", Some(&*invocation.trace_id)),
        ("lambda-runtime-client-context", client_context.as_deref()),
        ("lambda-runtime-cognito-identity", cognito_identity.as_deref()),
        ("lambda-runtime-aws-tenant-id", invocation.tenant_id.as_deref()),
    ]
    .map(|(name, value)| {
        // What no header can carry is left out.
        let value = value.and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok());
        (HeaderName::from_static(name), value)
    });
    let mut response = json(StatusCode::OK, invocation.payload);
    response.headers_mut().extend(headers.into_iter().filter_map(|(name, value)| Some((name, value?))));
    response
}

/// JSON on one line, as a header needs it.
fn single_line(document: &str) -> String {
    let parsed = serde_json::from_str::<serde_json::Value>(document);
    parsed.map_or_else(|_| document.to_owned(), |value| value.to_string())
}

pub(super) fn accepted() -> Response<Full<Bytes>> {
    json(StatusCode::ACCEPTED, Bytes::from_static(b"{\"status\":\"OK\"}\n"))
}

pub(super) fn accepted_or_refused(outcome: Result<(), Refusal>) -> Response<Full<Bytes>> {
    outcome.map_or_else(refused, |()| accepted())
}

pub(super) fn refused(refusal: Refusal) -> Response<Full<Bytes>> {
    match refusal {
        Refusal::InvalidRequestId => refuse(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID"),
        Refusal::Stale => {
            let message = "The invocation that this answers has timed out";
            refuse(StatusCode::GONE, "ErrorRuntimeInvokeTimeout", message)
        }
        Refusal::InvalidTransition { from, to } => {
            let message = format!(
                "State transition from {from} to {to} failed for runtime. Error: State transition is not allowed"
            );
            refuse(StatusCode::FORBIDDEN, "InvalidStateTransition", &message)
        }
    }
}

pub(super) fn too_large() -> Response<Full<Bytes>> {
    let message = format!("Exceeded maximum allowed payload size ({SYNC_RESPONSE_BYTES_MAX} bytes).");
    refuse(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message)
}

pub(super) fn truncated() -> Response<Full<Bytes>> {
    refuse(StatusCode::BAD_REQUEST, "TruncatedHTTPRequest", "HTTP request detected as truncated")
}

pub(super) fn invalid_mode() -> Response<Full<Bytes>> {
    refuse(StatusCode::BAD_REQUEST, "InvalidFunctionResponseMode", "Invalid function response mode")
}

pub(super) fn not_found() -> Response<Full<Bytes>> {
    refuse(StatusCode::NOT_FOUND, "NotFound", "404 page not found")
}

pub(super) fn no_extensions() -> Response<Full<Bytes>> {
    refuse(StatusCode::NOT_IMPLEMENTED, "NotImplemented", "wuwei does not offer the Extensions API yet")
}

/// The answer to `ping`, which some runtimes wait for before they start.
pub(super) fn pong() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"pong")));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

pub(super) fn refuse(status: StatusCode, error_type: &str, message: &str) -> Response<Full<Bytes>> {
    json(status, document(error_type, message))
}

fn json(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
