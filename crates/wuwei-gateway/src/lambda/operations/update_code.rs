//! `UpdateFunctionCode`.

use wuwei_model::Version;

use super::super::call::{Call, Reply};
use super::super::configuration::{View, configuration};
use super::super::error::ApiError;
use super::super::{code_signing, layer_use, lookup, package, publication, settings, settlement, unsupported};
use super::{mark_changed, store_change};

pub(super) async fn run(call: &Call) -> Result<Reply, ApiError> {
    unsupported::refuse(&call.members)?;
    // Asked before the package is unpacked, which costs; the store compares once more.
    let (mut function, revision) = lookup::changeable(&call.parts, call.target(), call.text("RevisionId")).await?;
    code_signing::check_code(call, function.code_signing.as_deref()).await?;
    let zip = package::zip_of(Some(&call.members), "UpdateFunctionCode")?;
    if let Some(architecture) = settings::architecture(&call.members, &function.latest.settings.runtime)? {
        function.latest.settings.architecture = architecture;
    }
    let packages = call.parts.store.packages();
    if call.flag("DryRun") {
        let (code, bytes) = packages.check(zip).await.map_err(|error| package::refusal(&error))?;
        layer_use::check_size(&call.parts, bytes, &function.latest.settings.layers).await?;
        function.latest.code = code;
        return Ok(Reply::Members(configuration(&function.latest, View::FULL)));
    }
    // Kept until the function names it.
    let package = packages.admit(zip).await.map_err(|error| package::refusal(&error))?;
    let _merged = layer_use::prepare(&call.parts, &package.code, &function.latest.settings.layers).await?;
    function.latest.code = package.code.clone();
    mark_changed(&mut function.latest);
    let revision_id = function.latest.revision_id.clone();
    let members = if call.flag("Publish") {
        let (version, _) = publication::publish(&call.parts, function, revision, None).await?;
        call.parts.engine.retire_version(call.key(), Version::Latest);
        configuration(&version, View::FULL.qualified(true))
    } else {
        store_change(&call.parts, &function, revision).await?;
        configuration(&function.latest, View::FULL)
    };
    settlement::begin(&call.parts, call.key().clone(), revision_id);
    Ok(Reply::Members(members))
}
