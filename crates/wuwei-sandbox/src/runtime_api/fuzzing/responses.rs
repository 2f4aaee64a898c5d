//! What the server sent, read as plainly as can be.

/// Every status that the Runtime API answers to whole requests.
const STATUSES: [u16; 9] = [100, 200, 202, 400, 403, 404, 405, 410, 501];

/// Head and body of the first response, and what follows; nothing when it is not whole.
fn split(received: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let (head, rest) = received.split_at(end);
    let head = std::str::from_utf8(head).expect("heads of responses are text");
    let length = header(head, "content-length").map_or(0, |length| length.parse().expect("a length is a number"));
    let (body, rest) = rest.split_at_checked(length)?;
    Some((head, body, rest))
}

fn header<'head>(head: &'head str, name: &str) -> Option<&'head str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next_back()
}

fn status(head: &str) -> u16 {
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split(' ').next());
    status.and_then(|status| status.parse().ok()).expect("a response starts with its status")
}

/// The first final status.
pub(super) fn first_status(received: &[u8]) -> Option<u16> {
    let (head, _, rest) = split(received)?;
    if status(head) == 100 { first_status(rest) } else { Some(status(head)) }
}

/// The attempt of the last event that was handed out.
pub(super) fn attempt_of(received: &[u8]) -> Option<String> {
    let mut rest = received;
    let mut attempt = None;
    while rest.starts_with(b"HTTP/1.1 ") {
        let Some((head, _, after)) = split(rest) else { break };
        attempt = header(head, "lambda-runtime-invocation-id").map(str::to_owned).or(attempt);
        rest = after;
    }
    attempt
}

/// The request id of the event in the first response.
pub(super) fn event_of(received: &[u8]) -> Option<String> {
    let (head, body, _) = split(received)?;
    assert_eq!(body, b"{}", "the event is not what was offered");
    header(head, "lambda-runtime-aws-request-id").map(str::to_owned)
}

/// Asserts that responses to whole requests are whole, of a known status, and say what is wrong where something is.
pub(super) fn check_responses(received: &[u8]) {
    let mut rest = received;
    while !rest.is_empty() {
        let (head, body, after) = split(rest).expect("a response is whole");
        let status = status(head);
        assert!(STATUSES.contains(&status) || status == 413, "status {status}");
        if status >= 400 {
            let document: serde_json::Value = serde_json::from_slice(body).expect("an error is a document");
            assert!(document["errorType"].is_string() && document["errorMessage"].is_string(), "{document}");
        }
        rest = after;
    }
}
