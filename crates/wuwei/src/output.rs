//! What commands print: text for people with colours on a terminal, JSON for programs.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::json;

use crate::failure::{Exit, Failure};

/// Headings of tables and labels.
pub(crate) const STRONG: Style = Style::new().bold();
/// What went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What deserves a look.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// What failed.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Side remarks.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// Standard output and error of this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    json: bool,
}

impl Console {
    /// `json`: print JSON for programs.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether a program reads.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Prints a line to standard output.
    #[expect(clippy::unused_self, reason = "printing goes through the console")]
    pub(crate) fn line(self, text: &str) -> Result<(), Failure> {
        let mut stdout = anstream::stdout().lock();
        writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(cannot_print)
    }

    /// Prints bytes and a final newline (unless they end with one) to standard output, exactly as they are.
    #[expect(clippy::unused_self, reason = "printing goes through the console")]
    pub(crate) fn raw(self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let newline: &[u8] = if bytes.ends_with(b"\n") { b"" } else { b"\n" };
        stdout
            .write_all(bytes)
            .and_then(|()| stdout.write_all(newline))
            .and_then(|()| stdout.flush())
            .map_err(cannot_print)
    }

    /// Prints one JSON document on one line to standard output.
    pub(crate) fn json(self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_vec(value).map_err(|error| Failure::local("cannot print JSON").because(error))?;
        self.raw(&text)
    }

    /// Prints a remark to standard error; nothing is lost when nobody reads it.
    #[expect(clippy::unused_self, reason = "printing goes through the console")]
    pub(crate) fn remark(self, text: &str) {
        drop(writeln!(anstream::stderr().lock(), "{text}"));
    }

    /// Prints columns to standard output, each as wide as its widest cell.
    pub(crate) fn table(self, headings: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        for line in table_lines(headings, rows) {
            self.line(&line)?;
        }
        Ok(())
    }

    /// Prints a failure to standard error and gives the process's exit code.
    pub(crate) fn fail(self, failure: &Failure) -> ExitCode {
        if failure.is_closed_pipe() {
            return Exit::Done.into();
        }
        let exit = failure.exit();
        if self.json {
            let error = json!({"error": {"message": failure.text(), "hint": failure.hint_text(), "exit": exit.code()}});
            self.remark(&error.to_string());
        } else {
            self.remark(&format!("{BAD}error:{BAD:#} {}", failure.text()));
            if let Some(hint) = failure.hint_text() {
                self.remark(&format!("{GOOD}hint:{GOOD:#} {hint}"));
            }
        }
        exit.into()
    }
}

fn cannot_print(error: io::Error) -> Failure {
    Failure::local("cannot write to standard output").because(error)
}

/// Cells of the first row are headings. The last column is not padded.
fn table_lines(headings: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let width_of = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(headings.get(column).map(|heading| heading.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width_of).collect();
    let join = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let heading = join(&mut headings.iter().copied());
    let mut lines = vec![format!("{STRONG}{heading}{STRONG:#}")];
    lines.extend(rows.iter().map(|row| join(&mut row.iter().map(String::as_str))));
    lines
}

#[cfg(test)]
mod tests {
    use super::table_lines;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["a".to_owned(), "1".to_owned()], vec!["longer".to_owned(), "2".to_owned()]];
        let lines: Vec<String> = table_lines(&["NAME", "N"], &rows)
            .iter()
            .map(|line| anstream::adapter::strip_str(line).to_string())
            .collect();
        assert_eq!(lines, ["NAME    N", "a       1", "longer  2"]);
    }
}
