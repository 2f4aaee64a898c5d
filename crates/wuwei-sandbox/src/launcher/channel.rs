//! Messages with descriptors over a `SOCK_SEQPACKET` socket pair: one JSON document a packet.

use std::io;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest packet: an environment of 4 KB, paths and arguments fit many times over.
const PACKET_BYTES_MAX: usize = 128 * 1024;
/// Most descriptors in one packet.
pub(super) const DESCRIPTORS_MAX: usize = 24;

/// One received packet.
pub(crate) struct Received<Message> {
    /// The document.
    pub(crate) message: Message,
    /// In the order in which they were sent; close-on-exec.
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// Sends one packet.
pub(crate) fn send<Message: Serialize>(
    socket: impl AsFd,
    message: &Message,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let packet = serde_json::to_vec(message)?;
    if packet.len() > PACKET_BYTES_MAX || descriptors.len() > DESCRIPTORS_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "message to or from the launcher is too large"));
    }
    let mut space = [MaybeUninit::<u8>::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    sendmsg(socket, &[IoSlice::new(&packet)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives one packet; `None` when the other side is gone.
pub(crate) fn receive<Message: DeserializeOwned>(socket: impl AsFd) -> io::Result<Option<Received<Message>>> {
    let mut packet = vec![0_u8; PACKET_BYTES_MAX];
    let mut space = [MaybeUninit::<u8>::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(&mut packet)], &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            other => break other?,
        }
    };
    let descriptors: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    if received.bytes == 0 {
        return Ok(None);
    }
    // One that was cut has lost bytes or descriptors, and would be taken for another.
    let is_cut = received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    if is_cut || descriptors.len() > DESCRIPTORS_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "message to or from the launcher is too large"));
    }
    let document = packet.get(..received.bytes).unwrap_or_default();
    Ok(Some(Received { message: serde_json::from_slice(document)?, descriptors }))
}

#[cfg(test)]
mod tests {
    use super::{DESCRIPTORS_MAX, PACKET_BYTES_MAX, receive, send};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::io::{IoSlice, Read as _, Write as _};
    use std::mem::MaybeUninit;
    use std::os::fd::AsFd as _;

    #[test]
    fn documents_and_descriptors_arrive_together() {
        let (left, right) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        send(&left, &vec!["hello"], &[writer.as_fd()]).unwrap();
        drop(writer);
        let mut received = receive::<Vec<String>>(&right).unwrap().unwrap();
        assert_eq!(received.message, ["hello"]);
        let mut writer = std::fs::File::from(received.descriptors.remove(0));
        writer.write_all(b"through").unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        drop(left);
        assert!(receive::<Vec<String>>(&right).unwrap().is_none());
    }

    #[test]
    fn a_packet_that_was_cut_is_refused_with_all_it_brought() {
        let (left, right) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let text = vec![b' '; PACKET_BYTES_MAX + 1];
        rustix::net::send(&left, &text, SendFlags::empty()).unwrap();
        assert!(receive::<u8>(&right).is_err());
        let (reader, writer) = std::io::pipe().unwrap();
        let mut space = [MaybeUninit::<u8>::uninit(); rustix::cmsg_space!(ScmRights(2 * DESCRIPTORS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [writer.as_fd(); DESCRIPTORS_MAX + 4];
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        sendmsg(&left, &[IoSlice::new(b"1")], &mut control, SendFlags::empty()).unwrap();
        assert!(receive::<u8>(&right).is_err());
        drop(writer);
        // At its end: no copy of the writer stays open.
        assert_eq!((&reader).read(&mut [0]).unwrap(), 0);
    }
}
