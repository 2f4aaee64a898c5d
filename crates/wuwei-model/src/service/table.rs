use std::collections::BTreeMap;

use serde_json::Number;

use super::pattern::Pattern;
use super::route::Router;

/// The parsed table of one service.
#[derive(Debug)]
pub struct ServiceModel {
    /// In order of name.
    pub(super) operations: Vec<Operation>,
    /// Names of the operations that the service has and the table leaves out.
    pub(super) others: Vec<String>,
    /// In order of name; a [`ShapeId`] is a position here.
    pub(super) shapes: Vec<Shape>,
    pub(super) router: Router,
    /// Errors that stand in no model, with their HTTP status.
    pub(super) protocol_errors: BTreeMap<String, u16>,
}

/// One operation of the service.
#[derive(Debug)]
pub struct Operation {
    pub(super) name: String,
    pub(super) method: String,
    pub(super) uri: String,
    pub(super) status: u16,
    pub(super) access: Access,
    pub(super) input: ShapeId,
    pub(super) output: Option<ShapeId>,
    pub(super) errors: Vec<String>,
}

/// Kind of access an operation needs (from the overlay): drives the roles of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Looks only.
    Read,
    /// Runs a function, or answers for a running one.
    Invoke,
    /// Changes something.
    Write,
}

impl Operation {
    /// AWS's name, for example `CreateFunction`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it needs: drives the key roles (viewer < invoker < deployer < admin).
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// HTTP status of a success, unless the answer itself says another (202 and 204 of Invoke).
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// HTTP method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Path with labels in braces, sometimes with a query: `/2015-03-31/functions/{FunctionName}`.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Names of the modelled errors.
    pub fn errors(&self) -> impl Iterator<Item = &str> {
        self.errors.iter().map(String::as_str)
    }
}

/// Position of a shape in the table.
pub(super) type ShapeId = usize;

/// One shape: a type with its constraints.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) constraints: Constraints,
    /// Holds a value that must not be printed, itself or anywhere below.
    pub(super) sensitive: bool,
    /// HTTP status, for the shape of an error.
    pub(super) error_status: Option<u16>,
    /// What the message calls the error, where that is not the name of the shape.
    pub(super) error_code: Option<String>,
}

/// What a shape is made of.
#[derive(Debug)]
pub(super) enum Kind {
    String,
    Integer,
    Long,
    Double,
    Boolean,
    Blob,
    Timestamp,
    List { member: ShapeId },
    Map { key: ShapeId, value: ShapeId },
    Structure { members: Vec<Member> },
}

impl Kind {
    /// Members, for a structure.
    pub(super) fn members(&self) -> &[Member] {
        match self {
            Self::Structure { members } => members,
            Self::String
            | Self::Integer
            | Self::Long
            | Self::Double
            | Self::Boolean
            | Self::Blob
            | Self::Timestamp
            | Self::List { .. }
            | Self::Map { .. } => &[],
        }
    }
}

/// Bounds of a value: lengths for strings, blobs, lists and maps, values for numbers.
#[derive(Debug, Default)]
pub(super) struct Constraints {
    pub(super) min: Option<Number>,
    pub(super) max: Option<Number>,
    pub(super) pattern: Option<Pattern>,
    /// Values of an enum; empty for any other string.
    pub(super) values: Vec<String>,
}

/// One member of a structure.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    /// Name in the message; header names in lower case.
    pub(super) wire_name: String,
    pub(super) shape: ShapeId,
    pub(super) location: Location,
    pub(super) required: bool,
    /// What the service does otherwise than its model says.
    pub(super) rule: Option<MemberRule>,
}

/// Where a member stands in the HTTP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Location {
    Uri,
    Query,
    Header,
    StatusCode,
    Payload,
    Body,
}

/// A check that the service makes itself, with an error other than `ValidationException`.
#[derive(Debug)]
pub(super) struct MemberRule {
    /// The rule holds for values that this matches, or for all.
    pub(super) when: Option<Pattern>,
    /// Length instead of the model's.
    pub(super) max: Option<Number>,
    /// The whole message for a value outside the enum, with `{value}` and `{values}`.
    pub(super) enum_text: Option<String>,
    /// Error type of a violation.
    pub(super) error: String,
}

impl ServiceModel {
    pub(super) fn get(&self, id: ShapeId) -> &Shape {
        &self.shapes[id]
    }

    pub(super) fn shape_named(&self, name: &str) -> Option<&Shape> {
        let position = self.shapes.binary_search_by(|shape| shape.name.as_str().cmp(name)).ok()?;
        self.shapes.get(position)
    }
}
