//! `CreateFunction`.

use serde_json::Value;
use uuid::Uuid;
use wuwei_model::{FunctionSettings, FunctionVersion, LastUpdateStatus, State, Version};
use wuwei_store::{Function, StoreError};

use super::super::call::{Call, Reply};
use super::super::configuration::{CREATING_REASON, View, configuration};
use super::super::error::ApiError;
use super::super::lookup::{Qualifier, read_qualifier};
use super::super::{code_signing, layer_use, package, publication, role, settings, settlement, tags, unsupported};
use super::{check_runtime, now_ms};

/// Longest name of a function.
const NAME_MAX: usize = 64;

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    let key = call.key();
    if read_qualifier(call.target().qualifier.as_deref()) != Qualifier::Latest {
        return Err(ApiError::invalid_parameter("A function is created without a version in its name"));
    }
    if key.name.len() > NAME_MAX {
        // The model's limit is that of an ARN, and the overlay's is for a bare name.
        return Err(ApiError::invalid_parameter(format!(
            "1 validation error detected: Value '{}' at 'functionName' failed to satisfy constraint: Member must have \
             length less than or equal to {NAME_MAX}",
            key.name
        )));
    }
    let mut settings = check(call)?;
    let tags = tags::of_new(&call.members)?;
    let taken = || ApiError::conflict(format!("Function already exist: {}", key.name));
    // Before the package is unpacked, which costs; the store has the last word.
    if call.parts.store.functions().get(key).await?.is_some() {
        return Err(taken());
    }
    let code_signing = call.text("CodeSigningConfigArn").filter(|arn| !arn.is_empty()).map(str::to_owned);
    code_signing::check_code(call, code_signing.as_deref()).await?;
    // Held until the function names them.
    let (layers, _held) = layer_use::read(call).await?.unzip();
    settings.layers = layers.unwrap_or_default();
    let zip = package::zip_of(call.members.get("Code").and_then(Value::as_object), "CreateFunction")?;
    // Kept until the function names it.
    let package = call.parts.store.packages().admit(zip).await.map_err(|error| package::refusal(&error))?;
    let _merged = layer_use::prepare(&call.parts, &package.code, &settings.layers).await?;
    let latest = FunctionVersion {
        key: key.clone(),
        version: Version::Latest,
        settings,
        code: package.code.clone(),
        last_modified_ms: now_ms(),
        revision_id: Uuid::new_v4().to_string(),
        state: State::Pending,
        state_reason: Some(CREATING_REASON.to_owned()),
        last_update_status: LastUpdateStatus::Successful,
        last_update_reason: None,
    };
    forget_predecessor(call).await?;
    let revision_id = latest.revision_id.clone();
    let function = Function { tags, code_signing, ..Function::new(latest, Uuid::new_v4().to_string()) };
    let functions = call.parts.store.functions();
    let created = if call.flag("Publish") {
        let first = functions.create_published(&function, |numbered| publication::next_version(numbered, None));
        // Shown in the state of the function, which is about to be ready.
        first.await.map(|version| FunctionVersion { state: State::Pending, ..version })
    } else {
        functions.create(&function).await.map(|_revision| function.latest)
    };
    // Also after a failure: whether it has been stored is not always known.
    settlement::begin(&call.parts, key.clone(), revision_id);
    let shown = created.map_err(|error| match error {
        StoreError::Exists => taken(),
        other => other.into(),
    })?;
    Ok(Reply::Members(configuration(&shown, View::CREATED)))
}

/// What a function of this name may have left behind when it was deleted on a disk that failed.
async fn forget_predecessor(call: &Call) -> Result<(), ApiError> {
    let egress = call.parts.store.egress();
    if egress.get(call.key()).is_some() {
        egress.remove(call.key()).await?;
    }
    Ok(())
}

fn check(call: &Call) -> Result<FunctionSettings, ApiError> {
    unsupported::refuse(&call.members)?;
    let mut settings = settings::of_new(&call.members)?;
    check_runtime(&call.parts, &settings.runtime)?;
    settings.role = role::given(call, None)?.unwrap_or_default();
    Ok(settings)
}
