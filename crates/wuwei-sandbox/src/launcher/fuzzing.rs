//! Messages between the server's processes, as one that was taken over may send them.

use std::fmt::Debug;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg, socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::channel::{DESCRIPTORS_MAX, receive, send};
use super::enclosure::{Proceed, Report};
use super::{Event, MountAnswer, MountOrder, Request};

/// Descriptors that are sent at most: more than any message may bring.
const SENT_MAX: usize = DESCRIPTORS_MAX + 4;

/// A byte for the kind of message, one for the number of its descriptors, and the packet.
pub fn launcher_messages(input: &[u8]) {
    let Some((&[kind, descriptors], packet)) = input.split_first_chunk::<2>() else { return };
    let descriptors = usize::from(descriptors) % (SENT_MAX + 1);
    match kind % 8 {
        0 => exchange::<Request>(packet, descriptors),
        1 => exchange::<Event>(packet, descriptors),
        2 => exchange::<Report>(packet, descriptors),
        3 => exchange::<Proceed>(packet, descriptors),
        4 => exchange::<crate::egress::FillerRequest>(packet, descriptors),
        5 => exchange::<MountOrder>(packet, descriptors),
        6 => exchange::<MountAnswer>(packet, descriptors),
        _ => exchange::<crate::egress::FillerEvent>(packet, descriptors),
    }
}

/// Sends a packet as it is; what is taken of it must mean the same when it is sent on, and nothing may be left open.
fn exchange<Message: Serialize + DeserializeOwned + Debug>(packet: &[u8], descriptors: usize) {
    let (left, right) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a socket pair");
    let null = OwnedFd::from(std::fs::File::open("/dev/null").expect("the null device"));
    let lowest_free = || {
        let copy = rustix::io::fcntl_dupfd_cloexec(&null, 3).expect("a descriptor is free");
        copy.as_raw_fd()
    };
    let before = lowest_free();
    send_raw(&left, packet, &vec![null.as_fd(); descriptors]);
    if let Ok(Some(received)) = receive::<Message>(&right) {
        let came = received.descriptors.len();
        assert!(came == descriptors && came <= DESCRIPTORS_MAX, "{came} of {descriptors} descriptors were taken");
        let borrowed: Vec<_> = received.descriptors.iter().map(OwnedFd::as_fd).collect();
        send(&left, &received.message, &borrowed).expect("what was received can be sent on");
        let again = receive::<Message>(&right).expect("it can be read").expect("it is there");
        assert_eq!(format!("{:?}", again.message), format!("{:?}", received.message));
        assert_eq!(again.descriptors.len(), came);
    }
    // Tests run beside each other and open descriptors of their own.
    assert!(cfg!(test) || lowest_free() == before, "a descriptor stays open");
}

fn send_raw(socket: &OwnedFd, packet: &[u8], descriptors: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::<u8>::uninit(); rustix::cmsg_space!(ScmRights(SENT_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    sendmsg(socket, &[IoSlice::new(packet)], &mut control, SendFlags::NOSIGNAL).expect("a packet is sent");
}
