//! The wire format of the log: JSON values and `CloudEvents` headers, as `docs/events.md` describes them.
//!
//! What is read is read strictly where we need it and tolerantly elsewhere: unknown fields are skipped, and what can be
//! derived may be left out. What cannot be understood becomes [`Unreadable`], whole and with the reason.

mod audit;
mod envelope;
mod field;
mod headers;
mod incoming;
mod inventory;
mod notification;
mod order;
mod payload;
mod payment;
pub mod raw;
pub mod text;
mod user;

use std::sync::Arc;

use kbnt_application::message::in_place;
use kbnt_application::ports::{Fetched, RawRecord, Unreadable};
use kbnt_application::{Append, Delivered, Position};
use thiserror::Error;

pub use headers::{RecordView, read_traceparent};

/// Why a record cannot be written as JSON; such a record is a bug of the machine that made it.
#[derive(Debug, Error)]
#[error("the record cannot be written as JSON: {0}")]
pub struct EncodeError(#[from] serde_json::Error);

/// Why a record cannot be understood, for people.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct DecodeError(String);

/// What is told of a reason at most, in bytes: it may cite the record.
const REASON_MOST: usize = 500;

impl DecodeError {
    fn new(reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        if reason.len() > REASON_MOST {
            reason.truncate(reason.floor_char_boundary(REASON_MOST));
            reason.push_str("...");
        }
        Self(reason)
    }
}

/// `append` as it goes to the log.
pub fn encode(append: &Append) -> Result<RawRecord, EncodeError> {
    let mut headers = Vec::with_capacity(HEADERS);
    let (key, value) = write(append, |name, value| headers.push((name.to_owned(), Some(value.to_vec()))))?;
    Ok(RawRecord { key, value: Some(value), headers, at: append.message.at })
}

/// Headers of a record at most.
pub const HEADERS: usize = 8;

/// The key and the value of the record of `append`; tells `header` the name and the value of each of its headers.
pub fn write(
    append: &Append,
    header: impl FnMut(&'static str, &[u8]),
) -> Result<(Option<Vec<u8>>, Vec<u8>), EncodeError> {
    let value = envelope::write(&append.message)?;
    headers::write(append, header);
    Ok((envelope::key(&append.message).map(String::into_bytes), value))
}

/// What the record at `at` says, wherever it lies; whether it counts there, [`read`] says.
pub fn decode(at: Position, record: &RecordView<'_>) -> Result<Delivered, DecodeError> {
    let value = record.value.ok_or_else(|| DecodeError::new("the record has no value"))?;
    let message = envelope::read(at, record, value)?;
    Ok(Delivered { at, message: Arc::new(message), source: headers::source(record), raw: None })
}

/// What the record at `at` says, if it lies where it belongs: see [`in_place`].
pub fn read(at: Position, record: &RecordView<'_>) -> Result<Delivered, DecodeError> {
    let delivered = decode(at, record)?;
    in_place(&delivered.message.event, at).map_err(|misplaced| DecodeError::new(misplaced.to_string()))?;
    Ok(delivered)
}

/// What the record at `at` says, or the record whole; with its bytes, both.
pub fn fetched(at: Position, record: RawRecord, bytes: Bytes) -> Fetched {
    match read(at, &RecordView::of(&record)) {
        Ok(delivered) if bytes == Bytes::Left => Fetched::Record(delivered),
        Ok(delivered) => Fetched::Record(Delivered { raw: Some(Arc::new(record)), ..delivered }),
        Err(error) => unreadable(at, &error, record),
    }
}

/// A record, whole, and why it is not understood.
pub fn unreadable(at: Position, error: &DecodeError, record: RawRecord) -> Fetched {
    Fetched::Unreadable(Unreadable { at, reason: error.to_string(), raw: Arc::new(record) })
}

/// Whether readers hand over the bytes of a record with what it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bytes {
    /// They leave them behind.
    #[default]
    Left,
    /// They keep them, in [`Delivered::raw`].
    Kept,
}
