//! The way of every call: route, authenticate, bind, validate, authorise, operate, shape. A large body is read only for
//! those who may do what they ask for.

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value};
use wuwei_model::limits;
use wuwei_model::service::{Operation, RequestParts, Route, ServiceModel};

use super::authorisation::{Wish, action, authorise};
use super::call::{Call, Reply};
use super::error::ApiError;
use super::operations;
use super::target::Target;
use crate::admission::AdmitError;
use crate::auth::{Principal, decode_query};
use crate::face::Exchange;
use crate::wire::{Answer, AnswerBody};

/// Largest request that carries a package: AWS's figure, room for 50 MB in base64.
const PACKAGE_REQUEST_BYTES_MAX: usize = 70_167_211;

/// Answers a request of the Lambda API.
pub(crate) async fn answer(exchange: &mut Exchange) -> Answer {
    call(exchange).await.unwrap_or_else(|error| error.answer())
}

async fn call(exchange: &mut Exchange) -> Result<Answer, ApiError> {
    let model = ServiceModel::lambda();
    let target = exchange.head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let route = model.route(exchange.head.method.as_str(), target);
    let (operation, labels) = match route {
        Route::Found { operation, labels } => (operation, labels),
        Route::MethodNotAllowed | Route::Unknown => return Err(ApiError::unknown_operation()),
    };
    operate(exchange, operation, &labels).await.map_err(|error| error.of(operation))
}

async fn operate(
    exchange: &mut Exchange,
    operation: &'static Operation,
    labels: &[(String, String)],
) -> Result<Answer, ApiError> {
    let model = ServiceModel::lambda();
    let region = exchange.parts.options.region.clone();
    let action = action(operation.name());
    exchange.note.action("lambda", operation.name(), operation.access());
    let query = decode_query(exchange.head.uri.query().unwrap_or_default());
    let caller = exchange.identify(&["lambda"], &[&region])?;
    let is_early = |principal: &&Principal| exchange.has_large_body() && !principal.has_policies();
    if let Some(principal) = caller.believed().filter(is_early) {
        // By what the path tells, which is not enough for policies. A name that cannot be understood is refused further down, in other words.
        let named = |pairs: &[(String, String)], wanted| {
            pairs.iter().find(|(name, _)| name == wanted).map(|(_, text)| text.clone())
        };
        let (name, qualifier) = (named(labels, "FunctionName"), named(&query, "Qualifier"));
        let target = name.map(|name| Target::resolve(&name, qualifier.as_deref(), principal, &region, &action));
        if let Ok(target) = target.transpose() {
            let wish = Wish { operation, action: &action, target: target.as_ref(), members: &Map::new() };
            authorise(&exchange.parts, principal, &wish).await?;
        }
    }
    let admitted = exchange.accept(caller, body_limit(operation.name())).await;
    let (principal, body) = admitted.map_err(|error| match error {
        AdmitError::Auth(error) => error.into(),
        AdmitError::Body(error) => ApiError::body(&error, operation.name()),
    })?;
    let headers = exchange.aws_headers();
    let request = RequestParts { labels, query: &query, headers: &headers, body };
    let input = model.bind(operation, &request).map_err(|error| ApiError::serialization(error.message))?;
    model.validate(operation, &input).map_err(ApiError::violations)?;

    let member = |name: &str| input.members.get(name).and_then(Value::as_str);
    // Tags name a function by its ARN; of other resources there are none.
    let tagged = member("Resource").filter(|resource| resource.contains(":function:"));
    let target = match member("FunctionName").or(tagged) {
        Some(name) => Some(Target::resolve(name, member("Qualifier"), &principal, &region, &action)?),
        None => None,
    };
    if let Some(target) = &target {
        exchange.note.resource(&target.arn());
    }
    let wish = Wish { operation, action: &action, target: target.as_ref(), members: &input.members };
    authorise(&exchange.parts, &principal, &wish).await?;
    let Some(run) = operations::find(operation.name()) else {
        return Err(operations::missing::refusal(operation, &exchange.parts.options.version));
    };
    let call = Call {
        parts: Arc::clone(&exchange.parts),
        principal,
        request_id: exchange.request_id.clone(),
        members: input.members,
        payload: input.payload,
        headers,
        target,
    };
    Ok(match run(&call).await? {
        Reply::Members(members) => shaped(model.shape(operation, members)),
        Reply::Empty(status) => Answer::empty(status),
        Reply::WithPayload(members, payload, headers) => {
            let mut answer = shaped(model.shape_with_payload(operation, members, payload));
            answer.headers.extend(headers);
            answer
        }
        Reply::Answer(answer) => answer,
    })
}

fn shaped(output: wuwei_model::service::Output) -> Answer {
    let status = StatusCode::from_u16(output.status).unwrap_or(StatusCode::OK);
    let mut answer = Answer::empty(status);
    answer.headers.push((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
    for (name, value) in output.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value)) {
            answer.headers.retain(|(known, _)| *known != name);
            answer.headers.push((name, value));
        }
    }
    answer.body = AnswerBody::Whole(Some(output.body));
    answer
}

/// Largest body of an operation, in bytes.
fn body_limit(operation: &str) -> usize {
    match operation {
        "CreateFunction" | "UpdateFunctionCode" | "PublishLayerVersion" => PACKAGE_REQUEST_BYTES_MAX,
        _other => limits::SYNC_PAYLOAD_BYTES_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::body_limit;

    #[test]
    fn only_packages_may_be_larger_than_a_payload() {
        assert_eq!(body_limit("Invoke"), 6_291_456);
        assert_eq!(body_limit("UpdateFunctionCode"), 70_167_211);
        // A package of the largest size, in base64, leaves room for the other members.
        assert!(50 * 1024 * 1024_usize / 3 * 4 + 200_000 < body_limit("CreateFunction"));
    }
}
