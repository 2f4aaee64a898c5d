//! A hostile runtime on several connections, some of whose requests are well formed and some of whose are not.
//!
//! The input is a program of steps. What is asserted: an answer counts for the event that was handed out last, once; what
//! the server has accepted is what the caller gets; whatever happened before, no request and no room for bodies stays
//! behind when the connections are gone, and an honest runtime can go on from there.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead as _, AsyncWrite as _, DuplexStream, ReadBuf};
use tokio::sync::{mpsc, watch};

use super::exchange::Exchange;
use super::server::{Active, serve_connection};
use super::{Answered, RuntimeApi};
use crate::fuzzing::{ASKED, OTHER, invocation};
use crate::stream::{StreamPart, StreamSink};
use requests::{honest, template};
use responses::{attempt_of, check_responses, event_of, first_status};

mod requests;
mod responses;

/// Connections of the hostile runtime.
const CONNECTIONS: usize = 4;
/// Steps of one program.
const STEPS_MAX: usize = 48;
/// Turns of the other tasks after which nothing more happens: a request goes through far fewer.
const TURNS: usize = 24;

/// A program of steps: what each byte stands for is what [`World::step`] makes of it.
pub fn runtime_api(input: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
    runtime.block_on(async {
        let mut world = World::new();
        let mut input = input;
        for _ in 0..STEPS_MAX {
            if world.step(&mut input).await.is_none() {
                break;
            }
        }
        world.go_on_honestly().await;
    });
}

/// One connection of the runtime, and all that came on it.
struct Connection {
    stream: DuplexStream,
    received: Vec<u8>,
    /// Whether only whole templates were written to it.
    well_formed: bool,
}

/// An event that is offered, handed out or in work.
struct Offer {
    id: &'static str,
    answer: Pin<Box<dyn Future<Output = Answered>>>,
    wants_parts: bool,
    /// Parts of a streamed answer; the caller reads them, or has left.
    parts: Option<mpsc::Receiver<StreamPart>>,
}

struct World {
    api: RuntimeApi,
    count: Arc<watch::Sender<usize>>,
    connections: [Option<Connection>; CONNECTIONS],
    /// What the caller waits for.
    offer: Option<Offer>,
    /// Of the last event that was offered, which may have been given up since.
    last_id: Option<&'static str>,
    /// Whether an answer of [`World::post`] to it was accepted.
    accepted: bool,
    last_attempt: Option<String>,
    posts: usize,
}

fn take<'input>(input: &mut &'input [u8], bytes: usize) -> Option<&'input [u8]> {
    let (taken, rest) = input.split_at_checked(bytes)?;
    *input = rest;
    Some(taken)
}

fn take_byte(input: &mut &[u8]) -> Option<u8> {
    take(input, 1).map(|taken| taken[0])
}

async fn settle() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

impl World {
    fn new() -> Self {
        let (count, connections) = watch::channel(0);
        // Nothing listens: connections are made by hand.
        let server = tokio::spawn(std::future::pending::<()>()).abort_handle();
        Self {
            api: RuntimeApi { exchange: Arc::new(Exchange::default()), connections, server },
            count: Arc::new(count),
            connections: [const { None }; CONNECTIONS],
            offer: None,
            last_id: None,
            accepted: false,
            last_attempt: None,
            posts: 0,
        }
    }

    /// Does one step; nothing at the end of the program.
    async fn step(&mut self, input: &mut &[u8]) -> Option<()> {
        let step = take_byte(input)?;
        let slot = usize::from(step >> 3) % CONNECTIONS;
        match step % 8 {
            0 => self.connections[slot] = None,
            1 => {
                let length = take_byte(input)?;
                let bytes = take(input, usize::from(length).min(input.len()))?;
                self.write(slot, bytes, false);
            }
            2 | 3 => {
                let form = [take_byte(input)?, take_byte(input)?];
                let (bytes, whole) = template(form, self.last_id.unwrap_or(ASKED), self.last_attempt.as_deref());
                self.write(slot, &bytes, whole);
            }
            4 => self.offer(step >> 3),
            5 => {
                // The caller's time is over.
                self.offer = None;
            }
            6 => self.post(step >> 3).await,
            _ => {
                if let Some(connection) = &mut self.connections[slot] {
                    let shut = std::future::poll_fn(|context| {
                        std::task::Poll::Ready(Pin::new(&mut connection.stream).poll_shutdown(context))
                    });
                    drop(shut.await);
                    connection.well_formed = false;
                }
            }
        }
        settle().await;
        self.receive().await;
        Some(())
    }

    fn open(&self) -> Connection {
        let (near, far) = tokio::io::duplex(64 * 1024);
        tokio::spawn(serve_connection(far, Arc::clone(&self.api.exchange), Active::new(&self.count)));
        Connection { stream: near, received: Vec::new(), well_formed: true }
    }

    /// Writes as much as the connection takes at once.
    fn write(&mut self, slot: usize, bytes: &[u8], whole: bool) {
        let mut connection = self.connections[slot].take().unwrap_or_else(|| self.open());
        let written = connection.write(bytes);
        connection.well_formed &= whole && written == bytes.len();
        self.connections[slot] = Some(connection);
    }

    fn offer(&mut self, form: u8) {
        let id = if form & 1 == 0 { ASKED } else { OTHER };
        let (sink, parts) = if form & 2 == 0 {
            (None, None)
        } else {
            let (sink, parts) = StreamSink::channel();
            (Some(sink), (form & 4 == 0).then_some(parts))
        };
        let mut answer: Pin<Box<dyn Future<Output = Answered>>> = Box::pin(self.api.offer(invocation(id, sink)));
        match crate::fuzzing::at_once(answer.as_mut()) {
            Some(answered) => assert_eq!(answered, Answered::NotReady, "an event is answered before it is handed out"),
            None => {
                self.offer = Some(Offer { id, answer, wants_parts: form & 2 != 0, parts });
                (self.last_id, self.accepted) = (Some(id), false);
            }
        }
    }

    /// Answers as an honest runtime does, on a connection of its own; half of the time an event that is not in work.
    async fn post(&mut self, form: u8) {
        let id = if form & 1 == 0 { self.last_id.unwrap_or(ASKED) } else { OTHER };
        self.posts += 1;
        let body = format!("{{\"post\":{}}}", self.posts);
        let mut connection = self.open();
        connection.write(&honest(id, &body));
        let status = connection.status().await;
        // Refused; or others are in the way, and it is taken or not when they have gone.
        if status != Some(202) {
            return;
        }
        assert_eq!(Some(id), self.last_id, "an answer to an event that was not offered is accepted");
        assert!(!self.accepted, "a second answer to one event is accepted");
        self.accepted = true;
        if let Some(mut offer) = self.offer.take() {
            assert_eq!(offer.id, id);
            let answered = crate::fuzzing::at_once(offer.answer.as_mut());
            assert_eq!(answered, Some(Answered::Success(Bytes::from(body))), "the caller gets what was accepted");
        }
    }

    /// Reads what the server has sent.
    async fn receive(&mut self) {
        for connection in self.connections.iter_mut().flatten() {
            connection.read().await;
            if connection.well_formed {
                check_responses(&connection.received);
            }
            if let Some(attempt) = attempt_of(&connection.received) {
                self.last_attempt = Some(attempt);
            }
        }
        self.take_answer();
    }

    /// Takes what the caller gets by now.
    fn take_answer(&mut self) {
        let Some(offer) = &mut self.offer else { return };
        if let Some(parts) = &mut offer.parts {
            while parts.try_recv().is_ok() {}
        }
        let Some(answered) = crate::fuzzing::at_once(offer.answer.as_mut()) else { return };
        let is_right = match answered {
            Answered::Streamed(_) | Answered::Truncated { streamed: true } => offer.wants_parts,
            Answered::Truncated { streamed: false } => !offer.wants_parts,
            Answered::Success(_) | Answered::Error(_) | Answered::TooLarge(_) => true,
            Answered::NotReady => false,
        };
        assert!(is_right, "an event that was handed out comes to {answered:?}");
        self.offer = None;
    }

    /// Ends all connections, and goes on as an honest runtime would.
    async fn go_on_honestly(mut self) {
        self.connections = [const { None }; CONNECTIONS];
        let mut is_served = false;
        for _ in 0..2 + STEPS_MAX {
            is_served = self.serve_honestly().await;
            if is_served {
                break;
            }
        }
        assert!(is_served, "an honest runtime cannot go on");
        self.let_go().await;
        assert_eq!(*self.api.connections.borrow(), 0, "a request outlives its connection");
    }

    async fn let_go(&mut self) {
        for _ in 0..4 {
            if let Some(offer) = &mut self.offer {
                offer.parts = None;
            }
            settle().await;
        }
        self.take_answer();
    }

    /// Whether an honest runtime has had an event and answered it, or has been told that it may not.
    ///
    /// A client that has asked for an event, sent more and then left is noticed only when it gets the event: it takes one
    /// of its own function, as one that stays and does nothing does, and is gone then.
    async fn serve_honestly(&mut self) -> bool {
        self.let_go().await;
        let mut asking = self.open();
        asking.write(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut status = asking.status().await;
        if status == Some(403) {
            let refusal = String::from_utf8_lossy(&asking.received).into_owned();
            let is_running = refusal.contains("from Running to Ready");
            assert!(is_running || refusal.contains("from InitError"), "nobody streams, and yet: {refusal}");
            if is_running {
                self.answer_last().await;
            }
            return !is_running;
        }
        if status.is_none() {
            self.take_answer();
            assert!(self.offer.is_none(), "an event is offered and not handed out");
            self.offer(0);
            status = asking.status().await;
        }
        if status == Some(200) {
            assert_eq!(event_of(&asking.received).as_deref(), self.last_id, "another event is handed out");
            self.answer_last().await;
        }
        status == Some(200)
    }

    /// Answers the event in work.
    async fn answer_last(&mut self) {
        let id = self.last_id.expect("an event is in work");
        let mut connection = self.open();
        connection.write(&honest(id, "\"the end\""));
        assert_eq!(connection.status().await, Some(202), "an honest answer is refused");
        if let Some(mut offer) = self.offer.take() {
            let answered = crate::fuzzing::at_once(offer.answer.as_mut());
            assert_eq!(answered, Some(Answered::Success(Bytes::from("\"the end\""))));
        }
    }
}

impl Connection {
    fn write(&mut self, bytes: &[u8]) -> usize {
        let waker = std::task::Waker::noop();
        let written = Pin::new(&mut self.stream).poll_write(&mut std::task::Context::from_waker(waker), bytes);
        match written {
            std::task::Poll::Ready(Ok(written)) => written,
            std::task::Poll::Ready(Err(_)) | std::task::Poll::Pending => 0,
        }
    }

    /// Takes what is there.
    async fn read(&mut self) {
        let mut chunk = [0; 4 * 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut chunk);
            let read = std::future::poll_fn(|context| {
                std::task::Poll::Ready(Pin::new(&mut self.stream).poll_read(context, &mut buffer).is_ready())
            });
            if !read.await || buffer.filled().is_empty() {
                return;
            }
            self.received.extend_from_slice(buffer.filled());
        }
    }

    /// Status of the first response, as soon as it is there; nothing when the server waits.
    async fn status(&mut self) -> Option<u16> {
        settle().await;
        self.read().await;
        first_status(&self.received)
    }
}
