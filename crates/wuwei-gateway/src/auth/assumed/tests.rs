use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Request;
use http::request::Parts;
use wuwei_store::{RoleRecord, Store};

use super::{AssumedRole, Issued};
use crate::auth::{AuthError, Verifier};
use crate::sign::{Credentials, sign};

const ACCOUNT: &str = "000000000000";
const LIFETIME: Duration = Duration::from_secs(900);

fn role() -> RoleRecord {
    RoleRecord {
        name: "R".to_owned(),
        path: "/team/".to_owned(),
        id: "AROAEXAMPLE".to_owned(),
        trust: "{}".to_owned(),
        description: None,
        session_s_max: 3_600,
        created_ms: 0,
        inline: BTreeMap::new(),
        attached: BTreeSet::new(),
        tags: BTreeMap::new(),
    }
}

fn issue(store: &Store, now: SystemTime) -> Issued {
    AssumedRole::issue(store, (ACCOUNT, &role()), "session", (now, LIFETIME), None).unwrap()
}

/// A request with these credentials, signed at a time.
fn signed(issued: &Issued, token: &str, at: SystemTime) -> Parts {
    let credentials =
        Credentials { access_key_id: issued.assumed.key_id.clone(), secret_access_key: issued.secret().to_owned() };
    let mut request = Request::get("http://127.0.0.1:9000/2015-03-31/functions/").body(Bytes::new()).unwrap();
    request.headers_mut().insert("x-amz-security-token", token.parse().unwrap());
    sign(&mut request, &credentials, "us-east-1", "lambda", at);
    request.into_parts().0
}

fn verify(store: &Store, parts: &Parts, now: SystemTime) -> Result<String, AuthError> {
    let verifier = Verifier { regions: &["us-east-1"], services: &["lambda"], now };
    let begun = verifier.begin(parts, |claim| AssumedRole::admit(store, claim, now));
    begun.map(|(principal, _)| principal.arn())
}

#[tokio::test]
async fn temporary_credentials_are_good_until_their_time_and_not_a_second_longer() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    // Whole seconds, as the record has them.
    let begin = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_161_600);
    let issued = issue(&store, begin);
    assert_eq!(issued.assumed.expires_s, 1_795_161_600 + 900);
    let check = |after: Duration, expected: Result<&str, AuthError>| {
        let now = begin + after;
        let found = verify(&store, &signed(&issued, &issued.token, now), now);
        assert_eq!(found, expected.map(str::to_owned), "{after:?}");
    };
    let arn = "arn:aws:sts::000000000000:assumed-role/R/session";
    check(Duration::ZERO, Ok(arn));
    check(LIFETIME - Duration::from_secs(1), Ok(arn));
    check(LIFETIME, Err(AuthError::ExpiredToken));
    check(LIFETIME * 100, Err(AuthError::ExpiredToken));
}

#[tokio::test]
async fn a_token_goes_with_its_key_its_secret_and_its_server_only() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let now = SystemTime::now();
    let (mine, other) = (issue(&store, now), issue(&store, now));
    verify(&store, &signed(&mine, &mine.token, now), now).unwrap();
    assert_eq!(verify(&store, &signed(&mine, &other.token, now), now), Err(AuthError::UnknownToken));
    assert_eq!(verify(&store, &signed(&mine, "", now), now), Err(AuthError::UnknownToken));
    let mut forged = issue(&store, now);
    forged.assumed.key_id.clone_from(&mine.assumed.key_id);
    assert_eq!(verify(&store, &signed(&forged, &mine.token, now), now), Err(AuthError::Mismatch));
    let elsewhere = tempfile::tempdir().unwrap();
    let elsewhere = Store::open(elsewhere.path()).await.unwrap();
    assert_eq!(verify(&elsewhere, &signed(&mine, &mine.token, now), now), Err(AuthError::UnknownToken));
}

#[tokio::test]
async fn no_text_shows_a_secret() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let issued = issue(&store, SystemTime::now());
    let shown = format!("{:?}", issued.assumed);
    assert!(shown.contains(&issued.assumed.key_id) && !shown.contains(issued.secret()), "{shown}");
    assert!(!issued.token.contains(issued.secret()));
}
