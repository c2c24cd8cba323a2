//! Records as Kafka's client takes them.

use kbnt_application::Append;
use kbnt_application::ports::RawRecord;
use kbnt_wire::{self as wire, EncodeError};
use rdkafka::message::{Header, OwnedHeaders};

/// A record on its way to a partition.
pub(crate) struct Outgoing {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: OwnedHeaders,
}

impl Outgoing {
    /// The record of `append`.
    pub(crate) fn of(append: &Append) -> Result<Self, EncodeError> {
        let mut headers = Some(OwnedHeaders::new_with_capacity(wire::HEADERS));
        let (key, value) = wire::write(append, |key, value| {
            headers = headers.take().map(|headers| headers.insert(Header { key, value: Some(value) }));
        })?;
        Ok(Self { key, value: Some(value), headers: headers.unwrap_or_default() })
    }

    /// Bytes of its key and its value.
    pub(crate) fn size(&self) -> usize {
        [&self.key, &self.value].into_iter().flatten().map(Vec::len).sum()
    }
}

impl From<RawRecord> for Outgoing {
    /// The record's time is the client's own: one that a machine decided may lie beyond what a broker keeps or takes.
    fn from(RawRecord { key, value, headers, at: _ }: RawRecord) -> Self {
        let none = OwnedHeaders::new_with_capacity(headers.len());
        let insert = |all: OwnedHeaders, (key, value): &(String, Option<Vec<u8>>)| {
            all.insert(Header { key, value: value.as_deref() })
        };
        Self { key, value, headers: headers.iter().fold(none, insert) }
    }
}
