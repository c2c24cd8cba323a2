//! Record headers: `CloudEvents` in binary mode, W3C trace context, and the input that a record answers.

use kbnt_application::message::{Classification, Topic, Trace};
use kbnt_application::ports::RawRecord;
use kbnt_application::{Append, Position};
use kbnt_domain::Timestamp;
use uuid::Uuid;

use crate::text::rfc3339;

const TRACEPARENT: &str = "traceparent";
const SOURCE: &str = "kbnt_source";

/// What is looked at of a record; borrowed from whatever client read it.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordView<'a> {
    /// The value.
    pub value: Option<&'a [u8]>,
    /// The log's own time of the record.
    pub at: Timestamp,
    /// Header `traceparent`.
    traceparent: Option<&'a [u8]>,
    /// Header `kbnt_source`.
    source: Option<&'a [u8]>,
}

impl<'a> RecordView<'a> {
    /// Of a value without headers.
    pub const fn new(value: Option<&'a [u8]>, at: Timestamp) -> Self {
        Self { value, at, traceparent: None, source: None }
    }

    /// Notes a header, if it is one that is looked at.
    pub fn header(&mut self, name: &str, value: Option<&'a [u8]>) {
        match name {
            TRACEPARENT => self.traceparent = value,
            SOURCE => self.source = value,
            _ => {}
        }
    }

    /// Of a record in bytes.
    pub fn of(record: &'a RawRecord) -> Self {
        let mut view = Self::new(record.value.as_deref(), record.at);
        for (name, value) in &record.headers {
            view.header(name, value.as_deref());
        }
        view
    }
}

/// Tells `note` the name and the value of each header of the record of `append`.
pub(super) fn write(append: &Append, mut note: impl FnMut(&'static str, &[u8])) {
    let message = &append.message;
    let class = Classification::of(&message.event);
    note("content-type", b"application/json");
    note("ce_specversion", b"1.0");
    note("ce_id", message.id.as_uuid().hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    note("ce_type", class.name.as_bytes());
    note("ce_source", message.service.name().as_bytes());
    note("ce_time", rfc3339(message.at).as_bytes());
    note(TRACEPARENT, traceparent(message.trace).as_bytes());
    if let Some(source) = append.source {
        let place = format!("{}/{}/{}", source.topic.name(), source.partition, source.offset);
        note(SOURCE, place.as_bytes());
    }
}

fn traceparent(trace: Trace) -> String {
    format!("00-{:032x}-{:016x}-{:02x}", trace.trace_id, trace.span_id, u8::from(trace.sampled))
}

/// The trace that the record belongs to; `None` where it names none, or none that is valid.
pub(super) fn trace(record: &RecordView<'_>) -> Option<Trace> {
    read_traceparent(std::str::from_utf8(record.traceparent?).ok()?)
}

/// Reads a W3C `traceparent`; `None` where it is not valid.
pub fn read_traceparent(text: &str) -> Option<Trace> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, digits: usize| {
        let lower = part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        (part.len() == digits && lower).then(|| u128::from_str_radix(part, 16).ok()).flatten()
    };
    hex(version, 2).filter(|version| *version != 0xff)?;
    let trace_id = hex(trace, 32).filter(|id| *id != 0)?;
    let span_id = hex(span, 16).filter(|id| *id != 0).and_then(|id| u64::try_from(id).ok())?;
    Some(Trace { trace_id, span_id, sampled: hex(flags, 2)? & 1 == 1 })
}

/// The input that the record answers, if it notes one.
pub(super) fn source(record: &RecordView<'_>) -> Option<Position> {
    let mut parts = std::str::from_utf8(record.source?).ok()?.split('/');
    Some(Position {
        topic: Topic::from_name(parts.next()?)?,
        partition: parts.next()?.parse().ok()?,
        // A log counts no further.
        offset: parts
            .next()?
            .parse()
            .ok()
            .filter(|offset| i64::try_from(*offset).is_ok_and(|offset| offset < i64::MAX))?,
    })
}
