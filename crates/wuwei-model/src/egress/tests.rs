use std::net::IpAddr;

use super::{EgressError, EgressPolicy, is_never_reachable, is_public};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn policies_are_words_or_lists_and_keep_their_text() {
    let check = |text: &str, expected: &str| {
        let policy: EgressPolicy = text.parse().unwrap();
        assert_eq!(policy.to_string(), expected);
        assert_eq!(expected.parse::<EgressPolicy>().unwrap(), policy);
    };
    check("none", "none");
    check(" internet ", "internet");
    check("10.0.0.5:5432", "10.0.0.5:5432");
    check("10.1.2.3/8", "10.0.0.0/8");
    check("10.0.0.0/8:443", "10.0.0.0/8:443");
    check("0.0.0.0/0", "0.0.0.0/0");
    check("fd12::1", "fd12::1");
    check("[fd12::/64]:443, fd13::/16", "[fd12::/64]:443,fd13::/16");
    check("[2001:db8::1]:80", "[2001:db8::1]:80");
    check("API.Example.com.:443", "api.example.com:443");
    check("db:5432,db:5432", "db:5432");
}

#[test]
fn what_is_no_policy_is_refused_with_a_reason() {
    let check = |text: &str, expected: EgressError| assert_eq!(text.parse::<EgressPolicy>(), Err(expected), "{text}");
    check("", EgressError::Empty);
    check("none,10.0.0.1", EgressError::Keyword("none".to_owned()));
    check("db.internal", EgressError::NoPort("db.internal".to_owned()));
    for never in [
        "169.254.169.254",
        "169.254.0.0/16:80",
        "127.0.0.1:5432",
        "224.0.0.1",
        "[::1]:80",
        "fe80::1",
        "[fd00:ec2::254]:80",
    ] {
        check(never, EgressError::Never(never.to_owned()));
    }
    for wrong in [
        "10.0.0.0/33",
        "10.0.0.1:0",
        "10.0.0.1:65536",
        "10.0.0.1:x",
        "10.0.0.300:1",
        "a b:1",
        "-a:1",
        "[10.0.0.1]:1",
        "fd12::1/64:x",
        "a..b:1",
        "*:1",
        "x\"}:1",
    ] {
        check(wrong, EgressError::Entry(wrong.to_owned()));
    }
    assert_eq!(vec!["10.0.0.1"; 65].join(",").parse::<EgressPolicy>(), Err(EgressError::TooMany));
}

#[test]
fn public_addresses_are_told_from_private_and_unreachable_ones() {
    for public in ["1.1.1.1", "203.0.113.10", "100.63.255.255", "172.32.0.1", "2001:db8::10", "2606:4700::1111"] {
        assert!(is_public(address(public)), "{public}");
    }
    for private in [
        "10.9.8.7",
        "100.64.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "198.19.0.1",
        "168.63.129.16",
        "fd12::1",
        "2002:a00:1::",
        "2001::1",
    ] {
        assert!(!is_public(address(private)) && !is_never_reachable(address(private)), "{private}");
    }
    for never in [
        "0.0.0.0",
        "127.0.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "fe80::1",
        "fd00:ec2::254",
        "ff02::1",
    ] {
        assert!(is_never_reachable(address(never)) && !is_public(address(never)), "{never}");
    }
}

#[test]
fn a_name_cannot_stand_for_what_is_out_of_reach() {
    let internet = EgressPolicy::Internet;
    assert!(internet.permits_answer(address("203.0.113.10")) && !internet.permits_answer(address("10.0.0.5")));
    let list: EgressPolicy = "db.internal:5432,10.0.0.0/24:5432".parse().unwrap();
    assert!(list.permits_answer(address("10.0.0.5")) && list.permits_answer(address("203.0.113.10")));
    assert!(!list.permits_answer(address("10.0.1.5")) && !list.permits_answer(address("169.254.169.254")));
    assert!(list.permits_name("DB.internal") && !list.permits_name("example.com"));
    assert_eq!(list.ports_of("db.internal").collect::<Vec<_>>(), [5432]);
    assert!(!EgressPolicy::None.permits_name("db.internal") && internet.permits_name("anything"));
    let everything: EgressPolicy = "0.0.0.0/0,::/0".parse().unwrap();
    assert!(!everything.permits_answer(address("169.254.169.254")) && !everything.permits_answer(address("::1")));
}
