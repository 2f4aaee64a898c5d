//! Whether a call may be made: by the caller's own permissions, by the policy of the function, or by both.

use serde_json::{Map, Value};
use wuwei_model::LayerKey;
use wuwei_model::iam::ContextKeys;
use wuwei_model::service::Operation;

use super::error::ApiError;
use super::layers::GET_LAYER_VERSION;
use super::operations::permissions;
use super::target::Target;
use crate::auth::{Act, Principal, Refusal};
use crate::gateway::Parts;

/// What the policy of a function can allow to others than its account lets.
/// <https://docs.aws.amazon.com/lambda/latest/dg/permissions-function-cross-account.html>
const SHARED: &[&str] = &[
    INVOKE,
    "lambda:CreateAlias",
    "lambda:DeleteAlias",
    "lambda:DeleteFunction",
    "lambda:DeleteFunctionConcurrency",
    "lambda:GetAlias",
    "lambda:GetFunction",
    "lambda:GetFunctionConfiguration",
    "lambda:GetPolicy",
    "lambda:ListAliases",
    "lambda:ListTags",
    "lambda:ListVersionsByFunction",
    "lambda:PublishVersion",
    "lambda:PutFunctionConcurrency",
    "lambda:TagResource",
    "lambda:UntagResource",
    "lambda:UpdateAlias",
    "lambda:UpdateFunctionCode",
];
/// IAM's name for running a function, in whatever way.
const INVOKE: &str = "lambda:InvokeFunction";

/// Whether the policy of a function can allow an action.
pub(super) fn is_shared(action: &str) -> bool {
    SHARED.contains(&action)
}

/// IAM's name of an operation; it has its own for some.
pub(super) fn action(operation: &str) -> String {
    match operation {
        "Invoke" | "InvokeWithResponseStream" => INVOKE.to_owned(),
        "GetLayerVersionByArn" => GET_LAYER_VERSION.to_owned(),
        other => format!("lambda:{other}"),
    }
}

/// A call as far as permissions are concerned.
pub(super) struct Wish<'call> {
    pub(super) operation: &'call Operation,
    pub(super) action: &'call str,
    pub(super) target: Option<&'call Target>,
    /// Members of the input, as far as they are known.
    pub(super) members: &'call Map<String, Value>,
}

/// The key's role, or the policies of the caller's, decide within the account; the function's policy may allow more, and
/// for those of another account it takes both.
pub(super) async fn authorise(parts: &Parts, principal: &Principal, wish: &Wish<'_>) -> Result<(), ApiError> {
    let Wish { operation, action, target, members } = wish;
    let resource = resource(wish, principal, &parts.options.region);
    let act = Act { action, resource: &resource, access: operation.access() };
    let context =
        if principal.has_policies() { known_of(parts, *target, members).await? } else { ContextKeys::default() };
    let function = target.map(|target| target.key.name.as_str());
    let by_identity = principal.may_with(&act, function, |known| known.add(context));
    let is_own = target.is_none_or(|target| target.key.account == principal.account);
    let refusal = match by_identity {
        Ok(()) if is_own => return Ok(()),
        Ok(()) => Refusal::not_allowed(principal, &act),
        Err(refusal) if refusal.is_explicit || !is_own => return Err(ApiError::refused(&refusal)),
        Err(refusal) => refusal,
    };
    if let Some(target) = target.filter(|_| is_shared(action))
        && permissions::policy_allows(parts, principal, target, action).await?
    {
        return Ok(());
    }
    Err(ApiError::refused(&refusal))
}

/// ARN of what a call is about; `*` for nothing in particular.
fn resource(wish: &Wish<'_>, principal: &Principal, region: &str) -> String {
    if let Some(target) = wish.target {
        return target.arn();
    }
    let text = |name: &str| wish.members.get(name).and_then(Value::as_str);
    let number = wish.members.get("VersionNumber").and_then(Value::as_u64);
    if let Some(layer) = text("LayerName") {
        let named =
            || LayerKey { account: principal.account.clone(), region: region.to_owned(), name: layer.to_owned() };
        let key = if layer.contains(':') { LayerKey::of_arn(layer) } else { Some(named()) };
        return key.map_or_else(
            || layer.to_owned(),
            |key| number.map_or_else(|| key.arn(), |number| key.version_arn(number)),
        );
    }
    let arn = ["Arn", "CodeSigningConfigArn", "Resource"].into_iter().find_map(text);
    arn.unwrap_or("*").to_owned()
}

/// What conditions can ask of what a call brings along.
fn brought(members: &Map<String, Value>) -> ContextKeys {
    let mut context = ContextKeys::default();
    // Of these none has what another call brings; networks are not there at all.
    for key in [
        "lambda:principal",
        "lambda:functionurlauthtype",
        "lambda:layer",
        "lambda:codesigningconfigarn",
        "lambda:vpcids",
        "lambda:subnetids",
        "lambda:securitygroupids",
    ] {
        context.know(key);
    }
    let mut set = |key: &str, name: &str| {
        if let Some(value) = members.get(name).and_then(Value::as_str) {
            context.set(key, value);
        }
    };
    set("lambda:Principal", "Principal");
    set("lambda:CodeSigningConfigArn", "CodeSigningConfigArn");
    set("lambda:FunctionUrlAuthType", "AuthType");
    set("lambda:FunctionUrlAuthType", "FunctionUrlAuthType");
    context.set("lambda:InvokedViaFunctionUrl", "false");
    let layers = members.get("Layers").and_then(Value::as_array).into_iter().flatten();
    let layers: Vec<String> = layers.filter_map(Value::as_str).map(str::to_owned).collect();
    if !layers.is_empty() {
        context.set_all("lambda:Layer", layers);
    }
    context
}

/// The same, and of the tags of a function.
async fn known_of(
    parts: &Parts,
    target: Option<&Target>,
    members: &Map<String, Value>,
) -> Result<ContextKeys, ApiError> {
    let mut context = brought(members);
    context.know("aws:requesttag/");
    context.know("aws:tagkeys");
    // Code signing configurations have tags that are not looked up.
    if target.is_some() || !["CodeSigningConfigArn", "Resource"].iter().any(|name| members.contains_key(*name)) {
        context.know("aws:resourcetag/");
    }
    let given = members.get("Tags").and_then(Value::as_object);
    for (key, value) in given.into_iter().flatten() {
        context.set(&format!("aws:RequestTag/{key}"), value.as_str().unwrap_or_default());
    }
    let removed = members.get("TagKeys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let keys = given.into_iter().flatten().map(|(key, _)| key.as_str()).chain(removed);
    let keys: Vec<String> = keys.map(str::to_owned).collect();
    if !keys.is_empty() {
        context.set_all("aws:TagKeys", keys);
    }
    if let Some(target) = target
        && let Some(known) = parts.store.functions().known(&target.key).await?
    {
        for (key, value) in &known.function.tags {
            context.set(&format!("aws:ResourceTag/{key}"), value.as_str());
        }
    }
    Ok(context)
}

#[cfg(test)]
mod tests {
    use super::{Wish, action, is_shared, resource};
    use crate::auth::Principal;
    use crate::lambda::target::Target;
    use serde_json::{Value, json};
    use wuwei_model::service::ServiceModel;

    #[test]
    fn iam_names_some_operations_its_own_way() {
        assert_eq!(action("Invoke"), "lambda:InvokeFunction");
        assert_eq!(action("InvokeWithResponseStream"), "lambda:InvokeFunction");
        assert_eq!(action("GetLayerVersionByArn"), "lambda:GetLayerVersion");
        assert_eq!(action("GetFunction"), "lambda:GetFunction");
    }

    #[test]
    fn what_changes_who_may_what_is_not_shared() {
        let shared = |operation: &str| is_shared(&action(operation));
        assert!(shared("Invoke") && shared("GetFunction") && shared("UpdateFunctionCode"));
        for own in ["AddPermission", "RemovePermission", "UpdateFunctionConfiguration", "CreateFunction"] {
            assert!(!shared(own), "{own}");
        }
    }

    #[test]
    fn a_policy_is_asked_about_what_the_call_names() {
        let principal = Principal::unchecked(None, "000000000000");
        let check = |operation: &str, members: &Value, expected: &str| {
            let operation = ServiceModel::lambda().operation(operation).unwrap();
            let members = members.as_object().unwrap();
            let name = members.get("FunctionName").and_then(Value::as_str);
            let action = action(operation.name());
            let target = name.map(|name| Target::resolve(name, None, &principal, "us-east-1", &action).unwrap());
            let wish = Wish { operation, action: &action, target: target.as_ref(), members };
            assert_eq!(resource(&wish, &principal, "us-east-1"), expected, "{members:?}");
        };
        let arn = |rest: &str| format!("arn:aws:lambda:us-east-1:000000000000:{rest}");
        check("GetFunction", &json!({"FunctionName": "f:7"}), &arn("function:f:7"));
        check("PublishLayerVersion", &json!({"LayerName": "l"}), &arn("layer:l"));
        check("GetLayerVersion", &json!({"LayerName": "l", "VersionNumber": 3}), &arn("layer:l:3"));
        check("GetLayerVersion", &json!({"LayerName": arn("layer:l"), "VersionNumber": 3}), &arn("layer:l:3"));
        check("GetLayerVersionByArn", &json!({"Arn": arn("layer:l:3")}), &arn("layer:l:3"));
        let config = arn("code-signing-config:csc-00000000000000000");
        check("GetCodeSigningConfig", &json!({"CodeSigningConfigArn": config}), &config);
        check("ListTags", &json!({"Resource": config}), &config);
        check("ListFunctions", &json!({}), "*");
    }
}
