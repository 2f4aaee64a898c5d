use std::path::{Path, PathBuf};

use http::Uri;
use rustix::process::{Pid, test_kill_process};
use serde::de::DeserializeOwned;

use crate::commands::Session;
use crate::config::{ACCOUNT_DEFAULT, Environment, REGION_DEFAULT};
use crate::failure::{Exit, Failure};
use crate::signing::Credentials;
use crate::up::{RunningServer, StoredCredentials};

/// A server and the key to ask it with.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `host:port`, as the `Host` header has it.
    pub(crate) authority: String,
    /// Region in signatures.
    pub(crate) region: String,
    /// Account of the key, as far as it is known here.
    pub(crate) account: String,
    /// The key.
    pub(crate) credentials: Credentials,
    host: String,
    port: u16,
    data_dir: Option<PathBuf>,
}

impl Target {
    /// Finds the server: `--data-dir`, or the `AWS_*` variables, or the default data directory.
    pub(crate) fn locate(session: &Session) -> Result<Self, Failure> {
        match (&session.data_dir, &session.environment.endpoint_url) {
            (Some(data_dir), _) => Self::of_data_dir(data_dir),
            (None, Some(endpoint)) => Self::of_environment(endpoint, &session.environment),
            (None, None) => Self::of_data_dir(&session.environment.data_dir()?),
        }
    }

    /// Where to connect to.
    pub(super) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// The server's URL.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// The failure of not getting through to the server.
    pub(super) fn unreachable(&self) -> Failure {
        Failure::new(Exit::Unreachable, format!("cannot reach the server at `{}`", self.endpoint()))
            .hint(self.data_dir.as_deref().map_or_else(|| "check `AWS_ENDPOINT_URL`".to_owned(), start_hint))
    }

    fn of_data_dir(data_dir: &Path) -> Result<Self, Failure> {
        let no_server = || {
            let what = format!("no server runs on the data directory `{}`", data_dir.display());
            Failure::new(Exit::Unreachable, what).hint(start_hint(data_dir))
        };
        let server: RunningServer = read_json(&RunningServer::path(data_dir))?.ok_or_else(no_server)?;
        if !is_running(server.pid) {
            return Err(no_server());
        }
        let path = StoredCredentials::path(data_dir);
        let stored: StoredCredentials = read_json(&path)?.ok_or_else(|| {
            Failure::local(format!("cannot find the access key: `{}` is not there", path.display()))
                .hint("restart the server: it writes the file again")
        })?;
        let credentials =
            Credentials { access_key_id: stored.access_key_id, secret_access_key: stored.secret_access_key };
        Self::new(&server.endpoint, credentials, server.region, stored.account, Some(data_dir.to_owned()))
    }

    fn of_environment(endpoint: &str, environment: &Environment) -> Result<Self, Failure> {
        let (Some(access_key_id), Some(secret)) = (&environment.access_key_id, &environment.secret_access_key) else {
            return Err(Failure::usage("`AWS_ENDPOINT_URL` is set, but there is no key to ask it with")
                .hint("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a data directory with --data-dir"));
        };
        let credentials = Credentials { access_key_id: access_key_id.clone(), secret_access_key: secret.0.clone() };
        let region = environment.region.clone().unwrap_or_else(|| REGION_DEFAULT.to_owned());
        Self::new(endpoint, credentials, region, ACCOUNT_DEFAULT.to_owned(), None)
    }

    fn new(
        endpoint: &str,
        credentials: Credentials,
        region: String,
        account: String,
        data_dir: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        let (authority, host, port) = parse_endpoint(endpoint)?;
        Ok(Self { authority, region, account, credentials, host, port, data_dir })
    }
}

/// Authority, host and port of `http://host[:port][/]`.
fn parse_endpoint(endpoint: &str) -> Result<(String, String, u16), Failure> {
    let refused = || {
        Failure::usage(format!("the endpoint `{endpoint}` is not `http://HOST:PORT`"))
            .hint("the command line speaks plain HTTP to a server on this machine or in a trusted network")
    };
    let uri = Uri::try_from(endpoint).map_err(|error| refused().because(error))?;
    let is_http = uri.scheme() == Some(&http::uri::Scheme::HTTP);
    let authority = uri.authority().filter(|authority| is_http && !authority.as_str().contains('@'));
    let authority = authority.filter(|_| uri.path() == "/").ok_or_else(refused)?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok((authority.to_string(), host, authority.port_u16().unwrap_or(80)))
}

/// `None` when there is no such file.
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    let cannot = || Failure::local(format!("cannot read `{}`", path.display()));
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot().because(error).hint("the data directory belongs to the server's user")),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| cannot().because(error))
}

/// Whether a process is there; one of another user counts.
fn is_running(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

fn start_hint(data_dir: &Path) -> String {
    format!("start one with `wuwei up --data-dir {}`", crate::commands::shell_quote(&data_dir.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::{is_running, parse_endpoint};

    #[test]
    fn endpoints_are_plain_http_without_a_path() {
        let check = |endpoint: &str, host: &str, port: u16| {
            let (_, found_host, found_port) = parse_endpoint(endpoint).unwrap();
            assert_eq!((found_host.as_str(), found_port), (host, port), "{endpoint}");
        };
        check("http://127.0.0.1:9000", "127.0.0.1", 9000);
        check("http://127.0.0.1:9000/", "127.0.0.1", 9000);
        check("http://[::1]:9000", "::1", 9000);
        check("http://localhost", "localhost", 80);
        for wrong in ["https://localhost", "localhost:9000", "http://a/b", "http://u@a", "", "http://"] {
            assert!(parse_endpoint(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_process_that_has_ended_does_not_count_as_running() {
        assert!(is_running(std::process::id()));
        assert!(!is_running(0));
        // Past the largest pid that Linux gives out (2^22).
        assert!(!is_running(1 << 23));
    }
}
