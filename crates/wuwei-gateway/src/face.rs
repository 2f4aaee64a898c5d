//! Picks who answers a request, and puts on every answer what every answer has.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::request::Parts as Head;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use thiserror::Error;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use uuid::Uuid;

use crate::auth::{AuthError, AuthMode, Principal, Verifier, held_by, unchecked};
use crate::gateway::{Parts, UNVERIFIED_KIB};
use crate::lambda::ApiError;
use crate::relay::Line;
use crate::wire::{Answer, AnswerBody, BodyError, ReceivedBody, RequestBody};
use crate::{admin, foreign, lambda, metrics, relay, sts, urls};

/// Bodies up to this size are read without asking for a share of the memory for unverified ones.
const UNBUDGETED_BYTES: usize = 64 * 1024;
/// Longest wait for such a share.
const BUDGET_WAIT: Duration = Duration::from_secs(20);

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
    /// UUID; also the id of the invocation, if it becomes one.
    pub(crate) request_id: String,
}

/// Answers one request. A handler runs to its end also when the caller goes away; its panic is a 500.
pub(crate) async fn respond(parts: Arc<Parts>, door: Door, request: Request<Incoming>) -> Response<AnswerBody> {
    let request_id = Uuid::new_v4().to_string();
    let (head, incoming) = request.into_parts();
    let body = RequestBody::new(incoming, &head.headers);
    let exchange = Exchange { parts: Arc::clone(&parts), door, head, body, request_id: request_id.clone() };
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
    let answer = match exchange.door {
        Door::Public(peer) => answer_public(&mut exchange, peer).await,
        // No administration, no figures, whatever the path or the host that is asked for.
        Door::Relay(_) => answer_api(&mut exchange).await,
    };
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
    match exchange.head.uri.path() {
        "/" => sts::answer(exchange).await,
        _lambda => lambda::answer(exchange).await,
    }
}

/// Why a request got no further than its signature and body.
#[derive(Debug, Error)]
pub(crate) enum AdmitError {
    #[error("authenticate")]
    Auth(#[from] AuthError),
    #[error("read body")]
    Body(#[from] BodyError),
}

impl Exchange {
    /// Finds out who asks, and reads the body: at most `limit` bytes, and none of it for a caller who is refused by
    /// what the head shows.
    pub(crate) async fn admit(
        &mut self,
        services: &[&str],
        regions: &[&str],
        limit: usize,
    ) -> Result<(Principal, Bytes), AdmitError> {
        let parts = &self.parts;
        let verifier = Verifier { regions, services, now: SystemTime::now() };
        let (principal, check) = match &self.door {
            Door::Public(_) if parts.options.auth == AuthMode::Off => {
                let principal = unchecked(&self.head, &parts.options.account)?;
                return Ok((principal, self.body.read(limit, false).await?.bytes));
            }
            Door::Public(_) => {
                verifier.begin(&self.head, |claim| held_by(claim, |id| parts.store.access_keys().get(id)))?
            }
            // Also when signatures are not checked otherwise: a function is not one of those who asked for that.
            Door::Relay(line) => verifier.begin(&self.head, |claim| line.session.admit(claim, Instant::now()))?,
        };
        let received = self.receive(limit, check.needs_hash(), check.is_believed()).await?;
        check.finish(received.hash.as_deref().unwrap_or_default())?;
        Ok((principal, received.bytes))
    }

    /// Reads at most `limit` bytes of body; those of a caller who is not believed (yet), and those of functions, within
    /// the memory for such bodies.
    pub(crate) async fn receive(
        &mut self,
        limit: usize,
        with_hash: bool,
        is_believed: bool,
    ) -> Result<ReceivedBody, BodyError> {
        // An absent length may become anything up to the limit; what is too long is refused by `read`.
        let length = self.body.declared_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(limit);
        let _budget = match &self.door {
            _any if length <= UNBUDGETED_BYTES => None,
            Door::Public(_) if is_believed => None,
            Door::Public(_) => Some(share(&self.parts.unverified_kib, UNVERIFIED_KIB, length.min(limit)).await?),
            Door::Relay(line) => Some(share(&line.bodies_kib, relay::BODIES_KIB, length.min(limit)).await?),
        };
        self.body.read(limit, with_hash).await
    }

    /// Headers with lower-case names, in order.
    pub(crate) fn header_pairs(&self) -> Vec<(String, String)> {
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        self.head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
    }
}

/// Waits for the right to hold a body of so many bytes.
async fn share(budget: &Semaphore, most_kib: u32, bytes: usize) -> Result<SemaphorePermit<'_>, BodyError> {
    let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(most_kib).min(most_kib);
    let permit = timeout(BUDGET_WAIT, budget.acquire_many(kib)).await;
    // An elapsed wait, or (never) a closed semaphore.
    permit.ok().and_then(Result::ok).ok_or(BodyError::Busy)
}
