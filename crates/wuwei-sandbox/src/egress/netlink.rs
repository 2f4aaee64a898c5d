//! Links, addresses and routes, over a socket to the kernel: a sandbox's network is built in a millisecond, where a
//! program for each step would take some ten.
//!
//! Source: rtnetlink(7), `linux/rtnetlink.h`, `linux/if_link.h`, `linux/veth.h`.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const NEW_NEIGHBOUR: u16 = 28;
const ERROR: u16 = 2;

const REQUEST: u16 = 0x1;
const ACKNOWLEDGE: u16 = 0x4;
const REPLACE: u16 = 0x100;
const EXCLUSIVE: u16 = 0x200;
const CREATE: u16 = 0x400;

const HARDWARE_ADDRESS: u16 = 1;
const INTERFACE_NAME: u16 = 3;
const LINK_INFORMATION: u16 = 18;
const INTERFACE_GROUP: u16 = 27;
const NAMESPACE_DESCRIPTOR: u16 = 28;
const INFORMATION_KIND: u16 = 1;
const INFORMATION_DATA: u16 = 2;
const VETH_PEER: u16 = 1;
const ADDRESS: u16 = 1;
const LOCAL_ADDRESS: u16 = 2;
const ROUTE_DESTINATION: u16 = 1;
const ROUTE_INTERFACE: u16 = 4;
const ROUTE_GATEWAY: u16 = 5;
const NEIGHBOUR_ADDRESS: u16 = 1;
const NEIGHBOUR_HARDWARE_ADDRESS: u16 = 2;

/// The end of a pair that [`Netlink::add_pair`] leaves here. Nobody else is on the link, so that all pairs have the same.
pub(super) const NEAR: [u8; 6] = [0x02, 0x77, 0x75, 0, 0, 1];
/// The other end.
pub(super) const FAR: [u8; 6] = [0x02, 0x77, 0x75, 0, 0, 2];
/// Known for ever, and never asked for (`NUD_PERMANENT`).
const PERMANENT: u16 = 0x80;

/// No duplicate address detection: nobody else is on the link, and an address must work at once.
const NO_DUPLICATE_DETECTION: u8 = 0x2;
/// The gateway is on the link though no address says so.
const ON_LINK: u32 = 4;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const TABLE_MAIN: u8 = 254;
const PROTOCOL_STATIC: u8 = 4;
const UNICAST: u8 = 1;
/// Bytes of the header of every message.
const HEADER_BYTES: usize = 16;

/// A socket to the kernel about the network namespace in which it was opened.
pub(super) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

/// The other end of a pair of links.
pub(super) struct Peer<'name> {
    pub(super) name: &'name str,
    /// 0 is the kernel's own default.
    pub(super) group: u32,
    /// Where it goes.
    pub(super) namespace: BorrowedFd<'name>,
}

impl Netlink {
    /// Opens one for the current network namespace.
    pub(super) fn open() -> io::Result<Self> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Makes a pair of virtual links, one end here, both down.
    pub(super) fn add_pair(&mut self, name: &str, peer: &Peer<'_>) -> io::Result<()> {
        let mut message = Message::new(NEW_LINK, CREATE | EXCLUSIVE);
        message.bytes(&link_header(0, false));
        message.text(INTERFACE_NAME, name);
        message.attribute(HARDWARE_ADDRESS, &NEAR);
        message.nested(LINK_INFORMATION, |message| {
            message.text(INFORMATION_KIND, "veth");
            message.nested(INFORMATION_DATA, |message| {
                message.nested(VETH_PEER, |message| {
                    message.bytes(&link_header(0, false));
                    message.text(INTERFACE_NAME, peer.name);
                    message.attribute(HARDWARE_ADDRESS, &FAR);
                    message.number(INTERFACE_GROUP, peer.group);
                    message.number(NAMESPACE_DESCRIPTOR, peer.namespace.as_raw_fd().unsigned_abs());
                });
            });
        });
        self.ask(message)
    }

    /// Brings a link up.
    pub(super) fn bring_up(&mut self, index: u32) -> io::Result<()> {
        let mut message = Message::new(NEW_LINK, 0);
        message.bytes(&link_header(index, true));
        self.ask(message)
    }

    /// Removes a link and its other end; nothing happens when there is none.
    pub(super) fn delete(&mut self, name: &str) -> io::Result<()> {
        let mut message = Message::new(DELETE_LINK, 0);
        message.bytes(&link_header(0, false));
        message.text(INTERFACE_NAME, name);
        match self.ask(message) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
            other => other,
        }
    }

    /// Gives a link an address.
    pub(super) fn add_address(&mut self, index: u32, address: IpAddr, prefix: u8) -> io::Result<()> {
        let mut message = Message::new(NEW_ADDRESS, CREATE | EXCLUSIVE);
        let flags = if address.is_ipv6() { NO_DUPLICATE_DETECTION } else { 0 };
        message.bytes(&[family_of(address), prefix, flags, SCOPE_UNIVERSE]);
        message.bytes(&index.to_ne_bytes());
        message.address(LOCAL_ADDRESS, address);
        message.address(ADDRESS, address);
        self.ask(message)
    }

    /// Sends what is for one address to a link.
    pub(super) fn add_host_route(&mut self, address: IpAddr, index: u32) -> io::Result<()> {
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        // The kernel takes the scope of a route of IPv6 for granted.
        let mut message = route(address, prefix, SCOPE_LINK, 0);
        message.address(ROUTE_DESTINATION, address);
        message.number(ROUTE_INTERFACE, index);
        self.ask(message)
    }

    /// Sends everything else to a gateway on a link.
    pub(super) fn add_default_route(&mut self, gateway: IpAddr, index: u32) -> io::Result<()> {
        let mut message = route(gateway, 0, SCOPE_UNIVERSE, ON_LINK);
        message.address(ROUTE_GATEWAY, gateway);
        message.number(ROUTE_INTERFACE, index);
        self.ask(message)
    }

    /// Tells who has an address on a link, so that nobody needs to ask.
    pub(super) fn add_neighbour(&mut self, index: u32, address: IpAddr, hardware: [u8; 6]) -> io::Result<()> {
        let mut message = Message::new(NEW_NEIGHBOUR, CREATE | REPLACE);
        message.bytes(&[family_of(address), 0, 0, 0]);
        message.bytes(&index.to_ne_bytes());
        let [low, high] = PERMANENT.to_ne_bytes();
        message.bytes(&[low, high, 0, 0]);
        message.address(NEIGHBOUR_ADDRESS, address);
        message.attribute(NEIGHBOUR_HARDWARE_ADDRESS, &hardware);
        self.ask(message)
    }

    /// Number of a link of this namespace.
    pub(super) fn index_of(&self, name: &str) -> io::Result<u32> {
        Ok(rustix::net::netdevice::name_to_index(&self.socket, name)?)
    }

    /// Sends one request and waits for the kernel's verdict.
    fn ask(&mut self, message: Message) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = message.finish(self.sequence);
        send(&self.socket, &request, SendFlags::empty())?;
        let mut answer = [0_u8; 8 * 1024];
        loop {
            let (_, length) = match recv(&self.socket, &mut answer, RecvFlags::empty()) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other?,
            };
            if let Some(verdict) = verdict(answer.get(..length).unwrap_or(&answer), self.sequence) {
                return verdict;
            }
        }
    }
}

/// The error (0 for none) that answers this request.
fn verdict(answer: &[u8], sequence: u32) -> Option<io::Result<()>> {
    let number = |at: usize| answer.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes);
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    if kind != Some(ERROR) || number(8) != Some(sequence) {
        return None;
    }
    match number(HEADER_BYTES)?.cast_signed() {
        0 => Some(Ok(())),
        negative => Some(Err(io::Error::from_raw_os_error(-negative))),
    }
}

fn family_of(address: IpAddr) -> u8 {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    u8::try_from(family).expect("both families are small numbers")
}

/// `struct ifinfomsg`.
fn link_header(index: u32, up: bool) -> [u8; 16] {
    let mut header = [0_u8; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    let flag = u32::from(up).to_ne_bytes();
    header[8..12].copy_from_slice(&flag);
    header[12..16].copy_from_slice(&flag);
    header
}

/// A message with `struct rtmsg`.
fn route(address: IpAddr, prefix: u8, scope: u8, flags: u32) -> Message {
    let mut message = Message::new(NEW_ROUTE, CREATE | EXCLUSIVE);
    message.bytes(&[family_of(address), prefix, 0, 0, TABLE_MAIN, PROTOCOL_STATIC, scope, UNICAST]);
    message.bytes(&flags.to_ne_bytes());
    message
}

/// A message in the making; everything in it is aligned to four bytes.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16) -> Self {
        let mut message = vec![0_u8; HEADER_BYTES];
        message[4..6].copy_from_slice(&kind.to_ne_bytes());
        message[6..8].copy_from_slice(&(flags | REQUEST | ACKNOWLEDGE).to_ne_bytes());
        Self(message)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 4]);
        self.0.extend_from_slice(value);
        self.close(start, kind);
    }

    fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 4]);
        fill(self);
        self.close(start, kind);
    }

    /// Writes the header of an attribute that began at `start`.
    fn close(&mut self, start: usize, kind: u16) {
        let length = u16::try_from(self.0.len() - start).expect("attributes of these messages are short");
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0[start + 2..start + 4].copy_from_slice(&kind.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn text(&mut self, kind: u16, text: &str) {
        self.attribute(kind, &[text.as_bytes(), &[0]].concat());
    }

    fn number(&mut self, kind: u16, number: u32) {
        self.attribute(kind, &number.to_ne_bytes());
    }

    fn address(&mut self, kind: u16, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.attribute(kind, &address.octets()),
            IpAddr::V6(address) => self.attribute(kind, &address.octets()),
        }
    }

    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).expect("these messages are short");
        self.0[0..4].copy_from_slice(&length.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{ERROR, INTERFACE_NAME, LINK_INFORMATION, Message, verdict};

    #[test]
    fn attributes_are_measured_and_aligned() {
        let mut message = Message::new(16, 0);
        message.text(INTERFACE_NAME, "lo");
        message.nested(LINK_INFORMATION, |message| message.number(1, 7));
        let bytes = message.finish(9);
        assert_eq!(bytes[..4], 36_u32.to_ne_bytes());
        assert_eq!(bytes[8..12], 9_u32.to_ne_bytes());
        // Seven bytes of name with its end, one of padding; then four and eight.
        assert_eq!(bytes[16..24], [7, 0, 3, 0, b'l', b'o', 0, 0]);
        assert_eq!(bytes[24..36], [12, 0, 18, 0, 8, 0, 1, 0, 7, 0, 0, 0]);
    }

    #[test]
    fn only_the_answer_to_the_request_is_its_verdict() {
        let mut answer = vec![0_u8; 20];
        answer[4..6].copy_from_slice(&ERROR.to_ne_bytes());
        answer[8..12].copy_from_slice(&5_u32.to_ne_bytes());
        assert!(verdict(&answer, 4).is_none());
        verdict(&answer, 5).unwrap().unwrap();
        answer[16..20].copy_from_slice(&(-libc::EEXIST).to_ne_bytes());
        assert_eq!(verdict(&answer, 5).unwrap().unwrap_err().raw_os_error(), Some(libc::EEXIST));
        assert!(verdict(&answer[..10], 5).is_none());
    }
}
