//! The JSON object that every record's value is.

use std::sync::Arc;

use kbnt_application::Position;
use kbnt_application::event::Writer;
use kbnt_application::message::{Classification, Message, Service, Subject, Trace};
use kbnt_domain::{EventId, Timestamp};
use serde::Serialize;

use super::headers::{self, RecordView};
use super::incoming::{Incoming, Json, Payload};
use super::inventory::WriterDef;
use super::{DecodeError, field, payload};

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
    payload: payload::Outgoing<'a>,
}

#[derive(Serialize)]
struct WriterOut<'a>(#[serde(with = "WriterDef")] &'a Writer);

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
        payload: payload::Outgoing(&message.event),
    };
    let mut value = Vec::with_capacity(1024);
    serde_json::to_writer(&mut value, &outgoing)?;
    Ok(value)
}

/// The message that `value` is, read at `at`.
pub(super) fn read(at: Position, record: &RecordView<'_>, value: &[u8]) -> Result<Message, DecodeError> {
    let Incoming { event_id, timestamp, event_name: name, event_version, service, cause, writer, payload } =
        Incoming::read(at.topic, value)
            .map_err(|error| DecodeError::new(format!("not an event: {error}")))?;
    if let Some(version) = event_version.filter(|version| *version != payload::VERSION) {
        return Err(DecodeError::new(format!("{name} of unknown version {version}")));
    }
    let event = match payload {
        Payload::Read(event) => event,
        Payload::Unread(json) => payload::read(at.topic, &name, &mut Json::from_str(json.get()))
            .map_err(|error| DecodeError::new(format!("the payload of {name}: {error}")))?,
    };
    let event =
        event.ok_or_else(|| DecodeError::new(format!("{name:?} is no event of {}", at.topic.name())))?;
    let id = event_id
        .unwrap_or_else(|| EventId::named(&format!("{}/{}/{}", at.topic.name(), at.partition, at.offset)));
    let owner = Classification::of(&event).owner;
    let at = timestamp.unwrap_or(record.at);
    if !at.has_form() {
        let millis = at.as_millis();
        return Err(DecodeError::new(format!(
            "it has no timestamp, and its time in the log, {millis} ms, is in no year from 0000 to 9999"
        )));
    }
    Ok(Message {
        id,
        at,
        service: service.as_deref().and_then(Service::from_name).unwrap_or(owner),
        cause,
        trace: headers::trace(record).unwrap_or_else(|| Trace::root(&id)),
        writer: writer.map(Arc::new),
        event,
    })
}
