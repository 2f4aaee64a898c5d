//! Signatures that others have published or made, and our own through our own verifier.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use proptest::prelude::{any, proptest};
use sha2::{Digest as _, Sha256};
use wuwei_store::{AccessKey, Role};

use super::{AuthError, CanonicalParts, Scope, Verifier, canonical_request, held_by, sign_canonical};
use crate::sign::{Credentials, presign, sign};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2015-08-30T12:36:00Z, the time of the published examples.
const AT_S: u64 = 1_440_938_160;

fn at(offset_s: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(AT_S.checked_add_signed(offset_s).unwrap())
}

fn key(id: &str) -> Option<Arc<AccessKey>> {
    (id == "AKIDEXAMPLE").then(|| {
        Arc::new(AccessKey {
            id: id.to_owned(),
            secret: SECRET.to_owned(),
            account: "123456789012".to_owned(),
            role: Role::Admin,
            functions: "*".to_owned(),
            created_ms: 0,
            derived: wuwei_store::DerivedKey::default(),
        })
    })
}

fn credentials() -> Credentials {
    Credentials { access_key_id: "AKIDEXAMPLE".to_owned(), secret_access_key: SECRET.to_owned() }
}

/// Verifies a whole request; `Ok` holds the account.
fn verify(request: Request<Bytes>, now: SystemTime) -> Result<String, AuthError> {
    let (parts, body) = request.into_parts();
    let verifier = Verifier { regions: &["us-east-1"], services: &["lambda", "wuwei"], now };
    let (principal, check) = verifier.begin(&parts, |claim| held_by(claim, key))?;
    check.finish(&hex::encode(Sha256::digest(&body)))?;
    Ok(principal.account)
}

/// Signatures of AWS's published test-suite for version 4 (the time, key and host are its own).
#[test]
fn the_published_examples_have_the_published_signatures() {
    let check = |method, target: &str, extra: &[(&str, &str)], body: &[u8], expected: &str| {
        let mut headers = HeaderMap::new();
        let fixed = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
        for (name, value) in fixed.iter().chain(extra) {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let mut signed_headers: Vec<String> = headers.keys().map(|name| name.as_str().to_owned()).collect();
        signed_headers.sort();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let payload_hash = hex::encode(Sha256::digest(body));
        let canonical = canonical_request(&CanonicalParts {
            method,
            path,
            query,
            headers: &headers,
            signed_headers: &signed_headers,
            payload_hash: &payload_hash,
        });
        let scope =
            Scope { date: "20150830".to_owned(), region: "us-east-1".to_owned(), service: "service".to_owned() };
        assert_eq!(sign_canonical(SECRET, &scope, "20150830T123600Z", &canonical), expected, "{target}\n{canonical}");
    };
    let vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    for path in ["/", "//", "/./", "/example/..", "/example1/example2/../.."] {
        check("GET", path, &[], b"", vanilla);
    }
    let get = |target: &str, extra: &[(&str, &str)], expected| check("GET", target, extra, b"", expected);
    get("/?Param2=value2&Param1=value1", &[], "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500");
    get(
        "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        &[],
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    );
    get("/ሴ", &[], "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85");
    get("/?ሴ=bar", &[], "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04");
    get(
        "/",
        &[("my-header1", "value2"), ("my-header1", "value2"), ("my-header1", "value1")],
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    );
    get(
        "/",
        &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")],
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    );
    let vanilla_post = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";
    check("POST", "/", &[], b"", vanilla_post);
    check(
        "POST",
        "/",
        &[("content-type", "application/x-www-form-urlencoded")],
        b"Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    );
}

/// The same request, signed by botocore 1.43.11.
#[test]
fn a_request_signed_by_another_signer_is_believed() {
    let path = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af/code";
    let authorization = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/lambda/aws4_request, \
                         SignedHeaders=host;x-amz-client-context;x-amz-date, \
                         Signature=107776457cb8bc3b1cf447c4cc66555ea0ed33f130c64fb49c056c62cad627e4";
    let request = |body: &'static [u8]| {
        Request::put(format!("{path}?Qualifier=%24LATEST"))
            .header("host", "127.0.0.1:9000")
            .header("x-amz-client-context", "a   b")
            .header("x-amz-date", "20150830T123600Z")
            .header("authorization", authorization)
            .body(Bytes::from_static(body))
            .unwrap()
    };
    assert_eq!(verify(request(b"{\"a\":1}"), at(0)).unwrap(), "123456789012");
    assert_eq!(verify(request(b"{\"a\":2}"), at(0)), Err(AuthError::Mismatch));
}

#[test]
fn a_url_presigned_by_another_signer_is_ours_too() {
    let url = "http://127.0.0.1:9000/_wuwei/v1/code/a%20b?x=1";
    let ours = presign(&url.parse().unwrap(), &credentials(), "us-east-1", "lambda", at(0), Duration::from_secs(600));
    let signature = "cdc5e76599192caec9a5bf828c4730898ada96ee0f96575ceadb96093ec1f602";
    assert!(ours.ends_with(&format!("X-Amz-SignedHeaders=host&X-Amz-Signature={signature}")), "{ours}");
    let request = |url: &str| Request::get(url).header("host", "127.0.0.1:9000").body(Bytes::new()).unwrap();
    assert_eq!(verify(request(&ours), at(600)).unwrap(), "123456789012");
    assert_eq!(
        verify(request(&ours), at(601)).unwrap_err().to_string(),
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124601Z - 10 min.)"
    );
    assert_eq!(verify(request(&ours.replace("x=1", "x=2")), at(0)), Err(AuthError::Mismatch));
    let longer = ours.replace("Expires=600", "Expires=604801");
    assert!(matches!(verify(request(&longer), at(0)), Err(AuthError::Refused(_))));
    let stripped = ours.replace("X-Amz-Date=20150830T123600Z&", "");
    assert!(verify(request(&stripped), at(0)).unwrap_err().to_string().contains("'X-Amz-Date'"));
}

fn signed() -> Request<Bytes> {
    let mut request = Request::post("http://127.0.0.1:9000/2015-03-31/functions/f/invocations?Qualifier=$LATEST")
        .header("x-amz-log-type", "Tail")
        .body(Bytes::from_static(b"{}"))
        .unwrap();
    sign(&mut request, &credentials(), "us-east-1", "lambda", at(0));
    request
}

#[test]
fn our_own_signature_is_believed_within_five_minutes_either_way() {
    for offset_s in [-300, 0, 300] {
        assert_eq!(verify(signed(), at(offset_s)).unwrap(), "123456789012", "{offset_s}");
    }
    assert_eq!(
        verify(signed(), at(301)).unwrap_err().to_string(),
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)"
    );
    assert_eq!(
        verify(signed(), at(-301)).unwrap_err().to_string(),
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T123059Z + 5 min.)"
    );
}

#[test]
fn every_way_to_change_a_signed_request_is_noticed() {
    let check = |change: &dyn Fn(&mut Request<Bytes>), expected: AuthError| {
        let mut request = signed();
        change(&mut request);
        assert_eq!(verify(request, at(0)), Err(expected));
    };
    check(&|request| *request.body_mut() = Bytes::from_static(b"[]"), AuthError::Mismatch);
    check(&|request| *request.method_mut() = http::Method::GET, AuthError::Mismatch);
    check(&|request| *request.uri_mut() = "/2015-03-31/functions/g/invocations".parse().unwrap(), AuthError::Mismatch);
    let set = |name: &'static str, value: &'static str| {
        move |request: &mut Request<Bytes>| {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
    };
    check(&set("host", "elsewhere"), AuthError::Mismatch);
    check(&set("x-amz-log-type", "None"), AuthError::Mismatch);
    check(&set("x-amz-content-sha256", super::UNSIGNED_PAYLOAD), AuthError::Mismatch);
    check(
        &set("x-amz-invocation-type", "Event"),
        AuthError::Refused("'x-amz-invocation-type' must be a 'SignedHeader' in the AWS Authorization.".to_owned()),
    );
}

fn with_authorization(value: &str) -> Request<Bytes> {
    let mut request = signed();
    request.headers_mut().insert("authorization", HeaderValue::from_str(value).unwrap());
    request
}

#[test]
fn refusals_have_the_words_of_aws() {
    let check = |request: Request<Bytes>, expected: &str| {
        assert_eq!(verify(request, at(0)).unwrap_err().to_string(), expected);
    };
    check(Request::get("/").body(Bytes::new()).unwrap(), "Missing Authentication Token");
    let original = signed().headers()["authorization"].to_str().unwrap().to_owned();
    let changed = |from: &str, to: &str| with_authorization(&original.replace(from, to));
    check(changed("AKIDEXAMPLE", "AKIDUNKNOWN"), "The security token included in the request is invalid.");
    check(changed("us-east-1", "eu-west-9"), "Credential should be scoped to a valid region, not 'eu-west-9'. ");
    check(changed("/lambda/", "/s3/"), "Credential should be scoped to correct service: 'lambda'. ");
    check(
        changed("aws4_request", "aws5_request"),
        "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'. ",
    );
    check(
        changed("/20150830/", "/20150829/"),
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20150829' != \
         '20150830', from '20150830T123600Z'.",
    );
    check(
        changed("/us-east-1/lambda/", "/lambda/"),
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got \
         'AKIDEXAMPLE/20150830/lambda/aws4_request'",
    );
    check(changed("host;", ""), "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
    check(
        with_authorization("AWS4-HMAC-SHA256 Credential=a/b/c/d/e"),
        "Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter.",
    );
    check(
        with_authorization("AWS4-HMAC-SHA256 nonsense"),
        "'nonsense' not a valid key=value pair (missing equal-sign) in Authorization header.",
    );
    let mut token = signed();
    token.headers_mut().insert("x-amz-security-token", HeaderValue::from_static("t"));
    sign(&mut token, &credentials(), "us-east-1", "lambda", at(0));
    check(token, "The security token included in the request is invalid.");
}

#[test]
fn a_body_may_be_left_out_of_a_signature_but_not_sent_in_signed_chunks() {
    let with_hash = |value: &'static str| {
        let mut request = signed();
        let headers = request.headers_mut();
        headers.insert("x-amz-content-sha256", HeaderValue::from_static(value));
        headers.remove("authorization");
        let mut names: Vec<String> = headers.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        let canonical = canonical_request(&CanonicalParts {
            method: "POST",
            path: request.uri().path(),
            query: request.uri().query().unwrap(),
            headers: request.headers(),
            signed_headers: &names,
            payload_hash: value,
        });
        let scope = Scope { date: "20150830".to_owned(), region: "us-east-1".to_owned(), service: "lambda".to_owned() };
        let signature = sign_canonical(SECRET, &scope, "20150830T123600Z", &canonical);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{}, SignedHeaders={}, Signature={signature}",
            scope.text(),
            names.join(";")
        );
        request.headers_mut().insert("authorization", HeaderValue::from_str(&authorization).unwrap());
        request
    };
    verify(with_hash("UNSIGNED-PAYLOAD"), at(0)).unwrap();
    let chunked = verify(with_hash("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), at(0));
    assert!(matches!(chunked, Err(AuthError::Refused(_))), "{chunked:?}");
}

proptest! {
    #[test]
    fn whatever_is_signed_is_believed(
        path in "(/[a-zA-Z0-9%:$._~-]{0,8}){1,4}/?",
        query in proptest::collection::vec(("[a-zA-Z ]{1,5}", "[ -~]{0,6}"), 0..4),
        value in "[ -~]{0,20}",
        body in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let encode = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
        };
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let mut request = Request::post(format!("http://127.0.0.1:9000{path}?{}", query.join("&")))
            .header("x-amz-client-context", value)
            .body(Bytes::from(body))
            .unwrap();
        sign(&mut request, &credentials(), "us-east-1", "wuwei", at(0));
        assert_eq!(verify(request, at(1)).unwrap(), "123456789012");
    }

    #[test]
    fn no_authorization_makes_the_verifier_panic(value in "[ -~]{0,80}", query in "[ -~&&[^#\\\\\"<>`{}|^ ]]{0,60}") {
        let mut request = Request::get(format!("/?{query}")).header("host", "h").body(Bytes::new()).unwrap();
        if let Ok(value) = HeaderValue::from_str(&format!("AWS4-HMAC-SHA256 {value}")) {
            request.headers_mut().insert("authorization", value);
        }
        verify(request, at(0)).unwrap_err();
    }
}
