//! Cross-origin requests of browsers, answered by the configuration of the URL.

use http::request::Parts as Head;
use http::{HeaderName, Method, StatusCode, header};
use wuwei_model::{UrlCors, glob_matches};

use crate::wire::Answer;

/// The answer to a preflight, which the function never sees; `None` for any other request.
pub(super) fn preflight(cors: Option<&UrlCors>, head: &Head) -> Option<Answer> {
    let cors = cors?;
    let asks = head.method == Method::OPTIONS
        && head.headers.contains_key(header::ORIGIN)
        && head.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if !asks {
        return None;
    }
    let answer = Answer::empty(StatusCode::OK);
    let Some(origin) = allowed_origin(cors, head) else { return Some(answer) };
    let mut answer = for_origin(cors, answer, &origin);
    for (name, list) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, &cors.allow_methods),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, &cors.allow_headers),
    ] {
        answer = with_list(answer, &name, list);
    }
    if let Some(max_age_s) = cors.max_age_s {
        answer = answer.with(header::ACCESS_CONTROL_MAX_AGE.as_str(), &max_age_s.to_string());
    }
    Some(answer)
}

/// Adds what a page of an allowed origin needs to read an answer. What the function says about it stays, as at AWS.
pub(super) fn apply(cors: Option<&UrlCors>, head: &Head, answer: Answer) -> Answer {
    let Some(cors) = cors else { return answer };
    let Some(origin) = allowed_origin(cors, head) else { return answer };
    let answer = for_origin(cors, answer, &origin);
    with_list(answer, &header::ACCESS_CONTROL_EXPOSE_HEADERS, &cors.expose_headers)
}

fn for_origin(cors: &UrlCors, answer: Answer, origin: &str) -> Answer {
    let answer = answer.with("access-control-allow-origin", origin).with("vary", "Origin");
    if cors.allow_credentials == Some(true) { answer.with("access-control-allow-credentials", "true") } else { answer }
}

fn with_list(answer: Answer, name: &HeaderName, list: &[String]) -> Answer {
    if list.is_empty() { answer } else { answer.with(name.as_str(), &list.join(",")) }
}

/// The request's origin, when the configuration has it. Scheme and host have no case; a pattern may have stars.
fn allowed_origin(cors: &UrlCors, head: &Head) -> Option<String> {
    let origin = head.headers.get(header::ORIGIN)?.to_str().ok()?;
    let lower = origin.to_ascii_lowercase();
    let is_allowed = cors.allow_origins.iter().any(|allowed| glob_matches(&allowed.to_ascii_lowercase(), &lower));
    is_allowed.then(|| origin.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{apply, preflight};
    use crate::wire::Answer;
    use http::StatusCode;
    use http::request::Parts as Head;
    use wuwei_model::UrlCors;

    fn head(method: &str, headers: &[(&str, &str)]) -> Head {
        let mut request = http::Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn cors() -> UrlCors {
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
        UrlCors {
            allow_credentials: Some(true),
            allow_headers: list(&["x-a", "x-b"]),
            allow_methods: list(&["GET", "POST"]),
            allow_origins: list(&["https://example.com", "https://*.example.org"]),
            expose_headers: list(&["x-c"]),
            max_age_s: Some(60),
        }
    }

    fn shown(answer: &Answer) -> String {
        let pair =
            |(name, value): &(http::HeaderName, http::HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        answer.headers.iter().map(pair).collect::<Vec<_>>().join("\n")
    }

    const ASKS: (&str, &str) = ("access-control-request-method", "GET");

    #[test]
    fn a_preflight_is_answered_from_the_configuration() {
        let head = head("OPTIONS", &[("origin", "https://example.com"), ASKS]);
        let answer = preflight(Some(&cors()), &head).unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(
            shown(&answer),
            "access-control-allow-origin: https://example.com\nvary: Origin\naccess-control-allow-credentials: \
             true\naccess-control-allow-methods: GET,POST\naccess-control-allow-headers: x-a,x-b\n\
             access-control-max-age: 60"
        );
    }

    #[test]
    fn an_origin_that_is_not_allowed_gets_nothing() {
        let head = head("OPTIONS", &[("origin", "https://example.com.evil"), ASKS]);
        assert_eq!(shown(&preflight(Some(&cors()), &head).unwrap()), "");
        assert_eq!(shown(&apply(Some(&cors()), &head, Answer::empty(StatusCode::OK))), "");
    }

    #[test]
    fn only_preflights_are_kept_from_the_function() {
        let origin = ("origin", "https://example.com");
        assert!(preflight(None, &head("OPTIONS", &[origin, ASKS])).is_none());
        assert!(preflight(Some(&cors()), &head("OPTIONS", &[origin])).is_none());
        assert!(preflight(Some(&cors()), &head("OPTIONS", &[ASKS])).is_none());
        assert!(preflight(Some(&cors()), &head("GET", &[origin, ASKS])).is_none());
    }

    #[test]
    fn answers_name_the_origin_and_the_headers_that_a_page_may_read() {
        let head = head("GET", &[("origin", "https://a.example.org")]);
        assert_eq!(
            shown(&apply(Some(&cors()), &head, Answer::empty(StatusCode::OK))),
            "access-control-allow-origin: https://a.example.org\nvary: Origin\naccess-control-allow-credentials: \
             true\naccess-control-expose-headers: x-c"
        );
    }
}
