//! Assignments of sandboxes that were built ahead, from the side of a process that is held: it becomes the function's own
//! program.

use std::fmt;
use std::io::{self, Read, Write as _};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::{ASSIGN, HEADER_BYTES};

/// What says that a sandbox waits for its function: an answer before the first event, without id, log entry or document.
pub(crate) const WAITING: [u8; 10] = [5, 0, 0, 0, 16, 0, 0, 0, 0, 0];
/// An environment of 4 KB, with AWS's own variables, fits many times over.
const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;

/// What a program that was held is started with.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Assigned {
    /// Complete environment, in the order of the document.
    #[serde(deserialize_with = "pairs")]
    pub(crate) environment: Vec<(String, String)>,
    /// As a path in the sandbox.
    pub(crate) working_directory: PathBuf,
}

/// Says that this process waits, and waits; `None` when the socket was closed instead.
pub(crate) fn wait(control: BorrowedFd<'_>) -> io::Result<Option<Assigned>> {
    let mut socket = UnixStream::from(control.try_clone_to_owned()?);
    if let Err(error) = socket.write_all(&WAITING) {
        return if error.kind() == io::ErrorKind::BrokenPipe { Ok(None) } else { Err(error) };
    }
    read(&mut socket)
}

fn read(socket: &mut impl Read) -> io::Result<Option<Assigned>> {
    let mut header = [0; HEADER_BYTES];
    match socket.read_exact(&mut header) {
        Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
            return Ok(None);
        }
        other => other?,
    }
    let [length @ .., kind] = header;
    let length = u32::from_le_bytes(length) as usize;
    if kind != ASSIGN || length > DOCUMENT_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "this is no assignment"));
    }
    let mut document = vec![0; length];
    socket.read_exact(&mut document)?;
    Ok(Some(serde_json::from_slice(&document)?))
}

/// The members of an object, in their order.
fn pairs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    struct Pairs;
    impl<'de> Visitor<'de> for Pairs {
        type Value = Vec<(String, String)>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object of strings")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = members.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }
    deserializer.deserialize_map(Pairs)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Assigned, WAITING, read};
    use crate::frames::{Answer, AnswerKind, Assignment, FrameReader, assignment, assignment_frame};

    #[test]
    fn an_assignment_is_read_as_it_was_written_and_no_further() {
        let environment = vec![("Z".to_owned(), "1 \"é\"".to_owned()), ("A".to_owned(), String::new())];
        let written = Assignment { environment: &environment, handler: "h", working_directory: "/var/task" };
        let mut bytes = assignment_frame(&assignment(&written)).to_vec();
        bytes.push(7);
        let mut rest = bytes.as_slice();
        let assigned = read(&mut rest).unwrap().unwrap();
        assert_eq!(assigned, Assigned { environment, working_directory: PathBuf::from("/var/task") });
        assert_eq!(rest, [7]);
    }

    #[test]
    fn what_is_no_assignment_is_refused_and_an_end_is_no_error() {
        assert_eq!(read(&mut [].as_slice()).unwrap(), None);
        assert_eq!(read(&mut [1, 0].as_slice()).unwrap(), None);
        read(&mut [0, 0, 0, 0, 1].as_slice()).unwrap_err();
        read(&mut [255, 255, 255, 255, 2].as_slice()).unwrap_err();
        read(&mut [9, 0, 0, 0, 2, b'{'].as_slice()).unwrap_err();
    }

    #[tokio::test]
    async fn a_sandbox_that_waits_says_that_it_is_ready() {
        let answer = FrameReader::default().read(&mut WAITING.as_slice()).await.unwrap();
        let Answer { kind, request_id, log, document } = answer;
        assert_eq!((kind, request_id.len() + log.len() + document.len()), (AnswerKind::Ready, 0));
    }
}
