use std::path::PathBuf;

use crate::failure::Failure;

/// The environment variables that wuwei knows, read once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// `WUWEI_DATA_DIR`: the data directory when `--data-dir` is not given.
    pub(crate) data_dir: Option<PathBuf>,
    /// `WUWEI_LOG`: filter of the server's own log, for example `debug` or `wuwei_engine=trace`.
    pub(crate) log_filter: Option<String>,
    /// `HOME`.
    pub(crate) home: Option<PathBuf>,
    /// `XDG_DATA_HOME`.
    pub(crate) xdg_data_home: Option<PathBuf>,
    /// `PATH`: where interpreters are looked for.
    pub(crate) path: Vec<PathBuf>,
    /// `PYENV_ROOT`: another place where interpreters are looked for.
    pub(crate) pyenv_root: Option<PathBuf>,
    /// `NVM_DIR`, `FNM_DIR`, `VOLTA_HOME`: where version managers keep Node.js.
    pub(crate) nvm_dir: Option<PathBuf>,
    /// See `nvm_dir`.
    pub(crate) fnm_dir: Option<PathBuf>,
    /// See `nvm_dir`.
    pub(crate) volta_home: Option<PathBuf>,
    /// `AWS_ENDPOINT_URL_LAMBDA` or `AWS_ENDPOINT_URL`: the server, when `--data-dir` is not given.
    pub(crate) endpoint_url: Option<String>,
    /// `AWS_REGION` or `AWS_DEFAULT_REGION`.
    pub(crate) region: Option<String>,
    /// `AWS_ACCESS_KEY_ID`.
    pub(crate) access_key_id: Option<String>,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub(crate) secret_access_key: Option<Secret>,
}

/// Text that `Debug` does not show.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

impl Environment {
    /// Reads the variables of this process. Empty ones count as absent.
    pub(crate) fn read() -> Self {
        Self {
            data_dir: path("WUWEI_DATA_DIR"),
            log_filter: text("WUWEI_LOG"),
            home: path("HOME"),
            xdg_data_home: path("XDG_DATA_HOME"),
            path: variable("PATH").map(|value| std::env::split_paths(&value).collect()).unwrap_or_default(),
            pyenv_root: path("PYENV_ROOT"),
            nvm_dir: path("NVM_DIR"),
            fnm_dir: path("FNM_DIR"),
            volta_home: path("VOLTA_HOME"),
            endpoint_url: text("AWS_ENDPOINT_URL_LAMBDA").or_else(|| text("AWS_ENDPOINT_URL")),
            region: text("AWS_REGION").or_else(|| text("AWS_DEFAULT_REGION")),
            access_key_id: text("AWS_ACCESS_KEY_ID"),
            secret_access_key: text("AWS_SECRET_ACCESS_KEY").map(Secret),
        }
    }

    /// The data directory when neither the command line nor a file names one.
    pub(crate) fn data_dir(&self) -> Result<PathBuf, Failure> {
        self.data_dir_for(rustix::process::geteuid().is_root())
    }

    pub(super) fn data_dir_for(&self, is_root: bool) -> Result<PathBuf, Failure> {
        if let Some(directory) = &self.data_dir {
            return Ok(directory.clone());
        }
        if is_root {
            return Ok(PathBuf::from("/var/lib/wuwei"));
        }
        // The XDG base directory specification: a relative path is invalid and ignored.
        if let Some(directory) = self.xdg_data_home.as_ref().filter(|directory| directory.is_absolute()) {
            return Ok(directory.join("wuwei"));
        }
        match &self.home {
            Some(home) => Ok(home.join(".local/share/wuwei")),
            None => Err(Failure::usage("no data directory: `HOME` is not set").hint("name one with --data-dir DIR")),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the configuration module: the one place that may")]
fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn text(name: &str) -> Option<String> {
    variable(name).and_then(|value| value.into_string().ok())
}

fn path(name: &str) -> Option<PathBuf> {
    variable(name).map(PathBuf::from)
}
