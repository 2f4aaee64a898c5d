//! What a function may reach over the network: the words, not their enforcement.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

mod address;
#[cfg(test)]
mod tests;

pub use address::{is_never_reachable, is_public};

/// Most entries of an allow-list.
const TARGETS_MAX: usize = 64;
/// Longest DNS name, in characters (RFC 1035, without the final dot).
const NAME_LENGTH_MAX: usize = 253;
/// Longest label of a DNS name.
const LABEL_LENGTH_MAX: usize = 63;

/// What a function may reach, beside its own loopback and the way back to the platform. Its text (`Display`, `FromStr`)
/// is `none`, `internet`, or the entries of a list with commas between them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EgressPolicy {
    /// Nothing.
    None,
    /// Public addresses and the names in DNS that lead to them.
    Internet,
    /// These, and nothing else.
    Allow(Vec<EgressTarget>),
}

/// One entry of an allow-list: TCP and UDP to a host or network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EgressTarget {
    /// Where to.
    pub host: EgressHost,
    /// All ports when there is none; names always have one.
    pub port: Option<u16>,
}

/// Where an entry leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EgressHost {
    /// An address or network.
    Network(IpNetwork),
    /// A DNS name, in lower case, without the final dot.
    Name(String),
}

/// An address with the length of the prefix that counts; bits behind it are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpNetwork {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no egress policy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EgressError {
    /// No entry at all.
    #[error("egress is empty: write `none`, `internet`, or a list of host:port and network[:port]")]
    Empty,
    /// Too long a list.
    #[error("egress has more than {TARGETS_MAX} entries")]
    TooMany,
    /// One entry is none.
    #[error("egress entry `{0}` is neither `host:port` nor `network[:port]`")]
    Entry(String),
    /// A name without its port.
    #[error("egress entry `{0}` names a host without a port")]
    NoPort(String),
    /// Loopback, link-local (where clouds keep metadata), multicast and the like.
    #[error("egress entry `{0}` is loopback, link-local, multicast or reserved, which no function may reach")]
    Never(String),
    /// `none` and `internet` stand alone.
    #[error("egress `{0}` cannot be an entry of a list")]
    Keyword(String),
}

impl EgressPolicy {
    /// Makes a policy of the entries of a list; a single `none` or `internet` is that policy.
    ///
    /// # Errors
    /// [`EgressError`] names the entry that is wrong.
    pub fn from_entries<'text>(entries: impl IntoIterator<Item = &'text str>) -> Result<Self, EgressError> {
        let entries: Vec<&str> = entries.into_iter().map(str::trim).collect();
        match entries.as_slice() {
            [] | [""] => return Err(EgressError::Empty),
            ["none"] => return Ok(Self::None),
            ["internet"] => return Ok(Self::Internet),
            _ => {}
        }
        if entries.len() > TARGETS_MAX {
            return Err(EgressError::TooMany);
        }
        let mut targets = entries.into_iter().map(EgressTarget::from_str).collect::<Result<Vec<_>, _>>()?;
        targets.sort();
        targets.dedup();
        Ok(Self::Allow(targets))
    }

    /// Whether the answer to a question for a name may be told: else a name could stand for what is out of reach.
    #[must_use]
    pub fn permits_answer(&self, address: IpAddr) -> bool {
        match self {
            Self::None => false,
            Self::Internet => is_public(address),
            Self::Allow(targets) => {
                let listed = |target: &EgressTarget| match &target.host {
                    EgressHost::Network(network) => network.contains(address),
                    EgressHost::Name(_) => false,
                };
                is_public(address) || (!is_never_reachable(address) && targets.iter().any(listed))
            }
        }
    }

    /// Whether a name may be asked for at all.
    #[must_use]
    pub fn permits_name(&self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::Internet => true,
            Self::Allow(_) => self.ports_of(name).next().is_some(),
        }
    }

    /// Ports that an allow-list opens on a name.
    pub fn ports_of(&self, name: &str) -> impl Iterator<Item = u16> {
        let targets = match self {
            Self::None | Self::Internet => &[],
            Self::Allow(targets) => targets.as_slice(),
        };
        targets.iter().filter_map(move |target| match &target.host {
            EgressHost::Name(listed) if listed.eq_ignore_ascii_case(name) => target.port,
            EgressHost::Name(_) | EgressHost::Network(_) => None,
        })
    }
}

impl FromStr for EgressPolicy {
    type Err = EgressError;

    fn from_str(text: &str) -> Result<Self, EgressError> {
        Self::from_entries(text.split(','))
    }
}

impl fmt::Display for EgressPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => formatter.write_str("none"),
            Self::Internet => formatter.write_str("internet"),
            Self::Allow(targets) => {
                for (index, target) in targets.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "," };
                    write!(formatter, "{separator}{target}")?;
                }
                Ok(())
            }
        }
    }
}

impl FromStr for EgressTarget {
    type Err = EgressError;

    fn from_str(text: &str) -> Result<Self, EgressError> {
        if ["none", "internet"].contains(&text) {
            return Err(EgressError::Keyword(text.to_owned()));
        }
        let wrong = || EgressError::Entry(text.to_owned());
        // Before anything else, because an IPv6 address has colons of its own.
        if let Some(network) = IpNetwork::parse(text) {
            return checked(text, network, None);
        }
        let (host, port) = text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
        let port: Option<u16> = port.map(str::parse).transpose().map_err(|_not_a_number| wrong())?;
        if port == Some(0) {
            return Err(wrong());
        }
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if let Some(host) = bracketed {
            let network = IpNetwork::parse(host).filter(|network| network.address.is_ipv6()).ok_or_else(wrong)?;
            return checked(text, network, port);
        }
        if let Some(network) = IpNetwork::parse(host).filter(|network| network.address.is_ipv4()) {
            return checked(text, network, port);
        }
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if !is_name(&name) {
            return Err(wrong());
        }
        if port.is_none() {
            return Err(EgressError::NoPort(text.to_owned()));
        }
        Ok(Self { host: EgressHost::Name(name), port })
    }
}

fn checked(text: &str, network: IpNetwork, port: Option<u16>) -> Result<EgressTarget, EgressError> {
    // Of a larger network the unreachable part stays unreachable; one that lies in it is a mistake to be told.
    if network.is_all_unreachable() {
        return Err(EgressError::Never(text.to_owned()));
    }
    Ok(EgressTarget { host: EgressHost::Network(network), port })
}

impl fmt::Display for EgressTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (EgressHost::Network(network), Some(port)) if network.address.is_ipv6() => {
                write!(formatter, "[{network}]:{port}")
            }
            (EgressHost::Network(network), Some(port)) => write!(formatter, "{network}:{port}"),
            (EgressHost::Network(network), None) => write!(formatter, "{network}"),
            (EgressHost::Name(name), Some(port)) => write!(formatter, "{name}:{port}"),
            (EgressHost::Name(name), None) => formatter.write_str(name),
        }
    }
}

impl IpNetwork {
    /// `address` or `address/prefix`; what stands behind the prefix is cleared. `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix: u8 = prefix.map_or(Some(most), |prefix| prefix.parse().ok())?;
        (prefix <= most).then(|| Self::new(address, prefix))
    }

    fn new(address: IpAddr, prefix: u8) -> Self {
        let address = match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(u32::from(32 - prefix)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(u32::from(128 - prefix)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        };
        Self { address, prefix }
    }

    /// Whether it is of IPv6.
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        self.address.is_ipv6()
    }

    /// Whether an address lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && Self::new(address, self.prefix) == *self
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, prefix } = self;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        if *prefix == whole { write!(formatter, "{address}") } else { write!(formatter, "{address}/{prefix}") }
    }
}

fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| {
        (1..=LABEL_LENGTH_MAX).contains(&label.len())
            && label.bytes().all(is_allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    // A name of digits and dots only is a mistyped address.
    name.len() <= NAME_LENGTH_MAX && name.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}
