//! Parses server-sent events from bytes that arrive in pieces of any size.

use thiserror::Error;
use tokio_util::bytes::{Buf as _, BytesMut};

/// The longest accepted line, in bytes: more than any record of ours can have, and a bound for faulty
/// servers.
const LINE_MOST: usize = 64 << 20;

/// The byte order mark that a stream may begin with. It is not part of the first line.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// The stream is not an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum BadStream {
    /// A line is endless.
    #[error("a line is longer than {LINE_MOST} bytes")]
    TooLong,
    /// A line is not UTF-8.
    #[error("it is no text")]
    NoText,
}

/// A frame: the part of the stream up to an empty line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    /// The id, if it has one.
    pub(super) id: Option<String>,
    /// The data lines, if there are any.
    pub(super) data: Option<String>,
    /// The last comment.
    pub(super) comment: Option<String>,
}

/// Parses frames. A character, a line or a frame may be split over several pieces.
#[derive(Debug)]
pub(super) struct Frames {
    received: BytesMut,
    /// Bytes of `received` that contain no line end.
    searched: usize,
    /// Whether anything was read.
    begun: bool,
    /// Whether the last line ended with CR: an LF right behind it belongs to the same line end.
    after_cr: bool,
    frame: Frame,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            received: BytesMut::new(),
            searched: 0,
            begun: false,
            after_cr: false,
            frame: Frame::default(),
        }
    }

    /// Adds received bytes.
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.received.extend_from_slice(piece);
    }

    /// The next complete frame. Fails if it is not text, or if a line is far too long.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, BadStream> {
        while let Some(line) = self.line()? {
            if line.is_empty() {
                return Ok(Some(std::mem::take(&mut self.frame)));
            }
            self.frame.take(&line);
        }
        Ok(None)
    }

    /// The next complete line, ended by LF, CR LF or CR.
    fn line(&mut self) -> Result<Option<String>, BadStream> {
        if !self.begun {
            if self.received.len() < MARK.len() && MARK.starts_with(&self.received) {
                return Ok(None);
            }
            if self.received.starts_with(MARK) {
                self.received.advance(MARK.len());
            }
            self.begun = true;
        }
        if self.after_cr && !self.received.is_empty() {
            self.after_cr = false;
            if self.received.first() == Some(&b'\n') {
                self.received.advance(1);
            }
        }
        let end = self.received[self.searched..].iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let Some(end) = end.map(|end| self.searched + end) else {
            self.searched = self.received.len();
            return if self.searched > LINE_MOST { Err(BadStream::TooLong) } else { Ok(None) };
        };
        let line = self.received.split_to(end);
        self.after_cr = self.received.first() == Some(&b'\r');
        self.received.advance(1);
        self.searched = 0;
        String::from_utf8(line.to_vec()).map(Some).map_err(|_| BadStream::NoText)
    }
}

impl Frame {
    fn take(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" => self.comment = Some(value.to_owned()),
            "id" => self.id = Some(value.to_owned()),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                none => *none = Some(value.to_owned()),
            },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(id: Option<&str>, data: Option<&str>, comment: Option<&str>) -> Frame {
        Frame {
            id: id.map(str::to_owned),
            data: data.map(str::to_owned),
            comment: comment.map(str::to_owned),
        }
    }

    /// All frames of `bytes`, which arrive in pieces of this size.
    fn frames(bytes: &[u8], at_a_time: usize) -> Vec<Frame> {
        let mut frames = Frames::new();
        let mut found = Vec::new();
        for piece in bytes.chunks(at_a_time) {
            frames.push(piece);
            while let Some(frame) = frames.next().unwrap() {
                found.push(frame);
            }
        }
        found
    }

    #[test]
    fn pieces_of_any_size_make_the_same_frames() {
        let text = "id: 1\ndata: {\"name\":\"東京 🏯 é\"}\n\n: live\n\nevent: x\r\ndata:a\r\ndata: b\r\nid:2\r\n\r\n:\n\nid: 3";
        let expected = [
            frame(Some("1"), Some("{\"name\":\"東京 🏯 é\"}"), None),
            frame(None, None, Some("live")),
            frame(Some("2"), Some("a\nb"), None),
            frame(None, None, Some("")),
        ];
        for at_a_time in 1..=text.len() {
            assert_eq!(frames(text.as_bytes(), at_a_time), expected, "{at_a_time} bytes at a time");
        }
    }

    #[test]
    fn lines_end_as_they_may_and_a_mark_at_the_beginning_is_no_part_of_the_first() {
        let expected = [frame(Some("1"), Some("a\nb"), None), frame(Some("2"), Some("c"), None)];
        for end in ["\n", "\r", "\r\n"] {
            let lines = ["id: 1", "data: a", "data: b", "", "id: 2", "data: c", "", ""];
            for text in [lines.join(end), format!("\u{feff}{}", lines.join(end))] {
                for at_a_time in 1..=text.len() {
                    // The last line end may produce one more empty line.
                    assert_eq!(frames(text.as_bytes(), at_a_time)[..2], expected, "{text:?} {at_a_time}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_text_is_an_error_and_never_another_text() {
        let mut frames = Frames::new();
        frames.push(b"data: \xe6\x9d\n\n");
        assert!(frames.next().is_err());
    }
}
