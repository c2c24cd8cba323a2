//! The JSON object that every record's value is.

use std::borrow::Cow;
use std::sync::Arc;

use kbnt_application::Position;
use kbnt_application::message::{Classification, Message, Service, Subject, Trace};
use kbnt_domain::event::Writer;
use kbnt_domain::{EventId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::headers::{self, RecordView};
use super::inventory::WriterDef;
use super::payload::{self, Payload};
use super::{DecodeError, field};

/// As it is written; the field names are part of the contract.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outgoing<'a> {
    #[serde(with = "field::text")]
    event_id: EventId,
    #[serde(with = "field::instant")]
    timestamp: Timestamp,
    event_type: &'static str,
    event_name: &'static str,
    event_version: u32,
    service: &'static str,
    level: &'static str,
    #[serde(rename = "hexagonal_layer")]
    hexagonal_layer: &'static str,
    domain: &'static str,
    operation: &'static str,
    correlation_id: Option<String>,
    #[serde(with = "field::optional_text")]
    causation_id: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    writer: Option<WriterOut<'a>>,
    payload: Payload<'a>,
}

#[derive(Serialize)]
struct WriterOut<'a>(#[serde(with = "WriterDef")] &'a Writer);

#[derive(Deserialize)]
struct WriterIn(#[serde(with = "WriterDef")] Writer);

/// As it is read: what follows from the event's name is not looked at, and what can be derived may be missing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Incoming<'a> {
    #[serde(default, with = "field::optional_text")]
    event_id: Option<EventId>,
    #[serde(default)]
    timestamp: Option<Instant>,
    #[serde(borrow)]
    event_name: Cow<'a, str>,
    #[serde(default)]
    event_version: Option<u32>,
    #[serde(default, borrow)]
    service: Option<Cow<'a, str>>,
    #[serde(default, with = "field::optional_text")]
    causation_id: Option<EventId>,
    #[serde(default)]
    writer: Option<WriterIn>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[derive(Deserialize)]
struct Instant(#[serde(with = "field::instant")] Timestamp);

/// The record's key: what it is about.
pub(super) fn key(message: &Message) -> Option<String> {
    Subject::of(&message.event).key()
}

/// The value of the record of `message`.
pub(super) fn write(message: &Message) -> Result<Vec<u8>, serde_json::Error> {
    let class = Classification::of(&message.event);
    let outgoing = Outgoing {
        event_id: message.id,
        timestamp: message.at,
        event_type: class.event_type.name(),
        event_name: class.name,
        event_version: payload::VERSION,
        service: message.service.name(),
        level: class.level.name(),
        hexagonal_layer: message.service.layer().name(),
        domain: message.service.domain(),
        operation: class.operation,
        correlation_id: key(message),
        causation_id: message.cause,
        writer: message.writer.as_deref().map(WriterOut),
        payload: Payload(&message.event),
    };
    let mut value = Vec::with_capacity(1024);
    serde_json::to_writer(&mut value, &outgoing)?;
    Ok(value)
}

/// The message that `value` is, read at `at`.
pub(super) fn read(at: Position, record: &RecordView<'_>, value: &[u8]) -> Result<Message, DecodeError> {
    let envelope: Incoming<'_> =
        serde_json::from_slice(value).map_err(|error| DecodeError::new(format!("not an event: {error}")))?;
    let name = envelope.event_name.as_ref();
    match envelope.event_version {
        None | Some(payload::VERSION) => {}
        Some(version) => return Err(DecodeError::new(format!("{name} of unknown version {version}"))),
    }
    let event = payload::read(at.topic, name, envelope.payload.get())
        .ok_or_else(|| DecodeError::new(format!("{name:?} is no event of {}", at.topic.name())))?
        .map_err(|error| DecodeError::new(format!("the payload of {name}: {error}")))?;
    let id = envelope
        .event_id
        .unwrap_or_else(|| EventId::named(&format!("{}/{}/{}", at.topic.name(), at.partition, at.offset)));
    let owner = Classification::of(&event).owner;
    Ok(Message {
        id,
        at: envelope.timestamp.map_or(record.at, |Instant(at)| at),
        service: envelope.service.as_deref().and_then(Service::from_name).unwrap_or(owner),
        cause: envelope.causation_id,
        trace: headers::trace(record).unwrap_or_else(|| Trace::root(&id)),
        writer: envelope.writer.map(|WriterIn(writer)| Arc::new(writer)),
        event,
    })
}
