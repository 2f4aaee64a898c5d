//! From an HTTP request to an event: payload format 2.0 of AWS's function URLs.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-request-payload>

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Version, header};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use wuwei_model::{FunctionUrl, UrlAuthType};

use crate::auth::{Principal, decode_query};
use crate::face::Exchange;

/// What stands in for the parts that function URLs do not have.
const DEFAULT: &str = "$default";
/// Headers of the connection, not of the request, and those that have members of their own.
const NOT_SHOWN: &[&str] =
    &["connection", "cookie", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];
/// Types of text beside `text/*`; every other body is binary, one without a type too.
const TEXT_TYPES: &[&str] = &["application/json", "application/javascript", "application/xml"];

/// A request that has been let in.
pub(super) struct Request<'request> {
    pub(super) exchange: &'request Exchange,
    /// Where the connection comes from.
    pub(super) peer: SocketAddr,
    pub(super) url: &'request FunctionUrl,
    /// Who signed it, where it had to be signed.
    pub(super) caller: Option<&'request Principal>,
    pub(super) body: &'request Bytes,
    /// Its trace, which the function is to see.
    pub(super) trace: &'request str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'request> {
    version: &'static str,
    route_key: &'static str,
    raw_path: &'request str,
    raw_query_string: &'request str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query_string_parameters: BTreeMap<String, String>,
    request_context: Context<'request>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'request> {
    account_id: &'request str,
    api_id: &'request str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorizer: Option<Authorizer<'request>>,
    domain_name: &'request str,
    domain_prefix: &'request str,
    http: Http<'request>,
    request_id: &'request str,
    route_key: &'static str,
    stage: &'static str,
    time: String,
    time_epoch: i64,
}

#[derive(Serialize)]
struct Authorizer<'request> {
    iam: Identity<'request>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'request> {
    access_key: &'request str,
    account_id: &'request str,
    caller_id: &'request str,
    cognito_identity: Option<()>,
    principal_org_id: Option<()>,
    user_arn: String,
    user_id: &'request str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Http<'request> {
    method: &'request str,
    path: &'request str,
    protocol: &'static str,
    source_ip: String,
    user_agent: Option<String>,
}

impl Request<'_> {
    /// The event, JSON text.
    pub(super) fn event(&self) -> Bytes {
        let head = &self.exchange.head;
        let path = head.uri.path();
        let query = head.uri.query().unwrap_or_default();
        let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let now = OffsetDateTime::from(SystemTime::now());
        let (body, is_base64_encoded) = body(self.body, &head.headers);
        let event = Event {
            version: "2.0",
            route_key: DEFAULT,
            raw_path: path,
            raw_query_string: query,
            cookies: cookies(&head.headers),
            headers: self.headers(),
            query_string_parameters: parameters(query),
            request_context: Context {
                account_id: match (self.url.auth_type, self.caller) {
                    (UrlAuthType::AwsIam, Some(caller)) => &caller.account,
                    (UrlAuthType::None | UrlAuthType::AwsIam, _) => "anonymous",
                },
                api_id: &self.url.id,
                authorizer: self.caller.map(|caller| Authorizer {
                    iam: Identity {
                        access_key: &caller.key_id,
                        account_id: &caller.account,
                        caller_id: &caller.key_id,
                        cognito_identity: None,
                        principal_org_id: None,
                        user_arn: caller.arn(),
                        user_id: &caller.key_id,
                    },
                }),
                domain_name: host.rsplit_once(':').map_or(host, |(name, _port)| name),
                domain_prefix: &self.url.id,
                http: Http {
                    method: head.method.as_str(),
                    path,
                    protocol: if head.version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" },
                    source_ip: self.source_ip(),
                    user_agent: head.headers.get(header::USER_AGENT).map(|value| text(value.as_bytes())),
                },
                request_id: &self.exchange.request_id,
                route_key: DEFAULT,
                stage: DEFAULT,
                time: common_log_time(now),
                time_epoch: i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX),
            },
            body,
            is_base64_encoded,
        };
        serde_json::to_vec(&event).expect("events have string keys and no values that JSON lacks").into()
    }

    fn source_ip(&self) -> String {
        self.peer.ip().to_canonical().to_string()
    }

    /// Headers by lower-case name, and what a proxy in front of a function says of the request.
    fn headers(&self) -> BTreeMap<String, String> {
        let mut headers = joined(&self.exchange.head.headers);
        if self.url.auth_type == UrlAuthType::AwsIam {
            // A signature is between the caller and the platform.
            headers.remove("authorization");
        }
        let source_ip = self.source_ip();
        headers
            .entry("x-forwarded-for".to_owned())
            .and_modify(|given| {
                given.push_str(", ");
                given.push_str(&source_ip);
            })
            .or_insert(source_ip);
        let host = headers.get("host").map(String::as_str).unwrap_or_default();
        let port = host.rsplit_once(':').map_or("80", |(_name, port)| port).to_owned();
        headers.insert("x-forwarded-port".to_owned(), port);
        headers.insert("x-forwarded-proto".to_owned(), "http".to_owned());
        headers.insert("x-amzn-trace-id".to_owned(), self.trace.to_owned());
        headers
    }
}

/// Values of the same name are joined by commas, in their order.
fn joined(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| !NOT_SHOWN.contains(&name.as_str())) {
        let value = text(value.as_bytes());
        joined
            .entry(name.as_str().to_owned())
            .and_modify(|known| {
                known.push(',');
                known.push_str(&value);
            })
            .or_insert(value);
    }
    joined
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(header::COOKIE).iter().map(|value| text(value.as_bytes()));
    let all: Vec<String> = lines.collect();
    all.iter()
        .flat_map(|line| line.split(';'))
        .map(str::trim)
        .filter(|one| !one.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Decoded parameters; values of the same name are joined by commas, in their order.
fn parameters(query: &str) -> BTreeMap<String, String> {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in decode_query(query) {
        joined
            .entry(name)
            .and_modify(|known| {
                known.push(',');
                known.push_str(&value);
            })
            .or_insert(value);
    }
    joined
}

/// The body as text where its type is one of text and its bytes are, else in base64; and which of both.
fn body(bytes: &Bytes, headers: &HeaderMap) -> (Option<String>, bool) {
    if bytes.is_empty() {
        return (None, false);
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let plain = if content_type.is_some_and(is_text) { std::str::from_utf8(bytes).ok() } else { None };
    match plain {
        Some(plain) => (Some(plain.to_owned()), false),
        None => (Some(STANDARD.encode(bytes)), true),
    }
}

fn is_text(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type.starts_with("text/") || TEXT_TYPES.contains(&media_type.as_str())
}

/// Header values are bytes; what is no UTF-8 is replaced.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `12/Mar/2020:19:03:58 +0000`.
fn common_log_time(at: OffsetDateTime) -> String {
    const FORMAT: &[BorrowedFormatItem<'_>] =
        format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
    at.format(FORMAT).expect("a valid time has all the format's components")
}

#[cfg(test)]
mod tests {
    use super::{body, common_log_time, cookies, joined, parameters};
    use bytes::Bytes;
    use http::{HeaderMap, HeaderName, HeaderValue};
    use time::macros::datetime;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn bodies_of_text_types_are_text_and_all_others_base64() {
        let check = |content_type: Option<&'static str>, bytes: &'static [u8], expected: (Option<&str>, bool)| {
            let headers = content_type.map_or_else(HeaderMap::new, |text| headers(&[("content-type", text)]));
            let (body, is_base64_encoded) = body(&Bytes::from_static(bytes), &headers);
            assert_eq!((body.as_deref(), is_base64_encoded), expected, "{content_type:?}");
        };
        check(Some("text/plain"), b"hi", (Some("hi"), false));
        check(Some("TEXT/HTML; charset=utf-8"), b"hi", (Some("hi"), false));
        check(Some("application/json"), b"{}", (Some("{}"), false));
        check(Some("application/json;charset=utf-8"), b"{}", (Some("{}"), false));
        check(Some("application/xml"), b"<a/>", (Some("<a/>"), false));
        check(Some("application/javascript"), b"a", (Some("a"), false));
        check(Some("application/x-www-form-urlencoded"), b"a=b", (Some("YT1i"), true));
        check(Some("application/octet-stream"), b"a", (Some("YQ=="), true));
        check(Some("image/png"), b"a", (Some("YQ=="), true));
        check(None, b"a", (Some("YQ=="), true));
        check(Some("text/plain"), b"\xff", (Some("/w=="), true));
        check(Some("text/plain"), b"", (None, false));
        check(None, b"", (None, false));
    }

    #[test]
    fn headers_are_joined_and_those_of_the_connection_left_out() {
        let given = headers(&[("x-a", "1"), ("x-b", "2"), ("x-a", "3"), ("connection", "close"), ("cookie", "a=b")]);
        let expected = [("x-a", "1,3"), ("x-b", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(joined(&given), expected.into());
    }

    #[test]
    fn cookies_are_split() {
        let given = headers(&[("cookie", "a=1; b=2;c=\"x y\""), ("cookie", "d=4")]);
        assert_eq!(cookies(&given), ["a=1", "b=2", "c=\"x y\"", "d=4"]);
        assert!(cookies(&headers(&[])).is_empty());
    }

    #[test]
    fn parameters_are_decoded_and_joined() {
        let expected = [("a", "1,2"), ("b c", "x y,"), ("flag", "")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(parameters("a=1&b%20c=x+y&a=2&flag&b+c="), expected.into());
    }

    #[test]
    fn times_are_as_in_common_logs() {
        assert_eq!(common_log_time(datetime!(2020-03-02 19:03:58.7 UTC)), "02/Mar/2020:19:03:58 +0000");
    }
}
