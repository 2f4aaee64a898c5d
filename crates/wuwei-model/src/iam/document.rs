//! A policy document, read as strictly as IAM reads it.

use serde_json::{Map, Value};
use thiserror::Error;

use super::condition::Condition;
use super::principal::Principals;
use super::strict_json::{self, Refused};
use super::variables::Language;

/// More than any document of the allowed length has room for.
const STATEMENTS_MAX: usize = 1_000;

/// The document is none that IAM takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct MalformedPolicyError(&'static str);

const SYNTAX: MalformedPolicyError = MalformedPolicyError("Syntax errors in policy.");

/// A policy as it was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyDocument {
    pub(super) statements: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) language: Language,
    pub(super) is_allow: bool,
    pub(super) actions: Choice,
    /// `None` in trust policies.
    pub(super) resources: Option<Choice>,
    /// `None` in policies of identities. With `true`: all but these.
    pub(super) principals: Option<(Principals, bool)>,
    pub(super) conditions: Vec<Condition>,
}

/// What a statement is about: these patterns, or all but these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Only(Vec<String>),
    AllBut(Vec<String>),
}

impl PolicyDocument {
    /// A policy that is attached to a role: it names resources and no principals.
    ///
    /// # Errors
    /// [`MalformedPolicyError`] in IAM's words.
    pub fn parse_identity(text: &str) -> Result<Self, MalformedPolicyError> {
        let policy = Self::parse(text)?;
        for statement in &policy.statements {
            if statement.principals.is_some() {
                return Err(MalformedPolicyError("Policy document should not specify a principal."));
            }
            if statement.resources.is_none() {
                return Err(MalformedPolicyError("Policy statement must contain resources."));
            }
        }
        Ok(policy)
    }

    /// A policy that says who may assume a role: it names principals and no resources.
    ///
    /// # Errors
    /// [`MalformedPolicyError`] in IAM's words.
    pub fn parse_trust(text: &str) -> Result<Self, MalformedPolicyError> {
        let policy = Self::parse(text)?;
        for statement in &policy.statements {
            if statement.principals.is_none() {
                return Err(MalformedPolicyError("Has prohibited field Resource or misses field Principal"));
            }
            if statement.resources.is_some() {
                return Err(MalformedPolicyError("Has prohibited field Resource"));
            }
            let actions = match &statement.actions {
                Choice::Only(actions) | Choice::AllBut(actions) => actions,
            };
            if !actions.iter().all(|action| action == "*" || action.to_ascii_lowercase().starts_with("sts:")) {
                return Err(MalformedPolicyError("AssumeRole policy may only specify STS AssumeRole actions."));
            }
        }
        Ok(policy)
    }

    fn parse(text: &str) -> Result<Self, MalformedPolicyError> {
        let document = strict_json::parse(text).map_err(|refused| match refused {
            Refused::Json => MalformedPolicyError("This policy contains invalid Json"),
            Refused::Twice => SYNTAX,
        })?;
        let Value::Object(mut fields) = document else { return Err(SYNTAX) };
        let language = match fields.remove("Version").as_ref().map(Value::as_str) {
            Some(Some("2012-10-17")) => Language::WithVariables,
            Some(Some("2008-10-17")) | None => Language::Plain,
            Some(_) => return Err(SYNTAX),
        };
        if let Some(id) = fields.remove("Id")
            && !id.is_string()
        {
            return Err(SYNTAX);
        }
        let statements = match fields.remove("Statement") {
            Some(Value::Array(statements)) => statements,
            Some(single @ Value::Object(_)) => vec![single],
            Some(_) | None => return Err(SYNTAX),
        };
        if !fields.is_empty() || statements.is_empty() || statements.len() > STATEMENTS_MAX {
            return Err(SYNTAX);
        }
        let mut ids: Vec<String> = Vec::new();
        let mut parsed = Vec::new();
        for statement in statements {
            let Value::Object(mut fields) = statement else { return Err(SYNTAX) };
            if let Some(id) = fields.remove("Sid") {
                let id = id.as_str().ok_or(SYNTAX)?.to_owned();
                if !id.is_empty() && ids.contains(&id) {
                    return Err(MalformedPolicyError("Statement IDs (SID) in a single policy must be unique."));
                }
                ids.push(id);
            }
            parsed.push(Statement::parse(fields, language)?);
        }
        Ok(Self { statements: parsed })
    }
}

impl Statement {
    fn parse(mut fields: Map<String, Value>, language: Language) -> Result<Self, MalformedPolicyError> {
        let is_allow = match fields.remove("Effect").as_ref().and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            Some(_) | None => return Err(SYNTAX),
        };
        let actions = choice(&mut fields, "Action", "NotAction")?
            .ok_or(MalformedPolicyError("Policy statement must contain actions."))?;
        let (Choice::Only(names) | Choice::AllBut(names)) = &actions;
        if !names.iter().all(|name| is_action(name)) {
            let text = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.";
            return Err(MalformedPolicyError(text));
        }
        let resources = choice(&mut fields, "Resource", "NotResource")?;
        if let Some(Choice::Only(arns) | Choice::AllBut(arns)) = &resources
            && !arns.iter().all(|arn| is_resource(arn))
        {
            return Err(MalformedPolicyError("Resource must be in ARN format or \"*\"."));
        }
        let principals = match (fields.remove("Principal"), fields.remove("NotPrincipal")) {
            (None, None) => None,
            (Some(principal), None) => Some((principals(principal)?, false)),
            // Everybody else but a few, strangers included, is what nobody means to allow.
            (None, Some(principal)) if !is_allow => Some((principals(principal)?, true)),
            (_, Some(_)) => return Err(SYNTAX),
        };
        let conditions = conditions(fields.remove("Condition"), language)?;
        if !fields.is_empty() {
            return Err(SYNTAX);
        }
        Ok(Self { language, is_allow, actions, resources, principals, conditions })
    }
}

fn choice(fields: &mut Map<String, Value>, only: &str, but: &str) -> Result<Option<Choice>, MalformedPolicyError> {
    match (fields.remove(only), fields.remove(but)) {
        (None, None) => Ok(None),
        (Some(patterns), None) => texts(patterns).map(Choice::Only).map(Some),
        (None, Some(patterns)) => texts(patterns).map(Choice::AllBut).map(Some),
        (Some(_), Some(_)) => Err(SYNTAX),
    }
}

/// One text, or several.
fn texts(value: Value) -> Result<Vec<String>, MalformedPolicyError> {
    let items = match value {
        Value::Array(items) => items,
        single => vec![single],
    };
    if items.is_empty() {
        return Err(SYNTAX);
    }
    let text = |item: Value| match item {
        Value::String(text) => Ok(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Err(SYNTAX),
    };
    items.into_iter().map(text).collect()
}

fn is_action(name: &str) -> bool {
    name == "*"
        || name.split_once(':').is_some_and(|(vendor, action)| {
            let is_of = |byte: u8| byte.is_ascii_alphanumeric() || b"-_*?".contains(&byte);
            !vendor.is_empty() && !action.is_empty() && vendor.bytes().chain(action.bytes()).all(is_of)
        })
}

/// `*`, or the six parts of an ARN, which may have wildcards.
fn is_resource(text: &str) -> bool {
    text == "*" || text.starts_with("arn:") && text.splitn(6, ':').count() == 6 || text.starts_with("arn:*")
}

fn principals(value: Value) -> Result<Principals, MalformedPolicyError> {
    const INVALID: MalformedPolicyError = MalformedPolicyError("Invalid principal in policy");
    let mut fields = match value {
        Value::String(text) if text == "*" => return Ok(Principals::Everyone),
        Value::Object(fields) if !fields.is_empty() => fields,
        _other => return Err(INVALID),
    };
    let mut of = |kind: &str| fields.remove(kind).map_or_else(|| Ok(Vec::new()), texts);
    let (aws, services, _federated) = (of("AWS")?, of("Service")?, of("Federated")?);
    of("CanonicalUser")?;
    let is_aws = |text: &String| {
        text == "*" || text.starts_with("arn:aws") || text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !fields.is_empty() || !aws.iter().all(is_aws) || !services.iter().all(|service| service.contains('.')) {
        return Err(INVALID);
    }
    Ok(Principals::Some { aws, services })
}

fn conditions(value: Option<Value>, language: Language) -> Result<Vec<Condition>, MalformedPolicyError> {
    let operators = match value {
        None => return Ok(Vec::new()),
        Some(Value::Object(operators)) => operators,
        Some(_) => return Err(SYNTAX),
    };
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        let Value::Object(keys) = keys else { return Err(SYNTAX) };
        for (key, values) in keys {
            let items = match values {
                Value::Array(items) => items,
                single => vec![single],
            };
            let text = |item: Value| match item {
                Value::String(text) => Ok(text),
                Value::Bool(value) => Ok(value.to_string()),
                Value::Number(number) => Ok(number.to_string()),
                Value::Null | Value::Array(_) | Value::Object(_) => Err(SYNTAX),
            };
            let values = items.into_iter().map(text).collect::<Result<Vec<String>, _>>()?;
            if !key.contains(':') {
                return Err(MalformedPolicyError(
                    "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
                ));
            }
            let condition = Condition::new(&operator, &key, values, language);
            let condition = condition.ok_or(MalformedPolicyError("Invalid Condition type."))?;
            // One that never compares would make a statement that denies say nothing.
            if !condition.has_values() {
                return Err(SYNTAX);
            }
            conditions.push(condition);
        }
    }
    Ok(conditions)
}
