use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{CONNECTIONS_MAX, Relay, RelayServer, announce};
use crate::ProcessExit;

/// Greets, then waits until the client closes.
#[derive(Default)]
struct Greeter {
    served: AtomicUsize,
}

#[async_trait]
impl Relay for Greeter {
    fn environment(&self) -> Vec<(String, String)> {
        vec![("AWS_ACCESS_KEY_ID".to_owned(), "ASIAEXAMPLE".to_owned())]
    }

    async fn serve(&self, mut stream: TcpStream) {
        self.served.fetch_add(1, Ordering::SeqCst);
        stream.write_all(b"!").await.unwrap();
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    }
}

struct World {
    relay: Arc<Greeter>,
    exit: watch::Sender<Option<ProcessExit>>,
    address: std::net::SocketAddr,
    server: RelayServer,
}

async fn start() -> World {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let relay = Arc::new(Greeter::default());
    let (exit, exit_receiver) = watch::channel(None);
    let server = RelayServer::start(listener, Arc::clone(&relay) as Arc<dyn Relay>, exit_receiver);
    World { relay, exit, address, server }
}

async fn greeted(address: std::net::SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'!');
    stream
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("in time")
}

/// Nobody holds the relay any more, so that its credentials are gone.
async fn let_go(relay: Arc<Greeter>) {
    let gone = async {
        while Arc::strong_count(&relay) > 1 {
            tokio::task::yield_now().await;
        }
    };
    within(gone).await;
}

#[tokio::test]
async fn so_many_connections_are_served_at_a_time_and_the_next_waits_for_a_place() {
    let World { relay, address, server, exit: _running } = start().await;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        open.push(within(greeted(address)).await);
    }
    let mut next = TcpStream::connect(address).await.unwrap();
    // Whatever is ready runs before an idle connection is closed.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(relay.served.load(Ordering::SeqCst), CONNECTIONS_MAX);
    drop(open.pop());
    assert_eq!(within(next.read_u8()).await.unwrap(), b'!');
    drop(server);
}

#[tokio::test]
async fn the_end_of_the_process_closes_everything() {
    let World { relay, address, server, exit } = start().await;
    let mut open = within(greeted(address)).await;
    exit.send_replace(Some(ProcessExit::Code(0)));
    assert_eq!(within(open.read(&mut [0])).await.unwrap(), 0);
    let_go(relay).await;
    TcpStream::connect(address).await.unwrap_err();
    drop(server);
}

#[tokio::test]
async fn dropping_the_server_closes_everything() {
    let World { relay, address, server, exit: _running } = start().await;
    let mut open = within(greeted(address)).await;
    drop(server);
    assert_eq!(within(open.read(&mut [0])).await.unwrap(), 0);
    let_go(relay).await;
}

#[test]
fn an_endpoint_that_the_function_names_stands() {
    let endpoint = |environment: &[(String, String)]| {
        let values = environment.iter().filter(|(name, _)| name == "AWS_ENDPOINT_URL").map(|(_, value)| value.clone());
        values.collect::<Vec<_>>()
    };
    let mut environment = Vec::new();
    announce(&mut environment, &Greeter::default(), "127.0.0.1:9002");
    assert_eq!(endpoint(&environment), ["http://127.0.0.1:9002"]);
    let own = ("AWS_ENDPOINT_URL".to_owned(), "http://elsewhere".to_owned());
    let mut environment = vec![own.clone()];
    announce(&mut environment, &Greeter::default(), "127.0.0.1:9002");
    assert_eq!(endpoint(&environment), [own.1]);
    assert!(environment.iter().any(|(name, _)| name == "AWS_ACCESS_KEY_ID"));
}
