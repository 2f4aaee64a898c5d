//! `GET code/<account>/<region>/<function>/<digest>`: the package of a function, as it was sent.

use http::StatusCode;
use wuwei_model::{CodeDigest, FunctionKey, Version};

use super::Request;
use crate::gateway::Parts;
use crate::lambda::{ApiError, Target, is_by_key, may_download};
use crate::wire::Answer;

/// Versions that are read at a time while looking for a package.
const PAGE: usize = 200;

pub(super) async fn answer(request: &Request<'_>, path: [&str; 3], digest: &str) -> Result<Answer, ApiError> {
    let [account, region, function] = path;
    let (parts, principal) = (&request.exchange.parts, &request.principal);
    let absent = || ApiError::not_found(format!("Package not found: {digest}"));
    let digest = CodeDigest::from_hex(digest).ok_or_else(absent)?;
    let key = FunctionKey { account: account.to_owned(), region: region.to_owned(), name: function.to_owned() };
    if key.region != parts.options.region {
        return Err(absent());
    }
    // A package is shown to those who may read a function that has it: the digest alone opens nothing.
    let is_shown = if is_by_key(principal, &key) {
        request.function(function)?;
        belongs(parts, &key, digest).await?
    } else {
        let target = Target { key, qualifier: request.query("Qualifier").map(str::to_owned) };
        may_download(parts, principal, &target, digest).await.unwrap_or(false)
    };
    if !is_shown {
        return Err(absent());
    }
    let zip = parts.store.packages().zip(&digest).await?.ok_or_else(absent)?;
    let name = format!("attachment; filename=\"{function}.zip\"");
    Ok(Answer::new(StatusCode::OK, "application/zip", zip).with("content-disposition", &name))
}

async fn belongs(parts: &Parts, key: &FunctionKey, digest: CodeDigest) -> Result<bool, ApiError> {
    let functions = parts.store.functions();
    let Some((function, _)) = functions.get(key).await? else { return Ok(false) };
    if function.latest.code.digest == digest {
        return Ok(true);
    }
    let mut after = 0;
    loop {
        let page = functions.versions(key, after, PAGE).await?;
        if page.iter().any(|version| version.code.digest == digest) {
            return Ok(true);
        }
        match page.last().map(|version| version.version) {
            Some(Version::Published(number)) if page.len() == PAGE => after = number,
            Some(Version::Published(_) | Version::Latest) | None => return Ok(false),
        }
    }
}
