//! The code package of a call.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};
use wuwei_model::limits;
use wuwei_store::PackageError;

use super::error::ApiError;

/// AWS's words for a package without anything in it.
const EMPTY: &str = "Uploaded file must be a non-empty zip";

/// Takes the zip file out of `ZipFile`: in `Code` when a function is created, beside it when code is updated.
pub(super) fn zip_of(code: Option<&Map<String, Value>>, operation: &str) -> Result<Bytes, ApiError> {
    let member = |name: &str| code.and_then(|code| code.get(name)).and_then(Value::as_str);
    for elsewhere in ["S3Bucket", "S3Key", "S3ObjectVersion", "ImageUri", "SourceKMSKeyArn"] {
        if member(elsewhere).is_some_and(|value| !value.is_empty()) {
            return Err(ApiError::invalid_parameter(format!(
                "{elsewhere} is not supported yet by wuwei: send the package in ZipFile"
            )));
        }
    }
    let Some(text) = member("ZipFile") else {
        return Err(ApiError::invalid_parameter("Please provide a source for function code."));
    };
    if text.is_empty() {
        return Err(ApiError::invalid_parameter(EMPTY));
    }
    let zip = STANDARD.decode(text).map_err(|_not_base64| ApiError::serialization("ZipFile is not base64"))?;
    if zip.len() as u64 > limits::ZIP_DIRECT_BYTES_MAX {
        // The request may just fit where the package does not: the same answer, with the package's limit.
        let limit = usize::try_from(limits::ZIP_DIRECT_BYTES_MAX).unwrap_or(usize::MAX);
        return Err(ApiError::too_large(operation, limit));
    }
    Ok(Bytes::from(zip))
}

/// What AWS says of a package that is refused. The reason in detail is the operator's, in the log.
pub(crate) fn refusal(error: &PackageError) -> ApiError {
    match error {
        PackageError::UnpackedTooLarge(_) => ApiError::invalid_parameter(format!(
            "Unzipped size must be smaller than {} bytes",
            limits::UNPACKED_BYTES_MAX
        )),
        PackageError::Storage(_) => ApiError::platform(error),
        PackageError::Empty => ApiError::invalid_parameter(EMPTY),
        PackageError::NotAZip
        | PackageError::TooManyEntries(_)
        | PackageError::UnsafeEntry(_)
        | PackageError::ClashingEntries(_)
        | PackageError::OverlappingEntries
        | PackageError::EncryptedEntry(_)
        | PackageError::DamagedEntry { .. } => {
            tracing::info!(reason = %error, "package refused");
            ApiError::invalid_parameter(
                "Could not unzip uploaded file. Please check your file, then try to upload again.",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{refusal, zip_of};
    use serde_json::json;
    use wuwei_store::PackageError;

    #[test]
    fn only_a_zip_in_the_request_is_taken() {
        let check = |code: serde_json::Value, expected: Result<&[u8], &str>| {
            let result = zip_of(code.as_object(), "CreateFunction");
            match expected {
                Ok(zip) => assert_eq!(result.unwrap(), zip),
                Err(text) => assert!(result.unwrap_err().message().starts_with(text), "{code}"),
            }
        };
        check(json!({ "ZipFile": "YWJj" }), Ok(b"abc"));
        check(json!({ "ZipFile": "" }), Err("Uploaded file must be a non-empty zip"));
        check(json!({}), Err("Please provide a source for function code."));
        check(json!({ "S3Bucket": "b", "S3Key": "k" }), Err("S3Bucket is not supported yet"));
        check(json!({ "ImageUri": "i" }), Err("ImageUri is not supported yet"));
        check(json!({ "ZipFile": "%" }), Err("ZipFile is not base64"));
    }

    #[test]
    fn refusals_have_the_words_of_aws() {
        let check = |error: PackageError, expected| assert_eq!(refusal(&error).message(), expected);
        let unzip = "Could not unzip uploaded file. Please check your file, then try to upload again.";
        check(PackageError::NotAZip, unzip);
        check(PackageError::Empty, "Uploaded file must be a non-empty zip");
        check(PackageError::UnsafeEntry("../etc/passwd".to_owned()), unzip);
        check(PackageError::UnpackedTooLarge(262_144_001), "Unzipped size must be smaller than 262144000 bytes");
    }
}
