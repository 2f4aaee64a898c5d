//! `Invoke`: synchronous calls and dry runs; see `events` for asynchronous ones.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::de::IgnoredAny;
use serde_json::Map;
use wuwei_engine::{Answer as Outcome, Call as EngineCall, InvokeError};
use wuwei_model::{ColdStart, FunctionVersion, InvocationId};

use super::super::call::{Call, Reply};
use super::super::error::ApiError;
use super::super::{events, lookup, unsupported};

/// Longest `X-Amz-Client-Context`, in bytes of its base64 form.
const CLIENT_CONTEXT_MAX: usize = 3_583;

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    if call.text("InvocationType") == Some("Event") {
        unsupported::refuse(&call.members)?;
        return events::accept(call).await;
    }
    let Some((version, engine_call)) = prepare(call).await? else {
        return Ok(Reply::Empty(StatusCode::NO_CONTENT));
    };
    let outcome = call.parts.engine.invoke(Arc::clone(&version), engine_call).await;
    let outcome = outcome.map_err(|error| refusal(call, &version, &error))?;
    Ok(reply(outcome, &version, wants_log(call)))
}

/// Whether the caller asks for the end of the log.
pub(super) fn wants_log(call: &Call) -> bool {
    call.text("LogType") == Some("Tail")
}

/// What to run, and with what; nothing for a dry run that would succeed.
pub(super) async fn prepare(call: &Call) -> Result<Option<(Arc<FunctionVersion>, EngineCall)>, ApiError> {
    unsupported::refuse(&call.members)?;
    let dry_run = call.text("InvocationType") == Some("DryRun");
    let (payload, client_context) = inputs(call)?;
    let version = lookup::version_for_call(&call.parts, call.target()).await?;
    lookup::check_state(&version)?;
    let tenant_id = tenant(call, &version)?;
    if dry_run {
        return Ok(None);
    }
    let engine_call = EngineCall {
        id: InvocationId::new(&call.request_id),
        payload,
        invoked_function_arn: call.target().arn(),
        trace_id: call.header("x-amzn-trace-id").map(str::to_owned),
        client_context,
        tenant_id,
        stream: None,
    };
    Ok(Some((version, engine_call)))
}

fn reply(outcome: Outcome, version: &FunctionVersion, with_log: bool) -> Reply {
    let mut members = Map::new();
    members.insert("ExecutedVersion".to_owned(), version.version.to_string().into());
    if let Some(kind) = outcome.function_error {
        members.insert("FunctionError".to_owned(), kind.as_str().into());
    }
    if with_log {
        members.insert("LogResult".to_owned(), STANDARD.encode(outcome.log_tail).into());
    }
    let headers = outcome.cold_start.as_ref().and_then(cold_start_header);
    Reply::WithPayload(members, outcome.payload, headers.into_iter().collect())
}

/// `x-wuwei-cold-start: queue=0us;sandbox=2310us;runtime=8120us;init=930us;handler=140us`.
fn cold_start_header(cold_start: &ColdStart) -> Option<(HeaderName, HeaderValue)> {
    let phases = cold_start.phases().map(|(name, duration)| format!("{name}={}us", duration.as_micros()));
    let value = HeaderValue::from_str(&phases.join(";")).ok()?;
    Some((HeaderName::from_static("x-wuwei-cold-start"), value))
}

/// Payload and client context, as the function gets them.
pub(in super::super) fn inputs(call: &Call) -> Result<(Bytes, Option<String>), ApiError> {
    let client_context = call.text("ClientContext").map(client_context).transpose()?;
    Ok((payload(call.payload.clone().unwrap_or_default())?, client_context))
}

/// Why a call could not run, as its caller is told.
pub(super) fn refusal(call: &Call, version: &FunctionVersion, error: &InvokeError) -> ApiError {
    match error {
        InvokeError::TooManyRequests(reason) => ApiError::too_many_requests(reason),
        InvokeError::ShuttingDown => ApiError::service("The server is shutting down; try again."),
        // The host has lost an interpreter since the function was made: the text says which are left.
        InvokeError::Launch(launch) if !call.parts.engine.supports(&version.settings.runtime) => {
            ApiError::invalid_runtime(launch.to_string())
        }
        InvokeError::Launch(launch) if launch.is_of_the_setup() => ApiError::service(launch.to_string()),
        InvokeError::Launch(_) | InvokeError::Internal => ApiError::platform(error),
    }
}

/// The event: JSON text. No payload is an empty object, as AWS hands it to the function.
fn payload(bytes: Bytes) -> Result<Bytes, ApiError> {
    if bytes.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    let invalid = |reason: &dyn std::fmt::Display| {
        ApiError::invalid_content(format!(
            "Could not parse request body into json: Could not parse payload into json: {reason}"
        ))
    };
    let text = std::str::from_utf8(&bytes).map_err(|error| invalid(&error))?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| invalid(&error))?;
    Ok(bytes)
}

/// For whom the call is: named where instances are kept apart by it, and nowhere else.
pub(in super::super) fn tenant(call: &Call, version: &FunctionVersion) -> Result<Option<String>, ApiError> {
    match (version.settings.isolates_tenants, call.text("TenantId")) {
        (true, Some(tenant)) => Ok(Some(tenant.to_owned())),
        (false, None) => Ok(None),
        (true, None) => Err(ApiError::invalid_parameter(
            "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try \
             again.",
        )),
        (false, Some(_)) => Err(ApiError::invalid_parameter(
            "The invoked function is not enabled with tenancy configuration. Remove the tenant ID from your request and \
             try again.",
        )),
    }
}

fn client_context(header: &str) -> Result<String, ApiError> {
    if header.len() > CLIENT_CONTEXT_MAX {
        return Err(ApiError::invalid_content(format!(
            "Client context must be no more than {CLIENT_CONTEXT_MAX} bytes of base64-encoded data."
        )));
    }
    let text = STANDARD.decode(header).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text =
        text.filter(|text| text.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok());
    text.ok_or_else(|| ApiError::invalid_content("Client context must be a valid Base64-encoded JSON object."))
}

#[cfg(test)]
mod tests {
    use super::{client_context, payload};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;

    #[test]
    fn payloads_are_any_json_and_nothing_is_an_empty_object() {
        let check = |text: &'static [u8], expected: &'static [u8]| {
            assert_eq!(payload(Bytes::from_static(text)).unwrap(), expected);
        };
        check(b"", b"{}");
        check(b"{\"a\":1}", b"{\"a\":1}");
        check(b"null", b"null");
        check(b" [1] ", b" [1] ");
        let deep = ["[".repeat(5_000), "]".repeat(5_000)].concat();
        payload(Bytes::from(deep)).unwrap();
    }

    #[test]
    fn what_is_not_json_is_refused_without_being_shown() {
        for text in [&b"{secret"[..], b"secret", b"{} {}", b"\"\xff\"", b" "] {
            let error = payload(Bytes::from_static(text)).unwrap_err();
            assert_eq!(error.name(), "InvalidRequestContentException");
            assert!(error.message().starts_with("Could not parse request body into json: "));
            assert!(!error.message().contains("secret"), "{}", error.message());
        }
    }

    #[test]
    fn a_client_context_is_a_json_object_in_base64_of_at_most_3583_bytes() {
        assert_eq!(client_context(&STANDARD.encode(r#"{"a":1}"#)).unwrap(), r#"{"a":1}"#);
        for wrong in ["%", &STANDARD.encode("[1]"), &STANDARD.encode("{"), &STANDARD.encode(b"\xff")] {
            let error = client_context(wrong).unwrap_err();
            assert_eq!(error.message(), "Client context must be a valid Base64-encoded JSON object.");
        }
        let of_length = |length: usize| STANDARD.encode(format!("{{\"a\":\"{}\"}}", "x".repeat(length / 4 * 3 - 8)));
        assert_eq!(of_length(3_580).len(), 3_580);
        client_context(&of_length(3_580)).unwrap();
        assert!(client_context(&of_length(3_584)).unwrap_err().message().contains("3583"));
    }
}
