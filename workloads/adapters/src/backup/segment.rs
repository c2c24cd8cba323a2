//! Some records of a partition as an object: one JSON object a line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kbnt_application::Topic;
use kbnt_application::ports::RawRecord;
use kbnt_domain::Timestamp;
use kbnt_domain::audit::Hash;
use kbnt_wire::text::hex;
use serde::{Deserialize, Serialize};

/// A segment is closed when it has so many records, or so many bytes.
const RECORDS: usize = 10_000;

/// The same in bytes.
const BYTES: usize = 8 << 20;

/// A record; key, value and headers in Base64.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line {
    offset: u64,
    /// The log's own time of the record, in milliseconds.
    at: i64,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, Option<String>)>,
}

/// The name of the object of the records from `first` on with these bytes. No two objects have the same one: which records there are
/// from an offset on depends on where a run ends.
pub(super) fn name((topic, partition): (Topic, u32), first: u64, bytes: &Hash) -> String {
    format!("records/{}/{partition}/{first:020}-{}.jsonl", topic.name(), hex(&bytes[..8]))
}

/// A segment that is being written.
#[derive(Debug, Default)]
pub(super) struct Builder {
    pub(super) first: u64,
    pub(super) records: usize,
    pub(super) bytes: Vec<u8>,
}

impl Builder {
    pub(super) fn push(&mut self, offset: u64, record: &RawRecord) {
        if self.records == 0 {
            self.first = offset;
        }
        self.records += 1;
        let encode = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| STANDARD.encode(bytes));
        let line = Line {
            offset,
            at: record.at.as_millis(),
            key: encode(&record.key),
            value: encode(&record.value),
            headers: record.headers.iter().map(|(name, value)| (name.clone(), encode(value))).collect(),
        };
        // Numbers and texts can always be written.
        self.bytes.extend(serde_json::to_vec(&line).unwrap_or_default());
        self.bytes.push(b'\n');
    }

    pub(super) const fn is_full(&self) -> bool {
        self.records >= RECORDS || self.bytes.len() >= BYTES
    }
}

/// The records of a segment with their offsets, which rise; or what is wrong with it.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<(u64, RawRecord)>, String> {
    let decode = |text: Option<String>| {
        text.map(|text| STANDARD.decode(text)).transpose().map_err(|error| error.to_string())
    };
    let mut records: Vec<(u64, RawRecord)> = Vec::new();
    for line in serde_json::Deserializer::from_slice(bytes).into_iter::<Line>() {
        let Line { offset, at, key, value, headers } = line.map_err(|error| error.to_string())?;
        if records.last().is_some_and(|(before, _)| *before >= offset) {
            return Err(format!("offset {offset} does not come after the one before it"));
        }
        let headers = headers.into_iter().map(|(name, value)| Ok((name, decode(value)?)));
        let headers = headers.collect::<Result<_, String>>()?;
        let record =
            RawRecord { key: decode(key)?, value: decode(value)?, headers, at: Timestamp::from_millis(at) };
        records.push((offset, record));
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written() {
        let odd = RawRecord {
            key: Some(vec![0, 255]),
            value: None,
            headers: vec![("a".into(), None), ("a".into(), Some(vec![1])), ("é\n".into(), Some(Vec::new()))],
            at: Timestamp::from_millis(i64::MIN),
        };
        let records = [(3, RawRecord::default()), (u64::MAX, odd)];
        let mut segment = Builder::default();
        for (offset, record) in &records {
            segment.push(*offset, record);
        }
        assert_eq!((segment.first, segment.records), (3, 2));
        assert_eq!(read(&segment.bytes).unwrap(), records);
        assert_eq!(read(b"").unwrap(), []);
    }

    #[test]
    fn what_nobody_wrote_is_refused() {
        let line =
            |offset: u64| format!(r#"{{"offset":{offset},"at":0,"key":null,"value":null,"headers":[]}}"#);
        assert_eq!(read(line(1).as_bytes()).unwrap().len(), 1);
        for (text, said) in [
            ("{".to_owned(), "EOF"),
            ("[]".to_owned(), "invalid"),
            (format!("{}\n{}", line(2), line(2)), "does not come after"),
            (line(1).replace("null", "\"*\""), "Invalid"),
            (line(1).replace("\"at\"", "\"when\""), "unknown field"),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
