use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Where the running server is: the content of `<data>/server.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunningServer {
    /// For example `http://127.0.0.1:9000`.
    pub(crate) endpoint: String,
    /// Process id of the server.
    pub(crate) pid: u32,
    /// Its region.
    pub(crate) region: String,
    /// Account of its first key.
    pub(crate) account: String,
}

impl RunningServer {
    /// The file's path below a data directory.
    pub(crate) fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("server.json")
    }
}

/// `server.json` for as long as this value lives.
#[derive(Debug)]
pub(super) struct ServerFile(PathBuf);

impl ServerFile {
    /// Writes the file; one that a killed server left behind is replaced.
    pub(super) fn publish(data_dir: &Path, running: &RunningServer) -> Result<Self, Failure> {
        let path = RunningServer::path(data_dir);
        write_private(&path, running)?;
        Ok(Self(path))
    }
}

impl Drop for ServerFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "cannot remove server.json");
        }
    }
}

/// Writes JSON to a file that only its owner can read, all of it or nothing.
pub(super) fn write_private(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    let write = || -> std::io::Result<()> {
        // Temporary files are made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        serde_json::to_writer(&mut file, value)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|error| Failure::local(format!("cannot write `{}`", path.display())).because(error))
}

#[cfg(test)]
mod tests {
    use super::{RunningServer, ServerFile};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_file_is_private_and_goes_with_the_server() {
        let directory = tempfile::tempdir().unwrap();
        let running = RunningServer {
            endpoint: "http://127.0.0.1:1".to_owned(),
            pid: 7,
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
        };
        let path = RunningServer::path(directory.path());
        let file = ServerFile::publish(directory.path(), &running).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(serde_json::from_slice::<RunningServer>(&std::fs::read(&path).unwrap()).unwrap(), running);
        drop(file);
        assert!(!path.exists());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
