//! Requests of the hostile runtime that are well formed, or nearly so.

use crate::fuzzing::OTHER;

const VERSION: &str = "/2018-06-01/runtime";

/// An honest answer, on a connection that ends with it.
pub(super) fn honest(id: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {VERSION}/invocation/{id}/response HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A request of one of many forms, and whether it is whole.
pub(super) fn template([form, details]: [u8; 2], last_id: &str, last_attempt: Option<&str>) -> (Vec<u8>, bool) {
    let id = match details % 4 {
        0 | 1 => last_id,
        2 => OTHER,
        _ => "%00/..",
    };
    let attempt = match details >> 2 & 3 {
        0 | 1 => String::new(),
        2 => "Lambda-Runtime-Invocation-Id: 0\r\n".to_owned(),
        _ => last_attempt.map_or_else(String::new, |last| format!("Lambda-Runtime-Invocation-Id: {last}\r\n")),
    };
    let path = match form % 8 {
        0 => return (b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), true),
        1 | 2 => format!("{VERSION}/invocation/{id}/response"),
        3 => format!("{VERSION}/invocation/{id}/error"),
        4 => format!("{VERSION}/init/error"),
        5 => return (b"GET /2018-06-01/ping HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), true),
        6 => "/2020-01-01/extension/register".to_owned(),
        _ => format!("{VERSION}/invocation/next"),
    };
    let mode = match form >> 3 & 3 {
        0 | 1 => "",
        2 => "Lambda-Runtime-Function-Response-Mode: streaming\r\n",
        _ => "Lambda-Runtime-Function-Response-Mode: odd\r\n",
    };
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n{attempt}{mode}");
    let (rest, whole) = match form >> 5 {
        0 => ("Content-Length: 0\r\n\r\n", true),
        1 => ("Content-Length: 4\r\n\r\n{}{}", true),
        2 => ("Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", true),
        3 => (
            "Transfer-Encoding: chunked\r\nTrailer: Lambda-Runtime-Function-Error-Type\r\n\r\n1\r\nx\r\n0\r\n\
             Lambda-Runtime-Function-Error-Type: E\r\nLambda-Runtime-Function-Error-Body: e30=\r\n\r\n",
            true,
        ),
        4 => ("Content-Length: 9\r\n\r\n{", false),
        5 => ("Transfer-Encoding: chunked\r\n\r\n2\r\n{", false),
        6 => ("Content-Length: 99999999\r\n\r\n", false),
        _ => ("Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}", true),
    };
    ([head.as_bytes(), rest.as_bytes()].concat(), whole)
}
