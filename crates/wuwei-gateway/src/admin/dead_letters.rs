//! Events that were given up: listed, shown, run again, and removed.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};
use wuwei_engine::Events;
use wuwei_model::service::Access;
use wuwei_queue::{DeadLetter, EnqueueError, EventId, Lane, QueueError};

use super::Request;
use crate::auth::{Principal, permits};
use crate::lambda::{ApiError, find_known};
use crate::wire::Answer;

/// Letters of an answer without a `limit`, and at most.
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;
/// Letters that are looked at at a time.
const PAGE: usize = 1_000;

/// `{"dead_letters": […], "next": id or null}`, of one function if one is named.
pub(super) async fn list(request: &Request<'_>) -> Result<Answer, ApiError> {
    let number = |name: &str| request.query(name).map(|text| number_of(text, name)).transpose();
    let limit = number("limit")?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(LIMIT_DEFAULT);
    let limit = limit.clamp(1, LIMIT_MAX);
    let function = request.query("function");
    let is_asked_for = |letter: &DeadLetter| {
        is_allowed(&request.principal, letter, Access::Read)
            && function.is_none_or(|name| letter.lane.function.name == name)
    };
    let events = &request.exchange.parts.events;
    let mut after = number("after")?.map(EventId::from);
    let mut found = Vec::new();
    loop {
        let page = events.dead_letters(after, PAGE).await.map_err(|error| failed(&error))?;
        let is_last = page.len() < PAGE;
        after = page.last().map(|letter| letter.id);
        found.extend(page.into_iter().filter(is_asked_for));
        if is_last || found.len() > limit {
            break;
        }
    }
    let next = (found.len() > limit).then(|| found[limit - 1].id.number());
    let documents: Vec<Value> = found.iter().take(limit).map(document).collect();
    Ok(Answer::json(StatusCode::OK, &json!({ "dead_letters": documents, "next": next })))
}

/// One with its payload.
pub(super) async fn show(request: &Request<'_>, id: &str) -> Result<Answer, ApiError> {
    let events = &request.exchange.parts.events;
    let letter = find(request, id, Access::Invoke, "wuwei:ShowDeadLetter").await?;
    let call = events.dead_call(letter.id).await.map_err(|error| failed(&error))?;
    let call = call.ok_or_else(|| ApiError::service("The event cannot be read back from the disk."))?;
    let mut document = document(&letter);
    document["request_id"] = call.id.as_str().into();
    document["qualifier"] = call.qualifier.into();
    document["payload"] = String::from_utf8_lossy(&call.payload).into();
    Ok(Answer::json(StatusCode::OK, &document))
}

/// Runs it again, as if it had just been sent.
pub(super) async fn redrive(request: &Request<'_>, id: &str) -> Result<Answer, ApiError> {
    let letter = find(request, id, Access::Invoke, "wuwei:RedriveDeadLetter").await?;
    let parts = &request.exchange.parts;
    let function = &letter.lane.function;
    let known = find_known(parts, function).await?;
    let known = known.ok_or_else(|| ApiError::function_not_found(&function.arn()))?;
    let generation = &known.function.generation;
    if *generation == letter.lane.generation {
        parts.events.redrive(letter.id).await.map_err(|error| failed(&error))?;
    } else {
        let lane = Lane { function: function.clone(), generation: generation.clone() };
        send_anew(&parts.events, letter.id, lane).await?;
    }
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// To a function that was made anew: it is taken first and removed then, so that it is never nowhere.
async fn send_anew(events: &Events, id: EventId, lane: Lane) -> Result<(), ApiError> {
    let call = events.dead_call(id).await.map_err(|error| failed(&error))?;
    let call = call.ok_or_else(|| ApiError::service("The event cannot be read back from the disk."))?;
    events.accept(Arc::new(lane), call).await.map_err(|error| match error {
        EnqueueError::Backlog => ApiError::too_many_requests("ConcurrentInvocationLimitExceeded"),
        EnqueueError::DiskFull | EnqueueError::TooLarge | EnqueueError::Unwritten => {
            ApiError::service("The event could not be written to the disk; try again.")
        }
    })?;
    events.remove(id).await.map_err(|error| failed(&error))
}

/// Forgets it.
pub(super) async fn remove(request: &Request<'_>, id: &str) -> Result<Answer, ApiError> {
    let letter = find(request, id, Access::Write, "wuwei:RemoveDeadLetter").await?;
    request.exchange.parts.events.remove(letter.id).await.map_err(|error| failed(&error))?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// A letter of the caller's account, with which the caller may do this.
async fn find(request: &Request<'_>, id: &str, access: Access, action: &str) -> Result<DeadLetter, ApiError> {
    let number = number_of(id, "id")?;
    let id = EventId::from(number);
    let letter = request.exchange.parts.events.dead_letter(id).await.map_err(|error| failed(&error))?;
    let letter = letter.filter(|letter| letter.lane.function.account == request.principal.account);
    let letter = letter.ok_or_else(|| not_found(number))?;
    if is_allowed(&request.principal, &letter, access) {
        Ok(letter)
    } else {
        Err(ApiError::access_denied(&request.principal.arn(), action, &letter.lane.function.arn()))
    }
}

fn is_allowed(principal: &Principal, letter: &DeadLetter, access: Access) -> bool {
    let function = &letter.lane.function;
    function.account == principal.account && permits(principal, access, Some(&function.name))
}

fn number_of(text: &str, name: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_not_one| ApiError::validation(format!("{name} must be a whole number")))
}

fn not_found(id: u64) -> ApiError {
    ApiError::not_found(format!("Dead letter not found: {id}"))
}

fn failed(error: &QueueError) -> ApiError {
    match error {
        QueueError::NotFound | QueueError::LeaseLost => ApiError::not_found("Dead letter not found"),
        QueueError::Unwritten => ApiError::service("The queue of events could not be written; try again."),
        QueueError::Unread => ApiError::service("The queue of events could not be read; try again."),
    }
}

fn document(letter: &DeadLetter) -> Value {
    let time = |at_ms: u64| super::logs::rfc3339(i64::try_from(at_ms).unwrap_or(i64::MAX));
    json!({
        "id": letter.id.number(),
        "function": letter.lane.function.name,
        "condition": letter.cause.as_str(),
        "attempts": letter.failures(),
        "accepted": time(letter.accepted_at_ms),
        "given_up": time(letter.at_ms),
    })
}
