//! Policies that are part of a role.

use serde_json::{Value, json};
use wuwei_model::iam::PolicyDocument;

use super::page::page;
use super::roles::{change, find};
use super::{Call, Members, encoded, limit_exceeded, malformed, no_such_entity, nothing};
use crate::query::QueryError;

/// All inline policies of a role together, in characters without white space.
const INLINE_MAX: usize = 10_240;
/// The same, in bytes with white space: what the model lets one document have.
const STORED_MAX: usize = 131_072;

pub(super) async fn put(call: &Call) -> Result<Members, QueryError> {
    let (name, text) = (call.required("PolicyName"), call.required("PolicyDocument"));
    PolicyDocument::parse_identity(text).map_err(|error| malformed(&error))?;
    change(call, |role| {
        role.inline.insert(name.to_owned(), text.to_owned());
        // White space does not count, and must not fill the disk either.
        let is_bloated = role.inline.values().map(String::len).sum::<usize>() > STORED_MAX;
        let characters = role.inline.values().flat_map(|text| text.chars());
        if is_bloated || characters.filter(|character| !character.is_whitespace()).count() > INLINE_MAX {
            let text = format!("Maximum policy size of {INLINE_MAX} bytes exceeded for role {}", role.name);
            return Err(limit_exceeded(text));
        }
        Ok(())
    })
    .await?;
    Ok(nothing())
}

pub(super) fn get(call: &Call) -> Result<Members, QueryError> {
    let role = find(call)?;
    let name = call.required("PolicyName");
    let text = role.inline.get(name).ok_or_else(|| missing(name))?;
    Ok(Members::from_iter([
        ("RoleName".to_owned(), json!(role.name)),
        ("PolicyName".to_owned(), json!(name)),
        ("PolicyDocument".to_owned(), json!(encoded(text))),
    ]))
}

pub(super) fn list(call: &Call) -> Result<Members, QueryError> {
    let role = find(call)?;
    let names = role.inline.keys().map(|name| (name.clone(), Value::from(name.as_str())));
    page(call, "PolicyNames", names.collect())
}

pub(super) async fn delete(call: &Call) -> Result<Members, QueryError> {
    let name = call.required("PolicyName");
    change(call, |role| role.inline.remove(name).map(drop).ok_or_else(|| missing(name))).await?;
    Ok(nothing())
}

fn missing(name: &str) -> QueryError {
    no_such_entity(format!("The role policy with name {name} cannot be found."))
}
