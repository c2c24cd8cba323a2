//! Finds HTTP/1 heads in the bytes of a client: in a head, every line ends with CR LF.
//!
//! The parser also accepts a bare LF as the end of a line. Proxies on the way do not, and if two of them see
//! different ends of a head, one can be tricked into seeing another request. So a bare LF in a head is
//! replaced by a byte that no head may contain, and the parser refuses the request. This module distinguishes
//! heads from bodies by the bytes alone; the parser has the last word.

/// Replaces a bare LF.
const REFUSED: u8 = 0;

/// The longest field that determines the end of the body, in bytes.
const FIELD_MOST: usize = 256;

/// Follows the bytes of a client.
#[derive(Debug, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is one thing that was seen, and any may come with any"
)]
pub(super) struct Heads {
    part: Part,
    /// The relevant part of the current line.
    line: Vec<u8>,
    /// Whether the line was longer.
    cut: bool,
    after_cr: bool,
    /// The framing of the body, according to the head so far.
    body: Framing,
    first_line: bool,
    http2: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    /// Before the first byte.
    #[default]
    Start,
    Head,
    /// This many bytes of a body remain.
    Sized(u64),
    /// A line with the size of a chunk.
    ChunkSize,
    /// A chunk and the line end after it.
    Chunk(u64),
    /// Fields after the last chunk.
    Trailer,
    /// No more heads follow.
    Other,
    /// Nothing more is interpreted.
    Refused,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Framing {
    #[default]
    None,
    Length(u64),
    Chunked,
}

impl Heads {
    /// Looks at the next bytes, and spoils what the parser must refuse.
    pub(super) fn look(&mut self, mut bytes: &mut [u8]) {
        while let Some(byte) = bytes.first_mut() {
            match self.part {
                Part::Other => return,
                Part::Refused => {
                    // The parser looks at a head only once it sees an end of it.
                    bytes.fill(b'\n');
                    return;
                }
                Part::Sized(left) | Part::Chunk(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = &mut bytes[here..];
                    self.passed(here as u64);
                    continue;
                }
                Part::Start | Part::Head | Part::ChunkSize | Part::Trailer => self.look_at(byte),
            }
            bytes = &mut bytes[1..];
        }
    }

    /// Part of a body has passed.
    fn passed(&mut self, bytes: u64) {
        self.part = match self.part {
            Part::Sized(left) if left > bytes => Part::Sized(left - bytes),
            Part::Sized(_) => Part::Start,
            Part::Chunk(left) if left > bytes => Part::Chunk(left - bytes),
            Part::Chunk(_) => Part::ChunkSize,
            other => other,
        };
    }

    fn look_at(&mut self, byte: &mut u8) {
        if self.part == Part::Start {
            // Empty lines before a request are skipped, as the parser does.
            if *byte == b'\r' || *byte == b'\n' && self.after_cr {
                self.after_cr = *byte == b'\r';
                return;
            }
            *self = Self { part: Part::Head, first_line: true, ..Self::default() };
        }
        let after_cr = std::mem::replace(&mut self.after_cr, *byte == b'\r');
        match *byte {
            b'\n' if after_cr && self.line_ends() => {}
            b'\n' => {
                *byte = REFUSED;
                self.part = Part::Refused;
            }
            b'\r' => {}
            // The parser accepts any number of blanks around a value, and none elsewhere where they would
            // matter.
            b' ' | b'\t' if self.part == Part::Head && !self.first_line => {}
            byte if self.line.len() < FIELD_MOST => self.line.push(byte),
            _ => self.cut = true,
        }
    }

    /// Whether the line is acceptable: one that determines the end of a body must be seen in full.
    fn line_ends(&mut self) -> bool {
        let line = std::mem::take(&mut self.line);
        let (first, cut) = (std::mem::take(&mut self.first_line), std::mem::take(&mut self.cut));
        match self.part {
            Part::Head if line.is_empty() => self.head_ends(),
            Part::Head if first => self.http2 = line == b"PRI * HTTP/2.0",
            Part::Head => return self.field(&line, cut),
            Part::ChunkSize => {
                let size = chunk_size(&line, cut);
                self.part = match size {
                    Some(0) => Part::Trailer,
                    Some(size) => Part::Chunk(size.saturating_add(2)),
                    None => Part::Other,
                };
                return size.is_some();
            }
            Part::Trailer if line.is_empty() => self.part = Part::Start,
            _ => {}
        }
        true
    }

    /// Whether the field is acceptable.
    fn field(&mut self, line: &[u8], cut: bool) -> bool {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return true };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.body = Framing::Chunked;
            !cut
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let length = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            if self.body != Framing::Chunked {
                self.body = length.map_or(Framing::None, Framing::Length);
            }
            length.is_some() && !cut
        } else {
            true
        }
    }

    fn head_ends(&mut self) {
        self.part = match self.body {
            _ if self.http2 => Part::Other,
            Framing::None | Framing::Length(0) => Part::Start,
            Framing::Length(length) => Part::Sized(length),
            Framing::Chunked => Part::ChunkSize,
        };
    }
}

/// `None` if the size is invalid, or was not seen in full.
fn chunk_size(line: &[u8], cut: bool) -> Option<u64> {
    let mut parts = line.split(|byte| *byte == b';');
    let digits = parts.next()?.trim_ascii();
    if cut && parts.next().is_none() {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the parser sees of `text`, in pieces of this size.
    fn seen(text: &str, piece: usize) -> String {
        let mut bytes = text.as_bytes().to_vec();
        let mut heads = Heads::default();
        bytes.chunks_mut(piece).for_each(|piece| heads.look(piece));
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn blanks_around_a_length_do_not_hide_it() {
        let blanks = " \t".repeat(300);
        for text in [
            format!("POST / HTTP/1.1\r\nContent-Length:{blanks}4\r\n\r\n\n\n\n\nGET / HTTP/1.1\r\n\r\n"),
            format!("POST / HTTP/1.1\r\nContent-Length: 4{blanks}\r\n\r\n{{\n\n}}GET / HTTP/1.1\r\n\r\n"),
            format!(
                "POST / HTTP/1.1\r\nTransfer-Encoding:{blanks}chunked\r\n\r\n1;{}\r\n\n\r\n0\r\n\r\n",
                "x".repeat(300)
            ),
            format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y: z ".repeat(300)),
        ] {
            for piece in [1, 7, 1000] {
                assert_eq!(seen(&text, piece), text, "in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_length_that_is_not_seen_wholly_is_spoiled() {
        let long = "0".repeat(300);
        for text in [
            format!("POST / HTTP/1.1\r\nContent-Length: {long}4\r\n\r\n"),
            format!("POST / HTTP/1.1\r\nTransfer-Encoding: {long}, chunked\r\n\r\n"),
            format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{long}1\r\n"),
            "POST / HTTP/1.1\r\nContent-Length: four\r\n\r\n".to_owned(),
        ] {
            for piece in [1, 7, 1000] {
                assert!(seen(&text, piece).contains('\0'), "{text:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn whatever_is_sound_stays_as_it_is() {
        for text in [
            "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n\n\n\n\nGET / HTTP/1.1\r\nhost: x\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\n\n\n\n\r\n0\r\nx: y\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\n\n\n",
        ] {
            for piece in [1, 2, 3, 7, 1000] {
                assert_eq!(seen(text, piece), text, "in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_bare_line_feed_in_any_head_is_spoiled() {
        let good = "POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n\n\n";
        let chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\n";
        for (before, bad) in [
            ("", "GET / HTTP/1.1\nhost: x\r\n\r\n"),
            ("", "GET / HTTP/1.1\r\nhost: x\n\r\n"),
            ("", "GET / HTTP/1.1\r\nhost: x\r\n\n"),
            ("", "\nGET / HTTP/1.1\r\nhost: x\r\n\r\n"),
            (good, "GET / HTTP/1.1\nhost: x\r\n\r\n"),
            (chunked, "GET / HTTP/1.1\r\nhost: x\n\r\n"),
        ] {
            for piece in [1, 2, 5, 1000] {
                let text = seen(&format!("{before}{bad}"), piece);
                assert!(text.starts_with(before) && text[before.len()..].contains('\0'), "{bad:?}, {piece}");
            }
        }
    }
}
