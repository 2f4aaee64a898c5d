//! Every error of the Lambda API: its name, status and JSON form. The one place where they are built.

use http::StatusCode;
use serde_json::{Value, json};
use wuwei_model::service::{ConstraintViolations, Operation, ServiceModel};

use crate::auth::{AuthError, Refusal};
use crate::wire::{Answer, BodyError};

/// An error as the caller sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    kind: Kind,
    message: String,
}

/// Which error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    AccessDenied,
    Auth(&'static str),
    CodeSigningConfigNotFound,
    CodeVerificationFailed,
    InvalidParameterValue,
    InvalidRequestContent,
    InvalidRuntime,
    PolicyLengthExceeded,
    PreconditionFailed,
    ProvisionedConcurrencyConfigNotFound,
    RequestEntityTooLarge,
    RequestTimeout,
    RequestTooLarge,
    ResourceConflict,
    ResourceNotFound,
    Serialization,
    Service,
    TooManyRequests(&'static str),
    UnknownOperation,
    Validation,
}

/// Forms of the JSON body; AWS's services do not agree on one.
enum Form {
    /// `{"Type":"User","Message":…}`.
    TypedUpper(&'static str),
    /// `{"Type":"User","message":…}`.
    TypedLower(&'static str),
    /// `{"Message":…}`.
    Upper,
    /// `{"message":…}`.
    Lower,
}

impl ApiError {
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The function (or version) is not there; takes its ARN.
    pub(crate) fn function_not_found(arn: &str) -> Self {
        Self::new(Kind::ResourceNotFound, format!("Function not found: {arn}"))
    }

    /// Something else is not there.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::ResourceNotFound, message)
    }

    /// 409.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::ResourceConflict, message)
    }

    /// A change is under way; takes the function's ARN.
    pub(crate) fn update_in_progress(arn: &str) -> Self {
        Self::conflict(format!(
            "The operation cannot be performed at this time. An update is in progress for resource: {arn}"
        ))
    }

    /// 400, the most common.
    pub(crate) fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidParameterValue, message)
    }

    /// The payload of an invocation is not what it should be.
    pub(crate) fn invalid_content(message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidRequestContent, message)
    }

    /// The function's runtime cannot be started on this host.
    pub(crate) fn invalid_runtime(message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidRuntime, message)
    }

    /// A resource policy has become too long; sizes in bytes.
    pub(crate) fn policy_too_long(length: usize, limit: usize) -> Self {
        let message = format!("The final policy size ({length}) is bigger than the limit ({limit}).");
        Self::new(Kind::PolicyLengthExceeded, message)
    }

    /// 412.
    pub(crate) fn revision_mismatch() -> Self {
        let message = "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias \
                       API to retrieve the latest Revision Id";
        Self::new(Kind::PreconditionFailed, message)
    }

    /// Nothing is provisioned for the version or alias.
    pub(crate) fn no_provisioned_concurrency() -> Self {
        let message = "No Provisioned Concurrency Config found for this function";
        Self::new(Kind::ProvisionedConcurrencyConfigNotFound, message)
    }

    /// 429, with AWS's reason.
    pub(crate) fn too_many_requests(reason: &'static str) -> Self {
        Self::new(Kind::TooManyRequests(reason), "Rate Exceeded.")
    }

    /// 413: the whole request is too large for the operation.
    pub(crate) fn too_large(operation: &str, limit: usize) -> Self {
        // The error that the model has for Invoke is another than the one that AWS gives elsewhere.
        let (kind, operation) = match operation {
            "Invoke" | "InvokeWithResponseStream" => (Kind::RequestTooLarge, "InvokeFunction"),
            other => (Kind::RequestEntityTooLarge, other),
        };
        Self::new(kind, format!("Request must be smaller than {limit} bytes for the {operation} operation"))
    }

    /// A constraint is violated.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(Kind::Validation, message)
    }

    /// Constraints of the model are violated.
    pub(crate) fn violations(violations: ConstraintViolations) -> Self {
        let kind = match violations.error.as_str() {
            "InvalidParameterValueException" => Kind::InvalidParameterValue,
            _framework => Kind::Validation,
        };
        Self::new(kind, violations.message)
    }

    /// The request does not have the operation's shape.
    pub(crate) fn serialization(message: impl Into<String>) -> Self {
        Self::new(Kind::Serialization, message)
    }

    /// No such path or method.
    pub(crate) fn unknown_operation() -> Self {
        Self::new(Kind::UnknownOperation, "There is no operation at this path for this method")
    }

    /// The caller may not.
    pub(crate) fn refused(refusal: &Refusal) -> Self {
        Self::new(Kind::AccessDenied, refusal.to_string())
    }

    /// The caller may not, in these words.
    pub(crate) fn refused_because(message: &str) -> Self {
        Self::new(Kind::AccessDenied, message)
    }

    /// The key's role or pattern does not allow it. `action` is `lambda:<Operation>`.
    pub(crate) fn access_denied(user_arn: &str, action: &str, resource: &str) -> Self {
        Self::new(
            Kind::AccessDenied,
            format!(
                "User: {user_arn} is not authorized to perform: {action} on resource: {resource} because no \
                 identity-based policy allows the {action} action"
            ),
        )
    }

    /// What belongs to another account, and is not shared with this one.
    pub(crate) fn denied_by_resource(user_arn: &str, action: &str, resource: &str) -> Self {
        Self::new(
            Kind::AccessDenied,
            format!(
                "User: {user_arn} is not authorized to perform: {action} on resource: {resource} because no \
                 resource-based policy allows the {action} action"
            ),
        )
    }

    /// A function is to have a code signing configuration that is not there.
    pub(crate) fn code_signing_config_not_found(arn: &str) -> Self {
        let message = format!(
            "The code signing configuration cannot be found. Check that the provided configuration is not deleted: {arn}."
        );
        Self::new(Kind::CodeSigningConfigNotFound, message)
    }

    /// Code that nobody trusted has signed, where signatures are enforced.
    pub(crate) fn code_not_verified() -> Self {
        let message = "Lambda cannot deploy the function. The function or layer might be signed using a signature that \
                       the client is not configured to accept. Check the provided signature for unsigned.";
        Self::new(Kind::CodeVerificationFailed, message)
    }

    /// Our own fault; what happened goes to the server's log, not to the caller.
    pub(crate) fn internal() -> Self {
        Self::new(Kind::Service, "The server could not complete the request; its log has the reason.")
    }

    /// Our own fault, with words for the caller.
    pub(crate) fn service(message: impl Into<String>) -> Self {
        Self::new(Kind::Service, message)
    }

    /// Logs a failure of a part below, and answers what [`ApiError::internal`] does.
    pub(crate) fn platform(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %crate::errors::chain(error), "request failed");
        Self::internal()
    }

    /// The body could not be read.
    pub(crate) fn body(error: &BodyError, operation: &str) -> Self {
        match error {
            BodyError::TooLarge(limit) => Self::too_large(operation, *limit),
            BodyError::Busy => Self::too_many_requests("CallerRateLimitExceeded"),
            BodyError::Slow | BodyError::Broken(_) => {
                Self::new(Kind::RequestTimeout, "The request's body did not arrive in time")
            }
        }
    }

    /// The error as an operation can answer it: what its model has no error for violates a constraint.
    pub(super) fn of(self, operation: &Operation) -> Self {
        match self.kind {
            Kind::InvalidParameterValue
            | Kind::InvalidRequestContent
            | Kind::ResourceConflict
            | Kind::ResourceNotFound
                if !operation.errors().any(|error| error == self.name()) =>
            {
                Self { kind: Kind::Validation, ..self }
            }
            _answered_as_it_is => self,
        }
    }

    /// AWS's name of the error.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            Kind::AccessDenied => "AccessDeniedException",
            Kind::Auth(name) => name,
            Kind::CodeSigningConfigNotFound => "CodeSigningConfigNotFoundException",
            Kind::CodeVerificationFailed => "CodeVerificationFailedException",
            Kind::InvalidParameterValue => "InvalidParameterValueException",
            Kind::InvalidRequestContent => "InvalidRequestContentException",
            Kind::InvalidRuntime => "InvalidRuntimeException",
            Kind::PolicyLengthExceeded => "PolicyLengthExceededException",
            Kind::PreconditionFailed => "PreconditionFailedException",
            Kind::ProvisionedConcurrencyConfigNotFound => "ProvisionedConcurrencyConfigNotFoundException",
            Kind::RequestEntityTooLarge => "RequestEntityTooLargeException",
            Kind::RequestTimeout => "RequestTimeoutException",
            Kind::RequestTooLarge => "RequestTooLargeException",
            Kind::ResourceConflict => "ResourceConflictException",
            Kind::ResourceNotFound => "ResourceNotFoundException",
            Kind::Serialization => "SerializationException",
            Kind::Service => "ServiceException",
            Kind::TooManyRequests(_) => "TooManyRequestsException",
            Kind::UnknownOperation => "UnknownOperationException",
            Kind::Validation => "ValidationException",
        }
    }

    /// Text for the caller.
    #[cfg(test)]
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// HTTP status: the model's, but for what no model has, and for the answer when a part of ours has failed.
    fn status(&self) -> StatusCode {
        match self.kind {
            Kind::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Kind::Service => StatusCode::INTERNAL_SERVER_ERROR,
            Kind::AccessDenied
            | Kind::Auth(_)
            | Kind::CodeSigningConfigNotFound
            | Kind::CodeVerificationFailed
            | Kind::InvalidParameterValue
            | Kind::InvalidRequestContent
            | Kind::InvalidRuntime
            | Kind::PolicyLengthExceeded
            | Kind::PreconditionFailed
            | Kind::ProvisionedConcurrencyConfigNotFound
            | Kind::RequestEntityTooLarge
            | Kind::RequestTooLarge
            | Kind::ResourceConflict
            | Kind::ResourceNotFound
            | Kind::Serialization
            | Kind::TooManyRequests(_)
            | Kind::UnknownOperation
            | Kind::Validation => {
                let status = ServiceModel::lambda().error_status(self.name());
                let status = status.and_then(|status| StatusCode::from_u16(status).ok());
                status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    fn form(&self) -> Form {
        match self.kind {
            Kind::ResourceNotFound => Form::TypedUpper("User"),
            Kind::InvalidRuntime | Kind::Service => Form::TypedUpper("Service"),
            Kind::CodeSigningConfigNotFound | Kind::CodeVerificationFailed => Form::TypedUpper("User"),
            Kind::InvalidParameterValue
            | Kind::InvalidRequestContent
            | Kind::PolicyLengthExceeded
            | Kind::PreconditionFailed
            | Kind::ProvisionedConcurrencyConfigNotFound
            | Kind::RequestTooLarge
            | Kind::ResourceConflict
            | Kind::TooManyRequests(_) => Form::TypedLower("User"),
            Kind::AccessDenied | Kind::RequestEntityTooLarge | Kind::Serialization => Form::Upper,
            Kind::Auth(_) | Kind::RequestTimeout | Kind::UnknownOperation | Kind::Validation => Form::Lower,
        }
    }

    /// The JSON body.
    fn document(&self) -> Value {
        let message = self.message.as_str();
        let mut document = match self.form() {
            Form::TypedUpper(fault) => json!({ "Type": fault, "Message": message }),
            Form::TypedLower(fault) => json!({ "Type": fault, "message": message }),
            Form::Upper => json!({ "Message": message }),
            Form::Lower => json!({ "message": message }),
        };
        if let Kind::TooManyRequests(reason) = self.kind {
            document["Reason"] = Value::from(reason);
        }
        document
    }

    /// The HTTP answer.
    pub(crate) fn answer(&self) -> Answer {
        Answer::json(self.status(), &self.document()).with("x-amzn-errortype", self.name())
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        Self::new(Kind::Auth(error.json_name()), error.to_string())
    }
}

impl From<wuwei_store::StoreError> for ApiError {
    fn from(error: wuwei_store::StoreError) -> Self {
        Self::platform(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::ApiError;
    use crate::auth::AuthError;
    use wuwei_model::service::ServiceModel;

    #[test]
    fn each_error_has_the_json_form_that_aws_gives_it() {
        let check = |error: ApiError, expected: &str| {
            let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
            assert_eq!(error.document(), expected, "{}", error.name());
        };
        check(
            ApiError::function_not_found("arn:aws:lambda:us-east-1:000000000000:function:f:7"),
            r#"{"Type":"User","Message":"Function not found: arn:aws:lambda:us-east-1:000000000000:function:f:7"}"#,
        );
        check(ApiError::invalid_parameter("no"), r#"{"Type":"User","message":"no"}"#);
        check(
            ApiError::validation("1 validation error detected: x"),
            r#"{"message":"1 validation error detected: x"}"#,
        );
        check(
            ApiError::too_many_requests("ConcurrentInvocationLimitExceeded"),
            r#"{"Type":"User","message":"Rate Exceeded.","Reason":"ConcurrentInvocationLimitExceeded"}"#,
        );
        check(ApiError::from(AuthError::Missing), r#"{"message":"Missing Authentication Token"}"#);
        check(ApiError::service("x"), r#"{"Type":"Service","Message":"x"}"#);
    }

    #[test]
    fn each_error_has_the_status_that_aws_gives_it() {
        let check = |error: ApiError, expected: u16| assert_eq!(error.status().as_u16(), expected, "{}", error.name());
        check(AuthError::Missing.into(), 403);
        check(AuthError::Incomplete(String::new()).into(), 400);
        check(AuthError::UnknownToken.into(), 403);
        check(AuthError::Mismatch.into(), 403);
        check(ApiError::access_denied("", "", ""), 403);
        check(ApiError::denied_by_resource("", "", ""), 403);
        check(ApiError::code_signing_config_not_found(""), 404);
        check(ApiError::code_not_verified(), 400);
        check(ApiError::conflict(""), 409);
        check(ApiError::function_not_found(""), 404);
        check(ApiError::internal(), 500);
        check(ApiError::invalid_content(""), 400);
        check(ApiError::invalid_parameter(""), 400);
        check(ApiError::invalid_runtime(""), 502);
        check(ApiError::policy_too_long(2, 1), 400);
        check(ApiError::no_provisioned_concurrency(), 404);
        check(ApiError::revision_mismatch(), 412);
        check(ApiError::serialization(""), 400);
        check(ApiError::too_large("Invoke", 1), 413);
        check(ApiError::too_large("CreateFunction", 1), 413);
        check(ApiError::too_many_requests(""), 429);
        check(ApiError::unknown_operation(), 404);
        check(ApiError::validation(""), 400);
    }

    #[test]
    fn a_request_that_is_too_large_is_named_as_aws_names_it() {
        let invoke = ApiError::too_large("Invoke", 6_291_456);
        assert_eq!(invoke.name(), "RequestTooLargeException");
        assert_eq!(invoke.message(), "Request must be smaller than 6291456 bytes for the InvokeFunction operation");
        assert_eq!(ApiError::too_large("CreateFunction", 1).name(), "RequestEntityTooLargeException");
    }

    #[test]
    fn an_operation_answers_errors_of_its_model() {
        let check = |operation: &str, error: ApiError, expected: &str| {
            let operation = ServiceModel::lambda().operation(operation).unwrap();
            assert_eq!(error.of(operation).name(), expected, "{}", operation.name());
        };
        check("DeleteLayerVersion", ApiError::invalid_parameter("no"), "ValidationException");
        check("DeleteAlias", ApiError::not_found("no"), "ValidationException");
        check("DeleteFunction", ApiError::not_found("no"), "ResourceNotFoundException");
        check("DeleteLayerVersion", ApiError::internal(), "ServiceException");
    }

    #[test]
    fn causes_of_platform_failures_stay_out_of_the_answer() {
        let error = wuwei_store::StoreError::Failed("disk /secret/path".into());
        assert!(!ApiError::from(error).message().contains("secret"));
    }
}
