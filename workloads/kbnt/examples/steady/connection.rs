//! Connections to a service that use as little CPU as possible, because the services under load share it with
//! them.

use std::net::SocketAddr;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::shared::Failure;

/// The most headers of a response.
const HEADERS: usize = 32;

/// An HTTP/1.1 connection with one request at a time.
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What a service answers to an order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) code: u16,
    /// The status of the order, or the code of the problem.
    pub(crate) said: String,
    pub(crate) order: Option<String>,
    /// Whether it is the answer to an earlier request.
    pub(crate) replayed: bool,
}

/// The parts of a body that are used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    order_id: Option<String>,
    code: Option<String>,
    /// A word of an order, a number of a problem.
    status: serde_json::Value,
}

impl Connection {
    pub(crate) async fn open(to: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Whether the service has kept the connection open.
    pub(crate) fn is_open(&self) -> bool {
        let unread = self.stream.try_read(&mut [0]);
        unread.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Places the order `body` under this key, if there is one. Returns what is answered once it has ended.
    pub(crate) async fn place(&mut self, key: Option<&str>, body: &str) -> Result<Answer, Failure> {
        let key = key.map(|key| format!("idempotency-key: {key}\r\n")).unwrap_or_default();
        let request = format!(
            "POST /v1/orders?wait=10s HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n{key}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.received.clear();
        loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err("the service has hung up".into());
            }
            if let Some(answer) = answer(&self.received)? {
                return Ok(answer);
            }
        }
    }
}

/// The answer; `None` while it is incomplete.
fn answer(received: &[u8]) -> Result<Option<Answer>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(start) = head.parse(received)? else { return Ok(None) };
    let header = |name: &str| head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    let length = header("content-length").ok_or("an answer of unknown length")?;
    let length: usize = std::str::from_utf8(length.value)?.parse()?;
    let Some(body) = received.get(start..start + length) else { return Ok(None) };
    let Body { order_id, code, status } = serde_json::from_slice(body)?;
    let said = code.or_else(|| status.as_str().map(str::to_owned)).unwrap_or_default();
    let replayed = header("idempotent-replayed").is_some_and(|replayed| replayed.value == b"true");
    Ok(Some(Answer { code: head.code.unwrap_or_default(), said, order: order_id, replayed }))
}
