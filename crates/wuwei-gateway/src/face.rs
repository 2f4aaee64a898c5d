//! Picks who answers a request, and puts on every answer what every answer has.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::request::Parts as Head;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use uuid::Uuid;

use crate::admission::Shares;
use crate::audit::Note;
use crate::gateway::Parts;
use crate::lambda::ApiError;
use crate::relay::Line;
use crate::wire::{Answer, AnswerBody, RequestBody, check_head};
use crate::{admin, audit, auth, foreign, iam, lambda, logs, metrics, sts, urls};

/// Where a request came in: it decides what is served and who is believed.
#[derive(Clone)]
pub(crate) enum Door {
    /// The listener of the server, from this address.
    Public(SocketAddr),
    /// The way back of one instance: the APIs of AWS only, and only for that instance.
    Relay(Arc<Line>),
}

/// A request whose body is still on its way.
pub(crate) struct Exchange {
    pub(crate) parts: Arc<Parts>,
    pub(crate) door: Door,
    pub(crate) head: Head,
    pub(crate) body: RequestBody,
    pub(crate) shares: Shares,
    /// UUID; also the id of the invocation, if it becomes one.
    pub(crate) request_id: String,
    /// For the audit log.
    pub(crate) note: Note,
}

/// Answers one request. A handler runs to its end also when the caller goes away; its panic is a 500.
pub(crate) async fn respond(parts: Arc<Parts>, door: Door, request: Request<Incoming>) -> Response<AnswerBody> {
    let request_id = Uuid::new_v4().to_string();
    let (head, incoming) = request.into_parts();
    let body = RequestBody::new(incoming, &head.headers);
    let shares = Shares::default();
    let note = Note::default();
    let exchange =
        Exchange { parts: Arc::clone(&parts), door, head, body, shares, request_id: request_id.clone(), note };
    let answer = parts.tasks.run(handle(exchange)).await.unwrap_or_else(|| {
        parts.counters.panics.fetch_add(1, Ordering::Relaxed);
        tracing::error!(request_id, "a handler panicked");
        ApiError::internal().answer()
    });
    let class = usize::from(answer.status.as_u16() / 100).saturating_sub(1);
    if let Some(counter) = parts.counters.answers.get(class) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
    answer.into_response(&request_id)
}

async fn handle(mut exchange: Exchange) -> Answer {
    let answer = match (check_head(&exchange.head), &exchange.door) {
        (Err(refused), _) => refused,
        (Ok(()), Door::Public(peer)) => {
            let peer = *peer;
            answer_public(&mut exchange, peer).await
        }
        // No administration, no figures, whatever the path or the host that is asked for.
        (Ok(()), Door::Relay(_)) => answer_api(&mut exchange).await,
    };
    audit::record(&exchange, &answer);
    exchange.body.discard().await;
    answer
}

async fn answer_public(exchange: &mut Exchange, peer: SocketAddr) -> Answer {
    // Whatever is asked of the host name of a function is the function's to answer.
    if let Some(id) = urls::id_of(&exchange.parts.options, &exchange.head) {
        return urls::answer(exchange, &id, peer).await;
    }
    let path = exchange.head.uri.path();
    let get = exchange.head.method == Method::GET;
    match path {
        "/healthz" if get => Answer::new(StatusCode::OK, "text/plain", "ok"),
        "/metrics" if get => metrics::answer(&exchange.parts),
        path if path.starts_with("/_wuwei/") => admin::answer(exchange).await,
        _api => answer_api(exchange).await,
    }
}

/// The APIs of AWS: all that functions reach.
async fn answer_api(exchange: &mut Exchange) -> Answer {
    if let Some(refusal) = foreign::answer(&exchange.head, &exchange.request_id) {
        return refusal;
    }
    let service = auth::claimed_service(&exchange.head.headers, exchange.head.uri.query().unwrap_or_default());
    let is_json = exchange.head.headers.contains_key("x-amz-target");
    match (exchange.head.uri.path(), service.as_deref()) {
        ("/", Some("logs")) => logs::answer(exchange).await,
        ("/", Some("iam")) => iam::answer(exchange).await,
        ("/", None) if is_json => logs::answer(exchange).await,
        ("/", _sts) => sts::answer(exchange).await,
        (_lambda, _) => lambda::answer(exchange).await,
    }
}

impl Exchange {
    /// AWS's own headers (`x-amz…`), in order: no operation looks at others.
    pub(crate) fn aws_headers(&self) -> Vec<(String, String)> {
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let own = self.head.headers.iter().filter(|(name, _)| name.as_str().starts_with("x-amz"));
        own.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
    }
}
