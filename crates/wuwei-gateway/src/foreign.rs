//! Requests of other services, which reach this endpoint when `AWS_ENDPOINT_URL` stands for all of them: refused in the form
//! that the service's own clients read, so that the person behind the client reads why.

use http::request::Parts as Head;
use http::{HeaderMap, StatusCode, header};
use serde_json::json;
use wuwei_model::service::{Route, ServiceModel};

use crate::auth;
use crate::wire::Answer;

/// What this endpoint serves, as scopes of credentials name it.
const SERVED: &[&str] = &["lambda", "logs", "iam", "sts"];
/// What requests to wuwei itself may be signed for.
const OWN: &str = "wuwei";
/// Not among the codes that SDKs try again for.
const CODE: &str = "NotImplemented";
const STATUS: StatusCode = StatusCode::NOT_IMPLEMENTED;
/// Longest name of a service that is repeated.
const NAME_BYTES_MAX: usize = 40;

/// The answer to a request that is signed for a service which is not here.
///
/// Paths of the Lambda API stay its own: it refuses other services' signatures in AWS's words.
pub(crate) fn answer(head: &Head, request_id: &str) -> Option<Answer> {
    let service = auth::claimed_service(&head.headers, head.uri.query().unwrap_or_default())?;
    let target = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    if SERVED.contains(&service.as_str()) || service == OWN {
        return None;
    }
    match ServiceModel::lambda().route(head.method.as_str(), target) {
        Route::Found { .. } | Route::MethodNotAllowed => None,
        Route::Unknown => Some(refusal(&service, &head.headers, request_id)),
    }
}

fn refusal(service: &str, headers: &HeaderMap, request_id: &str) -> Answer {
    let message = message(service);
    match Form::of(service, headers) {
        Form::S3 => xml(&format!(
            "<Error><Code>{CODE}</Code><Message>{message}</Message><RequestId>{request_id}</RequestId></Error>"
        )),
        Form::Ec2 => xml(&format!(
            "<Response><Errors><Error><Code>{CODE}</Code><Message>{message}</Message></Error></Errors>\
             <RequestID>{request_id}</RequestID></Response>"
        )),
        Form::Query => xml(&format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{CODE}</Code><Message>{message}</Message></Error>\
             <RequestId>{request_id}</RequestId></ErrorResponse>"
        )),
        Form::Cbor => Answer::new(STATUS, "application/cbor", cbor(&[("__type", CODE), ("message", &message)]))
            .with("smithy-protocol", "rpc-v2-cbor"),
        // Clients take the name from the header or from the body.
        Form::Json => Answer::json(STATUS, &json!({"__type": CODE, "message": message})).with("x-amzn-errortype", CODE),
    }
}

/// What the clients of a service read errors in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    S3,
    Ec2,
    /// Also what Route 53 and CloudFront speak.
    Query,
    Cbor,
    Json,
}

impl Form {
    fn of(service: &str, headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if text("smithy-protocol") == "rpc-v2-cbor" {
            return Self::Cbor;
        }
        if headers.contains_key("x-amz-target") {
            return Self::Json;
        }
        match service {
            "ec2" => Self::Ec2,
            "route53" | "cloudfront" => Self::Query,
            _ if service == "s3" || service.starts_with("s3-") || service.starts_with("s3express") => Self::S3,
            _ if text(header::CONTENT_TYPE.as_str()).starts_with("application/x-www-form-urlencoded") => Self::Query,
            _ => Self::Json,
        }
    }
}

/// No character of it needs an escape in XML or JSON.
fn message(service: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let named = if service.len() <= NAME_BYTES_MAX && service.bytes().all(is_plain) { service } else { "that service" };
    let served = SERVED.join(", ");
    format!(
        "This endpoint (wuwei) serves {served} only, not {named}: AWS_ENDPOINT_URL sends every service here. Set \
         AWS_ENDPOINT_URL_LAMBDA and its like in its place, or give the client of {named} an endpoint of its own."
    )
}

fn xml(document: &str) -> Answer {
    Answer::new(STATUS, "text/xml", format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{document}"))
}

/// A map of texts in CBOR (RFC 8949, section 3).
fn cbor(members: &[(&str, &str)]) -> Vec<u8> {
    const TEXT: u8 = 3 << 5;
    const MAP: u8 = 5 << 5;
    let mut bytes = Vec::new();
    // A map of fewer than 24 members has their number in its first byte.
    bytes.push(MAP | u8::try_from(members.len()).unwrap_or_default());
    for text in members.iter().flat_map(|(name, value)| [name, value]) {
        // 25: the length follows in two bytes.
        bytes.push(TEXT | 25);
        bytes.extend(u16::try_from(text.len()).unwrap_or_default().to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Form, answer, cbor, message};
    use http::{HeaderMap, Request};

    fn head(method: &str, target: &str, service: &str) -> http::request::Parts {
        let credential = format!("AWS4-HMAC-SHA256 Credential=AKIA/20261120/us-east-1/{service}/aws4_request, X=1");
        let request = Request::builder().method(method).uri(target).header("authorization", credential);
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn other_services_are_refused_and_the_served_ones_pass() {
        let refused =
            |method: &str, target: &str, service: &str| answer(&head(method, target, service), "id").is_some();
        assert!(refused("GET", "/", "s3"));
        assert!(refused("PUT", "/bucket/key", "s3"));
        assert!(refused("POST", "/", "sqs"));
        assert!(!refused("POST", "/", "sts"));
        assert!(!refused("POST", "/", "lambda"));
        assert!(!refused("GET", "/elsewhere", "wuwei"));
        assert!(!refused("GET", "/2015-03-31/functions/", "s3"), "the Lambda API says so itself");
        let unsigned = Request::get("/").body(()).unwrap().into_parts().0;
        assert!(answer(&unsigned, "id").is_none());
        let presigned = Request::get("/b/k?X-Amz-Credential=AKIA%2F20261120%2Fus-east-1%2Fs3%2Faws4_request");
        assert!(answer(&presigned.body(()).unwrap().into_parts().0, "id").is_some());
        // Signature version 4A has no region in its scope.
        let mut both = head("GET", "/", "s3");
        let v4a = "AWS4-ECDSA-P256-SHA256 Credential=AKIA/20261120/s3/aws4_request, X=1";
        both.headers.insert("authorization", v4a.parse().unwrap());
        assert!(answer(&both, "id").is_some());
    }

    #[test]
    fn the_form_is_the_one_that_the_client_reads() {
        let check = |service: &str, name: &'static str, value: &str, expected: Form| {
            let headers = HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())]);
            assert_eq!(Form::of(service, &headers), expected, "{service}");
        };
        check("s3", "content-type", "application/xml", Form::S3);
        check("s3express", "content-type", "", Form::S3);
        check("ec2", "content-type", "application/x-www-form-urlencoded; charset=utf-8", Form::Ec2);
        check("sns", "content-type", "application/x-www-form-urlencoded; charset=utf-8", Form::Query);
        check("route53", "content-type", "", Form::Query);
        check("sqs", "x-amz-target", "AmazonSQS.ListQueues", Form::Json);
        check("monitoring", "smithy-protocol", "rpc-v2-cbor", Form::Cbor);
        check("apigateway", "content-type", "", Form::Json);
    }

    #[test]
    fn a_name_that_is_none_is_not_repeated() {
        assert!(message("s3").contains("not s3:"));
        assert!(message("<script>").contains("not that service:"));
        assert!(message(&"a".repeat(100)).contains("not that service:"));
    }

    #[test]
    fn cbor_is_as_the_rfc_has_it() {
        assert_eq!(cbor(&[("a", "bc")]), [0xa1, 0x79, 0, 1, b'a', 0x79, 0, 2, b'b', b'c']);
    }
}
