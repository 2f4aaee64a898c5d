//! The canonical form of a request that both sides of a signature agree on.
//!
//! Rules: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>, for services
//! other than S3: the path is normalised and encoded once more than on the wire.

use http::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Room for most canonical requests.
const USUAL_BYTES: usize = 512;

/// What a canonical request is made of.
pub(crate) struct CanonicalParts<'request> {
    /// Method in capitals.
    pub(crate) method: &'request str,
    /// Path as on the wire.
    pub(crate) path: &'request str,
    /// Query string as on the wire; `X-Amz-Signature` is left out.
    pub(crate) query: &'request str,
    /// All headers.
    pub(crate) headers: &'request HeaderMap,
    /// Lower-case names of those that are signed.
    pub(crate) signed_headers: &'request [String],
    /// Hash of the body in hexadecimal, or `UNSIGNED-PAYLOAD`.
    pub(crate) payload_hash: &'request str,
}

/// Joins the canonical parts by line.
pub(crate) fn canonical_request(parts: &CanonicalParts<'_>) -> String {
    let mut names: Vec<&str> = parts.signed_headers.iter().map(String::as_str).collect();
    names.sort_unstable();
    let mut text = String::with_capacity(USUAL_BYTES);
    text.push_str(parts.method);
    text.push('\n');
    push_path(&mut text, parts.path);
    text.push('\n');
    text.push_str(&canonical_query(parts.query));
    text.push('\n');
    for name in &names {
        text.push_str(name);
        text.push(':');
        push_header(&mut text, parts.headers, name);
        text.push('\n');
    }
    text.push('\n');
    push_joined(&mut text, ";", names);
    text.push('\n');
    text.push_str(parts.payload_hash);
    text
}

/// Removes `.`, `..` and empty segments, then encodes each segment as it stood on the wire.
fn push_path(text: &mut String, wire: &str) {
    let mut segments: Vec<&str> = Vec::new();
    for segment in wire.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name),
        }
    }
    for segment in &segments {
        text.push('/');
        text.extend(percent_encode(segment.as_bytes(), RESERVED));
    }
    let trailing = wire.ends_with('/') || wire.ends_with("/.") || wire.ends_with("/..");
    if trailing || segments.is_empty() {
        text.push('/');
    }
}

/// Sorts the parameters by encoded name, then encoded value; without the signature itself.
pub(crate) fn canonical_query(wire: &str) -> String {
    let mut pairs: Vec<(String, String)> = raw_pairs(wire)
        .map(|(name, value)| (re_encode(name), re_encode(value)))
        .filter(|(name, _)| name != "X-Amz-Signature")
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Parameters in order, decoded; invalid UTF-8 is replaced.
pub(crate) fn decode_query(wire: &str) -> Vec<(String, String)> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    raw_pairs(wire).map(|(name, value)| (text(decode(name)), text(decode(value)))).collect()
}

fn raw_pairs(wire: &str) -> impl Iterator<Item = (&str, &str)> {
    wire.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn decode(text: &str) -> Vec<u8> {
    percent_decode(text.replace('+', " ").as_bytes()).collect()
}

fn re_encode(text: &str) -> String {
    percent_encode(&decode(text), RESERVED).to_string()
}

/// Values of one header, each with its spaces collapsed, joined by commas in the order they came.
fn push_header(text: &mut String, headers: &HeaderMap, name: &str) {
    for (index, value) in headers.get_all(name).iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push_joined(text, " ", String::from_utf8_lossy(value.as_bytes()).split_ascii_whitespace());
    }
}

fn push_joined<'part>(text: &mut String, separator: &str, parts: impl IntoIterator<Item = &'part str>) {
    for (index, part) in parts.into_iter().enumerate() {
        if index > 0 {
            text.push_str(separator);
        }
        text.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use super::{canonical_query, decode_query, push_path};

    #[test]
    fn paths_are_normalised_and_encoded_once_more() {
        let check = |wire, expected| {
            let mut path = String::new();
            push_path(&mut path, wire);
            assert_eq!(path, expected, "{wire}");
        };
        check("", "/");
        check("/", "/");
        check("//", "/");
        check("/./", "/");
        check("/foo/bar/../..", "/");
        check("/foo/..", "/");
        check("/./foo", "/foo");
        check("//foo//", "/foo/");
        check("/foo/.", "/foo/");
        check("/2015-03-31/functions/", "/2015-03-31/functions/");
        check("/functions/arn%3Aaws%3Alambda/code", "/functions/arn%253Aaws%253Alambda/code");
        check("/functions/arn:aws", "/functions/arn%3Aaws");
        check("/ሴ", "/%E1%88%B4");
        check("/-._~0aZ", "/-._~0aZ");
    }

    #[test]
    fn queries_are_sorted_after_encoding_and_lose_the_signature() {
        let check = |wire, expected| assert_eq!(canonical_query(wire), expected, "{wire}");
        check("", "");
        check("b=2&a=1", "a=1&b=2");
        check("a=2&a=1", "a=1&a=2");
        check("Qualifier=%24LATEST", "Qualifier=%24LATEST");
        check("Qualifier=$LATEST", "Qualifier=%24LATEST");
        check("flag", "flag=");
        check("a=b+c", "a=b%20c");
        check("X-Amz-Signature=00&X-Amz-Date=1", "X-Amz-Date=1");
        check("a=%ff", "a=%FF");
    }

    #[test]
    fn decoding_keeps_the_order_of_parameters() {
        let pairs = decode_query("z=%20&a=1+2&flag&&a=2");
        let expected = [("z", " "), ("a", "1 2"), ("flag", ""), ("a", "2")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
