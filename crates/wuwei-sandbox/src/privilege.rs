//! Which process keeps which privilege: the one place where capabilities are named. docs/security.md has the table.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};

use crate::launcher::{Isolation, Step, at_step};

/// Limit of core dumps: less than any has, and the one value with which the kernel also hands none to a program of the
/// host, where `core_pattern` names one. (0 would not do that.) Source: `do_coredump` of the kernel.
pub(crate) const CORE_BYTES: u64 = 1;

/// What a launcher needs as root: own the output, kill, take and map the users of sandboxes, prefer them as victims, empty
/// the bounding sets of what it starts; and to map namespaces, enter networks, and give the mounter what that needs.
///
/// Without a steward it also removes the server's control groups: the root of a hierarchy lets not even its owner write.
pub(crate) fn of_launcher(isolation: Isolation, has_steward: bool) -> CapabilitySet {
    let common = CapabilitySet::CHOWN
        | CapabilitySet::KILL
        | CapabilitySet::SETGID
        | CapabilitySet::SETUID
        | CapabilitySet::SETPCAP
        | CapabilitySet::SYS_RESOURCE;
    let isolating = match isolation {
        Isolation::Full => CapabilitySet::SYS_ADMIN | of_mounter(),
        Isolation::Reduced => CapabilitySet::empty(),
    };
    let removing = if has_steward { CapabilitySet::empty() } else { CapabilitySet::DAC_OVERRIDE };
    common | isolating | removing
}

/// What a mounter needs: to mount in namespaces of others, and to come back.
pub(crate) fn of_mounter() -> CapabilitySet {
    CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_CHROOT
}

/// What a zygote needs to enter the namespaces of a sandbox; once inside of its user namespace a fork has all it needs
/// there.
pub(crate) fn of_zygote() -> CapabilitySet {
    CapabilitySet::SYS_ADMIN
}

/// What a filler needs: networks, namespaces, and the port of DNS.
pub(crate) fn of_filler() -> CapabilitySet {
    CapabilitySet::NET_ADMIN | CapabilitySet::SYS_ADMIN | CapabilitySet::NET_BIND_SERVICE
}

/// What a keeper needs: devices and mounts; and the files of the data directory, and the root of an image, whoever owns
/// them.
pub(crate) fn of_keeper() -> CapabilitySet {
    CapabilitySet::SYS_ADMIN | CapabilitySet::DAC_OVERRIDE | CapabilitySet::FOWNER
}

/// What a steward needs: what those that it starts keep, to let them empty the rest, and to make and remove control groups.
pub(crate) fn of_steward() -> CapabilitySet {
    of_launcher(Isolation::Full, false) | of_launcher(Isolation::Reduced, false) | of_filler() | of_keeper()
}

/// Gives up every capability but these, for good: none comes back by executing a program.
///
/// Expects the only thread of the process.
pub(crate) fn keep_only(kept: CapabilitySet) -> Result<(), Step> {
    bound_to(kept)?;
    hold_only(kept)
}

/// Holds none but these.
pub(crate) fn hold_only(kept: CapabilitySet) -> Result<(), Step> {
    at_step("clear ambient capabilities", rustix::thread::clear_ambient_capability_set())?;
    let held = at_step("read capabilities", rustix::thread::capabilities(None))?;
    let kept = held.permitted.intersection(kept);
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    at_step("drop capabilities", rustix::thread::set_capabilities(None, sets))
}

/// Leaves only these in the bounding set. Without `CAP_SETPCAP` it stays as it is, which `no_new_privs` makes idle.
pub(crate) fn bound_to(kept: CapabilitySet) -> Result<(), Step> {
    let held = at_step("read capabilities", rustix::thread::capabilities(None))?;
    if !held.effective.contains(CapabilitySet::SETPCAP) {
        return Ok(());
    }
    for capability in CapabilitySet::all().difference(kept).iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // A kernel that does not know a capability cannot grant it.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(Step::new("drop bounding capabilities", error.into())),
        }
    }
    Ok(())
}

/// Confines a helper process of the server to what it needs, whoever started it.
pub(crate) fn confine(kept: CapabilitySet) -> Result<(), Step> {
    if rustix::process::geteuid().is_root() {
        at_step("drop supplementary groups", rustix::thread::set_thread_groups(&[]))?;
    }
    keep_only(kept)?;
    // Sandboxes have these from their launcher, too: a build that leaves out a defence must not stop attempts by them.
    if crate::HAS_DEFENCE_SWITCHES {
        return Ok(());
    }
    keep_secrets()?;
    forbid_new_privileges()
}

/// Keeps what this process has in memory out of core dumps, and from other processes of its user.
///
/// An ordinary user's launcher stays readable for that user: it must write to `/proc` of what it cloned.
fn keep_secrets() -> Result<(), Step> {
    forbid_dumps()?;
    if rustix::process::geteuid().is_root() { hide_memory() } else { Ok(()) }
}

fn forbid_dumps() -> Result<(), Step> {
    let limit = Rlimit { current: Some(CORE_BYTES), maximum: Some(CORE_BYTES) };
    let lowered = rustix::process::setrlimit(Resource::Core, limit).or_else(|_forbidden| {
        // A limit that is lower already.
        let limit = rustix::process::getrlimit(Resource::Core);
        rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: limit.maximum })
    });
    at_step("forbid core dumps", lowered)
}

/// Makes `/proc` of this process root's, and the process unreadable for its own user.
fn hide_memory() -> Result<(), Step> {
    at_step("hide memory", rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable))
}

/// Executing a program never adds privileges from here on.
fn forbid_new_privileges() -> Result<(), Step> {
    at_step("set no_new_privs", rustix::thread::set_no_new_privs(true))
}

/// Keeps what the server has in memory (keys, environments of functions) out of core dumps, and from other processes of
/// its user.
///
/// # Errors
/// When the kernel refuses, which names the step.
pub fn keep_secrets_of_server() -> io::Result<()> {
    forbid_dumps().and_then(|()| hide_memory()).map_err(io::Error::other)
}

/// Turns the calling process, which is root and has one thread, into one of `user` (and the group of that number) without
/// any capability, for good.
///
/// # Errors
/// When the kernel refuses, which names the step: the process must not go on.
pub fn become_user(user: u32) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
    let become_user = || {
        bound_to(CapabilitySet::empty())?;
        at_step("drop supplementary groups", rustix::thread::set_thread_groups(&[]))?;
        at_step("take the server's group", rustix::thread::set_thread_res_gid(gid, gid, gid))?;
        at_step("take the server's user", rustix::thread::set_thread_res_uid(uid, uid, uid))?;
        hold_only(CapabilitySet::empty())?;
        forbid_new_privileges()?;
        // After the change of user, which decides about it anew.
        hide_memory()
    };
    become_user().map_err(io::Error::other)
}

/// Gives up every capability, and the chance of new ones, but not the user.
///
/// # Errors
/// When the kernel refuses, which names the step: the process must not go on.
pub fn give_up_capabilities() -> io::Result<()> {
    keep_only(CapabilitySet::empty()).and_then(|()| forbid_new_privileges()).map_err(io::Error::other)
}
