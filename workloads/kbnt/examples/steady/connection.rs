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

/// The parts of a response that are used.
#[derive(Deserialize)]
struct Answer {
    status: String,
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

    /// Places the order `body`. Returns its status once it has ended, or the error as text.
    pub(crate) async fn place(&mut self, body: &str) -> Result<String, Failure> {
        let request = format!(
            "POST /v1/orders?wait=10s HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.received.clear();
        loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err("the service has hung up".into());
            }
            if let Some(body) = whole_body(&self.received)? {
                let answer = serde_json::from_slice::<Answer>(body);
                return answer
                    .map_or_else(|_| Ok(String::from_utf8_lossy(body).into_owned()), |it| Ok(it.status));
            }
        }
    }
}

/// The body of a response; `None` while it is incomplete.
fn whole_body(received: &[u8]) -> Result<Option<&[u8]>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(start) = head.parse(received)? else { return Ok(None) };
    let length = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length: usize = std::str::from_utf8(length.ok_or("an answer of unknown length")?.value)?.parse()?;
    Ok(received.get(start..start + length))
}
