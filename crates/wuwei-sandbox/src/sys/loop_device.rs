use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, open};

use super::checked;

const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4C82;
const LOOP_CONFIGURE: libc::Ioctl = 0x4C0A;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const LO_FLAGS_DIRECT_IO: u32 = 16;
/// `_IOR('X', 125, __u32)`.
const EXT4_IOC_SHUTDOWN: libc::Ioctl = 0x8004_587D;
const EXT4_GOING_FLAGS_NOLOGFLUSH: u32 = 2;
/// Block size of the device: that of its file system, so that whole blocks go past the page cache of the image.
const BLOCK_BYTES: u32 = 4_096;
/// Others may take the device that was free a moment ago.
const TRIES_MAX: usize = 64;

/// `struct loop_info64` of the kernel.
#[repr(C)]
struct LoopInformation {
    numbers: [u64; 5],
    number: u32,
    encryption: [u32; 2],
    flags: u32,
    names: [u8; 160],
    initial: [u64; 2],
}

/// `struct loop_config` of the kernel.
#[repr(C)]
struct LoopConfiguration {
    descriptor: u32,
    block_bytes: u32,
    information: LoopInformation,
    reserved: [u64; 8],
}

/// Makes a block device of a file; the device is free again when its last user has closed it, however that ended.
///
/// Source: loop(4), `LOOP_CONFIGURE` from Linux 5.8.
pub(crate) fn attach_loop_device(image: BorrowedFd<'_>) -> io::Result<(OwnedFd, PathBuf)> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let control = open("/dev/loop-control", flags, Mode::empty())?;
    let mut failure = io::Error::other("no loop device stays free");
    for direct in [LO_FLAGS_DIRECT_IO, 0] {
        for _ in 0..TRIES_MAX {
            // SAFETY: takes no argument and returns a number.
            let number = checked(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) }.into())?;
            let path = PathBuf::from(format!("/dev/loop{number}"));
            let device = open(&path, flags, Mode::empty())?;
            let configuration = configuration_of(image, LO_FLAGS_AUTOCLEAR | direct);
            // SAFETY: the kernel reads the structure, which has its layout and outlives the call.
            let configured =
                checked(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const configuration) }.into());
            match configured {
                Ok(_) => return Ok((device, path)),
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
                // Not every file system lets its page cache be passed.
                Err(error) => {
                    failure = error;
                    break;
                }
            }
        }
    }
    Err(failure)
}

fn configuration_of(image: BorrowedFd<'_>, flags: u32) -> LoopConfiguration {
    let information =
        LoopInformation { numbers: [0; 5], number: 0, encryption: [0; 2], flags, names: [0; 160], initial: [0; 2] };
    let descriptor = image.as_raw_fd().unsigned_abs();
    LoopConfiguration { descriptor, block_bytes: BLOCK_BYTES, information, reserved: [0; 8] }
}

/// Ends an ext4 file system without writing out what is not on its disk yet; `root` is open for reading.
///
/// Source: `ext4_force_shutdown` of the kernel, from Linux 4.11.
pub(crate) fn give_file_system_up(root: BorrowedFd<'_>) -> io::Result<()> {
    let how = EXT4_GOING_FLAGS_NOLOGFLUSH;
    // SAFETY: the kernel reads one number, which outlives the call.
    checked(unsafe { libc::ioctl(root.as_raw_fd(), EXT4_IOC_SHUTDOWN, &raw const how) }.into())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{LoopConfiguration, LoopInformation, configuration_of};
    use std::mem::offset_of;
    use std::os::fd::AsFd as _;

    #[test]
    fn a_configuration_has_the_layout_of_the_kernel() {
        assert_eq!(size_of::<LoopInformation>(), 232);
        assert_eq!(size_of::<LoopConfiguration>(), 304);
        assert_eq!(offset_of!(LoopConfiguration, information) + offset_of!(LoopInformation, flags), 60);
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(configuration_of(file.as_fd(), 20).information.flags, 20);
    }
}
