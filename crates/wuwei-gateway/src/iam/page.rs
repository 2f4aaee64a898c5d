//! Lists, a page at a time.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Call, Members};
use crate::query::QueryError;

/// Items of a page when nobody says how many.
const ITEMS_DEFAULT: u64 = 100;

/// A page of items, which are in order of their keys, as the member `name`.
pub(super) fn page(call: &Call, name: &str, items: Vec<(String, Value)>) -> Result<Members, QueryError> {
    let after = match call.text("Marker") {
        None => None,
        Some(marker) => {
            let key = URL_SAFE_NO_PAD.decode(marker).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            Some(key.ok_or_else(|| QueryError::validation(format!("Invalid Marker: {marker}")))?)
        }
    };
    let most = usize::try_from(call.inner.number("MaxItems").unwrap_or(ITEMS_DEFAULT)).unwrap_or(usize::MAX);
    let mut rest = items.into_iter().filter(|(key, _)| after.as_ref().is_none_or(|after| key > after));
    let page: Vec<(String, Value)> = rest.by_ref().take(most).collect();
    let is_truncated = rest.next().is_some();
    let marker = page.last().filter(|_| is_truncated).map(|(last, _)| URL_SAFE_NO_PAD.encode(last));
    let shown: Vec<Value> = page.into_iter().map(|(_, item)| item).collect();
    let mut members =
        Members::from_iter([(name.to_owned(), shown.into()), ("IsTruncated".to_owned(), json!(is_truncated))]);
    if let Some(marker) = marker {
        members.insert("Marker".to_owned(), marker.into());
    }
    Ok(members)
}
