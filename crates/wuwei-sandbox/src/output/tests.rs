use std::io::Write as _;

use tokio::net::unix::pipe;

use super::{LINE_BYTES_MAX, OutputReader};
use crate::runtimes::test_process::Lines;

fn pipe_pair() -> (pipe::Receiver, std::fs::File) {
    let (read, write) = rustix::pipe::pipe().unwrap();
    (pipe::Receiver::from_owned_fd(read).unwrap(), std::fs::File::from(write))
}

/// The lines of a function that writes these pieces, each drained on its own or all at the end.
fn lines_of(pieces: &[&[u8]]) -> Vec<String> {
    let mut reader = OutputReader::default();
    let mut lines = Lines::default();
    for piece in pieces {
        let unread = reader.pending.len();
        reader.pending.extend_from_slice(piece);
        reader.emit_lines(unread, &mut lines);
    }
    let (pipe, writer) = pipe_pair();
    drop(writer);
    reader.drain(&pipe, &mut lines);
    lines.0
}

#[tokio::test]
async fn lines_are_cut_at_newlines_only() {
    let check = |pieces: &[&[u8]], expected: &[&str]| assert_eq!(lines_of(pieces), expected, "{pieces:?}");
    check(&[], &[]);
    check(&[b"a"], &["a"]);
    check(&[b"a\n"], &["a"]);
    check(&[b"a\nb"], &["a", "b"]);
    check(&[b"a", b"b\nc", b"\n", b"d"], &["ab", "c", "d"]);
    check(&[b"\n\n"], &["", ""]);
    check(&[b"a\rb\r\n"], &["a\rb\r"]);
    check(&["é".as_bytes(), &[0xff], b"\n"], &["é\u{fffd}"]);
    check(&[&"é".as_bytes()[..1], &"é".as_bytes()[1..]], &["é"]);
}

#[tokio::test]
async fn an_entry_of_several_lines_stays_one() {
    let check = |pieces: &[&[u8]], expected: &[&str]| assert_eq!(lines_of(pieces), expected, "{pieces:?}");
    check(&[b"a\xF8\xFFb\xF8\xFF\nc\n"], &["a\nb\n", "c"]);
    check(&[b"a\xF8", b"\xFFb"], &["a\nb"]);
    check(&[b"\xF8\xF8\xFF\xFF\xF8"], &["\u{fffd}\n\u{fffd}\u{fffd}"]);
}

#[tokio::test]
async fn a_line_is_cut_at_the_limit_and_never_inside_a_character() {
    let lengths = |text: &str| -> Vec<usize> { lines_of(&[text.as_bytes()]).iter().map(String::len).collect() };
    assert_eq!(lengths(&"x".repeat(LINE_BYTES_MAX)), [LINE_BYTES_MAX]);
    assert_eq!(lengths(&format!("{}\n", "x".repeat(LINE_BYTES_MAX))), [LINE_BYTES_MAX]);
    assert_eq!(lengths(&"x".repeat(LINE_BYTES_MAX + 1)), [LINE_BYTES_MAX, 1]);
    assert_eq!(lengths(&"x".repeat(2 * LINE_BYTES_MAX + 5)), [LINE_BYTES_MAX, LINE_BYTES_MAX, 5]);
    let euros = format!("x{}", "€".repeat(LINE_BYTES_MAX / 3 + 1));
    let lines = lines_of(&[euros.as_bytes()]);
    assert_eq!(lines.concat(), euros);
    assert!(lines.iter().all(|line| line.len() <= LINE_BYTES_MAX && !line.contains('\u{fffd}')));
}

#[tokio::test]
async fn a_drain_takes_what_is_in_the_pipe_although_tokio_has_not_heard_of_it() {
    let (pipe, mut writer) = pipe_pair();
    let mut reader = OutputReader::default();
    let mut lines = Lines::default();
    for _ in 0..100 {
        writer.write_all(b"one\ntwo").unwrap();
        // No await since the write: the driver cannot have seen it.
        reader.drain(&pipe, &mut lines);
    }
    assert_eq!(lines.0.len(), 200);
    assert!(!reader.is_closed());
}

#[tokio::test]
async fn a_drain_ends_although_a_process_keeps_writing() {
    let (pipe, mut writer) = pipe_pair();
    // Ends when the read end of the pipe is closed.
    let flood = std::thread::spawn(move || while writer.write_all(&[b'x'; 4096]).is_ok() {});
    let mut reader = OutputReader::default();
    let mut lines = Lines::default();
    reader.drain(&pipe, &mut lines);
    assert!(lines.0.concat().len() <= super::DRAIN_BYTES_MAX + super::READ_BYTES);
    drop(pipe);
    flood.join().unwrap();
}

#[tokio::test]
async fn a_pump_passes_whole_lines_on_and_notices_the_end() {
    let (pipe, mut writer) = pipe_pair();
    let mut reader = OutputReader::default();
    let mut lines = Lines::default();
    writer.write_all(b"one\ntwo").unwrap();
    reader.pump(&pipe, &mut lines).await;
    assert_eq!(lines.0, ["one"]);
    drop(writer);
    while !reader.is_closed() {
        reader.pump(&pipe, &mut lines).await;
    }
    reader.drain(&pipe, &mut lines);
    assert_eq!(lines.0, ["one", "two"]);
}

#[tokio::test]
async fn however_text_is_split_its_lines_are_the_same() {
    let text = "one\n\n zwölf €\n\nend".as_bytes();
    let expected = ["one", "", " zwölf €", "", "end"];
    for first in 0..=text.len() {
        for second in first..=text.len() {
            assert_eq!(lines_of(&[&text[..first], &text[first..second], &text[second..]]), expected);
        }
    }
}
