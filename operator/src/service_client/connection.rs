//! HTTP/1.1 over a connection that stays open for the next call.
//!
//! The operator has a connection to each service that it observes, and most of the time it waits there for an
//! answer. A client for many concurrent calls keeps 25 KiB of buffers per connection, half of the operator's
//! memory; this one keeps only the socket while it waits.

use std::io;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(2);
/// Largest answer that is read, in bytes: 1,000 products take well under a tenth of it.
const LARGEST: usize = 8 << 20;
/// Bytes to read at a time.
const PIECE: usize = 2048;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    /// No connection within the time.
    #[error("cannot connect within {} s", CONNECT.as_secs())]
    Slow,
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The address has no host.
    #[error("the address has no host")]
    NoHost,
    /// The answer is not HTTP.
    #[error("no HTTP: {0}")]
    Head(#[from] httparse::Error),
    /// The answer does not state its length.
    #[error("no HTTP: the length of the answer cannot be told")]
    Length,
    /// The answer is longer than any legitimate one.
    #[error("more than {LARGEST} bytes")]
    TooLong,
}

/// A connection for one call after another, to one service at a time.
#[derive(Default)]
pub(super) struct Connection {
    kept: Option<(Authority, TcpStream)>,
}

impl Connection {
    /// Makes a call. It may be sent twice, because the service may have closed the kept connection.
    pub(super) async fn call(
        &mut self,
        request: &Request<String>,
    ) -> Result<Response<Vec<u8>>, ConnectionError> {
        let authority = request.uri().authority().ok_or(ConnectionError::NoHost)?;
        if let Some((_, stream)) = self.kept.take().filter(|(kept, _)| kept == authority)
            && let Ok(answer) = self.exchange(stream, request, authority).await
        {
            return Ok(answer);
        }
        let connect = TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80)));
        let stream = tokio::time::timeout(CONNECT, connect).await.map_err(|_| ConnectionError::Slow)??;
        stream.set_nodelay(true)?;
        self.exchange(stream, request, authority).await
    }

    async fn exchange(
        &mut self,
        mut stream: TcpStream,
        request: &Request<String>,
        authority: &Authority,
    ) -> Result<Response<Vec<u8>>, ConnectionError> {
        stream.write_all(&written(request, authority)).await?;
        let mut read = Vec::new();
        let (head, length) = loop {
            match head(&read)? {
                Some((head, length)) if head.status().is_informational() => drop(read.drain(..length)),
                Some(found) => break found,
                None => more(&stream, &mut read).await?,
            }
        };
        read.drain(..length);
        let (body, closed) = body(&stream, &head, read).await?;
        if !closed && !says(&head, &CONNECTION, "close") {
            self.kept = Some((authority.clone(), stream));
        }
        Ok(head.map(|()| body))
    }
}

fn written(request: &Request<String>, authority: &Authority) -> Vec<u8> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let mut text = format!("{} {target} HTTP/1.1\r\n{HOST}: {authority}\r\n", request.method()).into_bytes();
    for (name, value) in request.headers() {
        text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    text.extend(format!("{CONTENT_LENGTH}: {}\r\n\r\n{}", request.body().len(), request.body()).into_bytes());
    text
}

/// The head of an answer and its length, once all of it has arrived.
fn head(read: &[u8]) -> Result<Option<(Response<()>, usize)>, ConnectionError> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = answer.parse(read)? else { return Ok(None) };
    let mut head = Response::new(());
    let code = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
    *head.status_mut() = code.ok_or(httparse::Error::Status)?;
    for header in answer.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| httparse::Error::HeaderName)?;
        let value = HeaderValue::from_bytes(header.value).map_err(|_| httparse::Error::HeaderValue)?;
        head.headers_mut().append(name, value);
    }
    if answer.version == Some(0) {
        head.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(Some((head, length)))
}

fn says(head: &Response<()>, name: &HeaderName, word: &str) -> bool {
    head.headers().get(name).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(word.as_bytes()))
}

/// The body, whose beginning may have been read already, and whether the connection must be closed.
async fn body(
    stream: &TcpStream,
    head: &Response<()>,
    mut read: Vec<u8>,
) -> Result<(Vec<u8>, bool), ConnectionError> {
    if says(head, &TRANSFER_ENCODING, "chunked") {
        loop {
            if let Some(body) = unchunked(&read)? {
                return Ok((body, false));
            }
            more(stream, &mut read).await?;
        }
    }
    if let Some(length) = length(head)? {
        while read.len() < length {
            more(stream, &mut read).await?;
        }
        read.truncate(length);
        return Ok((read, false));
    }
    while some(stream, &mut read).await? > 0 {}
    Ok((read, true))
}

fn length(head: &Response<()>) -> Result<Option<usize>, ConnectionError> {
    let said = |headers: &HeaderMap| headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok();
    match said(head.headers()) {
        Some(length) if length > LARGEST => Err(ConnectionError::TooLong),
        Some(length) => Ok(Some(length)),
        None if head.headers().contains_key(CONTENT_LENGTH) => Err(ConnectionError::Length),
        None if head.status() == StatusCode::NO_CONTENT => Ok(Some(0)),
        None => Ok(None),
    }
}

/// The content of a chunked body, once its last chunk and trailers have arrived.
fn unchunked(mut read: &[u8]) -> Result<Option<Vec<u8>>, ConnectionError> {
    let mut body = Vec::new();
    loop {
        let found = httparse::parse_chunk_size(read).map_err(|_| ConnectionError::Length)?;
        let httparse::Status::Complete((start, size)) = found else { return Ok(None) };
        let size = usize::try_from(size).map_err(|_| ConnectionError::TooLong)?;
        if size == 0 {
            let mut trailers = [httparse::EMPTY_HEADER; 16];
            return Ok(httparse::parse_headers(&read[start..], &mut trailers)?.is_complete().then_some(body));
        }
        let Some((chunk, rest)) = read[start..].split_at_checked(size) else { return Ok(None) };
        let Some((_, rest)) = rest.split_at_checked(2) else { return Ok(None) };
        body.extend(chunk);
        read = rest;
    }
}

/// Reads on if more is expected.
async fn more(stream: &TcpStream, into: &mut Vec<u8>) -> Result<(), ConnectionError> {
    match some(stream, into).await? {
        0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        _ => Ok(()),
    }
}

/// Reads on. 0 means the end. Allocates only once there is something to read.
async fn some(stream: &TcpStream, into: &mut Vec<u8>) -> Result<usize, ConnectionError> {
    if into.len() > LARGEST {
        return Err(ConnectionError::TooLong);
    }
    loop {
        stream.readable().await?;
        into.reserve(PIECE);
        match stream.try_read_buf(into) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return Ok(read?),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    /// A service that gives these answers, each in its pieces, and closes the connection after each group.
    /// The task returns the number of connections.
    async fn service(groups: Vec<Vec<Vec<&'static str>>>) -> (String, tokio::task::JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a?b=c", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            let mut connections = 0;
            for answers in groups {
                let (mut stream, _) = listener.accept().await.unwrap();
                connections += 1;
                for pieces in answers {
                    let mut asked = String::new();
                    while !asked.contains("\r\n\r\n") {
                        let mut buffer = [0; 512];
                        let count = stream.read(&mut buffer).await.unwrap();
                        asked.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
                    }
                    assert!(asked.starts_with("GET /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:"), "{asked}");
                    for piece in pieces {
                        stream.write_all(piece.as_bytes()).await.unwrap();
                        stream.flush().await.unwrap();
                        // Makes most pieces arrive one by one.
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                }
            }
            connections
        });
        (url, task)
    }

    async fn ask(line: &mut Connection, url: &str) -> Result<(u16, String), ConnectionError> {
        let answer = line.call(&Request::get(url).body(String::new()).unwrap()).await?;
        Ok((answer.status().as_u16(), String::from_utf8(answer.into_body()).unwrap()))
    }

    const WHOLE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab";

    #[tokio::test]
    async fn a_connection_is_used_again_and_made_anew_when_it_was_closed() {
        let (url, served) = service(vec![vec![vec![WHOLE], vec![WHOLE]], vec![vec![WHOLE]]]).await;
        let mut line = Connection::default();
        for _ in 0..3 {
            assert_eq!(ask(&mut line, &url).await.unwrap(), (200, "ab".into()));
        }
        assert_eq!(served.await.unwrap(), 2);
    }

    #[tokio::test]
    async fn an_answer_ends_where_it_says() {
        for (pieces, expected) in [
            (vec!["HTTP/1.1 4", "09 Conflict\r\ncontent-le", "ngth: 3\r\n\r\na", "bc"], Some((409, "abc"))),
            (
                vec![
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r",
                    "\n1;x\r\nc\r\n0\r\n",
                    "\r\n",
                ],
                Some((200, "abc")),
            ),
            (
                vec!["HTTP/1.1 103 Early Hints\r\na: b\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"],
                Some((204, "")),
            ),
            (vec!["HTTP/1.0 200 OK\r\n\r\na", "b"], Some((200, "ab"))),
            (vec!["HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab"], None),
            (vec!["HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\nab"], None),
            (vec!["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nab\r\nab"], None),
            (vec!["SSH-2.0\r\n\r\n"], None),
        ] {
            let (url, _served) = service(vec![vec![pieces.clone()]]).await;
            let answer = ask(&mut Connection::default(), &url).await.ok();
            let answer = answer.as_ref().map(|(code, body)| (*code, body.as_str()));
            assert_eq!(answer, expected, "{pieces:?}");
        }
    }
}
