//! Function URLs in the API: members in, members out.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use wuwei_model::{FunctionKey, FunctionUrl, UrlCors};

use super::configuration::LATEST;
use super::error::ApiError;
use super::target::Target;
use crate::gateway::GatewayOptions;
use crate::urls;

/// The members of a `FunctionUrlConfig`.
pub(super) fn members(
    options: &GatewayOptions,
    key: &FunctionKey,
    qualifier: &str,
    url: &FunctionUrl,
) -> Map<String, Value> {
    let arn = if qualifier == LATEST { key.arn() } else { key.qualified_arn(qualifier) };
    let mut members = Map::new();
    let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
    set("FunctionUrl", json!(urls::address(options, &url.id)));
    set("FunctionArn", json!(arn));
    set("AuthType", json!(url.auth_type.as_str()));
    if let Some(cors) = &url.cors {
        set("Cors", cors_members(cors));
    }
    set("CreationTime", json!(timestamp(url.created_ms)));
    set("LastModifiedTime", json!(timestamp(url.modified_ms)));
    set("InvokeMode", json!(url.invoke_mode.as_str()));
    members
}

fn cors_members(cors: &UrlCors) -> Value {
    let UrlCors { allow_credentials, allow_headers, allow_methods, allow_origins, expose_headers, max_age_s } = cors;
    let mut members = Map::new();
    let lists = [
        ("AllowHeaders", allow_headers),
        ("AllowMethods", allow_methods),
        ("AllowOrigins", allow_origins),
        ("ExposeHeaders", expose_headers),
    ];
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        members.insert(name.to_owned(), json!(list));
    }
    if let Some(allow_credentials) = allow_credentials {
        members.insert("AllowCredentials".to_owned(), json!(allow_credentials));
    }
    if let Some(max_age_s) = max_age_s {
        members.insert("MaxAge".to_owned(), json!(max_age_s));
    }
    members.into()
}

/// Reads a `Cors` member that has passed validation; one that says nothing is none.
pub(super) fn read_cors(member: &Value) -> Option<UrlCors> {
    let list = |name: &str| {
        let items = member.get(name).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let cors = UrlCors {
        allow_credentials: member.get("AllowCredentials").and_then(Value::as_bool),
        allow_headers: list("AllowHeaders"),
        allow_methods: list("AllowMethods"),
        allow_origins: list("AllowOrigins"),
        expose_headers: list("ExposeHeaders"),
        max_age_s: member.get("MaxAge").and_then(Value::as_u64).and_then(|age| u32::try_from(age).ok()),
    };
    (cors != UrlCors::default()).then_some(cors)
}

/// The qualifier that a URL is for: `$LATEST` or the name of an alias. A version can have none.
pub(super) fn qualifier(target: &Target) -> Result<&str, ApiError> {
    match target.qualifier.as_deref() {
        None => Ok(LATEST),
        // What stands in the parameter has passed the model's pattern; what stands behind the name has not.
        Some(version) if version.starts_with('$') || version.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(ApiError::validation(format!(
                "1 validation error detected: Value '{version}' at 'qualifier' failed to satisfy constraint: Member \
                 must satisfy regular expression pattern: ((?!^\\d+$)^[0-9a-zA-Z-_]+$)"
            )))
        }
        Some(alias) => Ok(alias),
    }
}

/// `2026-11-20T08:00:00.000Z`.
fn timestamp(at_ms: i64) -> String {
    const FORMAT: &[BorrowedFormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_ms) * 1_000_000);
    at.unwrap_or(OffsetDateTime::UNIX_EPOCH).format(FORMAT).expect("a valid time has all the format's components")
}

#[cfg(test)]
mod tests {
    use super::{cors_members, qualifier, read_cors, timestamp};
    use crate::lambda::target::Target;
    use serde_json::json;
    use wuwei_model::FunctionKey;

    #[test]
    fn cors_settings_come_back_as_they_were_given() {
        let given = json!({
            "AllowCredentials": false, "AllowHeaders": ["x-a"], "AllowMethods": ["GET", "POST"],
            "AllowOrigins": ["https://example.com"], "ExposeHeaders": ["x-b"], "MaxAge": 0
        });
        assert_eq!(cors_members(&read_cors(&given).unwrap()), given);
        assert_eq!(read_cors(&json!({})), None);
        assert_eq!(read_cors(&json!({ "AllowOrigins": [] })), None);
    }

    #[test]
    fn versions_have_no_urls() {
        let key = FunctionKey { account: String::new(), region: String::new(), name: "f".to_owned() };
        let of = |text: Option<&str>| Target { key: key.clone(), qualifier: text.map(str::to_owned) };
        assert_eq!(qualifier(&of(None)).unwrap(), "$LATEST");
        assert_eq!(qualifier(&of(Some("live"))).unwrap(), "live");
        for version in ["$LATEST", "7"] {
            assert!(qualifier(&of(Some(version))).unwrap_err().message().contains("at 'qualifier'"));
        }
    }

    #[test]
    fn times_are_in_utc_with_milliseconds() {
        assert_eq!(timestamp(1_795_161_600_001), "2026-11-20T08:00:00.001Z");
    }
}
