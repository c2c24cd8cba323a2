//! The server over real connections: slow clients, large heads, and stopping without cutting anybody off.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use kbnt_infrastructure::http::{Limits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::DEADLINE;

async fn start(limits: Limits) -> (SocketAddr, CancellationToken, JoinHandle<std::io::Result<()>>) {
    let slow = get(|| async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        "done"
    });
    let app = Router::new().route("/", get(|| async { "ok" })).route("/slow", slow);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
    (address, shutdown.clone(), tokio::spawn(serve(listener, app, limits, shutdown)))
}

/// Sends `text` and reads until the server closes.
async fn say(address: SocketAddr, text: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(text).await.unwrap();
    read(&mut socket).await
}

async fn read(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset is an end too.
    let _ = tokio::time::timeout(DEADLINE, socket.read_to_end(&mut answer)).await.expect("never closed");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_client_that_never_finishes_its_head_is_dropped() {
    let limits = Limits { headers: Duration::from_millis(200), ..Limits::default() };
    let (address, _shutdown, _server) = start(limits).await;
    let answer = say(address, b"GET / HTTP/1.1\r\nhost: x\r\n").await;
    assert!(!answer.contains("200 OK"), "{answer}");
}

#[tokio::test]
async fn nonsense_and_huge_heads_are_refused() {
    let (address, _shutdown, _server) = start(Limits::default()).await;
    let huge = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    for text in [b"\x16\x03\x01 nonsense\r\n\r\n".as_slice(), b"GET\r\n\r\n", huge.as_bytes()] {
        let answer = say(address, text).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let good = say(address, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(good.starts_with("HTTP/1.1 200"), "the server goes on: {good}");
}

#[tokio::test]
async fn more_connections_than_granted_wait_for_their_turn() {
    let (address, _shutdown, _server) = start(Limits { connections: 1, ..Limits::default() }).await;
    let request = b"GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answers = futures::future::join_all((0..3).map(|_| say(address, request))).await;
    assert!(answers.iter().all(|answer| answer.ends_with("done")), "{answers:?}");
}

#[tokio::test]
async fn stopping_waits_for_the_requests_under_way() {
    let (address, shutdown, server) = start(Limits::default()).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let _idle = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    shutdown.cancel();
    let answer = read(&mut socket).await;
    assert!(answer.ends_with("done"), "{answer}");
    tokio::time::timeout(DEADLINE, server).await.expect("never stopped").unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}
