//! `kbnt dlq show`.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use kbnt_application::event::Bytes;
use kbnt_wire::text::{base64, hex, rfc3339};
use serde_json::{Value, json};

use super::dead_letters::{DeadLetter, done};
use crate::cli::ShowOptions;
use crate::failure::Failure;
use crate::output::{self, is_plain, plain};

/// The most bytes that are shown of a binary value.
const DUMPED: usize = 4_096;

pub(super) async fn run(options: &ShowOptions) -> Result<(), Failure> {
    let dead_letter =
        super::one(super::open(&options.dead_letter.trail).await?, options.dead_letter.id).await?;
    if options.raw {
        let value = dead_letter.stored.value.as_deref().unwrap_or_default();
        if std::io::stdout().is_terminal() && readable(value).is_none() {
            let what = "its value could play with the terminal: write it to a file, as in --raw > FILE";
            return Err(Failure::Refused(what.to_owned()));
        }
        output::bytes(value)
    } else if options.json {
        output::json(&full_json(&dead_letter))
    } else {
        output::bytes(text(&dead_letter).as_bytes())
    }
}

/// Everything that is kept, as JSON.
fn full_json(dead_letter: &DeadLetter) -> Value {
    let encoded = |bytes: &Option<Bytes>| bytes.as_deref().map(base64);
    let header = |(name, value): &(String, Option<Bytes>)| json!({"name": name, "value": encoded(value)});
    let mut all = dead_letter.to_json();
    all["key"] = json!(encoded(&dead_letter.stored.key));
    all["value"] = json!(encoded(&dead_letter.stored.value));
    all["valueHash"] = json!(dead_letter.stored.value_hash.map(|hash| hex(&hash)));
    all["headers"] = dead_letter.stored.headers.iter().map(header).collect();
    all
}

/// Everything that is kept, for people.
fn text(dead_letter: &DeadLetter) -> String {
    let stored = &dead_letter.stored;
    let mut shown = String::new();
    let mut line = |name: &str, what: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(shown, "{name:<12}{what}");
    };
    line("record", &dead_letter.at.to_string());
    line("reason", &plain(&stored.reason));
    line("recorded", &rfc3339(stored.recorded_at));
    line("stored", &rfc3339(dead_letter.stored_at));
    line("state", dead_letter.state());
    for (at, resolved) in &dead_letter.resolved {
        let (when, how) = (rfc3339(*at), done(resolved.how));
        line("", &format!("{how} {when} by {}: {}", plain(&resolved.by), plain(&resolved.reason)));
    }
    line("key", &stored.key.as_deref().map_or("none".to_owned(), brief));
    for (name, value) in &stored.headers {
        let value = value.as_deref().map_or("none".to_owned(), brief);
        line("header", &format!("{}: {value}", plain(name)));
    }
    line("sha-256", &stored.value_hash.map_or("none".to_owned(), |hash| hex(&hash)));
    match stored.value.as_deref() {
        None => line("value", "none: a tombstone"),
        Some(_) if stored.whole => line("value", &format!("{} bytes", stored.value_bytes)),
        Some(value) => {
            let kept = format!("the first {} of {} bytes", value.len(), stored.value_bytes);
            line("value", &format!("{kept}; the record itself is too large and lies where it was"));
        }
    }
    if let Some(value) = stored.value.as_deref() {
        match readable(value) {
            Some(text) => shown.push_str(text),
            None => dump(value, &mut shown),
        }
    }
    if !shown.ends_with('\n') {
        shown.push('\n');
    }
    shown
}

/// The text, if a terminal can show it as it is.
fn readable(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.chars().all(|c| is_plain(c) || matches!(c, '\n' | '\t')).then_some(text)
}

/// Bytes on one line: as text if possible.
fn brief(bytes: &[u8]) -> String {
    match readable(bytes) {
        Some(text) => plain(text),
        None => format!("hex {}", hex(&bytes[..bytes.len().min(64)])),
    }
}

/// Sixteen bytes per line, as numbers and as characters.
fn dump(bytes: &[u8], shown: &mut String) {
    for (line, chunk) in bytes[..bytes.len().min(DUMPED)].chunks(16).enumerate() {
        let numbers: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let character = |byte: &u8| if matches!(byte, 0x20..=0x7e) { char::from(*byte) } else { '.' };
        let characters: String = chunk.iter().map(character).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(shown, "{:08x}  {:<47}  |{characters}|", line * 16, numbers.join(" "));
    }
    if bytes.len() > DUMPED {
        let _ = writeln!(shown, "... {} more bytes: kbnt dlq show --raw has them", bytes.len() - DUMPED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kbnt_application::event::DeadLetterStored;
    use kbnt_application::{Position, Topic};
    use kbnt_domain::Timestamp;

    fn shown(key: Option<&[u8]>, value: Option<&[u8]>) -> String {
        let at = Position { topic: Topic::OrderEvents, partition: 0, offset: 7 };
        let headers = [("a\u{1b}", Some(b"\x00\x01".as_slice())), ("b", None)];
        let stored = DeadLetterStored::new(
            at.location(),
            "\u{1b}[31mbad".into(),
            Timestamp::default(),
            key,
            value,
            headers,
        );
        text(&DeadLetter {
            at,
            stored: stored.fitting(),
            stored_at: Timestamp::default(),
            resolved: Vec::new(),
        })
    }

    #[test]
    fn text_is_shown_as_text_and_bytes_as_bytes_and_nothing_plays_with_the_terminal() {
        let page = shown(Some(b"key-1"), Some(b"{\n\t\"a\": 1}"));
        for part in [
            "order-events/0@7",
            "\\u{1b}[31mbad",
            "key         key-1",
            "hex 0001",
            "b: none",
            "{\n\t\"a\": 1}\n",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        let page = shown(Some(b"\xff"), Some(b"\x1b[31m and then \xff"));
        assert!(
            page.contains("00000000  1b 5b 33 31 6d 20 61 6e 64 20 74 68 65 6e 20 ff  |.[31m and then .|"),
            "{page}"
        );
        assert!(page.contains("key         hex ff"), "{page}");
        assert!(page.chars().all(|c| !c.is_control() || c == '\n'), "{page:?}");
        assert!(shown(None, None).contains("none: a tombstone"));
    }

    #[test]
    fn of_what_is_large_the_beginning_is_shown_and_how_much_there_is() {
        let page = shown(None, Some(&[0xff; 10_000]));
        assert!(page.contains("10000 bytes") && page.contains("... 5904 more bytes"), "{page}");
        let page = shown(None, Some(&vec![b'x'; 5 << 20]));
        assert!(page.contains("the first 65536 of 5242880 bytes"), "{}", &page[..900]);
    }
}
