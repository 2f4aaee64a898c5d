use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::sample::select;

use super::{
    AccessRequest, ContextKeys, Decision, MANAGED_POLICIES, Named, PolicyDocument, TrustDecision, decide,
    managed_policy,
};

const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:team-a";

fn context() -> ContextKeys {
    let mut context = ContextKeys::default();
    context.set("aws:username", "team-a");
    context.set("aws:SourceIp", "127.0.0.1");
    context.set("aws:CurrentTime", "2026-11-20T08:00:00Z");
    context.set("aws:EpochTime", "1795161600");
    context.set("aws:SecureTransport", "false");
    context.set("aws:PrincipalArn", "arn:aws:iam::000000000000:role/r");
    context.set("x:Number", "7");
    context
}

fn policy(statement: &str) -> PolicyDocument {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#);
    PolicyDocument::parse_identity(&text).unwrap_or_else(|error| panic!("{statement}: {error}"))
}

fn decision(statement: &str, action: &str, resource: &str) -> Decision {
    decide([&policy(statement)], &AccessRequest { action, resource, context: &context() })
}

#[test]
fn actions_and_resources_are_matched_with_wildcards() {
    use Decision::{Allowed, Denied, NotAllowed};
    let check = |statement: &str, action: &str, resource: &str, expected: Decision| {
        assert_eq!(decision(statement, action, resource), expected, "{statement} {action} {resource}");
    };
    let get = "lambda:GetFunction";
    check(r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#, get, FUNCTION, Allowed);
    check(r#"{"Effect":"Allow","Action":"lambda:*","Resource":"*"}"#, get, FUNCTION, Allowed);
    check(r#"{"Effect":"Allow","Action":"LAMBDA:getfunction","Resource":"*"}"#, get, FUNCTION, Allowed);
    check(r#"{"Effect":"Allow","Action":"lambda:Get*","Resource":"*"}"#, "lambda:ListFunctions", "*", NotAllowed);
    check(r#"{"Effect":"Allow","Action":["a:b","lambda:Get?unction"],"Resource":"*"}"#, get, FUNCTION, Allowed);
    check(r#"{"Effect":"Deny","Action":"*","Resource":"*"}"#, get, FUNCTION, Denied);
    check(r#"{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}"#, get, FUNCTION, Allowed);
    check(r#"{"Effect":"Allow","NotAction":["iam:*","lambda:*"],"Resource":"*"}"#, get, FUNCTION, NotAllowed);
    check(r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:lambda:*:*:function:team-*"}"#, get, FUNCTION, Allowed);
    check(
        r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:lambda:*:*:function:TEAM-*"}"#,
        get,
        FUNCTION,
        NotAllowed,
    );
    check(
        r#"{"Effect":"Allow","Action":"*","NotResource":"arn:aws:lambda:*:*:function:team-*"}"#,
        get,
        FUNCTION,
        NotAllowed,
    );
    check(r#"{"Effect":"Allow","Action":"*","NotResource":["arn:aws:s3:::*"]}"#, get, FUNCTION, Allowed);
    check(
        r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:lambda:*:*:function:${aws:username}"}"#,
        get,
        FUNCTION,
        Allowed,
    );
    check(
        r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:lambda:*:*:function:${aws:absent}*"}"#,
        get,
        FUNCTION,
        NotAllowed,
    );
    check(
        r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:lambda:*:*:function:${aws:absent, 'team'}-a"}"#,
        get,
        FUNCTION,
        Allowed,
    );
}

#[test]
fn one_denial_outweighs_every_allowance() {
    let allow = policy(r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#);
    let deny = policy(r#"{"Effect":"Deny","Action":"lambda:Delete*","Resource":"*"}"#);
    let context = context();
    let ask = |action| decide([&allow, &deny], &AccessRequest { action, resource: FUNCTION, context: &context });
    assert_eq!(ask("lambda:GetFunction"), Decision::Allowed);
    assert_eq!(ask("lambda:DeleteFunction"), Decision::Denied);
    let nothing = AccessRequest { action: "a:b", resource: "*", context: &context };
    assert_eq!(decide([], &nothing), Decision::NotAllowed);
}

#[test]
fn a_value_of_a_variable_brings_no_wildcards() {
    let mut context = ContextKeys::default();
    context.set("aws:username", "*");
    let policy = policy(r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:lambda:*:*:function:${aws:username}"}"#);
    let request = AccessRequest { action: "a:b", resource: FUNCTION, context: &context };
    assert_eq!(decide([&policy], &request), Decision::NotAllowed);
    let literal = r#"{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${*}"}"#;
    assert_eq!(decision(literal, "a:b", "arn:aws:s3:::*"), Decision::Allowed);
    assert_eq!(decision(literal, "a:b", "arn:aws:s3:::x"), Decision::NotAllowed);
}

#[test]
fn conditions_are_all_to_be_met() {
    let check = |condition: &str, expected: bool| {
        let statement = format!(r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{condition}}}"#);
        assert_eq!(decision(&statement, "a:b", "*") == Decision::Allowed, expected, "{condition}");
    };
    check("{}", true);
    check(r#"{"StringEquals":{"aws:username":"team-a"}}"#, true);
    check(r#"{"StringEquals":{"AWS:UserName":["x","team-a"]}}"#, true);
    check(r#"{"StringEquals":{"aws:username":"TEAM-A"}}"#, false);
    check(r#"{"StringEquals":{"aws:username":"team-*"}}"#, false);
    check(r#"{"StringEqualsIgnoreCase":{"aws:username":"TEAM-A"}}"#, true);
    check(r#"{"StringNotEquals":{"aws:username":["x","team-a"]}}"#, false);
    check(r#"{"StringNotEquals":{"aws:absent":"x"}}"#, true);
    check(r#"{"StringLike":{"aws:username":"team-?"}}"#, true);
    check(r#"{"StringNotLike":{"aws:username":"team-*"}}"#, false);
    check(r#"{"StringEquals":{"aws:absent":"x"}}"#, false);
    check(r#"{"StringEqualsIfExists":{"aws:absent":"x"}}"#, true);
    check(r#"{"StringEqualsIfExists":{"aws:username":"x"}}"#, false);
    check(r#"{"NumericLessThan":{"x:Number":"8"}}"#, true);
    check(r#"{"NumericLessThan":{"x:Number":7}}"#, false);
    check(r#"{"NumericEquals":{"x:Number":"7.0"}}"#, true);
    check(r#"{"NumericNotEquals":{"x:Number":"7"}}"#, false);
    check(r#"{"DateLessThan":{"aws:CurrentTime":"2026-12-01T00:00:00Z"}}"#, true);
    check(r#"{"DateGreaterThan":{"aws:CurrentTime":"2026-12-01T00:00:00Z"}}"#, false);
    check(r#"{"DateGreaterThanEquals":{"aws:EpochTime":"1795161600"}}"#, true);
    check(r#"{"Bool":{"aws:SecureTransport":"false"}}"#, true);
    check(r#"{"Bool":{"aws:SecureTransport":true}}"#, false);
    check(r#"{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}"#, true);
    check(r#"{"IpAddress":{"aws:SourceIp":"127.0.0.1"}}"#, true);
    check(r#"{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","::/0"]}}"#, false);
    check(r#"{"NotIpAddress":{"aws:SourceIp":"127.0.0.0/8"}}"#, false);
    check(r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/*"}}"#, true);
    check(r#"{"ArnNotEquals":{"aws:PrincipalArn":"arn:aws:iam::000000000000:role/r"}}"#, false);
    check(r#"{"Null":{"aws:absent":"true"}}"#, true);
    check(r#"{"Null":{"aws:username":"true"}}"#, false);
    check(r#"{"Null":{"aws:username":"false"}}"#, true);
    check(r#"{"ForAllValues:StringEquals":{"aws:absent":"x"}}"#, true);
    check(r#"{"ForAnyValue:StringEquals":{"aws:absent":"x"}}"#, false);
    check(r#"{"ForAnyValue:StringLike":{"aws:username":"team*"}}"#, true);
    check(r#"{"StringEquals":{"aws:username":"team-a"},"Bool":{"aws:SecureTransport":"true"}}"#, false);
    check(r#"{"StringEquals":{"aws:username":"${aws:username}"}}"#, true);
}

#[test]
fn documents_that_iam_refuses_are_refused_in_its_words() {
    let check = |text: &str, expected: &str| {
        let error = PolicyDocument::parse_identity(text).unwrap_err();
        assert_eq!(error.to_string(), expected, "{text}");
    };
    check("", "This policy contains invalid Json");
    check("{", "This policy contains invalid Json");
    check("[]", "Syntax errors in policy.");
    check("{}", "Syntax errors in policy.");
    check(r#"{"Statement":[]}"#, "Syntax errors in policy.");
    check(r#"{"Version":"2020-01-01","Statement":[]}"#, "Syntax errors in policy.");
    check(r#"{"Statement":{"Effect":"Maybe","Action":"a:b","Resource":"*"}}"#, "Syntax errors in policy.");
    check(r#"{"Statement":{"Effect":"Allow","Resource":"*"}}"#, "Policy statement must contain actions.");
    check(r#"{"Statement":{"Effect":"Allow","Action":"a:b"}}"#, "Policy statement must contain resources.");
    check(r#"{"Statement":{"Effect":"Allow","Action":"a:b","Resource":"*","Other":1}}"#, "Syntax errors in policy.");
    check(
        r#"{"Statement":{"Effect":"Allow","Action":"a:b","NotAction":"a:c","Resource":"*"}}"#,
        "Syntax errors in policy.",
    );
    check(
        r#"{"Statement":{"Effect":"Allow","Action":"GetFunction","Resource":"*"}}"#,
        "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
    );
    check(
        r#"{"Statement":{"Effect":"Allow","Action":"a:b","Resource":"bucket"}}"#,
        "Resource must be in ARN format or \"*\".",
    );
    check(
        r#"{"Statement":{"Effect":"Allow","Action":"a:b","Resource":"*","Principal":"*"}}"#,
        "Policy document should not specify a principal.",
    );
    check(
        r#"{"Statement":{"Effect":"Allow","Action":"a:b","Resource":"*","Condition":{"Stringy":{"a:b":"c"}}}}"#,
        "Invalid Condition type.",
    );
    let twice = r#"{"Sid":"s","Effect":"Allow","Action":"a:b","Resource":"*"}"#;
    check(&format!(r#"{{"Statement":[{twice},{twice}]}}"#), "Statement IDs (SID) in a single policy must be unique.");
}

#[test]
fn a_trust_policy_says_who_may_assume_the_role() {
    use TrustDecision::{Account, Denied, Named as ByName, Nothing};
    let user = Named::Identity { account: "111111111111", arn: "arn:aws:iam::111111111111:user/u", role: None };
    let session = Named::Identity {
        account: "111111111111",
        arn: "arn:aws:sts::111111111111:assumed-role/r/s",
        role: Some("arn:aws:iam::111111111111:role/r"),
    };
    let lambda = Named::Service("lambda.amazonaws.com");
    let check = |statement: &str, named: &Named<'_>, expected: TrustDecision| {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
        let policy = PolicyDocument::parse_trust(&text).unwrap_or_else(|error| panic!("{statement}: {error}"));
        assert_eq!(policy.trusts(named, "sts:AssumeRole", &ContextKeys::default()), expected, "{statement} {named:?}");
    };
    let trust = |principal: &str| format!(r#"{{"Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRole"}}"#);
    check(&trust(r#"{"Service":"lambda.amazonaws.com"}"#), &lambda, ByName);
    check(&trust(r#"{"Service":["x.amazonaws.com"]}"#), &lambda, Nothing);
    check(&trust(r#"{"Service":"lambda.amazonaws.com"}"#), &user, Nothing);
    check(&trust(r#"{"AWS":"arn:aws:iam::111111111111:root"}"#), &user, Account);
    check(&trust(r#"{"AWS":"111111111111"}"#), &session, Account);
    check(&trust(r#"{"AWS":"222222222222"}"#), &user, Nothing);
    check(&trust(r#"{"AWS":"arn:aws:iam::111111111111:user/u"}"#), &user, ByName);
    check(&trust(r#"{"AWS":"arn:aws:iam::111111111111:role/r"}"#), &session, ByName);
    check(&trust(r#"{"AWS":"arn:aws:iam::111111111111:role/r"}"#), &user, Nothing);
    check(&trust("\"*\""), &user, ByName);
    check(
        r#"[{"Effect":"Allow","Principal":"*","Action":"sts:*"},{"Effect":"Deny","NotPrincipal":{"AWS":"222222222222"},"Action":"*"}]"#,
        &user,
        Denied,
    );
    check(
        r#"[{"Effect":"Allow","Principal":"*","Action":"sts:*"},{"Effect":"Deny","Principal":{"AWS":"111111111111"},"Action":"sts:AssumeRole"}]"#,
        &user,
        Denied,
    );
    check(
        r#"{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"x"}}}"#,
        &user,
        Nothing,
    );
    check(r#"{"Effect":"Allow","Principal":"*","Action":"sts:TagSession"}"#, &user, Nothing);
}

#[test]
fn trust_policies_name_principals_and_no_resources() {
    let refused = |statement: &str| {
        let text = format!(r#"{{"Statement":{statement}}}"#);
        PolicyDocument::parse_trust(&text).unwrap_err().to_string()
    };
    let text = refused(r#"{"Effect":"Allow","Action":"sts:AssumeRole","Principal":"*","Resource":"*"}"#);
    assert_eq!(text, "Has prohibited field Resource");
    let text = refused(r#"{"Effect":"Allow","Action":"s3:GetObject","Principal":"*"}"#);
    assert_eq!(text, "AssumeRole policy may only specify STS AssumeRole actions.");
    let text = refused(r#"{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"nobody"}}"#);
    assert_eq!(text, "Invalid principal in policy");
    refused(r#"{"Effect":"Allow","Action":"sts:AssumeRole"}"#);
    let text = refused(r#"{"Effect":"Allow","Action":"sts:AssumeRole","NotPrincipal":{"AWS":"111111111111"}}"#);
    assert_eq!(text, "Syntax errors in policy.");
}

#[test]
fn aws_own_policies_are_found_by_arn_and_are_sound() {
    for managed in MANAGED_POLICIES {
        assert_eq!(managed_policy(&managed.arn()), Some(managed));
        PolicyDocument::parse_identity(managed.document).unwrap_or_else(|error| panic!("{}: {error}", managed.name));
    }
    let basic = managed_policy("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole").unwrap();
    let policy = PolicyDocument::parse_identity(basic.document).unwrap();
    let context = ContextKeys::default();
    let ask = |action| decide([&policy], &AccessRequest { action, resource: "*", context: &context });
    assert_eq!(ask("logs:PutLogEvents"), Decision::Allowed);
    assert_eq!(ask("lambda:InvokeFunction"), Decision::NotAllowed);
}

#[test]
fn what_cannot_be_known_allows_nobody_and_denies_everybody() {
    let check = |statement: &str, expected: Decision| {
        let allow = policy(r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#);
        let context = context();
        let request = AccessRequest { action: "a:b", resource: FUNCTION, context: &context };
        let own = policy(statement);
        let decision =
            if statement.contains("Deny") { decide([&allow, &own], &request) } else { decide([&own], &request) };
        assert_eq!(decision, expected, "{statement}");
    };
    let (yes, no, denied) = (Decision::Allowed, Decision::NotAllowed, Decision::Denied);
    // A variable without a value.
    check(r#"{"Effect":"Allow","Action":"*","NotResource":"arn:aws:lambda:*:*:function:${aws:absent}"}"#, no);
    check(r#"{"Effect":"Allow","Action":"*","NotResource":"arn:aws:s3:::${aws:username}"}"#, yes);
    check(r#"{"Effect":"Deny","Action":"*","NotResource":"arn:aws:lambda:*:*:function:${aws:absent}"}"#, denied);
    let not_equal = |effect: &str, key: &str| {
        format!(
            r#"{{"Effect":"{effect}","Action":"*","Resource":"*","Condition":{{"StringNotEquals":{{"{key}":"${{aws:absent}}"}}}}}}"#
        )
    };
    check(&not_equal("Allow", "aws:username"), no);
    check(&not_equal("Deny", "aws:username"), denied);
    // A key that this server has never heard of.
    let on = |effect: &str, condition: &str| {
        format!(r#"{{"Effect":"{effect}","Action":"*","Resource":"*","Condition":{condition}}}"#)
    };
    check(&on("Deny", r#"{"StringEquals":{"aws:UserAgent":"x"}}"#), denied);
    check(&on("Allow", r#"{"StringEquals":{"aws:UserAgent":"x"}}"#), no);
    check(&on("Deny", r#"{"Null":{"aws:UserAgent":"false"}}"#), denied);
    // One that it knows the request not to have.
    check(&on("Deny", r#"{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}"#), yes);
    check(&on("Deny", r#"{"StringEquals":{"aws:PrincipalTag/Team":"b"}}"#), yes);
    check(&on("Deny", r#"{"Bool":{"aws:MultiFactorAuthPresent":"false"}}"#), yes);
    check(&on("Deny", r#"{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}"#), denied);
}

#[test]
fn a_document_of_the_older_version_has_no_variables() {
    let check = |version: &str, resource: &str, expected: Decision| {
        let text = format!(
            r#"{{{version}"Statement":{{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${{aws:username}}"}}}}"#
        );
        let policy = PolicyDocument::parse_identity(&text).unwrap();
        let context = context();
        let request = AccessRequest { action: "a:b", resource, context: &context };
        assert_eq!(decide([&policy], &request), expected, "{version} {resource}");
    };
    check(r#""Version":"2012-10-17","#, "arn:aws:s3:::team-a", Decision::Allowed);
    check(r#""Version":"2008-10-17","#, "arn:aws:s3:::team-a", Decision::NotAllowed);
    check("", "arn:aws:s3:::team-a", Decision::NotAllowed);
    check("", "arn:aws:s3:::${aws:username}", Decision::Allowed);
}

#[test]
fn wildcards_in_conditions_on_arns_stay_within_a_part() {
    let check = |pattern: &str, found: &str, expected: bool| {
        let statement = format!(
            r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{{"ArnLike":{{"aws:PrincipalArn":"{pattern}"}}}}}}"#
        );
        let mut context = ContextKeys::default();
        context.set("aws:PrincipalArn", found);
        let request = AccessRequest { action: "a:b", resource: "*", context: &context };
        assert_eq!(decide([&policy(&statement)], &request) == Decision::Allowed, expected, "{pattern} {found}");
    };
    check("arn:aws:iam::*:role/r", "arn:aws:iam::000000000000:role/r", true);
    check("arn:aws:iam::*:role/r", "arn:aws:iam::000000000000:role/x:role/r", false);
    check("arn:aws:iam::000000000000:*", "arn:aws:iam::000000000000:role/x:y", true);
    check("arn:*", "arn:aws:iam::000000000000:role/r", false);
    check("*", "arn:aws:iam::000000000000:role/r", false);
    check("arn:aws:iam::*:role/?", "no arn", false);
}

#[test]
fn several_values_are_compared_as_the_quantifier_says() {
    let check = |condition: &str, expected: bool| {
        let statement = format!(r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{condition}}}"#);
        let mut context = ContextKeys::default();
        context.set_all("aws:TagKeys", vec!["a".to_owned(), "b".to_owned()]);
        let request = AccessRequest { action: "a:b", resource: "*", context: &context };
        assert_eq!(decide([&policy(&statement)], &request) == Decision::Allowed, expected, "{condition}");
    };
    check(r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b","c"]}}"#, true);
    check(r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}"#, false);
    check(r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":["a"]}}"#, true);
    check(r#"{"ForAnyValue:StringNotEquals":{"aws:TagKeys":["a"]}}"#, true);
    check(r#"{"StringNotEquals":{"aws:TagKeys":["a"]}}"#, false);
}

#[test]
fn conditions_that_would_never_compare_are_refused() {
    let check = |condition: &str, is_taken: bool| {
        let text =
            format!(r#"{{"Statement":{{"Effect":"Deny","Action":"*","Resource":"*","Condition":{condition}}}}}"#);
        assert_eq!(PolicyDocument::parse_identity(&text).is_ok(), is_taken, "{condition}");
    };
    check(r#"{"DateGreaterThan":{"aws:CurrentTime":"2026-01-01"}}"#, true);
    check(r#"{"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}"#, true);
    check(r#"{"DateGreaterThan":{"aws:CurrentTime":"tomorrow"}}"#, false);
    check(r#"{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#, true);
    check(r#"{"IpAddress":{"aws:SourceIp":"10.0.0"}}"#, false);
    check(r#"{"NumericLessThan":{"a:b":"NaN"}}"#, false);
    check(r#"{"Bool":{"aws:SecureTransport":"yes"}}"#, false);
    check(r#"{"Null":{"a:b":"maybe"}}"#, false);
    check(r#"{"BinaryEquals":{"a:b":"!"}}"#, false);
    check(r#"{"StringEquals":{"a:b":[]}}"#, false);
    check(r#"{"StringEquals":{"a:b":"x"},"StringEquals":{"a:c":"x"}}"#, false);
}

/// A statement of few words, so that statements meet.
fn any_statement() -> impl Strategy<Value = String> {
    let pair = |name: &'static str, negated: &'static str, values: &'static [&'static str]| {
        (select(vec![name, negated]), select(values)).prop_map(|(name, value)| format!(r#""{name}":"{value}""#))
    };
    let function = &[FUNCTION, "*", "arn:aws:lambda:*:*:function:${aws:username}", "arn:aws:s3:::${aws:absent}"];
    let condition = prop_oneof![
        select(vec![
            "{}",
            r#"{"StringEquals":{"aws:username":"team-a"}}"#,
            r#"{"Bool":{"aws:SecureTransport":"true"}}"#
        ]),
        select(vec![
            r#"{"StringNotEquals":{"aws:username":"${aws:absent}"}}"#,
            r#"{"StringLikeIfExists":{"aws:absent":"x"}}"#,
            r#"{"Null":{"aws:UserAgent":"true"}}"#,
        ]),
    ];
    let actions = pair("Action", "NotAction", &["lambda:*", "lambda:GetFunction", "*", "iam:*"]);
    let statement = (select(vec!["Allow", "Deny"]), actions, pair("Resource", "NotResource", function), condition);
    statement.prop_map(|(effect, action, resource, condition)| {
        format!(r#"{{"Effect":"{effect}",{action},{resource},"Condition":{condition}}}"#)
    })
}

proptest! {
    #[test]
    fn a_denial_more_allows_nobody_more_and_no_order_matters(statements in vec(any_statement(), 1..6), more in any_statement()) {
        let ask = |statements: &[String]| decision(&statements.join(","), "lambda:GetFunction", FUNCTION);
        let before = ask(&statements);
        let reversed: Vec<String> = statements.iter().rev().cloned().collect();
        assert_eq!(ask(&reversed), before);
        let apart = statements.iter().map(|statement| policy(statement)).collect::<Vec<_>>();
        let request = AccessRequest { action: "lambda:GetFunction", resource: FUNCTION, context: &context() };
        assert_eq!(decide(&apart, &request), before);
        let with_denial = [statements.as_slice(), &[more.replace("Allow", "Deny")]].concat();
        assert!(ask(&with_denial) == before || ask(&with_denial) == Decision::Denied);
        let with_allowance = [statements.as_slice(), &[more.replace("Deny", "Allow")]].concat();
        assert!(before != Decision::Denied || ask(&with_allowance) == Decision::Denied);
        // The same words never allow where they would not deny.
        let alone = more.replace("Deny", "Allow");
        let is_allowed = ask(std::slice::from_ref(&alone)) == Decision::Allowed;
        let is_denied = ask(&[more.replace("Allow", "Deny")]) == Decision::Denied;
        assert!(is_denied || !is_allowed, "{more}");
    }

    #[test]
    fn no_document_panics(text in any::<String>(), fields in r#"[ -~]{0,60}"#) {
        drop(PolicyDocument::parse_identity(&text));
        drop(PolicyDocument::parse_trust(&text));
        if let Ok(policy) = PolicyDocument::parse_identity(&format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"*","Resource":"arn:aws:x:::{fields}","Condition":{{"StringLike":{{"a:b":"{fields}"}}}}}}}}"#
        )) {
            let context = context();
            decide([&policy], &AccessRequest { action: "a:b", resource: &fields, context: &context });
        }
    }
}
