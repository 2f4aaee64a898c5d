//! From the two JSON files to the linked table.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Number;
use thiserror::Error;

use super::pattern::Pattern;
use super::route::Router;
use super::table::{Access, Constraints, Kind, Location, Member, MemberRule, Operation, ServiceModel, Shape, ShapeId};

/// A table or overlay that does not hold together.
#[derive(Debug, Error)]
pub(super) enum TableError {
    #[error("service model is not JSON of the expected form")]
    Json(#[from] serde_json::Error),
    #[error("service model names the shape `{0}`, which it does not have")]
    UnknownShape(String),
    #[error("shape `{shape}` of the service model lacks `{part}`")]
    Incomplete { shape: String, part: &'static str },
    #[error("overlay names `{0}`, which the service model does not have")]
    StrayOverlay(String),
}

#[derive(Deserialize)]
struct RawTable {
    #[serde(default)]
    others: Vec<String>,
    operations: BTreeMap<String, RawOperation>,
    shapes: BTreeMap<String, RawShape>,
}

#[derive(Deserialize)]
struct RawOperation {
    method: String,
    uri: String,
    status: u16,
    input: String,
    output: Option<String>,
    errors: Vec<String>,
}

#[derive(Deserialize)]
struct RawShape {
    #[serde(rename = "type")]
    kind: RawKind,
    min: Option<Number>,
    max: Option<Number>,
    pattern: Option<String>,
    #[serde(default, rename = "enum")]
    values: Vec<String>,
    #[serde(default)]
    sensitive: bool,
    error: Option<u16>,
    code: Option<String>,
    #[serde(default)]
    required: Vec<String>,
    payload: Option<String>,
    member: Option<String>,
    key: Option<String>,
    value: Option<String>,
    #[serde(default)]
    members: Vec<RawMember>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawKind {
    String,
    Integer,
    Long,
    Double,
    Boolean,
    Blob,
    Timestamp,
    List,
    Map,
    Structure,
}

#[derive(Deserialize)]
struct RawMember {
    name: String,
    shape: String,
    #[serde(rename = "in")]
    location: Option<RawLocation>,
    #[serde(rename = "as")]
    wire_name: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum RawLocation {
    Uri,
    Querystring,
    Header,
    StatusCode,
}

#[derive(Deserialize)]
struct Overlay {
    #[serde(default)]
    shapes: BTreeMap<String, ShapeOverlay>,
    #[serde(default)]
    members: BTreeMap<String, RawRule>,
    #[serde(default)]
    statuses: BTreeMap<String, StatusOverlay>,
    access: AccessOverlay,
    protocol_errors: BTreeMap<String, ProtocolError>,
}

#[derive(Deserialize)]
struct ShapeOverlay {
    min: Option<Number>,
    max: Option<Number>,
}

#[derive(Deserialize)]
struct RawRule {
    when: Option<String>,
    max: Option<Number>,
    enum_text: Option<String>,
    error: String,
}

#[derive(Deserialize)]
struct StatusOverlay {
    default: Option<u16>,
}

#[derive(Deserialize)]
struct AccessOverlay {
    prefixes: BTreeMap<String, RawAccess>,
    #[serde(default)]
    exceptions: BTreeMap<String, RawAccess>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawAccess {
    Read,
    Invoke,
    Write,
}

#[derive(Deserialize)]
struct ProtocolError {
    status: u16,
}

impl ServiceModel {
    /// Links the generated table with the overlay.
    pub(super) fn parse(table: &str, overlay: &str) -> Result<Self, TableError> {
        let mut table: RawTable = serde_json::from_str(table)?;
        let mut overlay: Overlay = serde_json::from_str(overlay)?;
        for (name, change) in overlay.shapes {
            let shape = table.shapes.get_mut(&name).ok_or(TableError::StrayOverlay(name))?;
            shape.min = change.min.or_else(|| shape.min.take());
            shape.max = change.max.or_else(|| shape.max.take());
        }
        let names = Names(table.shapes.keys().cloned().collect());
        let mut shapes = Vec::with_capacity(table.shapes.len());
        for (name, raw) in table.shapes {
            shapes.push(link_shape(name, raw, &names, &mut overlay.members)?);
        }
        if let Some(stray) = overlay.members.into_keys().next() {
            return Err(TableError::StrayOverlay(stray));
        }
        spread_sensitivity(&mut shapes);
        let known: BTreeSet<&String> = table.operations.keys().collect();
        if let Some(stray) =
            overlay.statuses.keys().chain(overlay.access.exceptions.keys()).find(|name| !known.contains(name))
        {
            return Err(TableError::StrayOverlay(stray.clone()));
        }
        let mut operations = Vec::with_capacity(table.operations.len());
        for (name, raw) in table.operations {
            let access = overlay.access.of(&name);
            let status = overlay.statuses.get(&name).and_then(|status| status.default).unwrap_or(raw.status);
            operations.push(Operation {
                input: names.id(&raw.input)?,
                output: raw.output.map(|output| names.id(&output)).transpose()?,
                method: raw.method,
                uri: raw.uri,
                errors: raw.errors,
                name,
                status,
                access,
            });
        }
        let router = Router::new(&operations);
        let protocol_errors = overlay.protocol_errors.into_iter().map(|(name, error)| (name, error.status)).collect();
        Ok(Self { operations, others: table.others, shapes, router, protocol_errors })
    }
}

/// Names of all shapes, sorted.
struct Names(Vec<String>);

impl Names {
    fn id(&self, name: &str) -> Result<ShapeId, TableError> {
        let found = self.0.binary_search_by(|known| known.as_str().cmp(name));
        found.map_err(|_position| TableError::UnknownShape(name.to_owned()))
    }
}

impl AccessOverlay {
    fn of(&self, operation: &str) -> Access {
        let by_prefix = || self.prefixes.iter().find(|(prefix, _)| operation.starts_with(prefix.as_str()));
        let raw = self.exceptions.get(operation).or_else(|| by_prefix().map(|(_, access)| access));
        match raw {
            Some(RawAccess::Read) => Access::Read,
            Some(RawAccess::Invoke) => Access::Invoke,
            Some(RawAccess::Write) | None => Access::Write,
        }
    }
}

fn link_shape(
    name: String,
    raw: RawShape,
    names: &Names,
    rules: &mut BTreeMap<String, RawRule>,
) -> Result<Shape, TableError> {
    let part = |part: &'static str, value: Option<&String>| {
        let target = value.ok_or_else(|| TableError::Incomplete { shape: name.clone(), part })?;
        names.id(target)
    };
    let kind = match raw.kind {
        RawKind::String => Kind::String,
        RawKind::Integer => Kind::Integer,
        RawKind::Long => Kind::Long,
        RawKind::Double => Kind::Double,
        RawKind::Boolean => Kind::Boolean,
        RawKind::Blob => Kind::Blob,
        RawKind::Timestamp => Kind::Timestamp,
        RawKind::List => Kind::List { member: part("member", raw.member.as_ref())? },
        RawKind::Map => Kind::Map { key: part("key", raw.key.as_ref())?, value: part("value", raw.value.as_ref())? },
        RawKind::Structure => {
            let mut members = Vec::with_capacity(raw.members.len());
            for member in raw.members {
                members.push(Member {
                    shape: names.id(&member.shape)?,
                    location: location(&member, raw.payload.as_deref()),
                    required: raw.required.contains(&member.name),
                    wire_name: wire_name(&member),
                    rule: rules.remove(&format!("{name}.{}", member.name)).map(MemberRule::from),
                    name: member.name,
                });
            }
            Kind::Structure { members }
        }
    };
    let constraints =
        Constraints { min: raw.min, max: raw.max, pattern: raw.pattern.map(Pattern::new), values: raw.values };
    Ok(Shape { name, kind, constraints, sensitive: raw.sensitive, error_status: raw.error, error_code: raw.code })
}

fn location(member: &RawMember, payload: Option<&str>) -> Location {
    match member.location {
        Some(RawLocation::Uri) => Location::Uri,
        Some(RawLocation::Querystring) => Location::Query,
        Some(RawLocation::Header) => Location::Header,
        Some(RawLocation::StatusCode) => Location::StatusCode,
        None if payload == Some(member.name.as_str()) => Location::Payload,
        None => Location::Body,
    }
}

fn wire_name(member: &RawMember) -> String {
    let name = member.wire_name.as_ref().unwrap_or(&member.name);
    match member.location {
        Some(RawLocation::Header) => name.to_ascii_lowercase(),
        Some(RawLocation::Uri | RawLocation::Querystring | RawLocation::StatusCode) | None => name.clone(),
    }
}

impl From<RawRule> for MemberRule {
    fn from(raw: RawRule) -> Self {
        Self { when: raw.when.map(Pattern::new), max: raw.max, enum_text: raw.enum_text, error: raw.error }
    }
}

/// Marks every shape that holds a sensitive one, until nothing changes.
fn spread_sensitivity(shapes: &mut [Shape]) {
    loop {
        let holders: Vec<ShapeId> = (0..shapes.len())
            .filter(|id| {
                let shape = &shapes[*id];
                let below: Vec<ShapeId> = match &shape.kind {
                    Kind::List { member } => vec![*member],
                    Kind::Map { key, value } => vec![*key, *value],
                    Kind::Structure { members } => members.iter().map(|member| member.shape).collect(),
                    Kind::String
                    | Kind::Integer
                    | Kind::Long
                    | Kind::Double
                    | Kind::Boolean
                    | Kind::Blob
                    | Kind::Timestamp => vec![],
                };
                !shape.sensitive && below.into_iter().any(|id| shapes[id].sensitive)
            })
            .collect();
        if holders.is_empty() {
            return;
        }
        for id in holders {
            shapes[id].sensitive = true;
        }
    }
}
