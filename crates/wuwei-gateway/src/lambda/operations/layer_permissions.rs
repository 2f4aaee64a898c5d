//! `AddLayerVersionPermission`, `RemoveLayerVersionPermission` and `GetLayerVersionPolicy`.

use http::StatusCode;
use serde_json::Map;
use uuid::Uuid;
use wuwei_model::{LayerVersion, Policy, PolicyPrincipal, PolicyStatement};
use wuwei_store::StoreError;

use super::super::call::{Call, Reply};
use super::super::error::ApiError;
use super::super::layers::{GET_LAYER_VERSION, number_of, own, own_key_of};
use super::super::lookup::check_revision;
use super::super::policy::{POLICY_BYTES_MAX, document, statement_document};
use super::CHANGE_ATTEMPTS;

const NO_POLICY: &str = "No policy is associated with the given resource.";

pub(super) async fn add(call: &Call) -> Result<Reply, ApiError> {
    let statement = read_statement(call)?;
    let id = statement.id.clone();
    let arn = own_key_of(call, "AddLayerVersionPermission")?.version_arn(number_of(call));
    let written = statement_document(&statement, &arn);
    let revision_id = change(call, "AddLayerVersionPermission", |policy, has_policy| {
        if has_policy || call.text("RevisionId").is_some() {
            check_revision(policy.revision_id.as_deref().unwrap_or_default(), call.text("RevisionId"))?;
        }
        if policy.statements.iter().any(|known| known.id == id) {
            return Err(ApiError::conflict(format!(
                "The statement id ({id}) provided already exists. Please provide a new statement id, or remove the \
                 existing statement.",
            )));
        }
        policy.statements.push(statement.clone());
        let length = document(policy, &arn).len();
        if length > POLICY_BYTES_MAX {
            return Err(ApiError::policy_too_long(length, POLICY_BYTES_MAX));
        }
        Ok(())
    })
    .await?;
    let mut members = Map::new();
    members.insert("Statement".to_owned(), written.into());
    members.insert("RevisionId".to_owned(), revision_id.into());
    Ok(Reply::Members(members))
}

pub(super) async fn remove(call: &Call) -> Result<Reply, ApiError> {
    let id = call.text("StatementId").unwrap_or_default();
    change(call, "RemoveLayerVersionPermission", |policy, has_policy| {
        if !has_policy {
            return Err(ApiError::not_found(NO_POLICY));
        }
        let before = policy.statements.len();
        policy.statements.retain(|known| known.id != id);
        if policy.statements.len() == before {
            return Err(ApiError::not_found(format!("Statement {id} is not found in resource policy.")));
        }
        check_revision(policy.revision_id.as_deref().unwrap_or_default(), call.text("RevisionId"))
    })
    .await?;
    Ok(Reply::Empty(StatusCode::NO_CONTENT))
}

pub(super) async fn get(call: &Call) -> Result<Reply, ApiError> {
    let (key, number) = (own_key_of_reader(call)?, number_of(call));
    let (layer, _) = own(call, &key, number).await?;
    let policy = layer.versions.get(&number).map(|version| &version.policy);
    let policy = policy.filter(|policy| !policy.statements.is_empty()).ok_or_else(|| ApiError::not_found(NO_POLICY))?;
    let mut members = Map::new();
    members.insert("Policy".to_owned(), document(policy, &key.version_arn(number)).into());
    members.insert("RevisionId".to_owned(), policy.revision_id.clone().into());
    Ok(Reply::Members(members))
}

/// Only the account that has a layer sees its policy.
fn own_key_of_reader(call: &Call) -> Result<wuwei_model::LayerKey, ApiError> {
    let key = super::super::layers::key_of(call)?;
    if key.account == call.principal.account {
        return Ok(key);
    }
    let (user, action) = (call.principal.arn(), "lambda:GetLayerVersionPolicy");
    Err(ApiError::denied_by_resource(&user, action, &key.version_arn(number_of(call))))
}

fn read_statement(call: &Call) -> Result<PolicyStatement, ApiError> {
    let text = |name: &str| call.text(name).map(str::to_owned);
    let action = text("Action").unwrap_or_default();
    if action != GET_LAYER_VERSION {
        return Err(ApiError::invalid_parameter(format!(
            "Only {GET_LAYER_VERSION} can be allowed for a layer version."
        )));
    }
    let principal = match text("Principal").unwrap_or_default() {
        everyone if everyone == "*" => PolicyPrincipal::Everyone,
        account if account.len() == 12 => PolicyPrincipal::Account(account),
        root => root
            .split(':')
            .nth(4)
            .map_or_else(|| PolicyPrincipal::Arn(root.clone()), |account| PolicyPrincipal::Account(account.to_owned())),
    };
    let organization_id = text("OrganizationId");
    if organization_id.is_some() && principal != PolicyPrincipal::Everyone {
        return Err(ApiError::invalid_parameter("OrganizationId can be given with the principal * only."));
    }
    Ok(PolicyStatement {
        id: text("StatementId").unwrap_or_default(),
        principal,
        action,
        source_arn: None,
        source_account: None,
        organization_id,
        event_source_token: None,
        url_auth_type: None,
        via_url: None,
    })
}

/// Changes the policy of a version, once more when another writer was first; gives its new revision.
async fn change(
    call: &Call,
    operation: &str,
    change: impl Fn(&mut Policy, bool) -> Result<(), ApiError>,
) -> Result<String, ApiError> {
    let (key, number) = (own_key_of(call, operation)?, number_of(call));
    let layers = call.parts.store.layers();
    for _attempt in 0..CHANGE_ATTEMPTS {
        let (mut layer, revision) = own(call, &key, number).await?;
        let revision_id = Uuid::new_v4().to_string();
        if let Some(LayerVersion { policy, .. }) = layer.versions.get_mut(&number) {
            let has_policy = !policy.statements.is_empty();
            change(policy, has_policy)?;
            policy.revision_id = Some(revision_id.clone());
        }
        match layers.put(&layer, Some(revision)).await {
            Ok(_revision) => return Ok(revision_id),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ApiError::update_in_progress(&key.version_arn(number)))
}
