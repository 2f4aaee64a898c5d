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
    let program = program_of(instructions)?;
    // SAFETY: `program` describes the slice, has the layout of `struct sock_fprog`, and both outlive the call, which copies them.
    checked(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) })?;
    Ok(())
}

fn program_of(instructions: &[FilterInstruction]) -> io::Result<FilterProgram> {
    let length = libc::c_ushort::try_from(instructions.len())
        .map_err(|source| io::Error::new(io::ErrorKind::InvalidInput, source))?;
    Ok(FilterProgram { length, instructions: instructions.as_ptr() })
}

#[cfg(test)]
mod tests {
    use super::{FilterInstruction, FilterProgram, program_of};

    #[test]
    fn a_program_is_what_the_kernel_reads() {
        assert_eq!(size_of::<FilterInstruction>(), size_of::<libc::sock_filter>());
        assert_eq!(size_of::<FilterProgram>(), size_of::<libc::sock_fprog>());
        let instruction = |operand| FilterInstruction { code: 6, jump_true: 1, jump_false: 2, operand };
        let instructions = [instruction(1), instruction(u32::MAX)];
        let program = program_of(&instructions).unwrap();
        for (at, instruction) in instructions.iter().enumerate().take(usize::from(program.length)) {
            let read = program.instructions.wrapping_add(at).cast::<libc::sock_filter>();
            // SAFETY: both structures have one layout, and the pointer is within the instructions above.
            let read = unsafe { read.read() };
            assert_eq!((read.code, read.jt, read.jf, read.k), (6, 1, 2, instruction.operand));
        }
        assert!(program_of(&vec![instruction(0); 65_536]).is_err());
    }
}
