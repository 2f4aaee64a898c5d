//! What is said about a command line that cannot be understood, and about one that asks for help.

use std::ffi::OsStr;
use std::process::ExitCode;

use crate::failure::{Exit, Failure};
use crate::output::Console;

/// Prints help, the version, or what is wrong, as JSON where a program asks; gives the process's exit code.
pub(crate) fn refuse(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && asks_for_json(std::env::args_os()) {
        // clap lists hidden commands, too.
        let text = error.to_string().replace(&format!("{}, ", crate::compose::LAUNCHER_COMMAND), "");
        return Console::new(true).fail(&failure_of(&text));
    }
    drop(error.print());
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() }
}

/// Whether `--json` is among the options: nobody has read the command line yet.
fn asks_for_json(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> bool {
    let mut options = arguments.into_iter().skip(1).take_while(|argument| argument.as_ref() != "--");
    options.any(|argument| argument.as_ref() == "--json")
}

/// The message is the first paragraph; usage and tips make up the hint.
fn failure_of(text: &str) -> Failure {
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (message, rest) = text.trim().split_once("\n\n").unwrap_or_else(|| (text.trim(), ""));
    let failure = Failure::usage(one_line(message.strip_prefix("error: ").unwrap_or(message)));
    let paragraphs: Vec<String> = rest.split("\n\n").map(one_line).filter(|paragraph| !paragraph.is_empty()).collect();
    if paragraphs.is_empty() { failure } else { failure.hint(paragraphs.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::{asks_for_json, failure_of};

    #[test]
    fn json_is_an_option_and_no_argument() {
        assert!(asks_for_json(["wuwei", "ls", "--json", "--wrong"]));
        assert!(!asks_for_json(["wuwei", "ls", "--wrong"]));
        assert!(!asks_for_json(["wuwei", "invoke", "--", "--json"]));
        assert!(!asks_for_json(["--json"]));
    }

    #[test]
    fn the_first_paragraph_is_the_message_and_the_rest_the_hint() {
        let failure = failure_of("error: no such\n  thing\n\n  tip: another\n\nUsage: wuwei\n");
        assert_eq!(failure.text(), "no such thing");
        assert_eq!(failure.hint_text(), Some("tip: another; Usage: wuwei"));
        assert_eq!(failure_of("error: alone").hint_text(), None);
    }
}
