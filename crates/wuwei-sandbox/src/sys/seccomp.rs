use std::io;

use super::checked;

/// One instruction of a classic BPF program, in the kernel's layout (`struct sock_filter`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FilterInstruction {
    /// Operation.
    pub(crate) code: u16,
    /// Instructions to skip when the condition holds.
    pub(crate) jump_true: u8,
    /// Instructions to skip when it does not.
    pub(crate) jump_false: u8,
    /// Operand.
    pub(crate) operand: u32,
}

#[repr(C)]
struct FilterProgram {
    length: libc::c_ushort,
    instructions: *const FilterInstruction,
}

/// Installs a system-call filter on the calling thread; `no_new_privs` must be set. It can never be removed.
///
/// Source: seccomp(2), `SECCOMP_SET_MODE_FILTER`.
pub(crate) fn install_filter(instructions: &[FilterInstruction]) -> io::Result<()> {
    let length = libc::c_ushort::try_from(instructions.len())
        .map_err(|source| io::Error::new(io::ErrorKind::InvalidInput, source))?;
    let program = FilterProgram { length, instructions: instructions.as_ptr() };
    // SAFETY: `program` describes the slice, has the layout of `struct sock_fprog`, and both outlive the call, which copies them.
    checked(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) })?;
    Ok(())
}
