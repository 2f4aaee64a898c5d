//! `CreateFunctionUrlConfig`, `GetFunctionUrlConfig`, `UpdateFunctionUrlConfig`, `DeleteFunctionUrlConfig` and
//! `ListFunctionUrlConfigs`.

use http::StatusCode;
use serde_json::{Map, Value};
use wuwei_model::{FunctionUrl, UrlAuthType, UrlInvokeMode};
use wuwei_store::{Function, StoreError};

use super::super::call::{Call, Reply};
use super::super::configuration::LATEST;
use super::super::error::ApiError;
use super::super::marker::{Position, page_of, page_size};
use super::super::{lookup, url_config};
use super::{change, now_ms};
use crate::urls;

const NO_FUNCTION: &str = "Function does not exist";
const NO_RESOURCE: &str = "The resource you requested does not exist.";

pub(super) async fn create(call: &Call) -> Result<Reply, ApiError> {
    let qualifier = url_config::qualifier(call.target())?;
    let functions = call.parts.store.functions();
    let id = loop {
        let id = urls::new_id();
        match functions.reserve_url(&id, call.key(), qualifier).await {
            Ok(()) => break id,
            Err(StoreError::Exists) => {}
            Err(error) => return Err(error.into()),
        }
    };
    let now = now_ms();
    let url = FunctionUrl {
        id: id.clone(),
        auth_type: auth_type(call).unwrap_or(UrlAuthType::AwsIam),
        invoke_mode: invoke_mode(call).unwrap_or(UrlInvokeMode::Buffered),
        cors: call.members.get("Cors").and_then(url_config::read_cors),
        created_ms: now,
        modified_ms: now,
    };
    let given = change(call, NO_FUNCTION, |function| {
        check_qualifier(function, qualifier)?;
        if function.latest.settings.isolates_tenants {
            return Err(ApiError::invalid_parameter(
                "Function URLs are not supported for functions with tenancy configuration.",
            ));
        }
        if function.urls.contains_key(qualifier) {
            return Err(ApiError::conflict(format!(
                "Failed to create function url config for [functionArn = {}]. Error message:  FunctionUrlConfig exists \
                 for this Lambda function",
                call.target().arn()
            )));
        }
        function.urls.insert(qualifier.to_owned(), url.clone());
        Ok(())
    })
    .await;
    if let Err(error) = given {
        functions.forget_url(&id).await;
        return Err(error);
    }
    let mut members = shown(call, qualifier, &url);
    members.remove("LastModifiedTime");
    Ok(Reply::Members(members))
}

pub(super) async fn get(call: &Call) -> Result<Reply, ApiError> {
    let qualifier = url_config::qualifier(call.target())?;
    let found = lookup::function(&call.parts, call.key()).await?;
    let url = found.as_ref().and_then(|(function, _)| function.urls.get(qualifier));
    let url = url.ok_or_else(|| ApiError::not_found(NO_RESOURCE))?;
    Ok(Reply::Members(shown(call, qualifier, url)))
}

pub(super) async fn update(call: &Call) -> Result<Reply, ApiError> {
    let qualifier = url_config::qualifier(call.target())?;
    let url = change(call, NO_FUNCTION, |function| {
        check_qualifier(function, qualifier)?;
        let url = function.urls.get_mut(qualifier).ok_or_else(|| ApiError::not_found(NO_RESOURCE))?;
        if let Some(auth_type) = auth_type(call) {
            url.auth_type = auth_type;
        }
        if let Some(invoke_mode) = invoke_mode(call) {
            url.invoke_mode = invoke_mode;
        }
        if let Some(cors) = call.members.get("Cors") {
            url.cors = url_config::read_cors(cors);
        }
        url.modified_ms = now_ms();
        Ok(url.clone())
    })
    .await?;
    Ok(Reply::Members(shown(call, qualifier, &url)))
}

pub(super) async fn delete(call: &Call) -> Result<Reply, ApiError> {
    let qualifier = url_config::qualifier(call.target())?;
    let removed = change(call, NO_RESOURCE, |function| {
        function.urls.remove(qualifier).ok_or_else(|| ApiError::not_found(NO_RESOURCE))
    })
    .await?;
    call.parts.store.functions().forget_url(&removed.id).await;
    Ok(Reply::Empty(StatusCode::NO_CONTENT))
}

pub(super) async fn list(call: &Call) -> Result<Reply, ApiError> {
    let after = Position::decode(call.text("Marker"))?;
    let found = lookup::function(&call.parts, call.key()).await?;
    let (Function { urls, .. }, _) = found.ok_or_else(|| ApiError::not_found(NO_FUNCTION))?;
    let (page, next) = page_of(urls.iter(), after.as_ref(), page_size(call.number("MaxItems")));
    let items: Vec<Value> = page.iter().map(|(qualifier, url)| shown(call, qualifier, url).into()).collect();
    let mut members = Map::new();
    members.insert("FunctionUrlConfigs".to_owned(), items.into());
    if let Some(next) = next {
        members.insert("NextMarker".to_owned(), next.into());
    }
    Ok(Reply::Members(members))
}

fn shown(call: &Call, qualifier: &str, url: &FunctionUrl) -> Map<String, Value> {
    url_config::members(&call.parts.options, call.key(), qualifier, url)
}

fn check_qualifier(function: &Function, qualifier: &str) -> Result<(), ApiError> {
    let is_there = qualifier == LATEST || function.aliases.contains_key(qualifier);
    if is_there { Ok(()) } else { Err(ApiError::not_found(NO_FUNCTION)) }
}

fn auth_type(call: &Call) -> Option<UrlAuthType> {
    call.text("AuthType").and_then(|text| text.parse().ok())
}

fn invoke_mode(call: &Call) -> Option<UrlInvokeMode> {
    call.text("InvokeMode").and_then(|text| text.parse().ok())
}
