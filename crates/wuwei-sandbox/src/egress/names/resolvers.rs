use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const FILE: &str = "/etc/resolv.conf";
/// As the C library: three at most, and the own machine when none is named.
const RESOLVERS_MAX: usize = 3;
/// How long the file is believed.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The host's resolvers.
#[derive(Debug, Default)]
pub(super) struct Resolvers(Mutex<Option<(Instant, Vec<SocketAddr>)>>);

impl Resolvers {
    /// The ones that hold now.
    pub(super) fn current(&self) -> Vec<SocketAddr> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((read, resolvers)) if read.elapsed() < READ_AGAIN_AFTER => resolvers.clone(),
            Some(_) | None => {
                let resolvers = parse(&std::fs::read_to_string(FILE).unwrap_or_default());
                *known = Some((Instant::now(), resolvers.clone()));
                resolvers
            }
        }
    }
}

fn parse(text: &str) -> Vec<SocketAddr> {
    let words = text.lines().map(|line| line.split_whitespace());
    let named = words.filter_map(|mut words| (words.next() == Some("nameserver")).then(|| words.next()).flatten());
    let addresses = named.filter_map(|address| address.parse().ok()).take(RESOLVERS_MAX);
    let mut resolvers: Vec<SocketAddr> = addresses.map(|address: IpAddr| (address, 53).into()).collect();
    if resolvers.is_empty() {
        resolvers.push((Ipv4Addr::LOCALHOST, 53).into());
    }
    resolvers
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_hosts_own_file_names_its_resolvers() {
        let check = |text: &str, expected: &[&str]| {
            let found: Vec<String> = parse(text).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("# none\nsearch example.com\n", &["127.0.0.1:53"]);
        check("nameserver 10.0.0.2\nnameserver\tfd00::1 # second\noptions rotate\n", &["10.0.0.2:53", "[fd00::1]:53"]);
        check("nameserver a\nnameserver 1.1.1.1\nnameservers 2.2.2.2\n", &["1.1.1.1:53"]);
        check(&"nameserver 1.1.1.1\n".repeat(5), &["1.1.1.1:53"; 3]);
    }
}
