use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use wuwei_model::service::Access;
use wuwei_model::{ExecutionRole, FunctionKey};
use wuwei_store::{Change, RoleRecord, Store, StoreError};

use super::{Arrival, equip, role_of_arn};
use crate::auth::{Act, AssumedRole, Principal, RoleSession, SessionPolicies};
use crate::gateway::GatewayOptions;
use crate::gateway::tests::options;

const ACCOUNT: &str = "000000000000";
const BY_LAMBDA: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}}"#;
const BY_ACCOUNT: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}}"#;
const ALL: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;

fn role(name: &str, trust: &str, policy: &str) -> RoleRecord {
    RoleRecord {
        name: name.to_owned(),
        path: "/".to_owned(),
        id: format!("AROA{name}"),
        trust: trust.to_owned(),
        description: None,
        session_s_max: 3_600,
        created_ms: 0,
        inline: BTreeMap::from([("inline".to_owned(), policy.to_owned())]),
        attached: BTreeSet::new(),
        tags: BTreeMap::new(),
    }
}

async fn put(store: &Store, role: &RoleRecord) {
    let key = RoleRecord::key(ACCOUNT, &role.name);
    let change = store.roles().change(&key, |_| Ok::<_, StoreError>((Change::Put(role.clone()), ())));
    change.await.unwrap();
}

fn arrival(at: SystemTime) -> Arrival {
    Arrival { peer: Some("127.0.0.1:1".parse().unwrap()), at }
}

/// A function with a role of this name, as it is given.
fn function(store: &Store, role: &str, options: &GatewayOptions) -> Principal {
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/{role}");
    let id = role_of_arn(store, ACCOUNT, &arn).map(|role| role.id.clone());
    function_with(store, ExecutionRole { arn, id }, options)
}

fn function_with(store: &Store, role: ExecutionRole, options: &GatewayOptions) -> Principal {
    let key = FunctionKey { account: ACCOUNT.to_owned(), region: "us-east-1".to_owned(), name: "f".to_owned() };
    let session = RoleSession::begin(key, role, Instant::now()).unwrap();
    let mut principal = Principal::of_session(&Arc::new(session));
    equip(&mut principal, store, options, arrival(SystemTime::now()));
    principal
}

fn may(principal: &Principal, action: &str, access: Access) -> bool {
    principal.may(&Act { action, resource: "*", access }, Some("any")).is_ok()
}

#[tokio::test]
async fn a_function_gets_the_policies_of_a_role_that_trusts_lambda_only() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    for made in [role("for-functions", BY_LAMBDA, ALL), role("for-people", BY_ACCOUNT, ALL)] {
        put(&store, &made).await;
    }
    let strict = GatewayOptions { strict_roles: true, ..options() };
    let check = |role: &str, options: &GatewayOptions, expected: [bool; 2]| {
        let principal = function(&store, role, options);
        let found = [
            may(&principal, "lambda:InvokeFunction", Access::Invoke),
            may(&principal, "iam:CreateRole", Access::Write),
        ];
        assert_eq!(found, expected, "{role}");
    };
    check("for-functions", &options(), [true, true]);
    check("for-people", &options(), [false, false]);
    check("unmade", &options(), [true, false]);
    check("unmade", &strict, [false, false]);
    // Another path, or another case, is another role.
    check("x/for-functions", &options(), [true, false]);
    check("For-Functions", &options(), [true, false]);
}

#[tokio::test]
async fn a_function_has_the_role_that_it_was_given_and_no_later_one_of_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    put(&store, &role("r", BY_LAMBDA, ALL)).await;
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/r");
    let check = |id: Option<&str>, expected: [bool; 2]| {
        let given = ExecutionRole { arn: arn.clone(), id: id.map(str::to_owned) };
        let principal = function_with(&store, given, &options());
        let found = [
            may(&principal, "lambda:InvokeFunction", Access::Invoke),
            may(&principal, "iam:CreateRole", Access::Write),
        ];
        assert_eq!(found, expected, "{id:?}");
        principal.named_arn()
    };
    assert!(check(Some("AROAr"), [true, true]).ends_with("/r/f"));
    // Made since, and made anew.
    assert_eq!(check(None, [true, false]), "");
    assert_eq!(check(Some("AROAold"), [false, false]), "");
}

#[tokio::test]
async fn a_trust_policy_may_be_for_one_function() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let of = |name: &str| {
        let trust: serde_json::Value = serde_json::from_str(BY_LAMBDA).unwrap();
        let mut statement = trust["Statement"].clone();
        let arn = format!("arn:aws:lambda:us-east-1:{ACCOUNT}:function:{name}");
        statement["Condition"] =
            serde_json::json!({"ArnLike": {"aws:SourceArn": arn}, "StringEquals": {"aws:SourceAccount": ACCOUNT}});
        serde_json::json!({"Version": "2012-10-17", "Statement": statement}).to_string()
    };
    put(&store, &role("mine", &of("f"), ALL)).await;
    put(&store, &role("others", &of("g"), ALL)).await;
    assert!(may(&function(&store, "mine", &options()), "a:b", Access::Read));
    assert!(!may(&function(&store, "others", &options()), "a:b", Access::Read));
}

#[tokio::test]
async fn policies_mean_only_those_whose_role_has_been_made() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    put(&store, &role("made", BY_LAMBDA, ALL)).await;
    put(&store, &role("for-people", BY_ACCOUNT, ALL)).await;
    let names = |role: &str| {
        let principal = function(&store, role, &options());
        (principal.named_arn(), principal.role_arn())
    };
    let arn = "arn:aws:sts::000000000000:assumed-role/made/f".to_owned();
    assert_eq!(names("made"), (arn, Some("arn:aws:iam::000000000000:role/made".to_owned())));
    // They would call themselves as the sessions of the roles that have been made.
    for pretended in ["x/made", "for-people", "unmade"] {
        assert_eq!(names(pretended), (String::new(), None), "{pretended}");
    }
    let user = function(&store, "made", &options()).user_id();
    assert_eq!(user, "AROAmade:f", "the id is the one that GetRole shows");
}

#[tokio::test]
async fn sessions_can_be_revoked_by_the_time_they_began() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let revoked = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"2026-01-01T00:00:00Z"}}}]}"#;
    let made = role("r", BY_ACCOUNT, revoked);
    put(&store, &made).await;
    let is_allowed = |began_s: u64| {
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(began_s);
        let time = (began, Duration::from_secs(3_600));
        let issued = AssumedRole::issue(&store, (ACCOUNT, &made), "s", time, None).unwrap();
        let mut principal = Principal::of_assumed(&Arc::new(issued.assumed));
        equip(&mut principal, &store, &options(), arrival(began));
        may(&principal, "a:b", Access::Read)
    };
    assert!(!is_allowed(1_767_225_599));
    assert!(is_allowed(1_767_225_600));
}

#[tokio::test]
async fn a_bound_that_is_gone_lets_a_session_do_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let made = role("r", BY_ACCOUNT, ALL);
    put(&store, &made).await;
    let is_allowed = |bounds: Option<SessionPolicies>| {
        let time = (SystemTime::now(), Duration::from_secs(900));
        let issued = AssumedRole::issue(&store, (ACCOUNT, &made), "s", time, bounds).unwrap();
        let mut principal = Principal::of_assumed(&Arc::new(issued.assumed));
        equip(&mut principal, &store, &options(), arrival(SystemTime::now()));
        may(&principal, "lambda:GetFunction", Access::Read)
    };
    let shared = |arn: &str| Some(SessionPolicies { inline: None, arns: vec![arn.to_owned()] });
    assert!(is_allowed(None));
    assert!(is_allowed(shared("arn:aws:iam::aws:policy/AWSLambda_ReadOnlyAccess")));
    assert!(!is_allowed(shared("arn:aws:iam::000000000000:policy/gone")));
    assert!(!is_allowed(Some(SessionPolicies::default())));
    let mut stale = Principal::of_assumed(&Arc::new({
        let old = RoleRecord { id: "AROAold".to_owned(), ..made.clone() };
        let time = (SystemTime::now(), Duration::from_secs(900));
        AssumedRole::issue(&store, (ACCOUNT, &old), "s", time, None).unwrap().assumed
    }));
    equip(&mut stale, &store, &options(), arrival(SystemTime::now()));
    assert!(!may(&stale, "lambda:GetFunction", Access::Read), "a role that was made anew is another");
}
