//! The real binary where it needs no server: usage, exit codes, hints.

use std::path::Path;
use std::process::{Command, Output};

#[expect(clippy::disallowed_methods, reason = "a test runs the binary that it tests")]
fn wuwei(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wuwei"));
    command.args(arguments).env_clear().envs(environment.iter().copied());
    command.output().expect("the binary runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn check_refused(arguments: &[&str], environment: &[(&str, &str)], exit: i32, parts: &[&str]) {
    let output = wuwei(arguments, environment);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {text}");
    assert!(output.stdout.is_empty(), "{arguments:?} printed an answer");
    for part in parts {
        assert!(text.contains(part), "{arguments:?}: `{part}` is not in: {text}");
    }
}

#[test]
fn help_explains_every_exit_code_and_hides_the_launcher() {
    let output = wuwei(&["--help"], &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for code in 0..=6 {
        assert!(text.contains(&format!("  {code}  ")), "{text}");
    }
    assert!(!text.contains("__launcher"), "{text}");
}

#[test]
fn wrong_usage_exits_with_2() {
    check_refused(&["no-such-command"], &[], 2, &["error:"]);
    check_refused(&["logs", "f", "--since", "yesterday"], &[], 2, &["30s, 10m"]);
    check_refused(&["deploy", "/nowhere/at/all"], &[], 2, &["error:", "/nowhere/at/all", "hint:"]);
}

#[test]
fn a_data_directory_without_a_server_exits_with_3_and_says_how_to_start_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    for command in
        [&["ls"][..], &["env"], &["runtimes"], &["key", "ls"], &["rm", "f"], &["invoke", "f"], &["logs", "f"]]
    {
        let arguments = [command, &["--data-dir", path]].concat();
        check_refused(&arguments, &[], 3, &["error:", path, "hint: start one with `wuwei up --data-dir"]);
    }
}

#[test]
fn a_server_that_was_killed_is_not_believed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    // Past the largest pid that Linux gives out (2^22).
    let stale = r#"{"endpoint":"http://127.0.0.1:1","pid":8388608,"region":"us-east-1","account":"000000000000"}"#;
    std::fs::write(directory.path().join("server.json"), stale).unwrap();
    check_refused(&["ls", "--data-dir", path], &[], 3, &["no server runs"]);
}

#[test]
fn an_endpoint_from_the_environment_needs_a_key() {
    check_refused(&["ls"], &[("AWS_ENDPOINT_URL", "http://127.0.0.1:1")], 2, &["AWS_ACCESS_KEY_ID"]);
    let keys = [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_ACCESS_KEY_ID", "AKIA"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
    ];
    check_refused(&["ls"], &keys, 3, &["http://127.0.0.1:1", "hint: check `AWS_ENDPOINT_URL`"]);
}

#[test]
fn failures_are_json_when_a_program_asks() {
    let output = wuwei(&["ls", "--json", "--data-dir", "/nowhere/at/all"], &[]);
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["exit"], 3);
    assert!(error["error"]["message"].as_str().unwrap().contains("/nowhere/at/all"));
    assert!(error["error"]["hint"].as_str().unwrap().contains("wuwei up"));
}

#[test]
fn wrong_usage_is_json_when_a_program_asks() {
    let check = |arguments: &[&str], message: &str| {
        let output = wuwei(arguments, &[]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}");
        let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["error"]["exit"], 2);
        assert!(error["error"]["message"].as_str().unwrap().contains(message), "{error}");
        assert!(error["error"]["hint"].as_str().unwrap().contains("try '--help'"), "{error}");
        assert!(!error.to_string().contains("__launcher"), "{error}");
    };
    check(&["ls", "--json", "--wrong"], "unexpected argument '--wrong'");
    check(&["--json", "no-such-command"], "unrecognized subcommand 'no-such-command'");
    check(&["logs", "f", "--since", "yesterday", "--json"], "30s, 10m");
    check(&["--json"], "requires a subcommand");
}

#[test]
fn failures_are_statements_and_not_orders() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    check_refused(&["deploy", "/nowhere/at/all"], &[], 2, &["error: cannot read `/nowhere/at/all`"]);
    check_refused(&["up", "--config", "/nowhere"], &[], 2, &["error: cannot read configuration `/nowhere`"]);
    std::fs::write(directory.path().join("server.json"), "{").unwrap();
    check_refused(&["ls", "--data-dir", path], &[], 5, &["error: cannot read `"]);
}

#[test]
fn a_port_that_is_taken_is_told_before_anything_is_written() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let address = taken.local_addr().unwrap().to_string();
    let arguments = ["up", "--listen", &address, "--data-dir", data.to_str().unwrap()];
    check_refused(&arguments, &[], 5, &["cannot listen on", &address, "hint: choose another address"]);
    assert!(!data.exists());
}

#[test]
fn colours_appear_only_when_they_are_forced_into_a_pipe() {
    let plain = wuwei(&["ls", "--data-dir", "/nowhere/at/all"], &[]);
    assert!(!stderr(&plain).contains('\u{1b}'));
    let coloured = wuwei(&["ls", "--data-dir", "/nowhere/at/all", "--color", "always"], &[]);
    assert!(stderr(&coloured).contains('\u{1b}'));
}

#[test]
fn completions_are_printed_for_every_usual_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let output = wuwei(&["completions", shell], &[]);
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains("invoke"), "{shell}");
    }
}

#[test]
fn a_mistyped_configuration_key_is_refused_before_anything_starts() {
    let directory = tempfile::tempdir().unwrap();
    let (config, data) = (directory.path().join("c.toml"), directory.path().join("data"));
    std::fs::write(&config, "lisen = \"127.0.0.1:0\"\n").unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let arguments = ["up", "--config", &text(&config), "--data-dir", &text(&data)];
    check_refused(&arguments, &[], 2, &["`lisen`", "did you mean `listen`?"]);
    assert!(!data.exists());
}
