//! Records in the form that the producer sends.

use kbnt_application::Append;
use kbnt_application::ports::RawRecord;
use kbnt_wire::{self as wire, EncodeError};
use rdkafka::message::{Header, OwnedHeaders};

/// A record to be sent.
pub(crate) struct OutgoingRecord {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: OwnedHeaders,
    /// The record's time in milliseconds; the producer's clock without it.
    pub(crate) timestamp: Option<i64>,
}

impl OutgoingRecord {
    /// Encodes `append`.
    pub(crate) fn encode(append: &Append) -> Result<Self, EncodeError> {
        let mut headers = Some(OwnedHeaders::new_with_capacity(wire::HEADERS));
        let (key, value) = wire::write(append, |key, value| {
            headers = headers.take().map(|headers| headers.insert(Header { key, value: Some(value) }));
        })?;
        Ok(Self { key, value: Some(value), headers: headers.unwrap_or_default(), timestamp: None })
    }

    /// The same with the time that `record` has.
    pub(crate) fn keeping_time(record: RawRecord) -> Self {
        Self { timestamp: Some(record.at.as_millis()), ..Self::from(record) }
    }

    /// The bytes of its key and value.
    pub(crate) fn size(&self) -> usize {
        [&self.key, &self.value].into_iter().flatten().map(Vec::len).sum()
    }
}

impl From<RawRecord> for OutgoingRecord {
    /// The producer sets the timestamp: a broker may delete or refuse a record with the time that a machine decided.
    fn from(RawRecord { key, value, headers, at: _ }: RawRecord) -> Self {
        let none = OwnedHeaders::new_with_capacity(headers.len());
        let insert = |all: OwnedHeaders, (key, value): &(String, Option<Vec<u8>>)| {
            all.insert(Header { key, value: value.as_deref() })
        };
        Self { key, value, headers: headers.iter().fold(none, insert), timestamp: None }
    }
}
