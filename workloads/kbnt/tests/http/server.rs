//! The server over real connections: slow clients, large heads, and a shutdown that cuts nobody off.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use kbnt_http::{Limits, serve};
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
    serving(Router::new().route("/", get(|| async { "ok" })).route("/slow", slow), limits).await
}

async fn serving(
    app: Router,
    limits: Limits,
) -> (SocketAddr, CancellationToken, JoinHandle<std::io::Result<()>>) {
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
    // A reset ends the connection, too.
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

/// Input that is not a request.
const NO_REQUESTS: [&[u8]; 5] =
    [b"", b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n", b"GET / HT"];

#[tokio::test]
async fn connections_without_a_request_are_closed() {
    let limits = Limits { headers: Duration::from_millis(300), ..Limits::default() };
    let (address, _shutdown, _server) = start(limits).await;
    let answers = futures::future::join_all(NO_REQUESTS.map(|text| say(address, text))).await;
    assert!(answers.iter().all(|answer| !answer.contains("200 OK")), "{answers:?}");
}

#[tokio::test]
async fn a_head_that_trickles_in_is_not_waited_for() {
    let limits = Limits { headers: Duration::from_millis(300), ..Limits::default() };
    let (address, _shutdown, _server) = start(limits).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let began = tokio::time::Instant::now();
    // A byte every 20 ms would take 2 s.
    for byte in format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(100)).into_bytes() {
        if socket.write_all(&[byte]).await.is_err() {
            break;
        }
        let mut answer = [0];
        if let Ok(Ok(0) | Err(_)) =
            tokio::time::timeout(Duration::from_millis(20), socket.read(&mut answer)).await
        {
            break;
        }
    }
    assert!(began.elapsed() < Duration::from_millis(1500), "it took {:?}", began.elapsed());
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_at_work_is_not() {
    let (idle, headers) = (Duration::from_millis(100), Duration::from_millis(100));
    let (address, _shutdown, _server) = start(Limits { idle, headers, ..Limits::default() }).await;
    let answer = say(address, b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.ends_with("done"), "it took longer than an idle connection may stay: {answer}");
}

#[tokio::test]
async fn whoever_sends_nothing_makes_place_for_others() {
    let (address, _shutdown, _server) = start(Limits { connections: 4, ..Limits::default() }).await;
    let mut strangers = Vec::new();
    for number in 0..80 {
        let mut stranger = TcpStream::connect(address).await.unwrap();
        stranger.write_all(NO_REQUESTS[number % NO_REQUESTS.len()]).await.unwrap();
        strangers.push(stranger);
    }
    let asked = say(address, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let answer =
        tokio::time::timeout(Duration::from_secs(10), asked).await.expect("strangers hold all places");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let endless = get(|| async {
        let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 64 * 1024]));
        axum::body::Body::from_stream(chunks)
    });
    let huge = get(|| async { vec![b'x'; 64 << 20] });
    let limits =
        Limits { write: Duration::from_millis(300), idle: Duration::from_millis(300), ..Limits::default() };
    let app = Router::new().route("/endless", endless).route("/huge", huge);
    let (address, _shutdown, _server) = serving(app, limits).await;
    for path in ["/endless", "/huge"] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        // Nothing is read meanwhile; a write shows that the server is gone.
        let gone = async {
            while socket.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, gone).await.unwrap_or_else(|_| panic!("{path} waits for ever"));
    }
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_all_of_it() {
    let huge = get(|| async { vec![b'x'; 8 << 20] });
    let limits =
        Limits { write: Duration::from_millis(500), idle: Duration::from_millis(200), ..Limits::default() };
    let (address, _shutdown, _server) = serving(Router::new().route("/", huge), limits).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let (mut read, mut buffer) = (0, vec![0; 256 * 1024]);
    loop {
        match socket.read(&mut buffer).await.unwrap() {
            0 => break,
            more => read += more,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(read > 8 << 20, "{read}");
}

/// Each of these requests is refused with a problem document.
#[tokio::test]
async fn heads_that_others_could_read_otherwise_are_refused() {
    let (address, _shutdown, _server) = start(Limits::default()).await;
    for (text, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: x\r\nhost: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: x\r\nHost: y\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: user@x\r\n\r\n", 400),
        ("GET / HTTP/1.1\nhost: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: x\n\n", 400),
        ("GET / HTTP/1.1\r\nhost: x\r\nx y: z\r\n\r\n", 400),
        ("GET / HTTP/9.9\r\nhost: x\r\n\r\n", 400),
        ("nonsense\r\n\r\n", 400),
        (&format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(100_000)), 431),
        (&format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(200)), 431),
        (&format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(100_000)), 431),
    ] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(text.as_bytes()).await.unwrap();
        socket.shutdown().await.unwrap();
        let answer = read(&mut socket).await;
        let start: String = text.chars().take(60).collect();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{start:?}: {answer}");
        assert!(answer.contains("content-type: application/problem+json\r\n"), "{start:?}: {answer}");
        let body: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(body["status"], status, "{start:?}");
    }
    let old = say(address, b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(old.contains(" 200 OK"), "HTTP/1.0 knows no host: {old}");
}

/// Describes the body that arrived.
fn echo() -> Router {
    Router::new().route("/", axum::routing::post(|body: String| async move { format!("[{body}]") }))
}

#[tokio::test]
async fn a_body_has_no_coding_but_chunked_once() {
    let (address, _shutdown, _server) = serving(echo(), Limits::default()).await;
    for (codings, status) in [
        ("transfer-encoding: chunked", 200),
        ("transfer-encoding:\t Chunked ", 200),
        ("transfer-encoding: gzip, chunked", 400),
        ("transfer-encoding: chunked, chunked", 400),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked", 400),
        ("transfer-encoding: gzip\r\ntransfer-encoding: chunked", 400),
        ("transfer-encoding: identity", 400),
        ("transfer-encoding: chunked;a=b", 400),
    ] {
        let text = format!(
            "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{codings}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
        );
        let answer = say(address, text.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{codings:?}: {answer}");
        assert_eq!(answer.contains("application/problem+json"), status == 400, "{codings:?}: {answer}");
    }
}

#[tokio::test]
async fn blanks_before_a_length_do_not_spoil_the_body() {
    let (address, _shutdown, _server) = serving(echo(), Limits::default()).await;
    for body in ["\n{}", "{\n\n}"] {
        let (blanks, length) = (" ".repeat(300), body.len());
        let head = format!(
            "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length:{blanks}{length}\r\n\r\n"
        );
        let answer = say(address, format!("{head}{body}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&format!("[{body}]")), "{answer}");
    }
    let zeros = "0".repeat(300);
    let cut = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {zeros}2\r\n\r\n{{}}");
    assert!(say(address, cut.as_bytes()).await.starts_with("HTTP/1.1 400 "));
}

/// Less than the time limit for a response that the client does not read.
const PROMPT: Duration = Duration::from_secs(25);

#[tokio::test]
async fn whoever_takes_no_answer_makes_place_for_others() {
    let huge = get(|| async { vec![b'x'; 16 << 20] });
    let app = Router::new().route("/", get(|| async { "ok" })).route("/huge", huge);
    let (address, _shutdown, _server) = serving(app, Limits { connections: 2, ..Limits::default() }).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut one = TcpStream::connect(address).await.unwrap();
        one.write_all(b"GET /huge HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        held.push(one);
    }
    let asked = say(address, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let answer = tokio::time::timeout(PROMPT, asked).await.expect("all places are held");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_body_that_nobody_read_is_not_taken_for_a_request() {
    let (address, _shutdown, _server) = start(Limits::default()).await;
    for path in ["/", "/nowhere"] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let body = "x".repeat(3 << 20);
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
        socket.write_all(head.as_bytes()).await.unwrap();
        // The server may close before it has received everything, but not before the response is read.
        let (mut reading, mut writing) = socket.into_split();
        let sent = tokio::spawn(async move { writing.write_all(body.as_bytes()).await });
        let mut answer = Vec::new();
        tokio::time::timeout(DEADLINE, reading.read_to_end(&mut answer))
            .await
            .expect("never closed")
            .unwrap();
        sent.abort();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 4") && answer.contains("connection: close\r\n"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
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
