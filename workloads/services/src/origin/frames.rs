//! Server-sent events out of bytes that come in pieces of any size.

use tokio_util::bytes::BytesMut;
use tokio_util::codec::{Decoder as _, LinesCodec, LinesCodecError};

/// The longest line that is taken, in bytes: more than any record of ours can have, and a bound for what a wrong server sends.
const LINE_MOST: usize = 64 << 20;

/// A part of the stream that an empty line ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    /// The id, if it has one.
    pub(super) id: Option<String>,
    /// The data lines, if there are any.
    pub(super) data: Option<String>,
    /// The last comment.
    pub(super) comment: Option<String>,
}

/// Reads frames. A character, a line or a frame may lie in several pieces.
#[derive(Debug)]
pub(super) struct Frames {
    lines: LinesCodec,
    received: BytesMut,
    frame: Frame,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            lines: LinesCodec::new_with_max_length(LINE_MOST),
            received: BytesMut::new(),
            frame: Frame::default(),
        }
    }

    /// Takes in what came.
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.received.extend_from_slice(piece);
    }

    /// The next whole frame of what came so far. Fails where it is no text, or a line is far too long.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, LinesCodecError> {
        while let Some(line) = self.lines.decode(&mut self.received)? {
            if line.is_empty() {
                return Ok(Some(std::mem::take(&mut self.frame)));
            }
            self.frame.take(&line);
        }
        Ok(None)
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

    /// All frames of `bytes` that come so many at a time.
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
    fn what_is_no_text_is_an_error_and_never_another_text() {
        let mut frames = Frames::new();
        frames.push(b"data: \xe6\x9d\n\n");
        assert!(frames.next().is_err());
    }
}
