//! `GetFunction` and `GetFunctionConfiguration`.

use serde_json::{Map, json};

use super::super::call::{Call, Reply};
use super::super::configuration::{View, configuration};
use super::super::error::ApiError;
use super::super::{code, lookup};

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let version = lookup::version(&call.parts, call.target()).await?;
    let location = code::location(&call.parts.options, &call.principal, &version);
    let view = View::FULL.qualified(call.target().qualifier.is_some());
    let mut members = Map::new();
    members.insert("Configuration".to_owned(), configuration(&version, view).into());
    members.insert("Code".to_owned(), json!({ "RepositoryType": "S3", "Location": location }));
    Ok(Reply::Members(members))
}

pub(super) async fn run_configuration(call: &Call) -> Result<Reply, ApiError> {
    let version = lookup::version(&call.parts, call.target()).await?;
    let view = View::FULL.qualified(call.target().qualifier.is_some());
    Ok(Reply::Members(configuration(&version, view)))
}
