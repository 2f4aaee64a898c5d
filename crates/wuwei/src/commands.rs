//! One module per command, and what they share.

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod completions;
pub(crate) mod cost;
pub(crate) mod dead_letters;
pub(crate) mod deploy;
pub(crate) mod doctor;
pub(crate) mod env;
pub(crate) mod invoke;
pub(crate) mod key;
pub(crate) mod layer;
pub(crate) mod logs;
pub(crate) mod ls;
pub(crate) mod rm;
pub(crate) mod runtimes;
pub(crate) mod url;

use std::path::PathBuf;

use crate::config::Environment;
use crate::output::Console;

/// What every command gets.
#[derive(Debug)]
pub(crate) struct Session {
    /// Where to print.
    pub(crate) console: Console,
    /// The process's environment variables.
    pub(crate) environment: Environment,
    /// `--data-dir`.
    pub(crate) data_dir: Option<PathBuf>,
}

impl Session {
    /// ` --data-dir DIR` when it was given to this command, for commands that are printed as advice.
    pub(crate) fn data_dir_option(&self) -> String {
        let quoted = self.data_dir.as_ref().map(|path| shell_quote(&path.to_string_lossy()));
        quoted.map_or_else(String::new, |quoted| format!(" --data-dir {quoted}"))
    }
}

/// Text as one word of a POSIX shell.
pub(crate) fn shell_quote(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::shell_quote;

    #[test]
    fn shell_words_survive_spaces_quotes_and_dollars() {
        let check = |text: &str, expected: &str| assert_eq!(shell_quote(text), expected);
        check("http://127.0.0.1:9000", "http://127.0.0.1:9000");
        check("", "''");
        check("a b", "'a b'");
        check("$HOME", "'$HOME'");
        check("it's", r"'it'\''s'");
        check("~", "'~'");
    }
}
