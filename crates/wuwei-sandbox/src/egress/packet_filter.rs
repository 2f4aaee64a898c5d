//! The `nft` program, off the hot path.

use std::io;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Where distributions put it; the environment is not asked, because the filler is privileged.
const PLACES: [&str; 4] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", "/usr/local/sbin/nft"];

/// `nft` on this host.
#[derive(Clone, Debug)]
pub(super) struct PacketFilter(PathBuf);

impl PacketFilter {
    /// Looks for it.
    pub(super) fn find() -> io::Result<Self> {
        let found = PLACES.iter().map(Path::new).find(|path| path.is_file());
        found
            .map(|path| Self(path.to_owned()))
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "`nft` is not there: apt-get install nftables"))
    }

    /// Applies commands as one transaction, in the caller's network namespace.
    pub(super) fn apply(&self, commands: &str) -> io::Result<()> {
        self.run(&["-f", "-"], commands).map(drop)
    }

    /// Names of the tables of the `inet` family.
    pub(super) fn tables(&self) -> io::Result<Vec<String>> {
        let text = self.run(&["list", "tables", "inet"], "")?;
        Ok(text
            .lines()
            .filter_map(|line| line.strip_prefix("table inet "))
            .map(|name| name.trim().to_owned())
            .collect())
    }

    /// Whether a table has a set of this name.
    pub(super) fn has_set(&self, table: &str, set: &str) -> bool {
        self.run(&["list", "set", "inet", table, set], "").is_ok()
    }

    fn run(&self, arguments: &[&str], input: &str) -> io::Result<String> {
        #[expect(clippy::disallowed_methods, reason = "this is the sandbox crate, which starts processes")]
        let mut process = std::process::Command::new(&self.0)
            .args(arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = process.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let finished = process.wait_with_output()?;
        if finished.status.success() {
            return Ok(String::from_utf8_lossy(&finished.stdout).into_owned());
        }
        let errors = String::from_utf8_lossy(&finished.stderr);
        let first = errors.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given").to_owned();
        Err(io::Error::other(format!("nft: {first}")))
    }
}
