use std::io;
use std::mem;
use std::os::fd::AsRawFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::checked;

/// Brings `lo` of the current network namespace up (it starts down in a new one).
///
/// Source: netdevice(7), `SIOCSIFFLAGS`.
pub(crate) fn bring_loopback_up() -> io::Result<()> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let mut request = request_to_bring_up(b"lo");
    // SAFETY: `request` is a valid `ifreq` that outlives the call.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request) }.into())?;
    Ok(())
}

fn request_to_bring_up(name: &[u8]) -> libc::ifreq {
    // SAFETY: `ifreq` is a plain structure and union of integers, for which all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(name.iter().copied()) {
        *slot = libc::c_char::try_from(byte).unwrap_or_default();
    }
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).expect("both flags are in the low 15 bits");
    request
}

#[cfg(test)]
mod tests {
    use super::request_to_bring_up;
    use std::ffi::CStr;

    #[test]
    fn a_request_names_the_interface_and_only_its_flags() {
        let request = request_to_bring_up(b"lo");
        // SAFETY: the structure was made of zeroes, so that a zero follows the name.
        assert_eq!(unsafe { CStr::from_ptr(request.ifr_name.as_ptr()) }, c"lo");
        // SAFETY: the flags are what was written last, and all of them are integers.
        let flags = unsafe { request.ifr_ifru.ifru_flags };
        assert_eq!(i32::from(flags), libc::IFF_UP | libc::IFF_RUNNING);
    }
}
