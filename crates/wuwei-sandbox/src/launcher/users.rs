//! Host users of sandboxes: a range of its own for each server, so that no two servers of a host share one.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};
use wuwei_model::CodeDigest;

/// First of the ids that systemd's table of users and groups leaves unused, below those that it keeps for images
/// (2,147,352,576) and above those of containers.
const FIRST: u32 = 1_879_048_192;
/// Users of one server: as many as a container has.
const USERS: u32 = 65_536;
/// Ranges that fit.
const RANGES: u32 = 4_094;

/// The users that one server gives its sandboxes.
#[derive(Debug)]
pub(super) struct HostUsers {
    first: u32,
    /// Bound to a name that stands for the range; free again when the launcher ends, however it ends.
    _claim: OwnedFd,
}

impl HostUsers {
    /// Takes the range that a server's name leads to, or the next one that no other launcher of this host has.
    ///
    /// Launchers in different network namespaces do not see each other's claims: their names keep them apart.
    pub(super) fn claim(server: &str) -> io::Result<Self> {
        let preferred = preferred_range(server);
        for range in (0..RANGES).map(|step| (preferred + step) % RANGES) {
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
            let name = SocketAddrUnix::new_abstract_name(format!("wuwei-users-{range}").as_bytes())?;
            match bind(&socket, &name) {
                Ok(()) => return Ok(Self { first: FIRST + range * USERS, _claim: socket }),
                Err(Errno::ADDRINUSE) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::other("other servers of this host have all ranges of users"))
    }

    /// User (and group) of a slot.
    pub(super) fn of_slot(&self, index: u32) -> io::Result<u32> {
        if index < USERS { Ok(self.first + index) } else { Err(io::Error::other("every user of the server is taken")) }
    }
}

fn preferred_range(server: &str) -> u32 {
    let digits: String = CodeDigest::of(server.as_bytes()).to_hex().chars().take(8).collect();
    u32::from_str_radix(&digits, 16).unwrap_or_default() % RANGES
}

#[cfg(test)]
mod tests {
    use super::{FIRST, HostUsers, RANGES, USERS, preferred_range};

    #[test]
    fn servers_have_users_of_their_own_also_when_their_names_lead_to_the_same_range() {
        let first = HostUsers::claim("a server of the tests").unwrap();
        let second = HostUsers::claim("a server of the tests").unwrap();
        assert!(first.first.abs_diff(second.first) >= USERS, "{first:?} {second:?}");
        drop(first);
        drop(HostUsers::claim("a server of the tests").unwrap());
        assert_ne!(preferred_range("one"), preferred_range("two"));
    }

    #[test]
    fn all_ranges_are_among_the_ids_that_nobody_hands_out() {
        assert_eq!(FIRST + RANGES * USERS, 2_147_352_576);
        let users = HostUsers::claim("another server of the tests").unwrap();
        assert_eq!((users.first - FIRST) % USERS, 0);
        assert_eq!(users.of_slot(USERS - 1).unwrap(), users.first + USERS - 1);
        users.of_slot(USERS).unwrap_err();
    }
}
