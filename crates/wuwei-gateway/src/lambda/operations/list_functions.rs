//! `ListFunctions`.

use serde_json::{Map, Value, json};

use super::super::call::{Call, Reply};
use super::super::configuration::{View, configuration};
use super::super::error::ApiError;
use super::super::listing;
use super::super::marker::{Position, page_size};

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let all_versions = call.text("FunctionVersion") == Some("ALL");
    let after = Position::decode(call.text("Marker"))?;
    let size = page_size(call.number("MaxItems"));
    // Names the region where a replicated function was made: here that can only be this server's.
    let elsewhere =
        call.text("MasterRegion").is_some_and(|region| region != "ALL" && region != call.parts.options.region);
    let mut members = Map::new();
    if elsewhere {
        members.insert("Functions".to_owned(), json!([]));
        return Ok(Reply::Members(members));
    }
    let page = listing::functions(&call.parts, &call.principal, after, size, all_versions).await?;
    let view = View::LISTED.qualified(all_versions);
    let items: Vec<Value> = page.items.iter().map(|version| configuration(version, view).into()).collect();
    members.insert("Functions".to_owned(), items.into());
    if let Some(next) = page.next {
        members.insert("NextMarker".to_owned(), next.encode().into());
    }
    Ok(Reply::Members(members))
}
