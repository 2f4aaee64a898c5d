//! Addresses and names: who has which in the router's namespace and on the way from there to the host.
//!
//! Addresses of sandboxes are seen by the router only, so that every server uses the same. They are link-local, which
//! no policy lets a function reach elsewhere, so that they hide nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of sandboxes that there are.
pub(super) const SANDBOXES: u32 = 32_768;
/// First address of sandboxes; numbers are added to it.
const FIRST_SANDBOX: Ipv4Addr = Ipv4Addr::new(169, 254, 16, 0);
/// Links between routers and hosts that there are room for on one host.
pub(super) const UPLINKS: u32 = 2_048;
/// First of the networks between routers and hosts, with eight addresses each.
const FIRST_UPLINK: Ipv4Addr = Ipv4Addr::new(169, 254, 192, 0);
const UPLINK_SIZE: u32 = 8;
/// Local addresses of IPv6 (RFC 4193): a prefix of wuwei's own.
const PREFIX_V6: [u16; 4] = [0xfd77, 0x7577, 0x6569, 0];

/// All addresses of IPv6 that routers and sandboxes have.
pub(super) const OWN_V6: &str = "fd77:7577:6569::/48";

/// The router as sandboxes see it: their gateway, and where names are asked for.
pub(crate) const ROUTER: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);
/// The same in IPv6.
pub(super) const ROUTER_V6: Ipv6Addr = local_v6(0, 1);

/// Name of the router's link to the host.
pub(super) const UP: &str = "up";
/// Name of a sandbox's link to the router.
pub(super) const SANDBOX_LINK: &str = "eth0";

const fn local_v6(subnet: u16, number: u32) -> Ipv6Addr {
    let [first, second, third, _] = PREFIX_V6;
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of a number")]
    let (high, low) = ((number >> 16) as u16, number as u16);
    Ipv6Addr::new(first, second, third, subnet, 0, 0, high, low)
}

/// A sandbox's place in the router's namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(pub(super) u32);

impl Place {
    /// Its address.
    pub(super) fn address(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(FIRST_SANDBOX.to_bits() + self.0)
    }

    /// Its address, where the host has IPv6.
    pub(super) fn address_v6(self) -> Ipv6Addr {
        local_v6(1, self.0)
    }

    /// Name of the router's end of its link.
    pub(super) fn router_link(self) -> String {
        format!("s{}", self.0)
    }
}

/// The network between the router and the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Uplink(pub(super) u32);

impl Uplink {
    fn number(self, offset: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(FIRST_UPLINK.to_bits() + self.0 * UPLINK_SIZE + offset)
    }

    fn number_v6(self, offset: u32) -> Ipv6Addr {
        let subnet = u16::try_from(self.0).unwrap_or(u16::MAX - 2);
        local_v6(subnet + 2, offset)
    }

    /// Length of the prefix of both.
    pub(super) const PREFIX: u8 = 29;
    /// Length of the prefix of both in IPv6.
    pub(super) const PREFIX_V6: u8 = 125;

    /// The host's address on it.
    pub(super) fn host(self) -> Ipv4Addr {
        self.number(1)
    }

    /// The host's address on it.
    pub(super) fn host_v6(self) -> Ipv6Addr {
        self.number_v6(1)
    }

    /// Whence the host sees what goes to public addresses.
    pub(super) fn public(self) -> Ipv4Addr {
        self.number(2)
    }

    /// Whence the host sees what goes to public addresses.
    pub(super) fn public_v6(self) -> Ipv6Addr {
        self.number_v6(2)
    }

    /// Whence the host sees what goes to listed addresses, which may be the host's own.
    pub(super) fn listed(self) -> Ipv4Addr {
        self.number(3)
    }

    /// Whence the host sees what goes to listed addresses, which may be the host's own.
    pub(super) fn listed_v6(self) -> Ipv6Addr {
        self.number_v6(3)
    }

    /// All of the network.
    pub(super) fn network(self) -> String {
        format!("{}/{}", self.number(0), Self::PREFIX)
    }

    /// All of the network in IPv6.
    pub(super) fn network_v6(self) -> String {
        format!("{}/{}", self.number_v6(0), Self::PREFIX_V6)
    }

    /// The router's own addresses.
    pub(super) fn of_router(self, v6: bool) -> Vec<(IpAddr, u8)> {
        let mut addresses = vec![(self.public().into(), Self::PREFIX), (self.listed().into(), Self::PREFIX)];
        if v6 {
            addresses.push((self.public_v6().into(), Self::PREFIX_V6));
            addresses.push((self.listed_v6().into(), Self::PREFIX_V6));
        }
        addresses
    }
}

/// Name of the host's end of the link to a server's router: 14 characters, of 15 that a link's name may have.
pub(super) fn host_link(server: &str) -> String {
    let short: String = server.chars().take(8).collect();
    format!("wuwei-{short}")
}

/// Name of a server's table in the host's packet filter.
pub(super) fn host_table(server: &str) -> String {
    format!("{TABLE_PREFIX}{server}")
}

/// What the names of all servers' tables begin with.
pub(super) const TABLE_PREFIX: &str = "wuwei-";

#[cfg(test)]
mod tests {
    use super::{OWN_V6, Place, SANDBOXES, UPLINKS, Uplink};

    #[test]
    fn addresses_do_not_overlap_and_are_link_local() {
        assert_eq!(Place(0).address().to_string(), "169.254.16.0");
        assert_eq!(Place(SANDBOXES - 1).address().to_string(), "169.254.143.255");
        assert_eq!(Uplink(0).network(), "169.254.192.0/29");
        assert_eq!(Uplink(UPLINKS - 1).network(), "169.254.255.248/29");
        assert_eq!(Uplink(1).listed().to_string(), "169.254.192.11");
        assert!(Uplink(1).network_v6().starts_with(OWN_V6.strip_suffix("::/48").unwrap()));
        assert_eq!(Uplink(1).listed_v6().to_string(), "fd77:7577:6569:3::3");
        assert_eq!(Place(65_537).address_v6().to_string(), "fd77:7577:6569:1::1:1");
    }
}
