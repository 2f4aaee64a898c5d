//! The HTTP face of the Runtime API.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use wuwei_model::limits::SYNC_RESPONSE_BYTES_MAX;

use super::Answered;
use super::body::{self, Body};
use super::exchange::{Exchange, Refusal};
use crate::instance::Invocation;

/// Connections of one instance; further ones wait in the kernel.
const CONNECTIONS_MAX: usize = 64;
/// Request line and headers of one request. There is no time limit on them: an instance may be frozen for hours in the
/// middle of a request, and with so few connections a slow client takes nothing from others.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const PATH_PREFIX: &str = "/2018-06-01/runtime/";

/// Something that may still bring an answer: an open connection, or a request whose body is being read.
struct Active(Arc<watch::Sender<usize>>);

impl Active {
    fn new(count: &Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(Arc::clone(count))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Accepts connections until it is aborted; `count` is how many sources of an answer there are.
pub(super) async fn serve(listener: TcpListener, exchange: Arc<Exchange>, count: watch::Sender<usize>) {
    let count = Arc::new(count);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, Arc::clone(&exchange), Active::new(&count)));
                }
                Err(error) => {
                    tracing::warn!(%error, "accept a connection to the runtime API");
                    // Out of descriptors, most likely: others must run before it can go better.
                    tokio::task::yield_now().await;
                }
            },
        }
    }
}

async fn serve_connection(stream: TcpStream, exchange: Arc<Exchange>, active: Active) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "set TCP_NODELAY on a connection to the runtime API");
    }
    let service = service_fn(|request| handle(Arc::clone(&exchange), request, Active::new(&active.0)));
    let connection =
        http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = connection {
        tracing::debug!(%error, "connection to the runtime API");
    }
}

/// What a request leads to.
enum Begun {
    Refused(Response<Full<Bytes>>),
    Waiting,
    Taking(JoinHandle<Response<Full<Bytes>>>),
}

/// Answers one request. What it brings is taken by a task that starts at once: hyper drops this future when the client
/// goes away, even before it was first polled, but an answer that has arrived counts although its sender is gone.
fn handle(
    exchange: Arc<Exchange>,
    request: Request<Incoming>,
    active: Active,
) -> impl Future<Output = Result<Response<Full<Bytes>>, Infallible>> {
    let begun = begin(&exchange, request, active);
    async move {
        Ok(match begun {
            Begun::Refused(response) => response,
            // Ends with its connection, so that no event goes to a client that has stopped to wait for it.
            Begun::Waiting => exchange.next().await.map_or_else(refused, event),
            Begun::Taking(task) => task.await.unwrap_or_else(|_aborted| broken()),
        })
    }
}

fn begin(exchange: &Arc<Exchange>, request: Request<Incoming>, active: Active) -> Begun {
    let path = request.uri().path().strip_prefix(PATH_PREFIX).unwrap_or_default().to_owned();
    let segments: Vec<&str> = path.split('/').collect();
    let (post, allowed) = match segments.as_slice() {
        ["invocation", "next"] => (None, Method::GET),
        ["init", "error"] => (Some(Post::InitError), Method::POST),
        ["invocation", id, "response"] => (Some(Post::Answer((*id).to_owned(), Kind::Response)), Method::POST),
        ["invocation", id, "error"] => (Some(Post::Answer((*id).to_owned(), Kind::Error)), Method::POST),
        _ => return Begun::Refused(refuse(StatusCode::NOT_FOUND, "NotFound", "404 page not found")),
    };
    if *request.method() != allowed {
        let refusal = refuse(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "405 method not allowed");
        return Begun::Refused(refusal);
    }
    let Some(post) = post else { return Begun::Waiting };
    let exchange = Arc::clone(exchange);
    Begun::Taking(tokio::spawn(async move {
        let _active = active;
        match post {
            Post::InitError => take_init_error(&exchange, request).await,
            Post::Answer(id, kind) => take_answer(&exchange, &id, request, kind).await,
        }
    }))
}

/// A request that brings something.
enum Post {
    InitError,
    Answer(String, Kind),
}

async fn take_init_error(exchange: &Exchange, request: Request<Incoming>) -> Response<Full<Bytes>> {
    match body::read(request.into_body(), SYNC_RESPONSE_BYTES_MAX).await {
        Body::Whole(document) => accepted_or_refused(exchange.fail(document)),
        Body::TooLarge(_) => too_large(),
        Body::Broken => broken(),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Response,
    Error,
}

async fn take_answer(exchange: &Exchange, id: &str, request: Request<Incoming>, kind: Kind) -> Response<Full<Bytes>> {
    let state = match kind {
        Kind::Response => "InvocationResponse",
        Kind::Error => "InvocationErrorResponse",
    };
    // Before its body is read, so that six megabytes to the wrong id are not kept.
    if let Err(refusal) = exchange.check(id, state) {
        return refused(refusal);
    }
    match body::read(request.into_body(), SYNC_RESPONSE_BYTES_MAX).await {
        Body::Whole(bytes) => {
            let answered = match kind {
                Kind::Response => Answered::Success(bytes),
                Kind::Error => Answered::Error(bytes),
            };
            accepted_or_refused(exchange.answer(id, state, answered))
        }
        Body::TooLarge(size) => match exchange.answer(id, state, Answered::TooLarge(size)) {
            Ok(()) => too_large(),
            Err(refusal) => refused(refusal),
        },
        Body::Broken => broken(),
    }
}

/// The answer to `next`.
fn event(invocation: Invocation) -> Response<Full<Bytes>> {
    let deadline = invocation.deadline.duration_since(UNIX_EPOCH).unwrap_or_default();
    let client_context = invocation.client_context.as_deref().map(single_line);
    let headers = [
        ("lambda-runtime-aws-request-id", Some(invocation.id.as_str())),
        ("lambda-runtime-deadline-ms", Some(&*deadline.as_millis().to_string())),
        ("lambda-runtime-invoked-function-arn", Some(&*invocation.invoked_function_arn)),
        ("lambda-runtime-trace-id", Some(&*invocation.trace_id)),
        ("lambda-runtime-client-context", client_context.as_deref()),
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

fn accepted_or_refused(outcome: Result<(), Refusal>) -> Response<Full<Bytes>> {
    match outcome {
        Ok(()) => json(StatusCode::ACCEPTED, Bytes::from_static(b"{\"status\":\"OK\"}\n")),
        Err(refusal) => refused(refusal),
    }
}

fn refused(refusal: Refusal) -> Response<Full<Bytes>> {
    match refusal {
        Refusal::InvalidRequestId => refuse(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID"),
        Refusal::InvalidTransition { from, to } => {
            let message = format!(
                "State transition from {from} to {to} failed for runtime. Error: State transition is not allowed"
            );
            refuse(StatusCode::FORBIDDEN, "InvalidStateTransition", &message)
        }
    }
}

fn too_large() -> Response<Full<Bytes>> {
    let message = format!("Exceeded maximum allowed payload size ({SYNC_RESPONSE_BYTES_MAX} bytes).");
    refuse(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message)
}

fn broken() -> Response<Full<Bytes>> {
    refuse(StatusCode::BAD_REQUEST, "InvalidRequest", "The request body could not be read")
}

fn refuse(status: StatusCode, error_type: &str, message: &str) -> Response<Full<Bytes>> {
    let document = serde_json::json!({ "errorMessage": message, "errorType": error_type });
    json(status, Bytes::from(document.to_string()))
}

fn json(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
