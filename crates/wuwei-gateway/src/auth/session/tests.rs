use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Request};
use wuwei_model::FunctionKey;

use super::{LIFETIME, RoleSession};
use crate::auth::{AuthError, Verifier, held_by};
use crate::sign::{Credentials, presign, sign};

const ROLE: &str = "arn:aws:iam::123456789012:role/service/path/thumbnails";

fn session() -> Arc<RoleSession> {
    let function = FunctionKey {
        account: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
        name: "thumbnail".to_owned(),
    };
    Arc::new(RoleSession::begin(function, ROLE.to_owned().into(), Instant::now()).unwrap())
}

fn variables(session: &RoleSession) -> BTreeMap<String, String> {
    session.environment().into_iter().collect()
}

/// A request signed with the credentials of one session and the token of another (or none).
fn signed(session: &RoleSession, token: Option<&str>) -> http::request::Parts {
    let found = variables(session);
    let credentials = Credentials {
        access_key_id: found["AWS_ACCESS_KEY_ID"].clone(),
        secret_access_key: found["AWS_SECRET_ACCESS_KEY"].clone(),
    };
    let mut request = Request::get("http://127.0.0.1:9002/2015-03-31/functions/").body(Bytes::new()).unwrap();
    if let Some(token) = token {
        request.headers_mut().insert("x-amz-security-token", HeaderValue::from_str(token).unwrap());
    }
    sign(&mut request, &credentials, "us-east-1", "lambda", SystemTime::now());
    request.into_parts().0
}

fn verifier() -> Verifier<'static> {
    Verifier { regions: &["us-east-1"], services: &["lambda"], now: SystemTime::now() }
}

/// The ARN that a request is believed to come from, at a place where only `believed` is.
fn verify(parts: &http::request::Parts, believed: &Arc<RoleSession>, later: Duration) -> Result<String, AuthError> {
    let now = Instant::now() + later;
    verifier().begin(parts, |claim| believed.admit(claim, now)).map(|(principal, _)| principal.arn())
}

#[test]
fn a_function_is_believed_with_its_own_credentials_until_they_expire() {
    let session = session();
    let token = variables(&session)["AWS_SESSION_TOKEN"].clone();
    let request = signed(&session, Some(&token));
    let arn = "arn:aws:sts::123456789012:assumed-role/thumbnails/thumbnail";
    assert_eq!(verify(&request, &session, Duration::ZERO).unwrap(), arn);
    assert_eq!(verify(&request, &session, LIFETIME - Duration::from_secs(60)).unwrap(), arn);
    assert_eq!(verify(&request, &session, LIFETIME), Err(AuthError::ExpiredToken));
}

#[test]
fn no_other_credentials_are_believed_in_its_place() {
    let (own, other) = (session(), session());
    let [own_token, other_token] = [&own, &other].map(|session| variables(session)["AWS_SESSION_TOKEN"].clone());
    let check = |request: &http::request::Parts| {
        assert_eq!(verify(request, &own, Duration::ZERO), Err(AuthError::UnknownToken));
    };
    check(&signed(&other, Some(&other_token)));
    check(&signed(&other, Some(&own_token)));
    check(&signed(&own, Some(&other_token)));
    check(&signed(&own, own_token.strip_suffix(|_last: char| true)));
    check(&signed(&own, Some("")));
    check(&signed(&own, None));
}

#[test]
fn a_wrong_secret_with_the_right_token_does_not_match() {
    let (own, other) = (session(), session());
    let token = variables(&own)["AWS_SESSION_TOKEN"].clone();
    let mut request = signed(&other, Some(&token));
    let ids = [&other, &own].map(|session| variables(session)["AWS_ACCESS_KEY_ID"].clone());
    let forged = request.headers["authorization"].to_str().unwrap().replace(&ids[0], &ids[1]);
    request.headers.insert("authorization", HeaderValue::from_str(&forged).unwrap());
    assert_eq!(verify(&request, &own, Duration::ZERO), Err(AuthError::Mismatch));
}

#[test]
fn a_presigned_url_is_refused() {
    let own = session();
    let found = variables(&own);
    let credentials = Credentials {
        access_key_id: found["AWS_ACCESS_KEY_ID"].clone(),
        secret_access_key: found["AWS_SECRET_ACCESS_KEY"].clone(),
    };
    let url = "http://127.0.0.1:9002/2015-03-31/functions/".parse().unwrap();
    let url = presign(&url, &credentials, "us-east-1", "lambda", SystemTime::now(), Duration::from_secs(60));
    let request = Request::get(url).header("host", "127.0.0.1:9002").body(()).unwrap().into_parts().0;
    assert!(matches!(verify(&request, &own, Duration::ZERO), Err(AuthError::Refused(_))));
}

#[test]
fn where_keys_are_believed_temporary_credentials_are_not() {
    let session = session();
    let token = variables(&session)["AWS_SESSION_TOKEN"].clone();
    let begin = |request| verifier().begin(&request, |claim| held_by(claim, |_id| None)).map(|_| ());
    assert_eq!(begin(signed(&session, Some(&token))), Err(AuthError::UnknownToken));
    assert_eq!(begin(signed(&session, None)), Err(AuthError::UnknownToken));
}

#[test]
fn ids_look_as_those_of_aws_and_no_text_shows_a_secret() {
    let session = session();
    let found = variables(&session);
    let id = &found["AWS_ACCESS_KEY_ID"];
    assert!(id.starts_with("ASIA") && id.len() == 20 && id == &found["AWS_ACCESS_KEY"], "{id}");
    assert_eq!(found["AWS_SECRET_ACCESS_KEY"].len(), 40);
    let user = session.user_id(None);
    assert!(user.starts_with("AROA") && user.len() == 21 + ":thumbnail".len(), "{user}");
    let debug = format!("{session:?}");
    assert!(!debug.contains(&found["AWS_SECRET_ACCESS_KEY"]) && !debug.contains(&found["AWS_SESSION_TOKEN"]));
}
