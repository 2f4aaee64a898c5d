//! Answers to requests that a function did not answer.
//!
//! What AWS answers, as its documentation and public reports show it, 2026-11.

use http::StatusCode;
use serde_json::{Value, json};
use wuwei_engine::InvokeError;
use wuwei_model::limits;

use crate::admission::AdmitError;
use crate::auth::AuthError;
use crate::lambda::ApiError;
use crate::wire::{Answer, BodyError};

const SEE: &str = "Forbidden. For troubleshooting Function URL authorization issues, see: \
                   https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html";

/// The policy lets nobody in, or not this caller.
pub(super) fn forbidden() -> Answer {
    denied(&json!({ "Message": SEE }))
}

/// Nobody has this URL. AWS does not say so, either.
pub(super) fn unknown_url() -> Answer {
    denied(&json!({ "Message": null }))
}

/// The function failed, or its result is no HTTP answer. The caller is not told why: the function's log has it.
pub(super) fn bad_gateway() -> Answer {
    Answer::new(StatusCode::BAD_GATEWAY, "application/json", "Internal Server Error")
}

/// The request, as an event, is larger than an invocation may be.
pub(super) fn too_large() -> Answer {
    let limit = limits::SYNC_PAYLOAD_BYTES_MAX;
    let message = format!("Request must be smaller than {limit} bytes for the InvokeFunction operation");
    Answer::json(StatusCode::PAYLOAD_TOO_LARGE, &json!({ "Message": message }))
        .with("x-amzn-errortype", "RequestEntityTooLargeException")
}

/// The caller could not be known, or the body not be read.
pub(super) fn not_admitted(error: AdmitError) -> Answer {
    match error {
        AdmitError::Auth(AuthError::Missing) => denied(&json!({ "Message": "Forbidden" })),
        AdmitError::Auth(error) => ApiError::from(error).answer(),
        AdmitError::Body(error) => unread(&error),
    }
}

/// The body could not be read.
pub(super) fn unread(error: &BodyError) -> Answer {
    match error {
        BodyError::TooLarge(_) => too_large(),
        BodyError::Slow | BodyError::Busy | BodyError::Broken(_) => ApiError::body(error, "Invoke").answer(),
    }
}

/// The platform could not run the function.
pub(super) fn not_run(error: &InvokeError) -> Answer {
    match error {
        InvokeError::TooManyRequests(reason) => ApiError::too_many_requests(reason).answer(),
        InvokeError::ShuttingDown => {
            let mut answer = ApiError::service("The server is shutting down; try again.").answer();
            answer.status = StatusCode::SERVICE_UNAVAILABLE;
            answer
        }
        InvokeError::Launch(_) | InvokeError::Internal => ApiError::platform(error).answer(),
    }
}

fn denied(document: &Value) -> Answer {
    Answer::json(StatusCode::FORBIDDEN, document).with("x-amzn-errortype", "AccessDeniedException")
}
