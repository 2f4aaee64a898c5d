//! The privileged process that makes networks of sandboxes: it lives in the router's namespace, so that this ends with it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use wuwei_model::EgressPolicy;

use super::host_network::HostNetwork;
use super::netlink::{FAR, NEAR, Netlink, Peer};
use super::packet_filter::PacketFilter;
use super::plan::{Place, ROUTER, ROUTER_V6, SANDBOX_LINK, SANDBOXES, UP};
use super::protocol::{Event, Request};
use super::ruleset::{INTERNET_GROUP, admit, list, router};
use crate::launcher::{Received, Step, at_step, receive, send};
use crate::privilege::{confine, of_filler};
use crate::steward::Appointment;
use crate::sys::{adopt_launcher_socket, bring_loopback_up, enter_new_network_namespace};

/// Different lists that one filler can tell apart.
const LISTS_MAX: usize = 4_096;
/// Port of DNS.
const DNS_PORT: u16 = 53;
/// Own settings of a network namespace: connections that have ended are forgotten early, because sandboxes share a table.
const ROUTER_SETTINGS: [(&str, &str); 6] = [
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv6/conf/default/addr_gen_mode", "1"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("netfilter/nf_conntrack_tcp_timeout_time_wait", "10"),
    ("netfilter/nf_conntrack_tcp_timeout_established", "7200"),
];

/// Runs a filler on the socket at descriptor 0 until the server goes away. Nothing else may run in this process. What is
/// appointed, the server may not choose.
///
/// # Errors
/// When the socket fails: the server sees the closed socket and starts another filler.
pub fn run_filler(appointment: Option<&Appointment>) -> io::Result<()> {
    let socket = adopt_launcher_socket()?;
    let Some(Received { message: Request::Setup { server }, .. }) = receive::<Request>(&socket)? else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a filler is started by `wuwei up` only"));
    };
    match Filler::prepare(appointment.map_or(&server, |appointment| &appointment.server)) {
        Ok((filler, sockets)) => {
            send(&socket, &Event::Ready, &[sockets.0.as_fd(), sockets.1.as_fd()])?;
            // The server has them now.
            drop(sockets);
            filler.serve(&socket)
        }
        Err(step) => send(&socket, &Event::Unable { reason: step.to_string() }, &[]),
    }
}

struct Filler {
    filter: PacketFilter,
    host: HostNetwork,
    host_namespace: OwnedFd,
    router_namespace: OwnedFd,
    router: Netlink,
    next_place: u32,
    /// Link groups of the lists that have their rules.
    groups: BTreeMap<EgressPolicy, u32>,
}

impl Filler {
    fn prepare(server: &str) -> Result<(Self, (UdpSocket, TcpListener)), Step> {
        if !rustix::process::geteuid().is_root() {
            return Err(Step::new("make networks", io::Error::new(io::ErrorKind::PermissionDenied, "not root")));
        }
        confine(of_filler())?;
        let filter = at_step("look for the packet filter", PacketFilter::find())?;
        let host_namespace = at_step("open the host's network", current_network())?;
        at_step("make the router's network", enter_new_network_namespace())?;
        let router_namespace = at_step("open the router's network", current_network())?;
        at_step("return to the host's network", enter(&host_namespace))?;
        let host = HostNetwork::build(server, router_namespace.as_fd(), filter.clone())?;
        let mut filler = match enter(&router_namespace).and_then(|()| Netlink::open()) {
            Ok(router) => Self {
                filter,
                host,
                host_namespace,
                router_namespace,
                router,
                next_place: 0,
                groups: BTreeMap::from([(EgressPolicy::Internet, INTERNET_GROUP)]),
            },
            Err(error) => {
                // Its link ends with the router's network; the rest is found by name at the next start.
                return Err(Step::new("enter the router's network", error));
            }
        };
        let prepared = filler.prepare_router().and_then(|()| sockets_for_names());
        if prepared.is_err() {
            filler.leave();
        }
        prepared.map(|sockets| (filler, sockets))
    }

    /// The namespace of the router has nothing but its end of the link to the host.
    fn prepare_router(&mut self) -> Result<(), Step> {
        at_step("bring the router's loopback up", bring_loopback_up())?;
        let rules = router(self.host.uplink);
        at_step("write the router's rules", self.filter.apply(&rules))?;
        for (name, value) in ROUTER_SETTINGS {
            match fs::write(format!("/proc/sys/net/{name}"), value) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Step::new(format!("set `{name}`"), error));
                }
                _ => {}
            }
        }
        let loopback = at_step("find the router's loopback", self.router.index_of("lo"))?;
        at_step("give the router its address", self.router.add_address(loopback, ROUTER.into(), 32))?;
        let up = at_step("find the link to the host", self.router.index_of(UP))?;
        for (address, prefix) in self.host.uplink.of_router(self.host.v6) {
            at_step("give the router an address", self.router.add_address(up, address, prefix))?;
        }
        at_step("bring the link to the host up", self.router.bring_up(up))?;
        let gateway = self.host.uplink.host().into();
        at_step("know the host", self.router.add_neighbour(up, gateway, NEAR))?;
        at_step("route to the host", self.router.add_default_route(gateway, up))?;
        if self.host.v6 {
            let gateway = self.host.uplink.host_v6().into();
            at_step("know the host", self.router.add_neighbour(up, gateway, NEAR))?;
            at_step("route IPv6 to the host", self.router.add_default_route(gateway, up))?;
        }
        Ok(())
    }

    fn serve(mut self, socket: &OwnedFd) -> io::Result<()> {
        loop {
            match receive::<Request>(socket) {
                Ok(Some(Received { message, .. })) => self.answer(socket, message)?,
                Ok(None) => break,
                Err(error) => tracing::error!(%error, "a request from the server could not be read"),
            }
        }
        self.leave();
        Ok(())
    }

    fn answer(&mut self, socket: &OwnedFd, request: Request) -> io::Result<()> {
        let sent = match request {
            Request::Setup { .. } => {
                tracing::error!("the server sent a second set-up");
                return Ok(());
            }
            Request::Provide { id, policy } => match self.provide(&policy) {
                Ok((address, namespace)) => send(socket, &Event::Provided { id, address }, &[namespace.as_fd()]),
                Err(step) => send(socket, &Event::Failed { id, reason: step.to_string() }, &[]),
            },
            Request::Admit { id, policy, addresses, ports, seconds } => {
                match self.admit(&policy, &addresses, &ports, seconds) {
                    Ok(()) => send(socket, &Event::Admitted { id }, &[]),
                    Err(step) => send(socket, &Event::Failed { id, reason: step.to_string() }, &[]),
                }
            }
        };
        match sent {
            // The loop sees the end of the server's socket.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// Removes what is on the host; the rest ends with this process.
    fn leave(&self) {
        match enter(&self.host_namespace) {
            Ok(()) => self.host.remove(),
            Err(error) => tracing::warn!(%error, "the network of functions was not removed from the host"),
        }
    }

    fn provide(&mut self, policy: &str) -> Result<(Ipv4Addr, OwnedFd), Step> {
        let group = self.group_of(policy)?;
        for _ in 0..SANDBOXES {
            let place = Place(self.next_place);
            self.next_place = (self.next_place + 1) % SANDBOXES;
            if self.router.index_of(&place.router_link()).is_ok() {
                continue;
            }
            let built = self.build(place, group);
            at_step("return to the router's network", enter(&self.router_namespace)).inspect_err(|_| stop())?;
            return match built {
                Ok(namespace) => Ok((place.address(), namespace)),
                Err(step) => {
                    // With its other end, if there is one.
                    if let Err(error) = self.router.delete(&place.router_link()) {
                        tracing::warn!(%error, "could not remove the link of a network that was not made");
                    }
                    Err(step)
                }
            };
        }
        Err(Step::new("find a free address", io::ErrorKind::AddrNotAvailable.into()))
    }

    /// Makes a namespace with one link to the router. Leaves this process in it.
    fn build(&mut self, place: Place, group: u32) -> Result<OwnedFd, Step> {
        let v6 = self.host.v6;
        at_step("make a network", enter_new_network_namespace())?;
        let namespace = at_step("open a network", current_network())?;
        at_step("bring loopback up", bring_loopback_up())?;
        let (name, value) = if v6 { ("addr_gen_mode", "1") } else { ("disable_ipv6", "1") };
        match fs::write(format!("/proc/sys/net/ipv6/conf/default/{name}"), value) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Step::new("set up IPv6", error)),
            _ => {}
        }
        let mut inside = at_step("open netlink", Netlink::open())?;
        let link = place.router_link();
        let peer = Peer { name: &link, group, namespace: self.router_namespace.as_fd() };
        at_step("make a link", inside.add_pair(SANDBOX_LINK, &peer))?;
        let index = at_step("find a link", inside.index_of(SANDBOX_LINK))?;
        let outer = at_step("find the router's end of a link", self.router.index_of(&link))?;
        let mut addresses: Vec<(IpAddr, IpAddr, u8)> = vec![(place.address().into(), ROUTER.into(), 32)];
        if v6 {
            addresses.push((place.address_v6().into(), ROUTER_V6.into(), 128));
        }
        for (address, _, prefix) in &addresses {
            at_step("give a sandbox its address", inside.add_address(index, *address, *prefix))?;
        }
        if v6 {
            at_step("be the gateway of a sandbox", self.router.add_address(outer, ROUTER_V6.into(), 128))?;
        }
        at_step("bring a link up", self.router.bring_up(outer))?;
        at_step("bring a link up", inside.bring_up(index))?;
        for (address, gateway, _) in addresses {
            at_step("know a sandbox", self.router.add_neighbour(outer, address, NEAR))?;
            at_step("know the router", inside.add_neighbour(index, gateway, FAR))?;
            at_step("route to a sandbox", self.router.add_host_route(address, outer))?;
            at_step("route from a sandbox", inside.add_default_route(gateway, index))?;
        }
        Ok(namespace)
    }

    /// The group of a policy's links; the rules of a list are made when it is first used.
    fn group_of(&mut self, policy: &str) -> Result<u32, Step> {
        let wrong = |error| Step::new(format!("read the policy `{policy}`"), error);
        let policy: EgressPolicy = policy.parse().map_err(|error| wrong(io::Error::other(error)))?;
        if policy == EgressPolicy::None {
            return Err(wrong(io::ErrorKind::InvalidInput.into()));
        }
        if let Some(group) = self.groups.get(&policy) {
            return Ok(*group);
        }
        if self.groups.len() > LISTS_MAX {
            return Err(wrong(io::Error::other("too many different lists since the server started")));
        }
        let group = INTERNET_GROUP + u32::try_from(self.groups.len()).expect("lists are bounded");
        at_step("write the rules of a list", self.filter.apply(&list(group, &policy)))?;
        self.groups.insert(policy, group);
        Ok(group)
    }

    fn admit(&mut self, policy: &str, addresses: &[IpAddr], ports: &[u16], seconds: u32) -> Result<(), Step> {
        let group = self.group_of(policy)?;
        let commands: String = addresses
            .iter()
            .flat_map(|address| ports.iter().map(move |port| admit(group, *address, *port, seconds)))
            .collect();
        at_step("open what a name stands for", self.filter.apply(&commands))
    }
}

/// Ends this process: in a network that is not the router's, it could do harm only.
#[expect(clippy::exit, reason = "the server starts another filler")]
fn stop() {
    std::process::exit(1)
}

fn sockets_for_names() -> Result<(UdpSocket, TcpListener), Step> {
    let datagrams = at_step("listen for questions", UdpSocket::bind((ROUTER, DNS_PORT)))?;
    let connections = at_step("listen for questions", TcpListener::bind((ROUTER, DNS_PORT)))?;
    Ok((datagrams, connections))
}

fn current_network() -> io::Result<OwnedFd> {
    Ok(fs::File::open("/proc/self/ns/net")?.into())
}

fn enter(namespace: &OwnedFd) -> io::Result<()> {
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}
