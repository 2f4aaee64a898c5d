use proptest::prelude::{any, proptest};

use super::FilterPattern;

fn check(pattern: &str, message: &str, expected: bool) {
    let parsed: FilterPattern = pattern.parse().unwrap_or_else(|error| panic!("{pattern}: {error}"));
    assert_eq!(parsed.matches(message), expected, "`{pattern}` on `{message}`");
}

#[test]
fn terms_are_all_there_one_of_them_or_not_there() {
    check("", "anything", true);
    check("ERROR", "[ERROR] no", true);
    check("ERROR", "[error] no", false);
    check("ERROR ARGUMENTS", "ERROR in ARGUMENTS", true);
    check("ERROR ARGUMENTS", "ERROR in arguments", false);
    check("?ERROR ?WARN", "WARN x", true);
    check("?ERROR ?WARN", "INFO x", false);
    check("ERROR -EXITING", "ERROR now", true);
    check("ERROR -EXITING", "ERROR now EXITING", false);
    check("-INFO", "WARN", true);
    check("ERROR ?WARN", "ERROR", true);
    check("ERROR ?WARN", "WARN", false);
    check("\"INTERNAL SERVER ERROR\"", "500 INTERNAL SERVER ERROR", true);
    check("\"INTERNAL SERVER ERROR\"", "INTERNAL ERROR SERVER", false);
    check("-\"a b\"", "x a b", false);
    check("\"say \\\"hi\\\"\"", "they say \"hi\"", true);
    check("%4[0-9]{2}%", "status 404", true);
    check("%4[0-9]{2}%", "status 504", false);
}

#[test]
fn fields_of_json_are_compared() {
    let event = r#"{"eventType":"UpdateTrail","n":4,"f":0.5,"user":{"id":"u-7","tags":["a","b"]},"yes":true,"no":false,
        "nothing":null,"list":[{"id":1},{"id":2}],"with space":1}"#;
    let check = |pattern: &str, expected: bool| check(pattern, event, expected);
    check(r#"{ $.eventType = "UpdateTrail" }"#, true);
    check(r"{ $.eventType = UpdateTrail }", true);
    check(r#"{ $.eventType = "Update*" }"#, true);
    check(r#"{ $.eventType != "Update*" }"#, false);
    check(r"{ $.n = 4 }", true);
    check(r"{ $.n = 4.0 }", true);
    check(r"{ $.n > 3 && $.n <= 4 }", true);
    check(r"{ $.n < 4 || $.f >= 5e-1 }", true);
    check(r"{ ($.n = 1 || $.n = 4) && $.f = 0.5 }", true);
    check(r"{ $.n = 1 || $.n = 4 && $.f = 7 }", false);
    check(r#"{ $.user.id = "u-*" }"#, true);
    check(r#"{ $.user.tags[1] = "b" }"#, true);
    check(r#"{ $.user.tags[2] = "b" }"#, false);
    check(r#"{ $.user.tags[*] = "b" }"#, true);
    check(r"{ $.list[*].id = 2 }", true);
    check(r"{ $.yes IS TRUE }", true);
    check(r"{ $.no is false }", true);
    check(r"{ $.yes IS FALSE }", false);
    check(r"{ $.nothing IS NULL }", true);
    check(r"{ $.absent IS NULL }", false);
    check(r"{ $.absent NOT EXISTS }", true);
    check(r"{ $.n NOT EXISTS }", false);
    check(r"{ $.n EXISTS }", true);
    check(r"{ $.absent != 1 }", false);
    check(r"{ $['with space'] = 1 }", true);
    check(r"{ $.eventType = %^Update% }", true);
    check(r#"{ $.eventType > "A" }"#, false);
}

#[test]
fn what_is_not_json_has_no_fields() {
    check("{ $.a NOT EXISTS }", "text", false);
    check("{ $.a = 1 }", "{\"a\":1", false);
    check("{ $.a NOT EXISTS }", "{}", true);
}

#[test]
fn columns_are_compared_one_by_one() {
    let event = r#"127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534"#;
    let check = |pattern: &str, expected: bool| check(pattern, event, expected);
    check("[ip, id, user, timestamp, request, status, bytes]", true);
    check("[ip, id, user, timestamp, request, status]", false);
    check("[ip, id, user, timestamp, request, status = 404, bytes]", true);
    check("[ip, id, user, timestamp, request, status = 4*, bytes > 1000]", true);
    check("[ip, id, user, timestamp, request, status = 4*, bytes > 2000]", false);
    check("[ip, user, ..., status = 404 || status = 410, bytes]", true);
    check("[..., request = *index.html*, status != 200, bytes]", true);
    check("[..., status < 300, bytes]", false);
    check("[ip = 127.*, ...]", true);
    check("[w1 = \"127.0.0.1\", ...]", true);
    check("[, , user = frank, ...]", true);
    check("[..., (status = 404 && status != 405), bytes = %^1%]", true);
}

#[test]
fn what_cannot_be_understood_is_refused() {
    for wrong in [
        "{ $.a }",
        "{ $.a = }",
        "{ a = 1 }",
        "{ $.a = 1",
        "{ $.a = 1 } x",
        "{ $.a IS MAYBE }",
        "{ $.a NOT }",
        "{ $ = 1 }",
        "{ $.a[x] = 1 }",
        "{}",
        "[a, b",
        "[a] b",
        "[..., ...]",
        "\"open",
        "%(a)%",
        "%[%",
        "a.b",
        "?",
        &format!("{{ {}$.a = 1{} }}", "(".repeat(500), ")".repeat(500)),
    ] {
        assert!(wrong.parse::<FilterPattern>().is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn no_pattern_and_no_event_panics(pattern in any::<String>(), message in any::<String>()) {
        if let Ok(pattern) = pattern.parse::<FilterPattern>() {
            let _matches: bool = pattern.matches(&message);
        }
    }

    #[test]
    fn no_likely_pattern_panics(
        pattern in r#"[{\[]? ?(\$[.\[]?[a-c*0-9\]']*|[a-z?%"-]+) ?(=|!=|<|>=|IS|NOT)? ?[a-z0-9*"%]* ?(&&|\|\||,)?[ a-z$.=]*[}\]]?"#,
        message in r#"[ a-c0-9"{}\[\]:,]*"#
    ) {
        if let Ok(pattern) = pattern.parse::<FilterPattern>() {
            let _matches: bool = pattern.matches(&message);
        }
    }
}

#[test]
fn a_pattern_has_two_regular_expressions_at_most() {
    let is_taken = |pattern: &str| pattern.parse::<FilterPattern>().is_ok();
    for (two, three) in [
        ("%a% ?%b%", "%a% ?%b% -%c%"),
        ("{ $.a = %a% || $.b = %b% }", "{ $.a = %a% || $.b = %b% || $.c = %c% }"),
        ("[a = %a%, b = %b%]", "[a = %a%, b = %b%, c = %c%]"),
    ] {
        assert!(is_taken(two) && !is_taken(three), "{three}");
    }
}
