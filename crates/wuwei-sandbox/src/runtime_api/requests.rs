//! What each request of a runtime does.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::task::JoinHandle;
use wuwei_model::limits::SYNC_RESPONSE_BYTES_MAX;

use super::Answered;
use super::body::{self, Body};
use super::document;
use super::exchange::{Exchange, Reference};
use super::responses::{self, accepted_or_refused, refuse, refused};
use super::server::Active;
use crate::defence::{Defence, stands};
use crate::stream::{StreamPart, StreamSink};

const VERSION_PREFIX: &str = "/2018-06-01/";
/// Versions of the Extensions, Logs and Telemetry APIs, which are served on the same address on AWS.
const EXTENSION_PREFIXES: [&str; 3] = ["/2020-01-01/extension/", "/2020-08-15/logs", "/2022-07-01/telemetry"];
const RESPONSE_MODE: &str = "lambda-runtime-function-response-mode";
const INVOCATION_ID: &str = "lambda-runtime-invocation-id";

/// What a request leads to.
enum Begun {
    Answered(Response<Full<Bytes>>),
    Waiting,
    Taking(JoinHandle<Response<Full<Bytes>>>),
}

/// Answers one request. What it brings is taken by a task that starts at once: hyper drops this future when the client
/// goes away, even before it was first polled, but an answer that has arrived counts although its sender is gone.
pub(super) fn handle(
    exchange: Arc<Exchange>,
    request: Request<Incoming>,
    active: Active,
) -> impl Future<Output = Result<Response<Full<Bytes>>, Infallible>> {
    let begun = begin(&exchange, request, active);
    async move {
        Ok(match begun {
            Begun::Answered(response) => response,
            // Ends with its connection, so that no event goes to a client that has stopped to wait for it.
            Begun::Waiting => exchange.next().await.map_or_else(refused, responses::event),
            Begun::Taking(task) => task.await.unwrap_or_else(|_aborted| responses::truncated()),
        })
    }
}

/// A request that brings something.
enum Post {
    InitError,
    Response(String),
    Error(String),
}

fn begin(exchange: &Arc<Exchange>, request: Request<Incoming>, active: Active) -> Begun {
    let path = request.uri().path();
    if EXTENSION_PREFIXES.iter().any(|prefix| path.starts_with(prefix)) {
        return Begun::Answered(responses::no_extensions());
    }
    let segments: Vec<&str> = path.strip_prefix(VERSION_PREFIX).unwrap_or_default().split('/').collect();
    let (post, allowed) = match segments.as_slice() {
        ["ping"] => return Begun::Answered(responses::pong()),
        ["runtime", "invocation", "next"] => (None, Method::GET),
        ["runtime", "init", "error"] => (Some(Post::InitError), Method::POST),
        ["runtime", "invocation", id, "response"] => (Some(Post::Response((*id).to_owned())), Method::POST),
        ["runtime", "invocation", id, "error"] => (Some(Post::Error((*id).to_owned())), Method::POST),
        // `runtime/restore/next` and `runtime/restore/error` too: AWS serves them to restored snapshots only.
        _ => return Begun::Answered(responses::not_found()),
    };
    if *request.method() != allowed {
        let refusal = refuse(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "405 method not allowed");
        return Begun::Answered(refusal);
    }
    let Some(post) = post else { return Begun::Waiting };
    let exchange = Arc::clone(exchange);
    Begun::Taking(tokio::spawn(async move {
        let _active = active;
        match post {
            Post::InitError => take_init_error(&exchange, request).await,
            Post::Response(id) => take_response(&exchange, id, request).await,
            Post::Error(id) => take_error(&exchange, id, request).await,
        }
    }))
}

async fn take_init_error(exchange: &Exchange, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let _room = exchange.room_for_body().await;
    let (head, incoming) = request.into_parts();
    match body::read(incoming, SYNC_RESPONSE_BYTES_MAX).await {
        Body::Whole(bytes, _) => accepted_or_refused(exchange.fail(document::of_report(&head.headers, bytes))),
        Body::TooLarge(_) => responses::too_large(),
        Body::Broken => responses::truncated(),
    }
}

async fn take_error(exchange: &Exchange, id: String, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let reference = reference(id, request.headers(), "InvocationErrorResponse");
    let _room = exchange.room_for_body().await;
    // Before its body is read, so that six megabytes to the wrong id are not kept.
    if let Err(refusal) = exchange.check(&reference) {
        return refused(refusal);
    }
    let (head, incoming) = request.into_parts();
    match body::read(incoming, SYNC_RESPONSE_BYTES_MAX).await {
        Body::Whole(bytes, _) => {
            let document = document::of_report(&head.headers, bytes);
            accepted_or_refused(exchange.answer(&reference, Answered::Error(document)))
        }
        Body::TooLarge(size) => too_large(exchange, &reference, size),
        Body::Broken => responses::truncated(),
    }
}

async fn take_response(exchange: &Exchange, id: String, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let reference = reference(id, request.headers(), "InvocationResponse");
    let _room = exchange.room_for_body().await;
    if let Err(refusal) = exchange.check(&reference) {
        return refused(refusal);
    }
    let (head, incoming) = request.into_parts();
    match head.headers.get(RESPONSE_MODE).map(http::HeaderValue::as_bytes) {
        None | Some(b"") => take_whole(exchange, &reference, incoming).await,
        Some(b"streaming") => match exchange.begin_stream(&reference) {
            Ok(sink) => {
                let (answered, response) = take_stream(&head.headers, incoming, sink).await;
                exchange.end_stream(answered);
                response
            }
            Err(refusal) => refused(refusal),
        },
        Some(_) => {
            let document = document::document("Runtime.InvalidResponseModeHeader", "Invalid function response mode");
            match exchange.answer(&reference, Answered::Error(document)) {
                Ok(()) => responses::invalid_mode(),
                Err(refusal) => refused(refusal),
            }
        }
    }
}

async fn take_whole(exchange: &Exchange, reference: &Reference, incoming: Incoming) -> Response<Full<Bytes>> {
    let bytes_max = if stands(Defence::AnswerLimit) { SYNC_RESPONSE_BYTES_MAX } else { usize::MAX };
    match body::read(incoming, bytes_max).await {
        Body::Whole(bytes, _) => accepted_or_refused(exchange.answer(reference, Answered::Success(bytes))),
        Body::TooLarge(size) => too_large(exchange, reference, size),
        Body::Broken => responses::truncated(),
    }
}

/// Takes an answer that comes part by part, for a caller who wants parts (there is a sink) or the whole.
async fn take_stream(
    headers: &HeaderMap,
    incoming: Incoming,
    sink: Option<StreamSink>,
) -> (Answered, Response<Full<Bytes>>) {
    if let Some(sink) = sink {
        if let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) {
            sink.send(StreamPart::ContentType(kind.to_owned())).await;
        }
        return match body::forward(incoming, &sink).await {
            Some(trailers) => (Answered::Streamed(document::of_trailers(&trailers)), responses::accepted()),
            None => (Answered::Truncated { streamed: true }, responses::truncated()),
        };
    }
    match body::read(incoming, SYNC_RESPONSE_BYTES_MAX).await {
        Body::Whole(bytes, trailers) => {
            let failed = document::of_trailers(&trailers);
            (failed.map_or(Answered::Success(bytes), Answered::Error), responses::accepted())
        }
        Body::TooLarge(size) => (Answered::TooLarge(size), responses::too_large()),
        Body::Broken => (Answered::Truncated { streamed: false }, responses::truncated()),
    }
}

fn too_large(exchange: &Exchange, reference: &Reference, size: u64) -> Response<Full<Bytes>> {
    match exchange.answer(reference, Answered::TooLarge(size)) {
        Ok(()) => responses::too_large(),
        Err(refusal) => refused(refusal),
    }
}

fn reference(id: String, headers: &HeaderMap, to: &'static str) -> Reference {
    let attempt = headers.get(INVOCATION_ID).map(|attempt| String::from_utf8_lossy(attempt.as_bytes()).into_owned());
    Reference { id, attempt, to }
}
