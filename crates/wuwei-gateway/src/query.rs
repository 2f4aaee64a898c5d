//! AWS's Query protocol (form in, XML out): what IAM and STS share.

use std::error::Error;

use http::{Method, StatusCode};
use serde_json::{Map, Value};
use wuwei_model::service::{ConstraintViolations, Operation, SerializationError, ServiceModel, escape_xml};
use wuwei_store::StoreError;

use crate::admission::AdmitError;
use crate::auth::{Principal, Refusal, decode_query};
use crate::face::Exchange;
use crate::wire::{Answer, BodyError};

/// Room for policy documents, percent-encoded.
const FORM_BYTES_MAX: usize = 256 * 1024;

/// A service that speaks it.
pub(crate) struct QueryService {
    /// As signatures name it.
    pub(crate) name: &'static str,
    pub(crate) model: &'static ServiceModel,
    /// Date of the API.
    pub(crate) version: &'static str,
    pub(crate) namespace: &'static str,
}

/// An error in the protocol's form.
#[derive(Debug)]
pub(crate) struct QueryError {
    /// As the model names it: `NoSuchEntityException`, or an error of the protocol.
    error: &'static str,
    message: String,
}

impl QueryError {
    pub(crate) fn new(error: &'static str, message: impl Into<String>) -> Self {
        Self { error, message: message.into() }
    }

    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationError", message)
    }

    /// Something that is no fault of the caller's.
    pub(crate) fn platform(error: &dyn Error) -> Self {
        tracing::error!(error = %crate::errors::chain(error), "request failed");
        Self::new("InternalFailure", "The server could not do this; its log says why.")
    }

    fn answer(&self, service: &QueryService, request_id: &str) -> Answer {
        let code = service.model.error_code(self.error);
        let status = service.model.error_status(self.error).and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let fault = if status.is_server_error() { "Receiver" } else { "Sender" };
        let document = format!(
            "<ErrorResponse xmlns=\"{}\">\n  <Error>\n    <Type>{fault}</Type>\n    <Code>{code}</Code>\n    \
             <Message>{}</Message>\n  </Error>\n  <RequestId>{request_id}</RequestId>\n</ErrorResponse>\n",
            service.namespace,
            escape_xml(&self.message)
        );
        Answer::new(status, "text/xml", document).with("x-amzn-errortype", code)
    }
}

impl From<Refusal> for QueryError {
    fn from(refusal: Refusal) -> Self {
        Self::new("AccessDenied", refusal.to_string())
    }
}

impl From<StoreError> for QueryError {
    fn from(error: StoreError) -> Self {
        Self::platform(&error)
    }
}

impl From<SerializationError> for QueryError {
    fn from(error: SerializationError) -> Self {
        Self::validation(error.message)
    }
}

impl From<ConstraintViolations> for QueryError {
    fn from(violations: ConstraintViolations) -> Self {
        Self::validation(violations.message)
    }
}

impl From<AdmitError> for QueryError {
    fn from(error: AdmitError) -> Self {
        match error {
            AdmitError::Auth(error) => {
                let name = error.query_name();
                let message = match name {
                    "MissingAuthenticationToken" => "Request is missing Authentication Token".to_owned(),
                    _other => error.to_string(),
                };
                Self::new(name, message)
            }
            AdmitError::Body(BodyError::TooLarge(limit)) => {
                Self::new("RequestEntityTooLarge", format!("Request must be smaller than {limit} bytes"))
            }
            AdmitError::Body(BodyError::Busy) => Self::new("Throttling", "Rate exceeded"),
            AdmitError::Body(BodyError::Slow | BodyError::Broken(_)) => {
                Self::new("RequestTimeout", "The request's body did not arrive in time")
            }
        }
    }
}

/// A call that is authenticated and valid.
pub(crate) struct QueryCall {
    pub(crate) principal: Principal,
    pub(crate) operation: &'static Operation,
    pub(crate) members: Map<String, Value>,
}

impl QueryCall {
    /// A text member.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
    }

    /// A member that is a whole number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.members.get(name).and_then(Value::as_u64)
    }
}

/// Reads a call.
pub(crate) async fn read(
    service: &QueryService,
    exchange: &mut Exchange,
    regions: &[&str],
) -> Result<QueryCall, QueryError> {
    exchange.note.service(service.name);
    if exchange.head.method != Method::POST && exchange.head.method != Method::GET {
        return Err(QueryError::new("UnsupportedOperation", "Use GET or POST"));
    }
    let query = exchange.head.uri.query().unwrap_or_default().to_owned();
    let (principal, body) = exchange.admit(&[service.name], regions, FORM_BYTES_MAX).await?;
    let mut fields = decode_query(&query);
    fields.extend(decode_query(&String::from_utf8_lossy(&body)));
    let operation = operation_of(service, &fields)?;
    exchange.note.action(service.name, operation.name(), operation.access());
    let input = service.model.bind_form(operation, &fields)?;
    service.model.validate(operation, &input)?;
    Ok(QueryCall { principal, operation, members: input.members })
}

fn operation_of(service: &QueryService, fields: &[(String, String)]) -> Result<&'static Operation, QueryError> {
    let field = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let version = field("Version");
    let Some(action) = field("Action") else { return Err(QueryError::new("MissingAction", "Missing Action")) };
    if version.is_none_or(|version| version == service.version) {
        if let Some(operation) = service.model.operation(action) {
            return Ok(operation);
        }
        if service.model.leaves_out(action) {
            let text = format!("wuwei does not have the operation {action} of {}", service.name);
            return Err(QueryError::new("NotImplemented", text));
        }
    }
    let version = version.unwrap_or("NO_VERSION_SPECIFIED");
    Err(QueryError::new("InvalidAction", format!("Could not find operation {action} for version {version}")))
}

/// The answer to a call.
pub(crate) fn answer(
    service: &QueryService,
    request_id: &str,
    result: Result<(&'static Operation, Map<String, Value>), QueryError>,
) -> Answer {
    match result {
        Ok((operation, members)) => {
            let document = service.model.shape_xml(operation, &members, service.namespace, request_id);
            Answer::new(StatusCode::OK, "text/xml", document)
        }
        Err(error) => error.answer(service, request_id),
    }
}

#[cfg(test)]
mod tests {
    use super::{QueryError, operation_of};
    use crate::auth::decode_query;
    use crate::sts::SERVICE;
    use crate::wire::AnswerBody;

    #[test]
    fn an_action_is_one_of_this_version() {
        let check = |form: &str, expected: Result<&str, &str>| {
            let found = operation_of(&SERVICE, &decode_query(form));
            let found = found.map(|operation| operation.name().to_owned()).map_err(|error| error.message);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{form}");
        };
        check("Action=GetCallerIdentity&Version=2011-06-15", Ok("GetCallerIdentity"));
        check("Action=AssumeRole", Ok("AssumeRole"));
        check("Action=Nonsense&Version=2011-06-15", Err("Could not find operation Nonsense for version 2011-06-15"));
        check("Action=GetCallerIdentity&Version=1", Err("Could not find operation GetCallerIdentity for version 1"));
        check("Action=GetFederationToken", Err("wuwei does not have the operation GetFederationToken of sts"));
        check("", Err("Missing Action"));
    }

    #[test]
    fn nothing_breaks_out_of_an_error() {
        let answer = QueryError::validation("<a>&\u{1}").answer(&SERVICE, "id");
        let AnswerBody::Whole(Some(bytes)) = answer.body else { panic!("an error has a body") };
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(
            text.contains("<Message>&lt;a&gt;&amp;</Message>") && text.contains("<Code>ValidationError</Code>"),
            "{text}"
        );
        assert_eq!(answer.status.as_u16(), 400);
    }
}
