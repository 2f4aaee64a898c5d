//! Constraints of an input, in AWS's wording.
//!
//! Sources of the wording: messages of Lambda as users report them, for example `Value '[POST, OPTIONS]' at
//! 'cors.allowMethods' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than
//! or equal to 6, …, Member must not be null]` and `Value at 'environment.variables' failed to satisfy constraint: Map
//! keys must satisfy constraint: […]`.

mod constraint;
mod text;

use serde_json::{Map, Value};
use thiserror::Error;

use self::constraint::{ConstraintText, NOT_NULL};
use super::Input;
use super::table::{Kind, Location, Member, MemberRule, Operation, ServiceModel, Shape};

/// Violations named in one answer: a body of six megabytes can hold millions.
const VIOLATIONS_MAX: usize = 100;

/// Text of a refusal, as AWS words it.
///
/// `2 validation errors detected: Value '…' at '…' failed to satisfy constraint: …; Value …`.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct ConstraintViolations {
    /// For the caller.
    pub message: String,
    /// Error type: `ValidationException`, or `InvalidParameterValueException` for the few checks that Lambda makes
    /// behind its framework (the runtime, a bare name at CreateFunction).
    pub error: String,
}

pub(super) fn validate(model: &ServiceModel, operation: &Operation, input: &Input) -> Result<(), ConstraintViolations> {
    let shape = model.get(operation.input);
    let mut found = Found { model, by_model: vec![], by_service: vec![], whole: None };
    for member in shape.kind.members() {
        let payload_given = member.location == Location::Payload && input.payload.is_some();
        if !payload_given {
            found.member(member, &input.members, "");
        }
    }
    found.into_result()
}

/// What was found so far.
struct Found<'model> {
    model: &'model ServiceModel,
    by_model: Vec<String>,
    /// Violations of rules that the service checks itself, all of one error type.
    by_service: Vec<(&'model MemberRule, String)>,
    /// A message that is not in the framework's form.
    whole: Option<(&'model MemberRule, String)>,
}

impl<'model> Found<'model> {
    fn into_result(self) -> Result<(), ConstraintViolations> {
        if !self.by_model.is_empty() {
            let message = counted(&self.by_model);
            return Err(ConstraintViolations { message, error: "ValidationException".to_owned() });
        }
        if let Some((rule, _)) = self.by_service.first() {
            let lines: Vec<String> = self.by_service.iter().map(|(_, line)| line.clone()).collect();
            return Err(ConstraintViolations { message: counted(&lines), error: rule.error.clone() });
        }
        match self.whole {
            Some((rule, message)) => Err(ConstraintViolations { message, error: rule.error.clone() }),
            None => Ok(()),
        }
    }

    fn member(&mut self, member: &'model Member, fields: &Map<String, Value>, parent: &str) {
        let path = || text::path(parent, &member.name);
        let Some(value) = fields.get(&member.name).filter(|value| !value.is_null()) else {
            if member.required {
                let path = path();
                self.push(format!("Value null at '{path}' failed to satisfy constraint: {NOT_NULL}"));
            }
            return;
        };
        let shape = self.model.get(member.shape);
        match &member.rule {
            Some(rule) if rule.holds_for(value) => self.rule(rule, shape, value, &path()),
            Some(_) | None => self.value(shape, value, &path()),
        }
    }

    /// A check that the service makes itself.
    fn rule(&mut self, rule: &'model MemberRule, shape: &Shape, value: &Value, path: &str) {
        if let Some(form) = &rule.enum_text {
            let name = value.as_str().unwrap_or_default();
            if !shape.constraints.values.iter().any(|known| known == name) {
                let values = shape.constraints.values.join(", ");
                self.whole = Some((rule, form.replace("{values}", &values).replace("{value}", name)));
            }
            return;
        }
        for violated in ConstraintText::violated(shape, rule.max.as_ref(), value) {
            self.by_service.push((rule, line(shape, value, path, &violated)));
        }
    }

    fn value(&mut self, shape: &'model Shape, value: &Value, path: &str) {
        for violated in ConstraintText::violated(shape, None, value) {
            self.push(line(shape, value, path, &violated));
        }
        self.children(shape, value, path);
    }

    /// Checks what is inside a value whose own constraints are already checked.
    fn children(&mut self, shape: &'model Shape, value: &Value, path: &str) {
        match (&shape.kind, value) {
            (Kind::Structure { members }, Value::Object(fields)) => {
                for member in members {
                    self.member(member, fields, path);
                }
            }
            (Kind::List { member }, Value::Array(items)) => {
                let element = self.model.get(*member);
                if items.iter().any(|item| violates(element, item)) {
                    let all = bracket(element, true);
                    self.push(line(shape, value, path, &format!("Member must satisfy constraint: [{all}]")));
                }
                for (index, item) in items.iter().enumerate() {
                    self.children(element, item, &format!("{path}.{}.member", index + 1));
                }
            }
            (Kind::Map { key, value: element }, Value::Object(entries)) => {
                let key = self.model.get(*key);
                let element = self.model.get(*element);
                if entries.keys().any(|name| violates(key, &Value::from(name.as_str()))) {
                    let all = bracket(key, false);
                    self.push(line(shape, value, path, &format!("Map keys must satisfy constraint: [{all}]")));
                }
                if entries.values().any(|entry| violates(element, entry)) {
                    let all = bracket(element, true);
                    self.push(line(shape, value, path, &format!("Map value must satisfy constraint: [{all}]")));
                }
                for (name, entry) in entries {
                    self.children(element, entry, &format!("{path}.{name}.member"));
                }
            }
            (_scalar, _) => {}
        }
    }

    fn push(&mut self, line: String) {
        if self.by_model.len() < VIOLATIONS_MAX {
            self.by_model.push(line);
        }
    }
}

impl MemberRule {
    fn holds_for(&self, value: &Value) -> bool {
        self.when.as_ref().is_none_or(|when| value.as_str().is_some_and(|text| when.matches(text)))
    }
}

fn violates(shape: &Shape, value: &Value) -> bool {
    value.is_null() || !ConstraintText::violated(shape, None, value).is_empty()
}

/// All constraints of the elements of a list or map.
fn bracket(shape: &Shape, nullable: bool) -> String {
    let mut all = ConstraintText::all(shape);
    if nullable {
        all.push(NOT_NULL.to_owned());
    }
    all.join(", ")
}

fn line(shape: &Shape, value: &Value, path: &str, constraint: &str) -> String {
    if shape.sensitive {
        return format!("Value at '{path}' failed to satisfy constraint: {constraint}");
    }
    let shown = text::shown(value);
    format!("Value '{shown}' at '{path}' failed to satisfy constraint: {constraint}")
}

fn counted(lines: &[String]) -> String {
    let plural = if lines.len() == 1 { "" } else { "s" };
    format!("{} validation error{plural} detected: {}", lines.len(), lines.join("; "))
}
