/// ABI version of Landlock, when the kernel has it and it is switched on.
///
/// Source: `landlock_create_ruleset(2)`, `LANDLOCK_CREATE_RULESET_VERSION`.
pub(crate) fn landlock_version() -> Option<u32> {
    const CREATE_RULESET_VERSION: u32 = 1;
    // SAFETY: with this flag the kernel takes a null pointer and size zero, and only returns a number.
    let result = super::checked(unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, CREATE_RULESET_VERSION)
    });
    result.ok().and_then(|version| u32::try_from(version).ok())
}
