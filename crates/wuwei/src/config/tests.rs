use std::path::Path;

use super::{Environment, Settings, parse_mem_total_mb};
use crate::arguments::{SandboxMode, UpOptions};
use crate::failure::{Exit, Failure};

fn load(toml: &str, mut options: UpOptions) -> Result<Settings, Failure> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("wuwei.toml");
    std::fs::write(&path, toml).unwrap();
    options.config = Some(path);
    Settings::load(&options, Some(Path::new("/data")), &Environment::default())
}

fn refused(toml: &str) -> (String, String) {
    let failure = load(toml, UpOptions::default()).unwrap_err();
    assert_eq!(failure.exit(), Exit::Usage);
    (failure.text(), failure.hint_text().unwrap_or_default().to_owned())
}

#[test]
fn defaults_are_loopback_signed_and_fully_sandboxed() {
    let settings = load("", UpOptions::default()).unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:9000");
    assert_eq!((settings.region.as_str(), settings.account.as_str()), ("us-east-1", "000000000000"));
    assert!(settings.signed);
    assert_eq!(settings.sandbox, SandboxMode::Full);
    assert_eq!(settings.keep_alive.as_secs(), 600);
    assert_eq!(settings.data_dir, Path::new("/data"));
}

#[test]
fn the_command_line_wins_over_the_file() {
    let options = UpOptions { listen: Some("127.0.0.1:1".parse().unwrap()), ..UpOptions::default() };
    let settings = load("listen = \"127.0.0.1:2\"\nsandbox = \"reduced\"\nmemory_mb = 512", options).unwrap();
    assert_eq!(settings.listen.port(), 1);
    assert_eq!(settings.sandbox, SandboxMode::Reduced);
    assert_eq!(settings.memory_mb, 512);
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    let (text, hint) = refused("keepalive_s = 3");
    assert!(text.contains("`keepalive_s`"), "{text}");
    assert!(hint.contains("`keep_alive_s`"), "{hint}");
}

#[test]
fn an_unknown_key_that_resembles_nothing_lists_the_known_ones() {
    let (_, hint) = refused("zzzzzzzzzzzz = 3");
    assert!(hint.contains("listen") && hint.contains("memory_mb"), "{hint}");
}

#[test]
fn a_value_of_the_wrong_type_names_its_key() {
    let (text, _) = refused("keep_alive_s = \"long\"");
    assert!(text.contains("keep_alive_s"), "{text}");
}

#[test]
fn auth_off_is_refused_on_a_listener_that_others_can_reach() {
    let (text, _) = refused("auth = \"off\"\nlisten = \"0.0.0.0:9000\"");
    assert!(text.contains("0.0.0.0:9000"), "{text}");
    assert!(!load("auth = \"off\"", UpOptions::default()).unwrap().signed);
    assert!(!load("auth = \"off\"\nlisten = \"[::1]:9000\"", UpOptions::default()).unwrap().signed);
}

#[test]
fn accounts_regions_and_budgets_are_checked() {
    refused("account = \"12345678901\"");
    refused("account = \"12345678901a\"");
    refused("region = \"\"");
    refused("region = \"US\"");
    refused("memory_mb = 127");
    assert_eq!(load("memory_mb = 128", UpOptions::default()).unwrap().memory_mb, 128);
}

#[test]
fn limits_of_logs_have_defaults_and_a_least_value() {
    let settings = load("", UpOptions::default()).unwrap();
    assert_eq!((settings.log_bytes_per_function, settings.log_bytes_total), (268_435_456, None));
    let settings = load("log_bytes_per_function = 8388608\nlog_bytes_total = 8388609", UpOptions::default()).unwrap();
    assert_eq!((settings.log_bytes_per_function, settings.log_bytes_total), (8_388_608, Some(8_388_609)));
    assert!(refused("log_bytes_per_function = 8388607").0.contains("`log_bytes_per_function` is 8388607"));
    assert!(refused("log_bytes_total = 8388607").0.contains("`log_bytes_total` is 8388607"));
}

#[test]
fn memory_of_the_machine_is_read_in_megabytes() {
    assert_eq!(parse_mem_total_mb("MemFree: 1 kB\nMemTotal:       24576000 kB\n"), Some(24_000));
    assert_eq!(parse_mem_total_mb("MemFree: 1 kB\n"), None);
}

#[test]
fn data_directory_follows_the_environment() {
    let environment = |home: Option<&str>, xdg: Option<&str>, own: Option<&str>| Environment {
        home: home.map(Into::into),
        xdg_data_home: xdg.map(Into::into),
        data_dir: own.map(Into::into),
        ..Environment::default()
    };
    let check = |environment: Environment, root: bool, expected: Option<&str>| {
        assert_eq!(environment.data_dir_for(root).ok().as_deref(), expected.map(Path::new));
    };
    check(environment(Some("/h"), None, None), false, Some("/h/.local/share/wuwei"));
    check(environment(Some("/h"), Some("/x"), None), false, Some("/x/wuwei"));
    check(environment(Some("/h"), Some("relative"), None), false, Some("/h/.local/share/wuwei"));
    check(environment(Some("/h"), Some("/x"), Some("/own")), false, Some("/own"));
    check(environment(Some("/root"), Some("/x"), None), true, Some("/var/lib/wuwei"));
    check(environment(None, None, None), false, None);
}
