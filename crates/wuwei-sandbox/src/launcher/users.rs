//! Host users of a server and its sandboxes: a range of its own for each, so that no two servers of a host share one.

use std::io;
use std::ops::Range;
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

/// Every user that any server of this host may give out or be.
pub const HOST_USERS: Range<u32> = FIRST..FIRST + RANGES * USERS;

/// The users that one server gives its sandboxes, and the one that it is itself.
#[derive(Debug)]
pub(crate) struct HostUsers {
    first: u32,
    /// Bound to a name that stands for the range; free again when the claimant ends, however it ends.
    _claim: Option<OwnedFd>,
}

impl HostUsers {
    /// Takes the range that a server's name leads to, or the next one that nobody else of this host has.
    ///
    /// Claimants in different network namespaces do not see each other's claims: their names keep them apart.
    pub(crate) fn claim(server: &str) -> io::Result<Self> {
        let preferred = preferred_range(server);
        for range in (0..RANGES).map(|step| (preferred + step) % RANGES) {
            if let Some(claimed) = Self::claim_range(range)? {
                return Ok(claimed);
            }
        }
        Err(io::Error::other("other servers of this host have all ranges of users"))
    }

    /// As [`HostUsers::claim`], but first the range that the owner of the data directory is of, if it is of any: what
    /// is in the directory need not change hands then.
    pub(crate) fn claim_again(server: &str, owner: u32) -> io::Result<Self> {
        if HOST_USERS.contains(&owner)
            && let Some(claimed) = Self::claim_range((owner - FIRST) / USERS)?
        {
            return Ok(claimed);
        }
        Self::claim(server)
    }

    /// A range that somebody else has claimed for as long as this process lives.
    pub(crate) fn appointed(first: u32) -> io::Result<Self> {
        if HOST_USERS.contains(&first) && (first - FIRST).is_multiple_of(USERS) {
            return Ok(Self { first, _claim: None });
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{first} begins no range of host users")))
    }

    fn claim_range(range: u32) -> io::Result<Option<Self>> {
        let claim = claim_name(&format!("wuwei-users-{range}"))?;
        Ok(claim.map(|claim| Self { first: FIRST + range * USERS, _claim: Some(claim) }))
    }

    /// First of the range.
    pub(crate) fn first(&self) -> u32 {
        self.first
    }

    /// User (and group) of the server itself: the last one, which no slot has.
    pub(crate) fn of_server(&self) -> u32 {
        self.first + USERS - 1
    }

    /// User (and group) of a slot.
    pub(super) fn of_slot(&self, index: u32) -> io::Result<u32> {
        if index < USERS - 1 {
            Ok(self.first + index)
        } else {
            Err(io::Error::other("every user of the server is taken"))
        }
    }
}

/// Takes a name of this host; nothing when somebody else has it. It is free again when the descriptor is closed.
pub(crate) fn claim_name(name: &str) -> io::Result<Option<OwnedFd>> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    match bind(&socket, &SocketAddrUnix::new_abstract_name(name.as_bytes())?) {
        Ok(()) => Ok(Some(socket)),
        Err(Errno::ADDRINUSE) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn preferred_range(server: &str) -> u32 {
    let digits: String = CodeDigest::of(server.as_bytes()).to_hex().chars().take(8).collect();
    u32::from_str_radix(&digits, 16).unwrap_or_default() % RANGES
}

#[cfg(test)]
mod tests {
    use super::{FIRST, HOST_USERS, HostUsers, RANGES, USERS, preferred_range};

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
        assert_eq!(users.of_slot(USERS - 2).unwrap(), users.first + USERS - 2);
        users.of_slot(USERS - 1).unwrap_err();
        assert!(HOST_USERS.contains(&users.of_server()) && !HOST_USERS.contains(&2_147_352_576));
    }

    #[test]
    fn a_directory_that_has_an_owner_keeps_it_while_that_range_is_free() {
        let owner = FIRST + 7 * USERS + USERS - 1;
        let again = HostUsers::claim_again("a third server of the tests", owner).unwrap();
        assert_eq!(again.of_server(), owner);
        drop(again);
        let new = HostUsers::claim_again("a third server of the tests", 0).unwrap();
        assert_ne!(new.of_server(), owner);
    }

    #[test]
    fn only_the_beginning_of_a_range_is_appointed() {
        assert_eq!(HostUsers::appointed(FIRST + USERS).unwrap().of_server(), FIRST + 2 * USERS - 1);
        for wrong in [0, 1_000, FIRST + 1, FIRST - USERS, HOST_USERS.end] {
            HostUsers::appointed(wrong).unwrap_err();
        }
    }
}
