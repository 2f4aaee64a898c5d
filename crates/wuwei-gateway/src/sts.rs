//! STS: `GetCallerIdentity`, in AWS's Query protocol (form in, XML out).

use http::{Method, StatusCode};

use crate::admission::AdmitError;
use crate::auth::{Principal, decode_query};
use crate::face::Exchange;
use crate::wire::{Answer, BodyError};

/// A form has two fields; this is room for clients that send more.
const FORM_BYTES_MAX: usize = 64 * 1024;
const VERSION: &str = "2011-06-15";

/// An error in STS's form.
struct StsError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

/// Answers a request of STS.
pub(crate) async fn answer(exchange: &mut Exchange) -> Answer {
    let request_id = exchange.request_id.clone();
    match identify(exchange).await {
        Ok(principal) => Answer::new(StatusCode::OK, "text/xml", identity_document(&principal, &request_id)),
        Err(error) => {
            let document = error_document(error.code, &error.message, &request_id);
            Answer::new(error.status, "text/xml", document).with("x-amzn-errortype", error.code)
        }
    }
}

async fn identify(exchange: &mut Exchange) -> Result<Principal, StsError> {
    if exchange.head.method != Method::POST && exchange.head.method != Method::GET {
        return Err(StsError {
            status: StatusCode::METHOD_NOT_ALLOWED,
            code: "UnsupportedOperation",
            message: "Use GET or POST".to_owned(),
        });
    }
    let query = exchange.head.uri.query().unwrap_or_default().to_owned();
    let region = exchange.parts.options.region.clone();
    // The global endpoint of STS is scoped to us-east-1, whatever the client's region.
    let regions = [region.as_str(), "us-east-1"];
    let (principal, body) = exchange.admit(&["sts"], &regions, FORM_BYTES_MAX).await.map_err(refusal)?;
    let mut fields = decode_query(&query);
    fields.extend(decode_query(&String::from_utf8_lossy(&body)));
    check_action(&fields)?;
    Ok(principal)
}

fn check_action(fields: &[(String, String)]) -> Result<(), StsError> {
    let field = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let invalid = |code, message| Err(StsError { status: StatusCode::BAD_REQUEST, code, message });
    match (field("Action"), field("Version")) {
        (None, _) => invalid("MissingAction", "Missing Action".to_owned()),
        (Some("GetCallerIdentity"), None | Some(VERSION)) => Ok(()),
        (Some(action), version) => {
            let version = version.unwrap_or("NO_VERSION_SPECIFIED");
            invalid("InvalidAction", format!("Could not find operation {action} for version {version}"))
        }
    }
}

fn refusal(error: AdmitError) -> StsError {
    match error {
        AdmitError::Auth(error) => {
            let code = error.query_name();
            let status = if code == "IncompleteSignature" { StatusCode::BAD_REQUEST } else { StatusCode::FORBIDDEN };
            let message = match code {
                "MissingAuthenticationToken" => "Request is missing Authentication Token".to_owned(),
                _other => error.to_string(),
            };
            StsError { status, code, message }
        }
        AdmitError::Body(BodyError::TooLarge(limit)) => StsError {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            code: "RequestEntityTooLarge",
            message: format!("Request must be smaller than {limit} bytes"),
        },
        AdmitError::Body(BodyError::Slow | BodyError::Busy | BodyError::Broken(_)) => StsError {
            status: StatusCode::REQUEST_TIMEOUT,
            code: "RequestTimeout",
            message: "The request's body did not arrive in time".to_owned(),
        },
    }
}

fn identity_document(principal: &Principal, request_id: &str) -> String {
    format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/{VERSION}/\">\n  <GetCallerIdentityResult>\n    \
         <Arn>{}</Arn>\n    <UserId>{}</UserId>\n    <Account>{}</Account>\n  </GetCallerIdentityResult>\n  \
         <ResponseMetadata>\n    <RequestId>{request_id}</RequestId>\n  </ResponseMetadata>\n\
         </GetCallerIdentityResponse>\n",
        escape(&principal.arn()),
        escape(&principal.user_id()),
        escape(&principal.account)
    )
}

fn error_document(code: &str, message: &str, request_id: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/{VERSION}/\">\n  <Error>\n    <Type>Sender</Type>\n    \
         <Code>{code}</Code>\n    <Message>{}</Message>\n  </Error>\n  <RequestId>{request_id}</RequestId>\n\
         </ErrorResponse>\n",
        escape(message)
    )
}

fn escape(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            // No control character but these may stand in XML.
            control if control.is_control() && !matches!(control, '\n' | '\r' | '\t') => String::new(),
            other => other.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{check_action, error_document, identity_document};
    use crate::auth::{Principal, decode_query};

    #[test]
    fn only_get_caller_identity_is_there() {
        let check = |form: &str, expected: Option<&str>| {
            let result = check_action(&decode_query(form));
            assert_eq!(result.err().map(|error| error.message).as_deref(), expected, "{form}");
        };
        check("Action=GetCallerIdentity&Version=2011-06-15", None);
        check(
            "Action=AssumeRole&Version=2011-06-15",
            Some("Could not find operation AssumeRole for version 2011-06-15"),
        );
        check("Action=GetCallerIdentity&Version=1", Some("Could not find operation GetCallerIdentity for version 1"));
        check("", Some("Missing Action"));
    }

    #[test]
    fn documents_hold_what_was_asked_and_nothing_breaks_out() {
        let principal = Principal::unchecked(Some("123456789012"), "000000000000");
        let document = identity_document(&principal, "id");
        assert!(document.contains("<Arn>arn:aws:iam::123456789012:user/123456789012</Arn>"));
        assert!(document.contains("<Account>123456789012</Account>"));
        assert!(error_document("C", "<a>&\u{1}", "id").contains("<Message>&lt;a&gt;&amp;</Message>"));
    }
}
