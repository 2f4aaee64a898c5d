//! Profiles: all of a sandbox that cannot be changed once it stands.

use std::path::{Path, PathBuf};

use uuid::Uuid;
use wuwei_model::{EgressPolicy, RuntimeFamily, limits};

use crate::defence::Defences;
use crate::launcher::{Ahead, Bind, LaunchRequest};
use crate::runtimes::{BLANK_ARGUMENT, RuntimeLayout, zygote_of};
use crate::startup::{can_follow, started_with};

/// One kind of blank: functions with the same profile can be given the same ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Profile {
    program: PathBuf,
    arguments: Vec<String>,
    visible_paths: Vec<PathBuf>,
    environment: Vec<(String, String)>,
    /// Whether it is the function's own program, over the Runtime API.
    is_custom: bool,
    has_relay: bool,
    egress: EgressPolicy,
    /// What it has until it gets a function, at least.
    memory_mb: u32,
    ephemeral_mb: u32,
}

/// What of a function decides on its profile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'function> {
    pub(crate) family: RuntimeFamily,
    pub(crate) environment: &'function [(String, String)],
    pub(crate) memory_mb: u32,
    pub(crate) ephemeral_mb: u32,
    pub(crate) egress: &'function EgressPolicy,
    pub(crate) has_relay: bool,
    /// Whether its layers have a directory of native libraries.
    pub(crate) has_libraries: bool,
}

impl Profile {
    /// The profile of a function; `None` for one whose runtime must be started for it.
    pub(crate) fn of(wanted: Wanted<'_>, layout: &RuntimeLayout) -> Option<Self> {
        if !can_follow(wanted.family, wanted.environment) {
            return None;
        }
        let is_custom = layout.needs_runtime_api;
        // The dynamic linker has found no `/opt/lib` when the interpreter started, and does not look again.
        if wanted.has_libraries && !is_custom {
            return None;
        }
        let arguments = layout.arguments.iter().map(|argument| argument.to_string_lossy().into_owned());
        let mut environment = Vec::new();
        if !is_custom {
            environment = started_with(wanted.family);
            environment.push(("PATH".to_owned(), layout.path_env.to_string_lossy().into_owned()));
        }
        // The options of Node.js follow its memory; all others grow into theirs.
        let is_fixed = wanted.family == RuntimeFamily::NodeJs;
        Some(Self {
            program: layout.executable.clone(),
            arguments: arguments.chain((!is_custom).then(|| BLANK_ARGUMENT.to_owned())).collect(),
            visible_paths: layout.visible_paths.clone(),
            environment,
            is_custom,
            has_relay: wanted.has_relay,
            egress: wanted.egress.clone(),
            memory_mb: if is_fixed { wanted.memory_mb } else { limits::MEMORY_MB_MIN },
            ephemeral_mb: wanted.ephemeral_mb,
        })
    }

    /// What its blanks may reach.
    pub(super) fn egress(&self) -> &EgressPolicy {
        &self.egress
    }

    /// Size of their `/tmp`.
    pub(super) fn ephemeral_mb(&self) -> u32 {
        self.ephemeral_mb
    }

    /// Whether its runtimes are forked, where there is something to fork them from.
    pub(super) fn is_forked(&self, runtime_dir: &Path) -> bool {
        self.request(runtime_dir).zygote.is_some()
    }

    /// How one is built.
    pub(super) fn request(&self, runtime_dir: &Path) -> LaunchRequest {
        let same = |path: &PathBuf| Bind { source: path.clone(), target: path.clone() };
        let runtime = Bind { source: runtime_dir.to_owned(), target: PathBuf::from("/var/runtime") };
        let mut request = LaunchRequest {
            id: 0,
            name: format!("blank-{}", Uuid::new_v4().simple()),
            program: self.program.clone(),
            arguments: self.arguments.clone(),
            wrapper: None,
            environment: self.environment.clone(),
            working_directory: PathBuf::from("/"),
            binds: std::iter::once(runtime).chain(self.visible_paths.iter().map(same)).collect(),
            memory_mb: self.memory_mb,
            ephemeral_mb: self.ephemeral_mb,
            temporary: false,
            control: !self.is_custom,
            runtime_api: self.is_custom,
            relay: self.has_relay,
            ahead: Some(if self.is_custom { Ahead::Held } else { Ahead::Booted }),
            zygote: None,
            defences: Defences::default(),
        };
        request.zygote = zygote_of(&request);
        request
    }
}
