//! `GetAccountSettings`.

use serde_json::{Map, json};
use wuwei_model::limits;

use super::super::call::{Call, Reply};
use super::super::error::ApiError;

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let region = &call.parts.options.region;
    let usage = call.parts.store.functions().usage(&call.principal.account, region).await?;
    let layer_bytes = call.parts.store.layers().code_bytes(&call.principal.account, region).await?;
    let limit = call.parts.engine.account_concurrency();
    let mut members = Map::new();
    members.insert(
        "AccountLimit".to_owned(),
        json!({
            "TotalCodeSize": limits::ACCOUNT_CODE_BYTES,
            "CodeSizeUnzipped": limits::UNPACKED_BYTES_MAX,
            "CodeSizeZipped": limits::ZIP_DIRECT_BYTES_MAX,
            "ConcurrentExecutions": limit,
            "UnreservedConcurrentExecutions": limit.saturating_sub(usage.guaranteed()),
        }),
    );
    let count = json!({ "TotalCodeSize": usage.code_bytes + layer_bytes, "FunctionCount": usage.functions });
    members.insert("AccountUsage".to_owned(), count);
    Ok(Reply::Members(members))
}
