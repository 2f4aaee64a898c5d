//! `GET audit`: who did what in the caller's account.

use http::StatusCode;
use serde_json::{Value, json};
use wuwei_recorder::AuditEntry;

use super::Request;
use crate::lambda::ApiError;
use crate::wire::Answer;

/// Entries when a request names no limit, and the most that one answer holds.
const LIMIT_DEFAULT: usize = 1_000;
const LIMIT_MAX: usize = 10_000;

pub(super) async fn answer(request: &Request<'_>) -> Result<Answer, ApiError> {
    let principal = &request.principal;
    if !principal.is_administrator() {
        return Err(ApiError::access_denied(&principal.arn(), "wuwei:ReadAudit", "*"));
    }
    let since_ms = super::logs::number(request, "since_ms")?.unwrap_or(0);
    let limit = super::logs::number(request, "limit")?;
    let limit = limit.map_or(LIMIT_DEFAULT, |limit| usize::try_from(limit).unwrap_or(0)).min(LIMIT_MAX);
    let entries = request.exchange.parts.audit.read(&principal.account, since_ms, limit).await;
    let entries = entries.map_err(|error| ApiError::platform(&error))?;
    Ok(Answer::json(StatusCode::OK, &entries.iter().map(document).collect()))
}

fn document(entry: &AuditEntry) -> Value {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "time": super::logs::rfc3339(entry.time_ms),
        "request_id": entry.request_id,
        "account": entry.account,
        "principal": text(&entry.principal),
        "access_key_id": text(&entry.key),
        "source": entry.source,
        "service": entry.service,
        "action": text(&entry.action),
        "resource": text(&entry.resource),
        "status": entry.status,
        "error": text(&entry.error),
        "left_out": entry.left_out,
    })
}
