//! The Query protocol: inputs are fields of a form (`Tags.member.1.Key`), outputs are XML.
//!
//! <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html>

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::bind::SerializationError;
use super::table::{Kind, Operation, ServiceModel, ShapeId};
use super::xml::escape_xml;
use super::{Input, bind};

/// Deepest nesting of fields: the inputs here have three levels.
const DEPTH_MAX: usize = 12;

/// Fields as a tree: `Tags.member.1.Key` is four levels.
#[derive(Default)]
struct Node {
    text: Option<String>,
    children: BTreeMap<String, Self>,
}

pub(super) fn bind(
    model: &ServiceModel,
    operation: &Operation,
    fields: &[(String, String)],
) -> Result<Input, SerializationError> {
    let mut root = Node::default();
    for (name, value) in fields {
        if name.split('.').count() > DEPTH_MAX {
            continue;
        }
        let node = name.split('.').fold(&mut root, |node, part| node.children.entry(part.to_owned()).or_default());
        // The first of two fields with one name counts.
        node.text.get_or_insert_with(|| value.clone());
    }
    let members = structure(model, operation.input, &root)?;
    Ok(Input { members, payload: None })
}

fn structure(model: &ServiceModel, shape: ShapeId, node: &Node) -> Result<Map<String, Value>, SerializationError> {
    let mut found = Map::new();
    for member in model.get(shape).kind.members() {
        if let Some(child) = node.children.get(&member.wire_name)
            && let Some(value) = value(model, member.shape, child)?
        {
            found.insert(member.name.clone(), value);
        }
    }
    Ok(found)
}

fn value(model: &ServiceModel, shape: ShapeId, node: &Node) -> Result<Option<Value>, SerializationError> {
    let kind = &model.get(shape).kind;
    match kind {
        Kind::Structure { .. } => Ok(Some(Value::Object(structure(model, shape, node)?))),
        Kind::List { member } => {
            let Some(items) = node.children.get("member") else {
                // `Name=` alone is an empty list.
                return Ok(node.text.as_ref().map(|_| Value::Array(Vec::new())));
            };
            let items = numbered(items).map(|item| Ok(value(model, *member, item)?.unwrap_or(Value::Null)));
            Ok(Some(Value::Array(items.collect::<Result<_, SerializationError>>()?)))
        }
        Kind::Map { value: element, .. } => {
            let mut entries = Map::new();
            for entry in node.children.get("entry").into_iter().flat_map(numbered) {
                let key = entry.children.get("key").and_then(|key| key.text.clone()).unwrap_or_default();
                let child = entry.children.get("value");
                let bound = child.map(|child| value(model, *element, child)).transpose()?.flatten();
                entries.insert(key, bound.unwrap_or(Value::Null));
            }
            Ok(Some(Value::Object(entries)))
        }
        Kind::String | Kind::Integer | Kind::Long | Kind::Double | Kind::Boolean | Kind::Blob | Kind::Timestamp => {
            node.text.as_deref().map(|text| bind::from_text(kind, text)).transpose()
        }
    }
}

/// Items of a list in the order of their numbers.
fn numbered(node: &Node) -> impl Iterator<Item = &Node> {
    let mut items: Vec<(u64, &Node)> =
        node.children.iter().filter_map(|(number, item)| Some((number.parse().ok()?, item))).collect();
    items.sort_by_key(|(number, _)| *number);
    items.into_iter().map(|(_, item)| item)
}

pub(super) fn document(
    model: &ServiceModel,
    operation: &Operation,
    members: &Map<String, Value>,
    namespace: &str,
    request_id: &str,
) -> String {
    let name = &operation.name;
    let mut text = format!("<{name}Response xmlns=\"{namespace}\">\n");
    if let Some(output) = operation.output {
        text.push_str("  ");
        element(&mut text, &format!("{name}Result"), |text| write_members(model, output, members, text));
        text.push('\n');
    }
    text.push_str("  ");
    element(&mut text, "ResponseMetadata", |text| {
        element(text, "RequestId", |text| text.push_str(&escape_xml(request_id)));
    });
    text.push_str("\n</");
    text.push_str(name);
    text.push_str("Response>\n");
    text
}

fn write_members(model: &ServiceModel, shape: ShapeId, members: &Map<String, Value>, text: &mut String) {
    let known = model.get(shape).kind.members();
    for member in known {
        if let Some(value) = members.get(&member.name).filter(|value| !value.is_null()) {
            write_element(model, &member.wire_name, member.shape, value, text);
        }
    }
    let is_known = |name: &String| known.iter().any(|member| member.name == *name);
    debug_assert!(members.keys().all(is_known), "`{}` does not know all of {members:?}", model.get(shape).name);
}

fn write_element(model: &ServiceModel, name: &str, shape: ShapeId, value: &Value, text: &mut String) {
    element(text, name, |text| match (&model.get(shape).kind, value) {
        (Kind::Structure { .. }, Value::Object(members)) => write_members(model, shape, members, text),
        (Kind::List { member }, Value::Array(items)) => {
            for item in items {
                write_element(model, "member", *member, item, text);
            }
        }
        (Kind::Map { key, value: element }, Value::Object(entries)) => {
            for (entry, item) in entries {
                self::element(text, "entry", |text| {
                    write_element(model, "key", *key, &Value::from(entry.as_str()), text);
                    write_element(model, "value", *element, item, text);
                });
            }
        }
        (Kind::Timestamp, Value::Number(seconds)) => text.push_str(&instant(seconds)),
        (_scalar, Value::String(content)) => text.push_str(&escape_xml(content)),
        (_scalar, other) => text.push_str(&other.to_string()),
    });
}

/// An element with what is inside it.
fn element(text: &mut String, name: &str, inside: impl FnOnce(&mut String)) {
    text.push('<');
    text.push_str(name);
    text.push('>');
    inside(text);
    text.push_str("</");
    text.push_str(name);
    text.push('>');
}

/// `2026-11-20T08:00:00Z`.
fn instant(seconds: &Number) -> String {
    let at = seconds.as_i64().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(&Rfc3339).expect("a valid time with a year of four digits has all the format's components")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::service::ServiceModel;

    fn bound(operation: &str, form: &[(&str, &str)]) -> Result<Value, String> {
        let model = ServiceModel::iam();
        let fields: Vec<(String, String)> =
            form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let input = model.bind_form(model.operation(operation).unwrap(), &fields);
        input.map(|input| Value::Object(input.members)).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_become_members_lists_and_structures() {
        let form = [
            ("Action", "CreateRole"),
            ("RoleName", "r"),
            ("MaxSessionDuration", "3600"),
            ("Tags.member.10.Key", "ten"),
            ("Tags.member.2.Key", "two"),
            ("Tags.member.2.Value", ""),
            ("Tags.member.x.Key", "no number"),
            ("Unknown.deep", "dropped"),
        ];
        let expected =
            json!({"RoleName": "r", "MaxSessionDuration": 3600, "Tags": [{"Key": "two", "Value": ""}, {"Key": "ten"}]});
        assert_eq!(bound("CreateRole", &form).unwrap(), expected);
        assert_eq!(bound("CreateRole", &[("Tags", "")]).unwrap(), json!({"Tags": []}));
        bound("CreateRole", &[("MaxSessionDuration", "long")]).unwrap_err();
        assert_eq!(bound("CreateRole", &[("RoleName", "first"), ("RoleName", "second")]).unwrap()["RoleName"], "first");
    }

    #[test]
    fn answers_are_xml_in_the_order_of_the_model() {
        let model = ServiceModel::iam();
        let operation = model.operation("ListRoleTags").unwrap();
        let members = json!({"IsTruncated": false, "Tags": [{"Key": "<k>", "Value": "v"}]});
        let text = model.shape_xml(operation, members.as_object().unwrap(), "urn:x", "id");
        assert!(text.starts_with("<ListRoleTagsResponse xmlns=\"urn:x\">"));
        let inner =
            "<Tags><member><Key>&lt;k&gt;</Key><Value>v</Value></member></Tags><IsTruncated>false</IsTruncated>";
        assert!(text.contains(inner), "{text}");
        assert!(text.contains("<RequestId>id</RequestId>"));
    }

    #[test]
    fn times_are_of_rfc_3339_in_whole_seconds() {
        let model = ServiceModel::sts();
        let operation = model.operation("AssumeRole").unwrap();
        let members = json!({"Credentials": {"Expiration": 1_795_161_600}});
        let text = model.shape_xml(operation, members.as_object().unwrap(), "urn:x", "id");
        assert!(text.contains("<Expiration>2026-11-20T08:00:00Z</Expiration>"), "{text}");
    }

    #[test]
    fn errors_have_the_codes_of_their_messages() {
        assert_eq!(ServiceModel::iam().error_code("NoSuchEntityException"), "NoSuchEntity");
        assert_eq!(ServiceModel::iam().error_status("NoSuchEntityException"), Some(404));
        assert_eq!(ServiceModel::iam().error_code("AccessDenied"), "AccessDenied");
        assert_eq!(ServiceModel::logs().error_status("ResourceNotFoundException"), Some(400));
        assert!(ServiceModel::logs().leaves_out("StartQuery") && !ServiceModel::logs().leaves_out("Nonsense"));
    }
}
