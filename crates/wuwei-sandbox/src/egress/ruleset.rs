//! The rules of the packet filter, as text for `nft`: in the router's namespace what each policy allows, in the host's
//! what the router may do at all.

use std::fmt::Write as _;

use wuwei_model::{EgressHost, EgressPolicy, EgressTarget, IpNetwork};

use super::plan::{OWN_V6, ROUTER, UP, Uplink};

/// Group of the links of sandboxes with the policy `internet`; lists follow.
pub(super) const INTERNET_GROUP: u32 = 10;
/// Connections that one sandbox may have at a time, those that have just ended included.
const CONNECTIONS_MAX: u32 = 4_096;
/// Marks a connection to a listed address.
const LISTED: u32 = 1;
/// How to say no: at once, so that nobody waits for a timeout.
const REFUSE: &str = "meta l4proto tcp reject with tcp reset; reject with icmpx admin-prohibited;";
/// Marks, in a server's table, that forwarding was off before its first server came.
pub(super) const FORWARDING_WAS_OFF: [&str; 2] = ["forwarding_was_off", "forwarding_was_off_v6"];

fn elements(networks: impl Iterator<Item = IpNetwork>, v6: bool) -> String {
    let texts: Vec<String> =
        networks.filter(|network| network.is_ipv6() == v6).map(|network| network.to_string()).collect();
    texts.join(", ")
}

/// The router's table. Sandboxes can be told apart by their links only, so what comes from a link must have its address.
pub(super) fn router(uplink: Uplink) -> String {
    let never = [false, true].map(|v6| elements(IpNetwork::never_reachable(), v6));
    let private = [false, true].map(|v6| elements(IpNetwork::private(), v6));
    let global = IpNetwork::global_v6();
    let (public, public_v6, listed, listed_v6) =
        (uplink.public(), uplink.public_v6(), uplink.listed(), uplink.listed_v6());
    format!(
        "table inet wuwei {{
    set never4 {{ type ipv4_addr; flags interval; elements = {{ {never4} }} }}
    set never6 {{ type ipv6_addr; flags interval; elements = {{ {never6} }} }}
    set private4 {{ type ipv4_addr; flags interval; elements = {{ {private4} }} }}
    set private6 {{ type ipv6_addr; flags interval; elements = {{ {private6} }} }}
    set connections4 {{ type ipv4_addr; size 65535; flags dynamic; }}
    set connections6 {{ type ipv6_addr; size 65535; flags dynamic; }}
    map policies {{ type devgroup : verdict; elements = {{ {INTERNET_GROUP} : goto internet }} }}
    set named_groups {{ type devgroup; elements = {{ {INTERNET_GROUP} }} }}
    chain refuse {{ {REFUSE} }}
    chain public {{
        ip daddr @private4 goto refuse
        ip6 daddr @private6 goto refuse
        meta nfproto ipv6 ip6 daddr != {global} goto refuse
        accept
    }}
    chain listed {{ ct mark set {LISTED} accept; }}
    chain internet {{ goto public; }}
    chain origin {{
        type filter hook prerouting priority raw; policy accept;
        iifname {{ \"lo\", \"{UP}\" }} accept
        fib saddr . iif oif missing drop
    }}
    chain input {{
        type filter hook input priority filter; policy drop;
        iifname \"lo\" accept
        iifname \"{UP}\" drop
        iifgroup @named_groups ip daddr {ROUTER} udp dport 53 accept
        iifgroup @named_groups ip daddr {ROUTER} tcp dport 53 accept
        goto refuse
    }}
    chain forward {{
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        iifname \"{UP}\" drop
        oifname != \"{UP}\" goto refuse
        meta l4proto != {{ tcp, udp }} goto refuse
        ip daddr @never4 goto refuse
        ip6 daddr @never6 goto refuse
        ip6 daddr {OWN_V6} goto refuse
        ct state new add @connections4 {{ ip saddr ct count over {CONNECTIONS_MAX} }} goto refuse
        ct state new add @connections6 {{ ip6 saddr ct count over {CONNECTIONS_MAX} }} goto refuse
        iifgroup vmap @policies
        goto refuse
    }}
    chain translation {{
        type nat hook postrouting priority srcnat; policy accept;
        oifname \"{UP}\" meta nfproto ipv4 ct mark {LISTED} snat ip to {listed}
        oifname \"{UP}\" meta nfproto ipv6 ct mark {LISTED} snat ip6 to {listed_v6}
        oifname \"{UP}\" meta nfproto ipv4 snat ip to {public}
        oifname \"{UP}\" meta nfproto ipv6 snat ip6 to {public_v6}
    }}
}}
",
        never4 = never[0],
        never6 = never[1],
        private4 = private[0],
        private6 = private[1],
    )
}

/// What a list adds to the router's table. What names stand for comes later, by [`admit`].
pub(super) fn list(group: u32, policy: &EgressPolicy) -> String {
    let targets: &[EgressTarget] = match policy {
        EgressPolicy::None | EgressPolicy::Internet => &[],
        EgressPolicy::Allow(targets) => targets,
    };
    let mut rules = String::new();
    let mut has_names = false;
    for target in targets {
        match &target.host {
            EgressHost::Network(network) => {
                let family = if network.is_ipv6() { "ip6" } else { "ip" };
                let port = target.port.map(|port| format!(" th dport {port}")).unwrap_or_default();
                writeln!(rules, "        {family} daddr {network}{port} goto listed")
                    .expect("text is written to memory");
            }
            EgressHost::Name(_) => has_names = true,
        }
    }
    let named = if has_names {
        format!(
            "        ip daddr . th dport @named4_{group} goto public\n        ip6 daddr . th dport @named6_{group} goto public\n"
        )
    } else {
        String::new()
    };
    let questions = if has_names {
        format!("    set named_groups {{ type devgroup; elements = {{ {group} }} }}\n")
    } else {
        String::new()
    };
    format!(
        "table inet wuwei {{
    set named4_{group} {{ type ipv4_addr . inet_service; flags timeout; size 65535; }}
    set named6_{group} {{ type ipv6_addr . inet_service; flags timeout; size 65535; }}
{questions}    chain list_{group} {{
{rules}{named}        goto refuse
    }}
    map policies {{ type devgroup : verdict; elements = {{ {group} : goto list_{group} }} }}
}}
"
    )
}

/// Opens what a name stands for, for a time. Added again it would keep its old time, so it is removed first.
pub(super) fn admit(group: u32, address: std::net::IpAddr, port: u16, seconds: u32) -> String {
    let set = if address.is_ipv4() { "named4" } else { "named6" };
    let element = format!("inet wuwei {set}_{group} {{ {address} . {port}");
    format!("add element {element} }}\ndelete element {element} }}\nadd element {element} timeout {seconds}s }}\n")
}

/// The server's table on the host. From the router's public address nothing of the host is reached, not even through a
/// translation of destinations that the host makes for others.
pub(super) fn host(table: &str, link: &str, uplink: Uplink, marks: &[&str]) -> String {
    let (public, public_v6, listed, listed_v6) =
        (uplink.public(), uplink.public_v6(), uplink.listed(), uplink.listed_v6());
    let (network, network_v6) = (uplink.network(), uplink.network_v6());
    let marks: String = marks.iter().map(|mark| format!("    set {mark} {{ type mark; }}\n")).collect();
    format!(
        "table inet {table} {{
{marks}    chain refuse {{ {REFUSE} }}
    chain input {{
        type filter hook input priority filter - 5; policy accept;
        iifname != \"{link}\" accept
        ct state established,related accept
        ip saddr {listed} accept
        ip6 saddr {listed_v6} accept
        goto refuse
    }}
    chain output {{
        type filter hook output priority filter - 5; policy accept;
        oifname != \"{link}\" accept
        ct state new drop
    }}
    chain forward {{
        type filter hook forward priority filter - 5; policy accept;
        oifname \"{link}\" ct state established,related accept
        oifname \"{link}\" drop
        iifname != \"{link}\" accept
        ct state established,related accept
        ip saddr {public} ct status dnat goto refuse
        ip6 saddr {public_v6} ct status dnat goto refuse
        ip saddr {network} accept
        ip6 saddr {network_v6} accept
        drop
    }}
    chain translation {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {network} oifname != \"{link}\" masquerade
        ip6 saddr {network_v6} oifname != \"{link}\" masquerade
    }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::{admit, host, list, router};
    use crate::egress::plan::Uplink;

    #[test]
    fn a_list_opens_its_entries_and_ends_with_a_refusal() {
        let text = list(11, &"10.0.0.0/8:5432,fd12::/64,db.internal:80".parse().unwrap());
        for rule in [
            "ip daddr 10.0.0.0/8 th dport 5432 goto listed\n",
            "ip6 daddr fd12::/64 goto listed\n",
            "ip daddr . th dport @named4_11 goto public\n",
            "11 : goto list_11",
        ] {
            assert!(text.contains(rule), "{rule} is missing in\n{text}");
        }
        assert!(text.contains("goto refuse\n    }\n    map"), "{text}");
        assert!(!list(11, &"10.0.0.1".parse().unwrap()).contains("goto public"));
    }

    #[test]
    fn unreachable_ranges_are_refused_before_any_policy_is_asked() {
        let text = router(Uplink(0));
        let never = text.find("ip daddr @never4 goto refuse").unwrap();
        assert!(never < text.find("iifgroup vmap @policies").unwrap());
        for range in ["169.254.0.0/16", "fd00:ec2::/32", "fe80::/10", "100.64.0.0/10", "127.0.0.0/8"] {
            assert!(text.contains(range), "{range}");
        }
    }

    #[test]
    fn only_the_listed_address_reaches_the_host() {
        let text = host("wuwei-x", "wuwei-x", Uplink(0), &[]);
        assert!(text.contains("ip saddr 169.254.192.3 accept"));
        assert!(!text.contains("ip saddr 169.254.192.2 accept"));
        assert!(admit(11, "203.0.113.9".parse().unwrap(), 80, 60).ends_with("203.0.113.9 . 80 timeout 60s }\n"));
    }
}
