//! From a function's result to an HTTP answer.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-response-payload>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::wire::{Answer, AnswerBody};

const JSON: &str = "application/json";
/// Headers that belong to the connection or to the platform; a function's own come under another name.
const REMAPPED: &[&str] = &[
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-amzn-requestid",
    "x-amzn-trace-id",
];

/// The answer that a result asks for: an object with a `statusCode` is taken apart, any other JSON is the body of a
/// 200. `None` for what is neither.
pub(super) fn answer(payload: &Bytes) -> Option<Answer> {
    match serde_json::from_slice(payload) {
        Ok(Value::Object(members)) if members.get("statusCode").is_some_and(|status| !status.is_null()) => {
            let mut answer = head(&members, JSON)?;
            answer.body = AnswerBody::Whole(Some(body(&members)?));
            Some(answer)
        }
        Ok(_inferred) => Some(Answer::new(StatusCode::OK, JSON, payload.clone())),
        // JSON that is nested too deep to be taken apart has no status code to be found.
        Err(_) => {
            serde_json::from_slice::<IgnoredAny>(payload).ok()?;
            Some(Answer::new(StatusCode::OK, JSON, payload.clone()))
        }
    }
}

/// Status, headers and cookies of an answer whose body comes otherwise; `None` when one of them is none.
pub(super) fn head(members: &Map<String, Value>, content_type: &'static str) -> Option<Answer> {
    let mut answer = Answer::empty(status(members.get("statusCode"))?);
    match members.get("headers") {
        None | Some(Value::Null) => {}
        Some(Value::Object(headers)) => {
            for (name, value) in headers.iter().filter(|(_, value)| !value.is_null()) {
                answer.headers.push((header_name(name)?, HeaderValue::from_str(&scalar(value)?).ok()?));
            }
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => return None,
    }
    match members.get("cookies") {
        None | Some(Value::Null) => {}
        Some(Value::Array(cookies)) => {
            for cookie in cookies {
                answer.headers.push((header::SET_COOKIE, HeaderValue::from_str(cookie.as_str()?).ok()?));
            }
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => return None,
    }
    if !answer.headers.iter().any(|(name, _)| *name == header::CONTENT_TYPE) {
        answer.headers.push((header::CONTENT_TYPE, HeaderValue::from_static(content_type)));
    }
    Some(answer)
}

/// A whole number, or one in quotes; absent is 200.
fn status(member: Option<&Value>) -> Option<StatusCode> {
    let code = match member {
        None | Some(Value::Null) => return Some(StatusCode::OK),
        Some(Value::Number(number)) => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0 && (200.0..600.0).contains(number))?;
            format!("{whole:.0}").parse().ok()?
        }
        Some(Value::String(text)) => text.parse().ok()?,
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => return None,
    };
    // 1xx are no answers.
    StatusCode::from_u16(code).ok().filter(|status| (200..600).contains(&status.as_u16()))
}

fn header_name(name: &str) -> Option<HeaderName> {
    let name = name.to_ascii_lowercase();
    let name = if REMAPPED.contains(&name.as_str()) { format!("x-amzn-remapped-{name}") } else { name };
    HeaderName::from_bytes(name.as_bytes()).ok()
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Text as it is, or out of base64; anything but text as the JSON that it is.
fn body(members: &Map<String, Value>) -> Option<Bytes> {
    let is_base64_encoded = match members.get("isBase64Encoded") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => *flag,
        Some(Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_)) => return None,
    };
    match members.get("body") {
        None | Some(Value::Null) => Some(Bytes::new()),
        Some(Value::String(text)) if is_base64_encoded => Some(STANDARD.decode(text).ok()?.into()),
        Some(Value::String(text)) => Some(Bytes::from(text.clone())),
        Some(other) if !is_base64_encoded => Some(other.to_string().into()),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::answer;
    use crate::wire::AnswerBody;
    use bytes::Bytes;
    use serde_json::{Value, json};

    /// Status, headers and body on lines, or nothing.
    fn shown(payload: impl Into<Bytes>) -> Option<String> {
        let answer = answer(&payload.into())?;
        let AnswerBody::Whole(Some(body)) = answer.body else { panic!("a whole body") };
        let headers: String = answer
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        Some(format!("{}\n{headers}{}", answer.status.as_u16(), String::from_utf8_lossy(&body)))
    }

    fn of(result: &Value) -> Option<String> {
        shown(result.to_string())
    }

    #[test]
    fn a_result_with_a_status_code_is_taken_apart() {
        let result = json!({
            "statusCode": 201, "headers": { "Content-Type": "text/x", "My-Header": "v", "N": 1, "gone": null },
            "cookies": ["a=1; HttpOnly", "b=2"], "body": "hi"
        });
        assert_eq!(
            of(&result).unwrap(),
            "201\ncontent-type: text/x\nmy-header: v\nn: 1\nset-cookie: a=1; HttpOnly\nset-cookie: b=2\nhi"
        );
        let json_type = "content-type: application/json";
        assert_eq!(of(&json!({ "statusCode": "418", "body": "x" })).unwrap(), format!("418\n{json_type}\nx"));
        assert_eq!(of(&json!({ "statusCode": 200.0 })).unwrap(), format!("200\n{json_type}\n"));
        assert_eq!(
            of(&json!({ "statusCode": 200, "body": { "a": 1 } })).unwrap(),
            format!("200\n{json_type}\n{{\"a\":1}}")
        );
        let binary = json!({ "statusCode": 200, "body": "aGk=", "isBase64Encoded": true });
        assert_eq!(of(&binary).unwrap(), format!("200\n{json_type}\nhi"));
    }

    #[test]
    fn any_other_json_is_the_body_as_it_is() {
        for text in ["{ \"message\": 1 }", "\"hi\"", "3.10", "[1,true]", "null", "{\"statusCode\":null}"] {
            assert_eq!(shown(text).unwrap(), format!("200\ncontent-type: application/json\n{text}"));
        }
        let deep = ["[".repeat(5_000), "]".repeat(5_000)].concat();
        assert!(shown(deep).unwrap().starts_with("200\n"));
    }

    #[test]
    fn what_is_no_http_answer_is_none() {
        for wrong in [
            json!({ "statusCode": "x" }),
            json!({ "statusCode": 99 }),
            json!({ "statusCode": 101 }),
            json!({ "statusCode": 600 }),
            json!({ "statusCode": 200.5 }),
            json!({ "statusCode": true }),
            json!({ "statusCode": 200, "headers": [] }),
            json!({ "statusCode": 200, "headers": { "a b": "c" } }),
            json!({ "statusCode": 200, "headers": { "a": "b\nc: d" } }),
            json!({ "statusCode": 200, "headers": { "a": ["b"] } }),
            json!({ "statusCode": 200, "cookies": "a=b" }),
            json!({ "statusCode": 200, "cookies": [1] }),
            json!({ "statusCode": 200, "body": "%", "isBase64Encoded": true }),
            json!({ "statusCode": 200, "body": "a", "isBase64Encoded": "yes" }),
        ] {
            assert_eq!(of(&wrong), None, "{wrong}");
        }
        assert_eq!(shown("not JSON"), None);
        assert_eq!(shown(""), None);
    }

    #[test]
    fn headers_of_the_connection_come_under_another_name() {
        let result = json!({ "statusCode": 200, "headers": { "Content-Length": "9", "connection": "close" } });
        let shown = of(&result).unwrap();
        assert!(shown.contains("x-amzn-remapped-content-length: 9\n"), "{shown}");
        assert!(shown.contains("x-amzn-remapped-connection: close\n"), "{shown}");
    }
}
