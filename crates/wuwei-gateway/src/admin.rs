//! wuwei's own endpoints, under `/_wuwei/v1/`; signed like all others, for the service `wuwei` or `lambda`.

mod accounts;
mod audit;
mod code;
mod cost;
mod dead_letters;
mod egress;
mod follow;
mod keys;
mod layers;
mod logs;

use bytes::Bytes;
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::json;
use wuwei_model::FunctionKey;
use wuwei_model::service::Access;

use crate::admission::AdmitError;
use crate::audit::Note;
use crate::auth::{Principal, decode_query, permits};
use crate::face::Exchange;
use crate::lambda::ApiError;
use crate::wire::Answer;

const BODY_BYTES_MAX: usize = 64 * 1024;

/// A signed request of wuwei's own.
struct Request<'exchange> {
    exchange: &'exchange Exchange,
    principal: Principal,
    body: Bytes,
    query: Vec<(String, String)>,
}

impl Request<'_> {
    /// A query parameter.
    fn query(&self, wanted: &str) -> Option<&str> {
        self.query.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }

    /// A function of the caller's account, if the caller may read it.
    fn function(&self, name: &str) -> Result<FunctionKey, ApiError> {
        let options = &self.exchange.parts.options;
        let key = FunctionKey {
            account: self.principal.account.clone(),
            region: options.region.clone(),
            name: name.to_owned(),
        };
        if permits(&self.principal, Access::Read, Some(name)) {
            Ok(key)
        } else {
            Err(ApiError::access_denied(&self.principal.arn(), "wuwei:Read", &key.arn()))
        }
    }
}

/// Answers a request of wuwei's own.
pub(crate) async fn answer(exchange: &mut Exchange) -> Answer {
    route(exchange).await.unwrap_or_else(|error| error.answer())
}

/// For the audit log; packages that are downloaded are no administration.
fn note(note: &mut Note, method: &Method, segments: &[&str]) {
    let (verb, what, access) = match (method.as_str(), segments) {
        ("GET", ["v1", what, ..]) => ("Get", *what, Access::Read),
        ("POST", ["v1", what, ..]) => ("Create", *what, Access::Write),
        ("PUT", ["v1", what, ..]) => ("Set", *what, Access::Write),
        ("DELETE", ["v1", what, ..]) => ("Delete", *what, Access::Write),
        _other => return,
    };
    if what != "code" && what.len() < 20 {
        note.action("wuwei", &format!("{verb} {what}"), access);
        note.resource(segments.get(2).copied().unwrap_or_default());
    }
}

async fn route(exchange: &mut Exchange) -> Result<Answer, ApiError> {
    let path = exchange.head.uri.path().to_owned();
    let segments: Vec<String> = path
        .trim_start_matches("/_wuwei/")
        .split('/')
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let region = exchange.parts.options.region.clone();
    note(&mut exchange.note, &exchange.head.method, &segments);
    let caller = exchange.identify(&["wuwei", "lambda"], &[&region])?;
    let limit = match (&exchange.head.method, segments.as_slice()) {
        // A large body is read only for those who may send one.
        (&Method::PUT, ["v1", "layers", arn]) => {
            caller.believed().map(|principal| layers::check_may_import(principal, arn)).transpose()?;
            usize::try_from(layers::BODY_BYTES_MAX).unwrap_or(usize::MAX)
        }
        (_method, _path) => BODY_BYTES_MAX,
    };
    let admitted = exchange.accept(caller, limit).await;
    let (principal, body) = admitted.map_err(|error| match error {
        AdmitError::Auth(error) => error.into(),
        AdmitError::Body(error) => ApiError::body(&error, "wuwei"),
    })?;
    let query = decode_query(exchange.head.uri.query().unwrap_or_default());
    let request = Request { exchange, principal, body, query };
    match (request.exchange.head.method.clone(), segments.as_slice()) {
        (Method::GET, ["v1", "runtimes"]) => {
            Ok(Answer::json(StatusCode::OK, &json!(request.exchange.parts.options.runtimes)))
        }
        (Method::GET, ["v1", "logs", function]) => logs::answer(&request, function).await,
        (Method::GET, ["v1", "cost"]) => cost::answer(&request).await,
        (Method::GET, ["v1", "audit"]) => audit::answer(&request).await,
        (Method::GET, ["v1", "accounts"]) => accounts::list(&request).await,
        (Method::POST, ["v1", "accounts"]) => accounts::create(&request).await,
        (Method::GET, ["v1", "dead-letters"]) => dead_letters::list(&request).await,
        (Method::GET, ["v1", "dead-letters", id]) => dead_letters::show(&request, id).await,
        (Method::POST, ["v1", "dead-letters", id, "redrive"]) => dead_letters::redrive(&request, id).await,
        (Method::DELETE, ["v1", "dead-letters", id]) => dead_letters::remove(&request, id).await,
        (Method::GET, ["v1", "keys"]) => keys::list(&request).await,
        (Method::POST, ["v1", "keys"]) => keys::create(&request).await,
        (Method::DELETE, ["v1", "keys", id]) => keys::delete(&request, id).await,
        (Method::GET, ["v1", "egress", function]) => egress::show(&request, function).await,
        (Method::PUT, ["v1", "egress", function]) => egress::set(&request, function).await,
        (Method::DELETE, ["v1", "egress", function]) => egress::reset(&request, function).await,
        (Method::GET, ["v1", "code", account, region, function, digest]) => {
            code::answer(&request, [account, region, function], digest).await
        }
        (Method::PUT, ["v1", "layers", arn]) => layers::import(&request, arn).await,
        (Method::GET, ["v1", "layers", account, region, name, number, digest]) => {
            layers::download(&request, [account, region, name], number, digest).await
        }
        (_method, _path) => Err(ApiError::unknown_operation()),
    }
}
