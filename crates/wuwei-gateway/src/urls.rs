//! Function URLs: plain HTTP in front of a function, at a host name of its own.
//!
//! A request's way: `host` finds the id in the host name, `access` lets the caller in, `event` makes the event
//! (payload format 2.0), `result` or `stream` makes the answer, `cors` adds what browsers ask for.

mod access;
mod cors;
mod event;
mod host;
mod refusal;
mod result;
mod stream;
mod trace;

use std::net::SocketAddr;
use std::sync::Arc;

use wuwei_engine::Call;
use wuwei_model::{FunctionUrl, InvocationId, State, UrlInvokeMode, limits};
use wuwei_store::KnownFunction;

use crate::face::Exchange;
use crate::lambda::{ApiError, LATEST, check_state, find_known, version_of};
use crate::wire::Answer;
pub(crate) use host::{address, id_of, new_id};

/// Answers a request to the URL of this id, as the function says.
pub(crate) async fn answer(exchange: &mut Exchange, id: &str, peer: SocketAddr) -> Answer {
    let trace = trace::id_of(&exchange.head.headers);
    let answer = match find(exchange, id).await {
        Ok(Some(found)) => match cors::preflight(found.url.cors.as_ref(), &exchange.head) {
            Some(preflight) => preflight,
            None => {
                let answer = call(exchange, &found, peer, &trace).await.unwrap_or_else(|refused| refused);
                cors::apply(found.url.cors.as_ref(), &exchange.head, answer)
            }
        },
        Ok(None) => refusal::unknown_url(),
        Err(error) => error.answer(),
    };
    answer.with("x-amzn-trace-id", &trace)
}

/// A URL, and whose it is.
struct Found {
    url: FunctionUrl,
    /// `$LATEST`, or an alias.
    qualifier: String,
    known: Arc<KnownFunction>,
}

async fn find(exchange: &Exchange, id: &str) -> Result<Option<Found>, ApiError> {
    let parts = &exchange.parts;
    let Some((mut known, qualifier)) = parts.store.functions().find_url(id).await? else { return Ok(None) };
    if known.latest.state != State::Active {
        // Brings to rest what an earlier server left pending.
        let Some(settled) = find_known(parts, &known.latest.key).await? else { return Ok(None) };
        known = settled;
    }
    let url = known.function.urls.get(&qualifier).cloned();
    Ok(url.map(|url| Found { url, qualifier, known }))
}

impl Found {
    /// ARN of what it is the URL of.
    fn arn(&self) -> String {
        let key = &self.known.latest.key;
        if self.qualifier == LATEST { key.arn() } else { key.qualified_arn(&self.qualifier) }
    }
}

/// Lets the caller in and runs the function; the error is the answer to a request that does not get so far.
async fn call(exchange: &mut Exchange, found: &Found, peer: SocketAddr, trace: &str) -> Result<Answer, Answer> {
    let (caller, body) = access::admit(exchange, found).await?;
    let version = version_of(&exchange.parts, &found.known, &found.qualifier).await;
    let Some(version) = version.map_err(|error| error.answer())? else { return Err(refusal::unknown_url()) };
    check_state(&version).map_err(|error| error.answer())?;
    let payload =
        event::Request { exchange, peer, url: &found.url, caller: caller.as_ref(), body: &body, trace }.event();
    if payload.len() > limits::SYNC_PAYLOAD_BYTES_MAX {
        return Err(refusal::too_large());
    }
    let engine_call = Call {
        id: InvocationId::new(&exchange.request_id),
        // A streamed call goes on after this request has been answered.
        payload: exchange.hold(payload),
        invoked_function_arn: found.arn(),
        trace_id: Some(trace.to_owned()),
        client_context: None,
        tenant_id: None,
        stream: None,
    };
    match found.url.invoke_mode {
        UrlInvokeMode::Buffered => {
            let outcome = exchange.parts.engine.invoke(version, engine_call).await;
            let outcome = outcome.map_err(|error| refusal::not_run(&error))?;
            if outcome.function_error.is_some() {
                return Err(refusal::bad_gateway());
            }
            result::answer(&outcome.payload).ok_or_else(refusal::bad_gateway)
        }
        UrlInvokeMode::ResponseStream => Ok(stream::answer(&exchange.parts, version, engine_call).await),
    }
}
