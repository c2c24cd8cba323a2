//! Small trusted JSON files. Each has the SHA-256 of its content, and is replaced as a whole.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use kbnt_domain::audit::sha256;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The complete text of the file. The checksum covers the text of `content`, byte by byte, in lower-case
/// hexadecimal digits.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed<'a> {
    #[serde(borrow)]
    checksum: Cow<'a, str>,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// The content of the file of this name; `None` if it does not exist. An error of kind `InvalidData` means
/// that it is damaged.
pub(super) fn read<T: DeserializeOwned>(directory: &Path, name: &str) -> io::Result<Option<T>> {
    let bytes = match std::fs::read(directory.join(name)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let sealed: Sealed<'_> = serde_json::from_slice(&bytes).map_err(damaged)?;
    if *sealed.checksum != checksum(sealed.content.get()) {
        return Err(damaged("its checksum is wrong"));
    }
    serde_json::from_str(sealed.content.get()).map(Some).map_err(damaged)
}

/// Replaces the file of this name atomically: after a crash it has the old or the new content.
pub(super) fn write(directory: &Path, name: &str, content: &impl Serialize) -> io::Result<()> {
    let content = RawValue::from_string(serde_json::to_string_pretty(content)?)?;
    let sealed = Sealed { checksum: checksum(content.get()).into(), content: &content };
    let new = directory.join(format!("{name}.new"));
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(&sealed)?)?;
    file.sync_data()?;
    std::fs::rename(new, directory.join(name))
}

fn checksum(text: &str) -> String {
    sha256(text.as_bytes()).iter().fold(String::with_capacity(64), |mut digits, byte| {
        // Writing to a text cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

fn damaged(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "some.json";

    #[test]
    fn what_was_written_is_read_and_any_flipped_bit_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let content = ("a5b5".to_owned(), 17_u64, vec![("x".to_owned(), 3_u32)]);
        assert_eq!(read::<String>(directory.path(), NAME).unwrap(), None);
        write(directory.path(), NAME, &content).unwrap();
        assert_eq!(read(directory.path(), NAME).unwrap(), Some(content));
        let original = std::fs::read(directory.path().join(NAME)).unwrap();
        for bit in 0..original.len() * 8 {
            let mut flipped = original.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(directory.path().join(NAME), &flipped).unwrap();
            let error = read::<(String, u64, Vec<(String, u32)>)>(directory.path(), NAME).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "bit {bit}");
        }
    }
}
