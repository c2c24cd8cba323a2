//! A client's socket: it tracks activity, spoils heads that the parser must refuse, and gives the parser's
//! own refusals the form of all others.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::activity::Activity;
use super::heads::Heads;
use crate::problem;

/// Bytes that are read and discarded after the last response, so that unread input does not reset the
/// connection before the client has read that response.
const THROWN_AWAY_MOST: usize = 4 << 20;

/// How long that may take.
const LINGER: Duration = Duration::from_secs(2);

/// A client's socket.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    activity: Arc<Activity>,
    heads: Heads,
    /// Bytes that replace a refusal without a body.
    refusal: Vec<u8>,
    /// Set when nothing more will be written: until when input is discarded, and how much has been.
    leaving: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        Self { stream, activity, heads: Heads::default(), refusal: Vec::new(), leaving: None }
    }

    fn noted(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => self.activity.wrote(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.blocked(),
        }
        written
    }

    /// Writes the bytes that replace a refusal.
    fn poll_refuse(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.refusal.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(cx, &self.refusal);
            let written = ready!(self.noted(written))?;
            self.refusal.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

/// The status of an error head without a body, which comes from the parser.
fn bare_refusal(head: &[u8]) -> Option<StatusCode> {
    let text = std::str::from_utf8(head).ok()?.strip_prefix("HTTP/1.1 4")?;
    let bare = text.contains("content-length: 0\r\n") && !text.contains("content-type:");
    let status = head.get(9..12).and_then(|digits| StatusCode::from_bytes(digits).ok())?;
    (bare && text.ends_with("\r\n\r\n")).then_some(status)
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let new = &mut buffer.filled_mut()[before..];
        if !new.is_empty() {
            self.activity.received();
            self.heads.look(new);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_refuse(cx))?;
        if let Some(document) = bare_refusal(bytes).and_then(problem::refusal) {
            self.refusal = document;
            self.activity.linger();
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.noted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = parts {
            return self.poll_write(cx, only);
        }
        ready!(self.poll_refuse(cx))?;
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.noted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refuse(cx))?;
        self.activity.flushed();
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refuse(cx))?;
        if self.leaving.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            if !self.activity.lingers() {
                return Poll::Ready(Ok(()));
            }
        }
        let Self { stream, leaving, .. } = &mut *self;
        let (until, thrown_away) = leaving.get_or_insert_with(|| (Box::pin(tokio::time::sleep(LINGER)), 0));
        let mut scrap = [0; 8192];
        while *thrown_away < THROWN_AWAY_MOST && until.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut scrap);
            // A client that resets the connection is gone, too.
            let read = ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                break;
            }
            *thrown_away += buffer.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}
