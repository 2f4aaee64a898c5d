//! The AWS service model as a table of facts: routing, binding of inputs, constraint validation, shaping of outputs.
//!
//! The tables (`data/lambda.json` and its neighbours) are generated from one pinned botocore by `scripts/generate_service_model.py`; what
//! a service does otherwise than its model says is in `data/<service>-overlay.json`, each entry with its source.

mod bind;
mod link;
mod pattern;
mod query;
mod route;
mod shape;
mod table;
#[cfg(test)]
mod tests;
mod validate;
mod xml;

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Map, Value};

pub use bind::SerializationError;
pub use route::Route;
pub use shape::Output;
pub use table::{Access, Operation, ServiceModel};
pub use validate::ConstraintViolations;
pub use xml::escape_xml;

/// Parts of a request that inputs are bound from.
pub struct RequestParts<'request> {
    /// Labels of the path, as [`Route::Found`] gives them.
    pub labels: &'request [(String, String)],
    /// Decoded names and values, in order.
    pub query: &'request [(String, String)],
    /// Names in lower case.
    pub headers: &'request [(String, String)],
    /// The whole body.
    pub body: Bytes,
}

/// A bound input: what an operation works on.
pub struct Input {
    /// Members as JSON, under the model's names: absent and null members are left out, blobs stay base64 text,
    /// timestamps are seconds since the Unix epoch. Members that the input shape does not know are gone.
    pub members: Map<String, Value>,
    /// The body, when the input shape has a blob as its payload and the body is not empty.
    pub payload: Option<Bytes>,
}

impl ServiceModel {
    /// AWS Lambda, parsed once.
    ///
    /// # Panics
    /// Never: a test parses the same checked-in files.
    #[must_use]
    pub fn lambda() -> &'static Self {
        static LAMBDA: LazyLock<ServiceModel> = LazyLock::new(|| {
            ServiceModel::parse(include_str!("../data/lambda.json"), include_str!("../data/lambda-overlay.json"))
                .expect("the checked-in table and overlay are sound: a test parses them")
        });
        &LAMBDA
    }

    /// CloudWatch Logs, as far as wuwei has it; parsed once.
    ///
    /// # Panics
    /// Never: a test parses the same checked-in files.
    #[must_use]
    pub fn logs() -> &'static Self {
        static LOGS: LazyLock<ServiceModel> = LazyLock::new(|| {
            ServiceModel::parse(include_str!("../data/logs.json"), include_str!("../data/logs-overlay.json"))
                .expect("the checked-in table and overlay are sound: a test parses them")
        });
        &LOGS
    }

    /// IAM, as far as wuwei has it; parsed once.
    ///
    /// # Panics
    /// Never: a test parses the same checked-in files.
    #[must_use]
    pub fn iam() -> &'static Self {
        static IAM: LazyLock<ServiceModel> = LazyLock::new(|| {
            ServiceModel::parse(include_str!("../data/iam.json"), include_str!("../data/query-overlay.json"))
                .expect("the checked-in table and overlay are sound: a test parses them")
        });
        &IAM
    }

    /// STS, as far as wuwei has it; parsed once.
    ///
    /// # Panics
    /// Never: a test parses the same checked-in files.
    #[must_use]
    pub fn sts() -> &'static Self {
        static STS: LazyLock<ServiceModel> = LazyLock::new(|| {
            ServiceModel::parse(include_str!("../data/sts.json"), include_str!("../data/query-overlay.json"))
                .expect("the checked-in table and overlay are sound: a test parses them")
        });
        &STS
    }

    /// Finds the operation that a request line names.
    ///
    /// `target` is the raw path, with its query if there is one: two operations are told apart by it
    /// (`/2018-10-31/layers?find=LayerVersion`). A trailing slash does not matter.
    #[must_use]
    pub fn route(&self, method: &str, target: &str) -> Route<'_> {
        self.router.route(&self.operations, method, target)
    }

    /// Reads the input of an operation from a request: locations, types, JSON body.
    ///
    /// # Errors
    /// [`SerializationError`] when the request does not have the shape of the input.
    pub fn bind(&self, operation: &Operation, parts: &RequestParts<'_>) -> Result<Input, SerializationError> {
        bind::bind(self, operation, parts)
    }

    /// Reads the input of an operation from the fields of a form (the Query protocol).
    ///
    /// # Errors
    /// [`SerializationError`] when the fields do not have the shape of the input.
    pub fn bind_form(&self, operation: &Operation, fields: &[(String, String)]) -> Result<Input, SerializationError> {
        query::bind(self, operation, fields)
    }

    /// The answer of an operation in XML (the Query protocol): `<Operation>Response` of a namespace.
    #[must_use]
    pub fn shape_xml(
        &self,
        operation: &Operation,
        members: &Map<String, Value>,
        namespace: &str,
        request_id: &str,
    ) -> String {
        query::document(self, operation, members, namespace, request_id)
    }

    /// Checks required members, ranges, lengths, patterns and enums (model and overlay).
    ///
    /// # Errors
    /// [`ConstraintViolations`] with every violation that was found.
    pub fn validate(&self, operation: &Operation, input: &Input) -> Result<(), ConstraintViolations> {
        validate::validate(self, operation, input)
    }

    /// Splits an answer into status, headers and body.
    ///
    /// A member with the location `statusCode` sets the status. A blob payload is base64 text here, as blobs are
    /// everywhere; [`Self::shape_with_payload`] takes its bytes. Members that the shape does not know are a bug: they
    /// are dropped, with a debug assertion.
    #[must_use]
    pub fn shape(&self, operation: &Operation, members: Map<String, Value>) -> Output {
        shape::shape(self, operation, members, None)
    }

    /// Like [`Self::shape`], with the bytes of a blob payload (the answer of a function).
    #[must_use]
    pub fn shape_with_payload(&self, operation: &Operation, members: Map<String, Value>, payload: Bytes) -> Output {
        shape::shape(self, operation, members, Some(payload))
    }

    /// HTTP status of an error, modelled or of the protocol: 404 for `ResourceNotFoundException`.
    #[must_use]
    pub fn error_status(&self, error: &str) -> Option<u16> {
        let modelled = self.shape_named(error).and_then(|shape| shape.error_status);
        modelled.or_else(|| self.protocol_errors.get(error).copied())
    }

    /// What a message calls an error: `NoSuchEntity` for IAM's `NoSuchEntityException`.
    #[must_use]
    pub fn error_code<'name>(&'name self, error: &'name str) -> &'name str {
        self.shape_named(error).and_then(|shape| shape.error_code.as_deref()).unwrap_or(error)
    }

    /// Whether the service has an operation that wuwei does not have.
    #[must_use]
    pub fn leaves_out(&self, name: &str) -> bool {
        self.others.iter().any(|other| other == name)
    }

    /// The operation of a name, for example `CreateFunction`.
    #[must_use]
    pub fn operation(&self, name: &str) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.name() == name)
    }

    /// Every operation, in order of name.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter()
    }
}
