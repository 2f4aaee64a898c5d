//! The host's side: the link to the router, the server's table, and whether the host forwards at all.
//!
//! Everything here has the server's name, so that a later start finds and removes what a killed one left.

use std::fs;
use std::io;
use std::net::Ipv6Addr;
use std::os::fd::BorrowedFd;

use super::netlink::{FAR, Netlink, Peer};
use super::packet_filter::PacketFilter;
use super::plan::{TABLE_PREFIX, UP, UPLINKS, Uplink, host_link, host_table};
use super::ruleset::{FORWARDING_WAS_OFF, host};
use crate::launcher::{Step, at_step};

/// Servers of one host take turns here: forwarding and the choice of addresses are shared by them.
const LOCK: &str = "/run/wuwei-egress.lock";
/// Forwarding of both families, as the marks name them.
const FORWARDING: [&str; 2] = ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"];
/// A route that is there but leads nowhere (`RTF_REJECT`).
const REJECTING: u32 = 0x200;

/// What this server has on the host. All methods expect to run in the host's network namespace.
pub(super) struct HostNetwork {
    pub(super) uplink: Uplink,
    /// Whether the host reaches IPv6 addresses, and so functions do.
    pub(super) v6: bool,
    link: String,
    table: String,
    filter: PacketFilter,
}

/// Held while host-wide settings change.
struct Turn {
    _file: fs::File,
}

impl Turn {
    fn take() -> Result<Self, Step> {
        let file = at_step("open the lock of all servers", fs::File::options().create(true).append(true).open(LOCK))?;
        let locked = rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive);
        at_step("wait for other servers", locked)?;
        Ok(Self { _file: file })
    }
}

impl HostNetwork {
    /// Removes what an earlier life left, makes the link into the router's namespace, and lets its packets through.
    pub(super) fn build(server: &str, router: BorrowedFd<'_>, filter: PacketFilter) -> Result<Self, Step> {
        let turn = Turn::take()?;
        let (link, table) = (host_link(server), host_table(server));
        let mut netlink = at_step("open netlink", Netlink::open())?;
        at_step("remove an earlier link", netlink.delete(&link))?;
        let mut marks = marks_of(&filter, &table);
        at_step("remove an earlier table", remove_table(&filter, &table))?;
        let uplink = free_uplink(server)?;
        let v6 = reaches_v6();
        let peer = Peer { name: UP, group: 0, namespace: router };
        at_step("make the link to the router", netlink.add_pair(&link, &peer))?;
        let this = Self { uplink, v6, link, table, filter };
        let built = this.configure(&mut netlink, &mut marks);
        drop(turn);
        if built.is_err() {
            this.remove();
        }
        built.map(|()| this)
    }

    fn configure(&self, netlink: &mut Netlink, marks: &mut Vec<&'static str>) -> Result<(), Step> {
        let index = at_step("find the link to the router", netlink.index_of(&self.link))?;
        let settings = format!("/proc/sys/net/ipv6/conf/{}", self.link);
        // Without addresses of its own, the host announces and accepts nothing there.
        for (name, value) in [("addr_gen_mode", "1"), ("accept_ra", "0")] {
            at_step("quiet the link to the router", write_if_there(&format!("{settings}/{name}"), value))?;
        }
        let address = self.uplink.host().into();
        at_step("give the host an address", netlink.add_address(index, address, Uplink::PREFIX))?;
        if self.v6 {
            let address = self.uplink.host_v6().into();
            at_step("give the host an address", netlink.add_address(index, address, Uplink::PREFIX_V6))?;
        }
        at_step("bring the link to the router up", netlink.bring_up(index))?;
        for (address, _) in self.uplink.of_router(self.v6) {
            at_step("know the router", netlink.add_neighbour(index, address, FAR))?;
        }
        let wanted = [true, self.v6];
        for ((mark, path), wanted) in FORWARDING_WAS_OFF.into_iter().zip(FORWARDING).zip(wanted) {
            if wanted && is_off(path) && !marks.contains(&mark) {
                marks.push(mark);
            }
        }
        // The rules first: nothing is forwarded for a moment without them.
        let rules = host(&self.table, &self.link, self.uplink, marks);
        at_step("write the server's rules", self.filter.apply(&rules))?;
        at_step("switch forwarding on", fs::write(FORWARDING[0], "1"))?;
        if self.v6 && is_off(FORWARDING[1]) {
            keep_accepting_routers();
            at_step("switch forwarding of IPv6 on", fs::write(FORWARDING[1], "1"))?;
        }
        Ok(())
    }

    /// Removes it all; forwarding is switched off again by the last server, if it was off before the first.
    pub(super) fn remove(&self) {
        let removed = Turn::take().and_then(|_turn| {
            let mut netlink = at_step("open netlink", Netlink::open())?;
            at_step("remove the link to the router", netlink.delete(&self.link))?;
            let marks = marks_of(&self.filter, &self.table);
            at_step("remove the server's rules", remove_table(&self.filter, &self.table))?;
            let tables = at_step("look for other servers", self.filter.tables())?;
            hand_over(&self.filter, &marks, tables.iter().find(|table| table.starts_with(TABLE_PREFIX)))
        });
        if let Err(step) = removed {
            tracing::warn!(%step, "the network of functions was not removed from the host");
        }
    }
}

/// Who comes last switches off what the first has switched on.
fn hand_over(filter: &PacketFilter, marks: &[&str], heir: Option<&String>) -> Result<(), Step> {
    for (mark, path) in FORWARDING_WAS_OFF.into_iter().zip(FORWARDING).filter(|(mark, _)| marks.contains(mark)) {
        match heir {
            Some(table) => {
                let commands = format!("add set inet {table} {mark} {{ type mark; }}\n");
                at_step("leave forwarding to another server", filter.apply(&commands))?;
            }
            None => at_step("switch forwarding off", fs::write(path, "0"))?,
        }
    }
    Ok(())
}

fn marks_of(filter: &PacketFilter, table: &str) -> Vec<&'static str> {
    FORWARDING_WAS_OFF.into_iter().filter(|mark| filter.has_set(table, mark)).collect()
}

fn remove_table(filter: &PacketFilter, table: &str) -> io::Result<()> {
    // Added first, because removing what is not there is an error.
    filter.apply(&format!("add table inet {table}\ndelete table inet {table}\n"))
}

/// A network between router and host that no address of the host lies in; servers begin their search at different ones.
fn free_uplink(server: &str) -> Result<Uplink, Step> {
    let taken = at_step("read the host's addresses", fs::read_to_string("/proc/net/fib_trie"))?;
    let start = server.get(..4).and_then(|start| u32::from_str_radix(start, 16).ok()).unwrap_or(0);
    let candidates = (0..UPLINKS).map(|offset| Uplink((start + offset) % UPLINKS));
    let is_free = |uplink: &Uplink| !taken.contains(&format!("|-- {}\n", uplink.host()));
    let full = || Step::new("find a free network", io::ErrorKind::AddrNotAvailable.into());
    candidates.into_iter().find(is_free).ok_or_else(full)
}

fn is_off(path: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.trim() == "0")
}

fn write_if_there(path: &str, value: &str) -> io::Result<()> {
    match fs::write(path, value) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A host that forwards ignores the routers that announce themselves, unless it is told to go on listening.
fn keep_accepting_routers() {
    let links = fs::read_dir("/proc/sys/net/ipv6/conf").into_iter().flatten().flatten();
    for path in links.map(|entry| entry.path().join("accept_ra")) {
        let accepts = fs::read_to_string(&path).is_ok_and(|text| text.trim() == "1");
        if accepts && let Err(error) = fs::write(&path, "2") {
            tracing::warn!(%error, path = %path.display(), "router announcements may be ignored from now on");
        }
    }
}

/// Whether the host has a public address and a route for all of IPv6.
fn reaches_v6() -> bool {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    has_public_address(&read("/proc/net/if_inet6")) && has_default_route(&read("/proc/net/ipv6_route"))
}

fn has_public_address(if_inet6: &str) -> bool {
    let addresses = if_inet6.lines().filter_map(|line| u128::from_str_radix(line.split(' ').next()?, 16).ok());
    addresses.map(Ipv6Addr::from_bits).any(|address| wuwei_model::is_public(address.into()))
}

fn has_default_route(ipv6_route: &str) -> bool {
    ipv6_route.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [destination, prefix, .., flags, link] = fields.as_slice() else { return false };
        let leads_nowhere = u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & REJECTING != 0);
        destination.bytes().all(|byte| byte == b'0') && *prefix == "00" && *link != "lo" && !leads_nowhere
    })
}

#[cfg(test)]
mod tests {
    use super::{has_default_route, has_public_address};

    #[test]
    fn only_public_addresses_and_routes_that_lead_somewhere_count_for_ipv6() {
        let lines = |address: &str| format!("{address} 02 40 00 80 eth0\n");
        assert!(has_public_address(&lines("20010db8000000000000000000000001")));
        assert!(!has_public_address(&lines("fd000000000000000000000000000002")));
        assert!(!has_public_address(&lines("fe800000000000000000000000000002")));
        let zero = "0".repeat(32);
        let route = |flags: &str, link: &str| {
            format!("{zero} 00 {zero} 00 fd000000000000000000000000000001 00000400 00000001 00000000 {flags} {link}\n")
        };
        assert!(has_default_route(&route("00000003", "eth0")));
        assert!(!has_default_route(&route("00200200", "lo")));
        assert!(!has_default_route(&route("00000203", "eth0")));
    }
}
