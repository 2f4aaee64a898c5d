//! Errors of the Logs API, in the one place where they are built.

use std::error::Error;

use http::StatusCode;
use serde_json::json;
use wuwei_model::service::{ConstraintViolations, SerializationError, ServiceModel};
use wuwei_store::StoreError;

use crate::admission::AdmitError;
use crate::auth::Refusal;
use crate::wire::{Answer, BodyError};

/// An error as the caller sees it.
#[derive(Debug)]
pub(super) struct LogsError {
    code: &'static str,
    message: String,
}

impl LogsError {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    pub(super) fn no_group() -> Self {
        Self::new("ResourceNotFoundException", "The specified log group does not exist.")
    }

    pub(super) fn no_stream() -> Self {
        Self::new("ResourceNotFoundException", "The specified log stream does not exist.")
    }

    pub(super) fn no_resource() -> Self {
        Self::new("ResourceNotFoundException", "The specified resource does not exist.")
    }

    pub(super) fn group_exists() -> Self {
        Self::new("ResourceAlreadyExistsException", "The specified log group already exists")
    }

    pub(super) fn too_many_tags() -> Self {
        Self::new("TooManyTagsException", "The resource has too many tags.")
    }

    pub(super) fn too_many_groups() -> Self {
        Self::new("LimitExceededException", "Resource limit exceeded.")
    }

    pub(super) fn unknown_operation() -> Self {
        Self::new("UnknownOperationException", "There is no such operation of CloudWatch Logs")
    }

    pub(super) fn not_implemented(operation: &str) -> Self {
        Self::new("NotImplemented", format!("wuwei does not have the operation {operation} of CloudWatch Logs"))
    }

    /// Something that is no fault of the caller's.
    pub(super) fn platform(error: &dyn Error) -> Self {
        tracing::error!(error = %crate::errors::chain(error), "request of logs failed");
        Self::new("InternalFailure", "The server could not do this; its log says why.")
    }

    pub(super) fn answer(&self) -> Answer {
        let status = ServiceModel::logs().error_status(self.code).and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Answer::new(
            status,
            "application/x-amz-json-1.1",
            json!({"__type": self.code, "message": self.message}).to_string(),
        )
        .with("x-amzn-errortype", self.code)
    }
}

impl From<AdmitError> for LogsError {
    fn from(error: AdmitError) -> Self {
        match error {
            AdmitError::Auth(error) => Self::new(error.json_name(), error.to_string()),
            AdmitError::Body(BodyError::TooLarge(limit)) => {
                Self::invalid(format!("Request must be smaller than {limit} bytes"))
            }
            AdmitError::Body(BodyError::Busy) => Self::new("ThrottlingException", "Rate exceeded"),
            AdmitError::Body(BodyError::Slow | BodyError::Broken(_)) => {
                Self::new("RequestTimeoutException", "The request's body did not arrive in time")
            }
        }
    }
}

impl From<Refusal> for LogsError {
    fn from(refusal: Refusal) -> Self {
        Self::new("AccessDeniedException", refusal.to_string())
    }
}

impl From<SerializationError> for LogsError {
    fn from(error: SerializationError) -> Self {
        Self::new("SerializationException", error.message)
    }
}

impl From<ConstraintViolations> for LogsError {
    fn from(violations: ConstraintViolations) -> Self {
        Self::invalid(violations.message)
    }
}

impl From<StoreError> for LogsError {
    fn from(error: StoreError) -> Self {
        Self::platform(&error)
    }
}

impl From<wuwei_recorder::RecorderError> for LogsError {
    fn from(error: wuwei_recorder::RecorderError) -> Self {
        Self::platform(&error)
    }
}
