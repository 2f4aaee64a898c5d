//! System calls that no safe library offers: the only `unsafe` code of the workspace.
//!
//! Each function does one operation, takes and returns owned or borrowed descriptors, and turns `errno` into an error.

#![expect(unsafe_code, reason = "the one place where wuwei speaks to the kernel without a safe wrapper")]

mod clone;
mod descriptors;
mod execute;
mod landlock;
mod loop_device;
mod mount;
mod namespace;
mod network;
mod seccomp;
mod watch;

pub(crate) use clone::{Cloned, clone_process, clone_process_of, enter_new_cgroup_namespace};
pub(crate) use descriptors::{
    adopt_launcher_socket, close_from_all_but, close_on_exec_from, keep_on_exec_from, place_descriptor,
};
pub(crate) use execute::execute;
pub(crate) use landlock::landlock_version;
pub(crate) use loop_device::{attach_loop_device, give_file_system_up};
pub(crate) use mount::{MountAttributes, map_owners, owner_of_namespace, set_mount_attributes};
pub(crate) use namespace::{enter_new_mount_namespace, enter_new_network_namespace};
pub(crate) use network::bring_loopback_up;
pub(crate) use seccomp::{FilterInstruction, install_filter};
pub(crate) use watch::watch;

use std::io;

/// Turns the result of a raw system call into a value or the error in `errno`.
fn checked(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
