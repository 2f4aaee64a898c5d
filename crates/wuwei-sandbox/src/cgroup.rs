//! Control groups of instances, on v2, v1 and hybrid hosts.
//!
//! On hybrid hosts the limits are in the v1 hierarchies, and freezing, killing and CPU accounting use the unified tree,
//! which needs no controllers for these.

mod files;
mod hierarchy;
mod limit_files;
mod slot;
mod unified;

pub(crate) use hierarchy::{Hierarchies, Mounts};
pub(crate) use limit_files::{LimitFile, raise};
pub(crate) use slot::{Limits, Meter, MeterFile, SlotCgroup};

#[cfg(test)]
mod tests;
