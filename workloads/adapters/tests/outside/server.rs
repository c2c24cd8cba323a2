//! A scripted server, which handles one request after the other.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with a request.
#[derive(Clone, Debug)]
pub enum Does {
    /// Responds.
    Answer(u16, String),
    /// Responds, and sends a second response that nobody requested.
    AnswerTwice(u16, String, String),
    /// Sends nothing, and keeps the connection open.
    Hang,
    /// Closes the connection without a response.
    Reset,
    /// Announces more than it sends, and then closes.
    HalfAnswer(u16, String),
    /// Announces an endless body, and sends a lot of it.
    Flood,
    /// Sends something that is not HTTP.
    Nonsense,
    /// Responds byte by byte, too slowly.
    Drip(String),
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    pub head: String,
    pub body: String,
}

impl Request {
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (given, value) = line.split_once(": ")?;
            given.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

pub struct Server {
    pub address: SocketAddr,
    script: Arc<Mutex<VecDeque<Does>>>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts a server that does these things, one for each request, and then responds with 500.
    pub async fn start(script: impl IntoIterator<Item = Does>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        let requests = Arc::default();
        let server = Self { address, script: Arc::clone(&script), requests: Arc::clone(&requests) };
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(connection(socket, Arc::clone(&script), Arc::clone(&requests)));
            }
        });
        server
    }

    pub fn url(&self) -> reqwest::Url {
        format!("http://{}", self.address).parse().unwrap()
    }

    pub fn then(&self, does: Does) {
        self.script.lock().unwrap().push_back(does);
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

async fn connection(
    mut socket: TcpStream,
    script: Arc<Mutex<VecDeque<Does>>>,
    requests: Arc<Mutex<Vec<Request>>>,
) {
    while let Some(request) = read(&mut socket).await {
        requests.lock().unwrap().push(request);
        let does = script.lock().unwrap().pop_front().unwrap_or(Does::Answer(500, String::new()));
        if perform(&mut socket, does).await.is_none() {
            return;
        }
    }
}

/// One request; `None` if the client is gone.
async fn read(socket: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let request = Request { head: head.to_owned(), body: body.to_owned() };
            let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return Some(request);
            }
        }
        let mut buffer = [0; 4096];
        match socket.read(&mut buffer).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
}

fn answer(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// `None` if the connection must be closed.
async fn perform(socket: &mut TcpStream, does: Does) -> Option<()> {
    match does {
        Does::Answer(status, body) => socket.write_all(answer(status, &body).as_bytes()).await.ok(),
        Does::AnswerTwice(status, first, second) => {
            let both = format!("{}{}", answer(status, &first), answer(status, &second));
            socket.write_all(both.as_bytes()).await.ok()
        }
        Does::Hang => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            None
        }
        Does::Reset => {
            socket.set_zero_linger().ok()?;
            None
        }
        Does::HalfAnswer(status, body) => {
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len() + 100);
            socket.write_all(head.as_bytes()).await.ok()?;
            None
        }
        Does::Flood => {
            socket.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 1000000000\r\n\r\n").await.ok()?;
            while socket.write_all(&[b'x'; 8192]).await.is_ok() {}
            None
        }
        Does::Nonsense => {
            socket.write_all(b"\x00\x01\x02 nonsense\r\n\r\n").await.ok()?;
            None
        }
        Does::Drip(body) => {
            for byte in answer(200, &body).bytes() {
                socket.write_all(&[byte]).await.ok()?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Some(())
        }
    }
}
