//! What is shown on stdout and said on stderr. Everything that is shown goes through here: nothing of it panics where
//! stdout is closed or full, and nothing that others wrote can play with the terminal.

use std::fmt::{Display, Write as _};
use std::io::Write;

use serde_json::Value;

use crate::failure::Failure;

/// Shows a line; what is not plain text in it is escaped.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    bytes(format!("{}\n", plain(text)).as_bytes())
}

/// Shows lines whose parts are plain already, in colours where there is a terminal.
pub(crate) fn page(text: impl Display) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(Failure::Output)
}

/// Shows a JSON value on one line.
pub(crate) fn json(value: &Value) -> Result<(), Failure> {
    bytes(format!("{}\n", plain_json(&value.to_string())).as_bytes())
}

/// Shows bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(Failure::Output)
}

/// Says on stderr what is wrong. Where that cannot be written to, nobody can be told.
pub(crate) fn complain(what: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "kbnt: {}", plain(&what.to_string()));
}

/// `text` on one line, in characters that show nothing but themselves. Others are escaped as Rust writes them: those that
/// control a terminal or break the line, those that turn the direction of what follows, and those that cannot be seen.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_plain(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_default());
        }
    }
    shown
}

/// JSON text in which the same characters are escaped as JSON has it; it says the same.
pub(crate) fn plain_json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_plain(c) || c == '\n' {
            shown.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
    }
    shown
}

/// Whether a character shows itself and does nothing else. Joiners are needed to write some languages.
pub(crate) fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_play_with_a_terminal_is_escaped_and_all_else_is_shown() {
        for (text, shown) in [
            ("São Paulo, 東京, नमस्ते, 👩\u{200d}🚀, \\", "São Paulo, 東京, नमस्ते, 👩\u{200d}🚀, \\"),
            ("\u{1b}[2J\u{1b}]0;x\u{7}", "\\u{1b}[2J\\u{1b}]0;x\\u{7}"),
            ("a\r\n\tb\u{7f}", "a\\r\\n\\tb\\u{7f}"),
            ("\u{9b}31m\u{85}", "\\u{9b}31m\\u{85}"),
            ("\u{202e}gpj\u{2066}\u{2028}\u{feff}", "\\u{202e}gpj\\u{2066}\\u{2028}\\u{feff}"),
            ("\u{e0041}", "\\u{e0041}"),
        ] {
            assert_eq!(plain(text), shown);
        }
    }

    #[test]
    fn json_says_the_same_in_plain_characters() {
        let value = serde_json::json!({"\u{9b}a": "\u{202e}b\u{1b}\u{e0041}é\n\"\\"});
        let text = plain_json(&value.to_string());
        assert!(text.chars().all(is_plain), "{text:?}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
