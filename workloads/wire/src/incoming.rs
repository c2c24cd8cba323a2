//! A record's value as it is read, in one pass: what follows from the event's name is not looked at, and what can be derived may
//! be missing.

use std::borrow::Cow;
use std::fmt;

use kbnt_application::Topic;
use kbnt_application::event::{RecordedEvent, Writer};
use kbnt_domain::{EventId, Timestamp};
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::field::Text;
use super::inventory::WriterDef;
use super::{field, payload};

/// What reads JSON.
pub(super) type Json<'a> = serde_json::Deserializer<serde_json::de::StrRead<'a>>;

/// The envelope, and what is in it.
pub(super) struct Incoming<'a> {
    pub(super) event_id: Option<EventId>,
    pub(super) timestamp: Option<Timestamp>,
    pub(super) event_name: Cow<'a, str>,
    pub(super) event_version: Option<u32>,
    pub(super) service: Option<Cow<'a, str>>,
    pub(super) cause: Option<EventId>,
    pub(super) writer: Option<Writer>,
    pub(super) payload: Payload<'a>,
}

/// An event, or that there is none of this name.
#[allow(clippy::large_enum_variant, reason = "there is one at a time, on the stack")]
pub(super) enum Payload<'a> {
    Read(Option<RecordedEvent>),
    /// It came before what says how to read it. Our own records have it last.
    Unread(&'a RawValue),
}

impl<'a> Incoming<'a> {
    /// Reads a record of this topic.
    pub(super) fn read(topic: Topic, value: &'a [u8]) -> Result<Self, serde_json::Error> {
        let text = std::str::from_utf8(value).map_err(serde_json::Error::custom)?;
        let mut json = Json::from_str(text);
        let incoming = json.deserialize_map(Envelope { topic })?;
        json.end()?;
        Ok(incoming)
    }
}

/// The fields that are looked at.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Key {
    EventId,
    Timestamp,
    EventName,
    EventVersion,
    Service,
    CausationId,
    Writer,
    Payload,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Instant(#[serde(with = "field::instant")] Timestamp);

#[derive(Deserialize)]
struct WriterIn(#[serde(with = "WriterDef")] Writer);

struct Envelope {
    topic: Topic,
}

impl<'de> Visitor<'de> for Envelope {
    type Value = Incoming<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut event_id, mut timestamp, mut name, mut version) = (None, None, None, None);
        let (mut service, mut cause, mut writer, mut payload) = (None, None, None, None);
        while let Some(key) = map.next_key()? {
            match key {
                Key::EventId => once(&mut event_id, "eventId", map.next_value::<Option<Text<EventId>>>()?)?,
                Key::Timestamp => once(&mut timestamp, "timestamp", map.next_value::<Option<Instant>>()?)?,
                Key::EventName => once(&mut name, "eventName", map.next_value::<Borrowed<'de>>()?)?,
                Key::EventVersion => once(&mut version, "eventVersion", map.next_value::<Option<u32>>()?)?,
                Key::Service => once(&mut service, "service", map.next_value::<Option<Borrowed<'de>>>()?)?,
                Key::CausationId => {
                    once(&mut cause, "causationId", map.next_value::<Option<Text<EventId>>>()?)?;
                }
                Key::Writer => once(&mut writer, "writer", map.next_value::<Option<WriterIn>>()?)?,
                Key::Payload => {
                    let read = match (&name, version) {
                        (Some(Borrowed(name)), Some(Some(payload::VERSION))) => {
                            let seed = PayloadOf { topic: self.topic, name };
                            map.next_value_seed(seed).map(Payload::Read)
                        }
                        _ => map.next_value().map(Payload::Unread),
                    };
                    once(&mut payload, "payload", read?)?;
                }
                Key::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let missing = A::Error::missing_field;
        Ok(Incoming {
            event_id: event_id.flatten().map(|Text(id)| id),
            timestamp: timestamp.flatten().map(|Instant(at)| at),
            event_name: name.map(|Borrowed(name)| name).ok_or_else(|| missing("eventName"))?,
            event_version: version.flatten(),
            service: service.flatten().map(|Borrowed(service)| service),
            cause: cause.flatten().map(|Text(id)| id),
            writer: writer.flatten().map(|WriterIn(writer)| writer),
            payload: payload.ok_or_else(|| missing("payload"))?,
        })
    }
}

/// A text, borrowed where nothing in it is escaped.
#[derive(Deserialize)]
struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

fn once<T, E: serde::de::Error>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<(), E> {
    if slot.replace(value).is_some() { Err(E::duplicate_field(name)) } else { Ok(()) }
}

/// Reads the payload of the event of this name.
struct PayloadOf<'a> {
    topic: Topic,
    name: &'a str,
}

impl<'de> DeserializeSeed<'de> for PayloadOf<'_> {
    type Value = Option<RecordedEvent>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        let of = |error| D::Error::custom(format_args!("the payload of {}: {error}", self.name));
        payload::read(self.topic, self.name, from).map_err(of)
    }
}
