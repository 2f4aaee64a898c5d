//! What a command says when it cannot do its work: what happened, why, and what to do next.

use std::error::Error;
use std::process::ExitCode;

/// How the process ends; the numbers are part of the command line's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// The function failed, or an essential finding of `doctor` is missing.
    Negative,
    /// Wrong usage, configuration or project file.
    Usage,
    /// The server cannot be reached.
    Unreachable,
    /// The server refused the request.
    Refused,
    /// Something failed on this machine.
    Local,
    /// This host offers no sandbox.
    NoSandbox,
}

impl Exit {
    /// The process's exit status.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Negative => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Refused => 4,
            Self::Local => 5,
            Self::NoSandbox => 6,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// A command that could not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    hint: Option<String>,
}

impl Failure {
    /// A failure that ends the process with `exit`; `what` is a statement that names the operation and the object:
    /// `cannot read …`, and never `read …`, which after `error:` is taken for an order.
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), source: None, hint: None }
    }

    /// Wrong usage, configuration or project file.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// Something failed on this machine.
    pub(crate) fn local(what: impl Into<String>) -> Self {
        Self::new(Exit::Local, what)
    }

    /// Adds the cause.
    pub(crate) fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// How the process ends.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// What to do next.
    pub(crate) fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// What happened and why, on one line: the chain of causes, joined by colons.
    pub(crate) fn text(&self) -> String {
        let mut text = self.what.clone();
        let mut cause: Option<&dyn Error> = self.source.as_deref().map(|source| source as &dyn Error);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    /// Whether the reader of our output has gone away: nothing went wrong that anybody wants to read about.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        let source = self.source.as_deref().and_then(|source| source.downcast_ref::<std::io::Error>());
        source.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

#[cfg(test)]
mod tests {
    use super::{Exit, Failure};

    #[test]
    fn the_text_is_the_chain_of_causes() {
        let cause = std::io::Error::from(std::io::ErrorKind::NotFound);
        let failure = Failure::local("cannot read `x`").because(cause).hint("make it");
        assert_eq!(failure.text(), "cannot read `x`: entity not found");
        assert_eq!(failure.hint_text(), Some("make it"));
        assert_eq!(failure.exit(), Exit::Local);
    }

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let all =
            [Exit::Done, Exit::Negative, Exit::Usage, Exit::Unreachable, Exit::Refused, Exit::Local, Exit::NoSandbox];
        assert_eq!(all.map(Exit::code), [0, 1, 2, 3, 4, 5, 6]);
    }
}
