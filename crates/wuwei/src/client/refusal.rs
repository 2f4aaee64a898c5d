use http::StatusCode;
use serde_json::Value;

use super::Answer;
use crate::failure::{Exit, Failure};

/// An error that the server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// HTTP status.
    pub(crate) status: StatusCode,
    /// AWS's name of the error, for example `ResourceNotFoundException`.
    pub(crate) kind: String,
    /// The server's own words.
    pub(crate) message: String,
}

impl Refusal {
    pub(super) fn of(answer: &Answer) -> Self {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |key: &str| body.get(key).and_then(Value::as_str);
        let kind = answer.header("x-amzn-errortype").or_else(|| text("__type")).unwrap_or("UnknownError");
        // Some AWS services append `:http://…` to the name.
        let kind = kind.split(':').next().unwrap_or(kind).to_owned();
        let message = text("message")
            .or_else(|| text("Message"))
            .map_or_else(|| String::from_utf8_lossy(&answer.body).chars().take(500).collect(), str::to_owned);
        Self { status: answer.status, kind, message }
    }

    /// Whether the thing that was asked for is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        self.kind == "ResourceNotFoundException"
    }

    /// Whether a permission of this name is there.
    pub(crate) fn is_taken_statement(&self) -> bool {
        self.kind == "ResourceConflictException" && self.message.contains("already exists")
    }

    /// The refusal as the end of a command.
    pub(crate) fn into_failure(self) -> Failure {
        let failure = Failure::new(
            Exit::Refused,
            format!("the server refused: {} (HTTP {}): {}", self.kind, self.status.as_u16(), self.message),
        );
        match self.advice() {
            Some(advice) => failure.hint(advice),
            None => failure,
        }
    }

    fn advice(&self) -> Option<&'static str> {
        match self.kind.as_str() {
            "ResourceNotFoundException" if self.message.contains("Access key") => Some("`wuwei key ls` lists the keys"),
            "ResourceNotFoundException" if names_a_version(&self.message) => Some(
                "that version or function is not there: `wuwei ls` lists the functions, and a name alone stands for the newest code",
            ),
            "ResourceNotFoundException" => Some("`wuwei ls` lists the functions that are there"),
            "ValidationException" | "InvalidParameterValueException" => self.advice_on_value(),
            "InvalidSignatureException" if self.message.contains("valid region") => {
                Some("the server is in another region: `wuwei env` prints the AWS_REGION that it is in")
            }
            "InvalidSignatureException"
                if self.message.contains("Signature expired") || self.message.contains("not yet current") =>
            {
                Some("the clocks of this machine and of the server differ: set the one that is wrong")
            }
            "UnrecognizedClientException" | "InvalidSignatureException" | "MissingAuthenticationTokenException" => {
                Some("the key is not one of this server's: check --data-dir, or the AWS_* variables (`wuwei env`)")
            }
            "AccessDeniedException" => Some("this key may not do that: `wuwei key ls` shows roles and patterns"),
            "TooManyRequestsException" => Some("try again, or raise `memory_mb` or `account_concurrency`"),
            "ResourceConflictException" => Some("another change is under way: try again in a moment"),
            "InvalidRequestContentException" => Some("the event must be JSON: -d '{\"key\": \"value\"}' or -d @FILE"),
            _ if self.status.is_server_error() => Some("the server's log says more"),
            _ => None,
        }
    }

    /// What is wrong with a value, for the options that the commands have.
    fn advice_on_value(&self) -> Option<&'static str> {
        let about = |member: &str| self.message.contains(&format!("at '{member}'"));
        if about("functionName") || self.message.to_ascii_lowercase().contains("function name") {
            Some(
                "a name has up to 64 letters, digits, dashes and underscores, for example `resize-image`; a version follows a colon",
            )
        } else if about("memorySize") {
            Some("--memory takes 128 to 10240 (MB)")
        } else if about("timeout") {
            Some("--timeout takes 1 to 900 (seconds)")
        } else if about("handler") {
            Some("--handler takes MODULE.FUNCTION, for example app.handler")
        } else if about("role") {
            Some("--role takes an ARN, for example arn:aws:iam::000000000000:role/any-name")
        } else if about("environment.variables") {
            Some("names of --env are letters, digits and underscores, two at least, and begin with a letter")
        } else if about("runtime") || self.message.contains("runtime parameter") {
            Some("`wuwei runtimes` lists what --runtime takes")
        } else {
            None
        }
    }
}

/// Whether the ARN at the end of a message goes on after the function's name.
fn names_a_version(message: &str) -> bool {
    message.split_once(":function:").is_some_and(|(_, rest)| rest.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::{Answer, Refusal};
    use http::{HeaderMap, HeaderValue, StatusCode};

    #[test]
    fn both_spellings_of_the_message_are_read() {
        let check = |body: &'static str, expected: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-amzn-ErrorType", HeaderValue::from_static("ResourceNotFoundException:http://x/"));
            let refusal = Refusal::of(&Answer { status: StatusCode::NOT_FOUND, headers, body: body.into() });
            assert_eq!(refusal.kind, "ResourceNotFoundException");
            assert_eq!(refusal.message, expected);
        };
        check(r#"{"Type":"User","Message":"gone"}"#, "gone");
        check(r#"{"message":"gone"}"#, "gone");
        check("plain text", "plain text");
    }

    #[test]
    fn the_advice_fits_the_value_that_is_wrong() {
        let check = |kind: &str, message: &str, expected: &str| {
            let refusal =
                Refusal { status: StatusCode::BAD_REQUEST, kind: kind.to_owned(), message: message.to_owned() };
            let failure = refusal.into_failure();
            assert!(failure.hint_text().unwrap_or_default().contains(expected), "{message}");
        };
        let violation =
            |at: &str| format!("1 validation error detected: Value 'x' at '{at}' failed to satisfy constraint");
        check("ValidationException", &violation("functionName"), "a name has up to 64");
        check("ValidationException", &violation("memorySize"), "128 to 10240");
        check("ValidationException", &violation("timeout"), "1 to 900");
        check("ValidationException", &violation("handler"), "MODULE.FUNCTION");
        check("ValidationException", &violation("role"), "ARN");
        check("ValidationException", &violation("environment.variables"), "--env");
        check("InvalidParameterValueException", &violation("runtime"), "`wuwei runtimes`");
        let arn = "Function not found: arn:aws:lambda:us-east-1:000000000000:function:f";
        check("ResourceNotFoundException", arn, "`wuwei ls`");
        check("ResourceNotFoundException", &format!("{arn}:7"), "that version or function is not there");
    }

    #[test]
    fn the_advice_fits_what_is_wrong_with_a_signature() {
        let check = |message: &str, expected: &str| {
            let (status, kind) = (StatusCode::FORBIDDEN, "InvalidSignatureException".to_owned());
            let failure = Refusal { status, kind, message: message.to_owned() }.into_failure();
            assert!(failure.hint_text().unwrap().contains(expected), "{message}");
        };
        check("Credential should be scoped to a valid region, not 'eu-west-1'. ", "AWS_REGION");
        check("Signature expired: 20261120T080000Z is now earlier than 20261120T090000Z", "clocks");
        check("Signature not yet current: 20261120T100000Z is still later than 20261120T090500Z", "clocks");
        check("The request signature we calculated does not match", "the key is not one of this server's");
    }
}
