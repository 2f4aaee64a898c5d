use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::checked;

/// Takes over the descriptor that a launcher process was started with (number 0, in the manner of inetd).
///
/// Call once, before anything else uses standard input.
pub(crate) fn adopt_launcher_socket() -> io::Result<OwnedFd> {
    // SAFETY: descriptor 0 is open (the caller of the launcher passes the socket there) and the launcher owns it.
    let inherited = unsafe { BorrowedFd::borrow_raw(0) };
    let socket = rustix::io::fcntl_dupfd_cloexec(inherited, 3)?;
    let null = std::fs::OpenOptions::new().read(true).open("/dev/null")?;
    place_descriptor(&null, 0)?;
    Ok(socket)
}

/// Makes `number` refer to the same open file as `descriptor`, inherited over exec; what was there is closed.
///
/// Only for processes that are about to exec: it may close a number that some value of this process owns.
pub(crate) fn place_descriptor(descriptor: &impl AsRawFd, number: RawFd) -> io::Result<()> {
    let source = descriptor.as_raw_fd();
    if source == number {
        // SAFETY: clears close-on-exec of an open descriptor; touches no memory.
        checked(unsafe { libc::fcntl(source, libc::F_SETFD, 0) }.into())?;
        return Ok(());
    }
    // SAFETY: both are plain numbers; the caller gives up what `number` was, and touches it no more before exec.
    checked(unsafe { libc::dup2(source, number) }.into())?;
    Ok(())
}

/// Marks every descriptor from `first` on close-on-exec, so that a program started next inherits none of them.
///
/// Source: `close_range(2)`, `CLOSE_RANGE_CLOEXEC` from Linux 5.11.
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: changes flags of descriptors only; touches no memory.
    checked(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) })?;
    Ok(())
}

/// Lets the next program inherit every descriptor from `first` on: only for the test that leaves closing out.
pub(crate) fn keep_on_exec_from(first: u32) {
    for number in (first..64).filter_map(|number| RawFd::try_from(number).ok()) {
        // SAFETY: clears a flag of a descriptor, or fails when there is none; touches no memory.
        unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
    }
}

/// Closes every descriptor from `first` on but these.
///
/// Only for processes that end, or execute another program, without dropping what owned the closed ones.
pub(crate) fn close_from_all_but(first: u32, kept: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut numbers: Vec<u32> = kept.iter().map(|kept| kept.as_raw_fd().unsigned_abs()).collect();
    numbers.sort_unstable();
    let mut next = first;
    for number in numbers.into_iter().filter(|number| *number >= first) {
        if number > next {
            // SAFETY: touches no memory; the caller uses none of these descriptors again.
            checked(unsafe { libc::syscall(libc::SYS_close_range, next, number - 1, 0) })?;
        }
        next = number + 1;
    }
    // SAFETY: as above.
    checked(unsafe { libc::syscall(libc::SYS_close_range, next, u32::MAX, 0) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::place_descriptor;
    use std::fs::File;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    #[test]
    fn a_placed_descriptor_refers_to_the_same_file() {
        let file = File::open("/dev/null").unwrap();
        let other = File::open("/dev/zero").unwrap();
        let number = rustix::io::fcntl_dupfd_cloexec(&other, 100).unwrap().as_raw_fd();
        place_descriptor(&file, number).unwrap();
        // SAFETY: the number was placed just above and nothing else in this test owns it.
        let placed = unsafe { OwnedFd::from_raw_fd(number) };
        let identity = |descriptor: &dyn Fn() -> rustix::fs::Stat| descriptor().st_rdev;
        assert_eq!(identity(&|| rustix::fs::fstat(&placed).unwrap()), identity(&|| rustix::fs::fstat(&file).unwrap()));
    }
}
