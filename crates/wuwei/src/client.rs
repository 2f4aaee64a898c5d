//! A small signed HTTP client: what the commands say to the server.

mod connection;
mod locate;
mod refusal;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::Value;

use crate::commands::Session;
use crate::failure::{Exit, Failure};
use crate::signing;

pub(crate) use locate::Target;
pub(crate) use refusal::Refusal;

/// Everything but the characters that SigV4 leaves alone (RFC 3986's unreserved ones).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// A function may run for 900 s; its answer then still has to come.
const ANSWER_LIMIT: Duration = Duration::from_secs(960);

/// Speaks to one server with one key.
#[derive(Debug)]
pub(crate) struct Client {
    target: Target,
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Value of a header, when it is there and is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Value, Failure> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::new(Exit::Refused, "cannot read the server's answer as JSON").because(error))
    }
}

/// What is to be asked of the server.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    method: Method,
    path_and_query: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Question {
    /// A request without body; `path_and_query` is already encoded.
    pub(crate) fn new(method: Method, path_and_query: impl Into<String>) -> Self {
        Self { method, path_and_query: path_and_query.into(), headers: Vec::new(), body: Bytes::new() }
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets the body.
    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a JSON body.
    pub(crate) fn json(self, value: &impl Serialize) -> Result<Self, Failure> {
        let text = serde_json::to_vec(value).map_err(|error| Failure::local("cannot write JSON").because(error))?;
        Ok(self.header("content-type", "application/json").body(text))
    }
}

/// Path of a function in the Lambda API, with what follows its name.
pub(crate) fn function_path(name: &str, rest: &str) -> String {
    format!("/2015-03-31/functions/{}{rest}", encode(name))
}

/// Path of a function's URL in the Lambda API.
pub(crate) fn url_path(name: &str) -> String {
    format!("/2021-10-31/functions/{}/url", encode(name))
}

/// Percent-encodes one segment of a path or one value of a query.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

impl Client {
    /// Finds the server and the key: `--data-dir`, or the `AWS_*` variables, or the default data directory.
    pub(crate) fn connect(session: &Session) -> Result<Self, Failure> {
        Ok(Self { target: Target::locate(session)? })
    }

    /// Where the server is, and with which key it is asked.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Asks, and gives the answer when it is a success; what the server refused is a failure.
    pub(crate) async fn ask(&self, question: Question) -> Result<Answer, Failure> {
        self.try_ask(question).await?.map_err(Refusal::into_failure)
    }

    /// Asks; the inner error is the server's refusal, for callers that expect one.
    pub(crate) async fn try_ask(&self, question: Question) -> Result<Result<Answer, Refusal>, Failure> {
        let exchange = async {
            let response = self.send(question).await?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| self.interrupted(error))?.to_bytes();
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        };
        let answer: Answer = match tokio::time::timeout(ANSWER_LIMIT, exchange).await {
            Ok(answer) => answer?,
            Err(elapsed) => return Err(self.interrupted(elapsed)),
        };
        if answer.status.is_success() { Ok(Ok(answer)) } else { Ok(Err(Refusal::of(&answer))) }
    }

    /// Asks, and gives the pieces of a body that may never end.
    pub(crate) async fn follow(&self, question: Question) -> Result<Pieces<'_>, Failure> {
        let response = self.send(question).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(Pieces { client: self, body: response.into_body() });
        }
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| self.interrupted(error))?.to_bytes();
        Err(Refusal::of(&Answer { status, headers: parts.headers, body }).into_failure())
    }

    async fn send(&self, question: Question) -> Result<http::Response<Incoming>, Failure> {
        let mut request = Request::builder()
            .method(question.method)
            .uri(question.path_and_query)
            .header(http::header::HOST, &self.target.authority)
            .header(http::header::USER_AGENT, concat!("wuwei/", env!("CARGO_PKG_VERSION")));
        for (name, value) in question.headers {
            request = request.header(name, value);
        }
        let mut request = request
            .body(question.body)
            .map_err(|error| Failure::usage("cannot make a request from these arguments").because(error))?;
        signing::sign(&mut request, &self.target.credentials, &self.target.region);
        connection::exchange(&self.target, request).await
    }

    fn interrupted(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
        Failure::new(Exit::Unreachable, format!("cannot read the answer of `{}`", self.target.endpoint()))
            .because(error)
            .hint("the server's log says whether it stopped")
    }
}

/// The pieces of a body, as they come.
#[derive(Debug)]
pub(crate) struct Pieces<'client> {
    client: &'client Client,
    body: Incoming,
}

impl Pieces<'_> {
    /// The next piece; `None` when the server has said everything.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| self.client.interrupted(error))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::function_path;

    #[test]
    fn names_are_encoded_as_one_path_segment() {
        assert_eq!(function_path("a-b_c", "/code"), "/2015-03-31/functions/a-b_c/code");
        assert_eq!(function_path("a:1", ""), "/2015-03-31/functions/a%3A1");
        assert_eq!(function_path("../x y", ""), "/2015-03-31/functions/..%2Fx%20y");
    }
}
