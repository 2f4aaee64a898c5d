use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::config::{EgressEntries, parse_table};
use crate::failure::Failure;

/// Name of the project file; never part of the package, because it may hold values that others must not see.
pub(super) const FILE_NAME: &str = "wuwei.toml";
const KEYS: &[&str] = &["name", "runtime", "handler", "memory", "timeout", "environment", "layers", "egress"];

/// What `wuwei.toml` in a function's directory may say. The command line wins. `Debug` shows no values of variables.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Project {
    /// Name of the function.
    pub(crate) name: Option<String>,
    /// Runtime identifier.
    pub(crate) runtime: Option<String>,
    /// Handler setting.
    pub(crate) handler: Option<String>,
    /// Memory in MB.
    pub(crate) memory: Option<u32>,
    /// Time limit of a call in seconds.
    pub(crate) timeout: Option<u32>,
    /// Environment variables.
    pub(crate) environment: Option<BTreeMap<String, String>>,
    /// Versions of layers, in order, by ARN or as `name:version`.
    pub(crate) layers: Option<Vec<String>>,
    /// What it may reach; without it, what the server has for it already.
    pub(crate) egress: Option<EgressEntries>,
}

impl Project {
    /// Reads the project file of a directory; all defaults when there is none.
    pub(crate) fn read(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join(FILE_NAME);
        match fs::read_to_string(&path) {
            Ok(text) => parse_table(&text, KEYS, &path.display().to_string()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Failure::usage(format!("cannot read `{}`", path.display())).because(error)),
        }
    }
}

impl fmt::Debug for Project {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Project").field("name", &self.name).finish_non_exhaustive()
    }
}
