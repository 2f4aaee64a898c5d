//! Limits that are raised later, by kept-open files: those of a sandbox that was built ahead of its function.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::slot::{Limits, SlotCgroup, V1_BUFFER_SHARE};
use crate::defence::{Defence, Defences};

/// What an open control file limits. In the order in which they are raised: v1 has no memory limit above that of memory
/// and swap together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LimitFile {
    /// v1 `memory.memsw.limit_in_bytes`.
    MemoryAndSwap,
    /// v1 `memory.limit_in_bytes`.
    Memory,
    /// v1 `memory.kmem.tcp.limit_in_bytes`.
    Buffers,
    /// v1 `cpu.shares`.
    Shares,
    /// v2 `memory.max`.
    UnifiedMemory,
    /// v2 `cpu.weight`.
    UnifiedWeight,
}

impl LimitFile {
    fn value(self, limits: Limits) -> String {
        match self {
            Self::MemoryAndSwap | Self::Memory | Self::UnifiedMemory => limits.memory_bytes().to_string(),
            Self::Buffers => (limits.memory_bytes() / V1_BUFFER_SHARE).to_string(),
            Self::Shares => limits.v1_shares().to_string(),
            Self::UnifiedWeight => limits.v2_weight().to_string(),
        }
    }
}

impl SlotCgroup {
    /// Opens what [`raise`] writes to; files that this kernel lacks are left out.
    pub(crate) fn open_limits(&self, defences: &Defences) -> io::Result<Vec<(LimitFile, OwnedFd)>> {
        let v1 =
            |wanted: &str| self.v1.iter().find(|(controller, _)| controller == wanted).map(|(_, path)| path.as_path());
        let v2 = self.v2.as_deref().filter(|_| self.v2_limits);
        let (memory, cpu) = (v1("memory"), v1("cpu"));
        let candidates = [
            (LimitFile::MemoryAndSwap, memory, "memory.memsw.limit_in_bytes", Defence::MemoryLimit),
            (LimitFile::Memory, memory, "memory.limit_in_bytes", Defence::MemoryLimit),
            (LimitFile::Buffers, memory, "memory.kmem.tcp.limit_in_bytes", Defence::BufferLimit),
            (LimitFile::Shares, cpu, "cpu.shares", Defence::CpuShare),
            (LimitFile::UnifiedMemory, v2, "memory.max", Defence::MemoryLimit),
            (LimitFile::UnifiedWeight, v2, "cpu.weight", Defence::CpuShare),
        ];
        let mut opened = Vec::new();
        for (kind, directory, name, defence) in candidates {
            let Some(directory) = directory.filter(|_| defences.include(defence)) else { continue };
            match open(directory, name) {
                Ok(file) => opened.push((kind, file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(opened)
    }
}

fn open(directory: &Path, name: &str) -> io::Result<OwnedFd> {
    Ok(fs::OpenOptions::new().write(true).open(directory.join(name))?.into())
}

/// Raises limits to those of a function.
pub(crate) fn raise(files: &[(LimitFile, OwnedFd)], limits: Limits) -> io::Result<()> {
    files.iter().try_for_each(|(kind, file)| {
        rustix::io::pwrite(file, kind.value(limits).as_bytes(), 0)?;
        Ok(())
    })
}
