use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::IpNetwork;

/// Which no policy opens: this network, loopback, link-local (metadata services), multicast, reserved.
const NEVER_V4: [([u8; 4], u8); 4] =
    [([0, 0, 0, 0], 8), ([127, 0, 0, 0], 8), ([169, 254, 0, 0], 16), ([224, 0, 0, 0], 3)];
/// The same of IPv6: unspecified, loopback, mapped and translated IPv4 (all in `::/8`), the metadata service of
/// EC2, link-local, multicast.
const NEVER_V6: [([u16; 8], u8); 4] = [
    ([0, 0, 0, 0, 0, 0, 0, 0], 8),
    ([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
];
/// Private, shared (CGNAT), protocol assignments, benchmarking; and Azure's host, the one public address that is private.
const PRIVATE_V4: [([u8; 4], u8); 7] = [
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([168, 63, 129, 16], 32),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
];
/// Global unicast; all else of IPv6 is not public.
const GLOBAL_V6: ([u16; 8], u8) = ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
/// Parts of it that wrap IPv4 addresses: Teredo and 6to4.
const WRAPPED_V6: [([u16; 8], u8); 2] = [([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16)];

fn any_v4(ranges: &[([u8; 4], u8)], address: IpAddr) -> bool {
    ranges.iter().any(|(first, prefix)| IpNetwork::new(Ipv4Addr::from(*first).into(), *prefix).contains(address))
}

fn any_v6(ranges: &[([u16; 8], u8)], address: IpAddr) -> bool {
    ranges.iter().any(|(first, prefix)| IpNetwork::new(Ipv6Addr::from(*first).into(), *prefix).contains(address))
}

/// Whether no policy lets a function reach this address.
#[must_use]
pub fn is_never_reachable(address: IpAddr) -> bool {
    any_v4(&NEVER_V4, address) || any_v6(&NEVER_V6, address)
}

/// Whether `internet` lets a function reach this address.
///
/// Sources: the IANA special-purpose address registries (RFC 6890); ranges for documentation count as public.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => !is_never_reachable(address) && !any_v4(&PRIVATE_V4, address),
        IpAddr::V6(_) => any_v6(&[GLOBAL_V6], address) && !any_v6(&WRAPPED_V6, address),
    }
}

impl IpNetwork {
    /// Whether no policy opens any address of it.
    pub(super) fn is_all_unreachable(self) -> bool {
        Self::never_reachable().any(|never| never.prefix <= self.prefix && never.contains(self.address))
    }

    /// Every network that no policy opens, for the kernel's sets.
    pub fn never_reachable() -> impl Iterator<Item = Self> {
        networks(&NEVER_V4, &NEVER_V6)
    }

    /// Every further network that `internet` does not open. Of IPv6 also all that is not in [`IpNetwork::global_v6`].
    pub fn private() -> impl Iterator<Item = Self> {
        networks(&PRIVATE_V4, &WRAPPED_V6)
    }

    /// Where all public addresses of IPv6 lie.
    #[must_use]
    pub fn global_v6() -> Self {
        Self::new(Ipv6Addr::from(GLOBAL_V6.0).into(), GLOBAL_V6.1)
    }
}

fn networks(v4: &'static [([u8; 4], u8)], v6: &'static [([u16; 8], u8)]) -> impl Iterator<Item = IpNetwork> {
    let v4 = v4.iter().map(|(first, prefix)| IpNetwork::new(Ipv4Addr::from(*first).into(), *prefix));
    v4.chain(v6.iter().map(|(first, prefix)| IpNetwork::new(Ipv6Addr::from(*first).into(), *prefix)))
}
