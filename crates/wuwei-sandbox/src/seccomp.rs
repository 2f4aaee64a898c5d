//! The filter of system calls: a reviewed list ([`policy`]) compiled to a search tree ([`program`]).

mod policy;
mod program;

use std::io;

use crate::sys::{FilterInstruction, install_filter};

/// A compiled filter, built once and installed in each sandboxed process.
#[derive(Clone, Debug)]
pub(crate) struct Filter(Vec<FilterInstruction>);

impl Filter {
    /// Compiles the policy of sandboxed functions.
    pub(crate) fn for_functions() -> Self {
        Self(program::compile(&policy::rules()))
    }

    /// Installs the filter on the calling (only) thread.
    pub(crate) fn install(&self) -> io::Result<()> {
        install_filter(&self.0)
    }

    /// The program as the kernel reads it, in hexadecimal digits: for a process that installs it by other means.
    pub(crate) fn to_hex(&self) -> String {
        let bytes = self.0.iter().flat_map(|instruction| {
            let [code_low, code_high] = instruction.code.to_ne_bytes();
            let [a, b, c, d] = instruction.operand.to_ne_bytes();
            [code_low, code_high, instruction.jump_true, instruction.jump_false, a, b, c, d]
        });
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }

    /// Length in instructions.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
