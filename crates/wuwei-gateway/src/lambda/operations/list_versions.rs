//! `ListVersionsByFunction`.

use serde_json::{Map, Value};

use super::super::call::{Call, Reply};
use super::super::configuration::{View, configuration};
use super::super::error::ApiError;
use super::super::marker::{Position, page_size};
use super::super::{listing, lookup};

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let after = Position::decode(call.text("Marker"))?;
    let found = lookup::function(&call.parts, call.key()).await?;
    let (function, _) = found.ok_or_else(|| ApiError::function_not_found(&call.key().arn()))?;
    let page = listing::versions(&call.parts, function, after, page_size(call.number("MaxItems"))).await?;
    let view = View::LISTED.qualified(true);
    let items: Vec<Value> = page.items.iter().map(|version| configuration(version, view).into()).collect();
    let mut members = Map::new();
    members.insert("Versions".to_owned(), items.into());
    if let Some(next) = page.next {
        members.insert("NextMarker".to_owned(), next.encode().into());
    }
    Ok(Reply::Members(members))
}
