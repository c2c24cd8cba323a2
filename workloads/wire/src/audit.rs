//! Payloads of audit-logs.

use kbnt_application::event::{AuditLogCreated, Bytes, DeadLetterResolved, DeadLetterStored, Resolution};
use kbnt_application::message::Location;
use kbnt_domain::{EventId, Timestamp};
use serde::{Deserialize, Serialize};

use super::field;

#[derive(Serialize, Deserialize)]
#[serde(remote = "AuditLogCreated", rename_all = "camelCase")]
pub(super) struct AuditLogCreatedDef {
    sequence: u64,
    #[serde(rename = "auditedEventId", with = "field::text")]
    audited: EventId,
    #[serde(rename = "auditedEventName")]
    event_name: String,
    subject: String,
    #[serde(with = "location")]
    location: Location,
    #[serde(with = "field::sha256")]
    content_hash: [u8; 32],
    #[serde(default, skip_serializing_if = "Option::is_none", with = "field::optional_sha256")]
    record_hash: Option<[u8; 32]>,
    #[serde(with = "field::sha256")]
    previous_hash: [u8; 32],
    #[serde(with = "field::sha256")]
    hash: [u8; 32],
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DeadLetterStored", rename_all = "camelCase")]
pub(super) struct DeadLetterStoredDef {
    #[serde(with = "location")]
    location: Location,
    reason: String,
    #[serde(with = "field::instant")]
    recorded_at: Timestamp,
    #[serde(with = "field::base64")]
    key: Option<Bytes>,
    #[serde(with = "field::base64")]
    value: Option<Bytes>,
    #[serde(with = "headers")]
    headers: Vec<(String, Option<Bytes>)>,
    whole: bool,
    value_bytes: u64,
    #[serde(with = "field::optional_sha256")]
    value_hash: Option<[u8; 32]>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DeadLetterResolved", rename_all = "camelCase")]
pub(super) struct DeadLetterResolvedDef {
    #[serde(with = "location")]
    location: Location,
    #[serde(with = "ResolutionDef")]
    how: Resolution,
    #[serde(with = "optional_location")]
    replayed_to: Option<Location>,
    by: String,
    reason: String,
}

/// `REPLAYED` or `DISCARDED`.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Resolution", rename_all = "UPPERCASE")]
enum ResolutionDef {
    Replayed,
    Discarded,
}

/// Where a record lies.
#[derive(Serialize, Deserialize)]
struct Place {
    topic: String,
    partition: u32,
    offset: u64,
}

impl From<&Location> for Place {
    fn from((topic, partition, offset): &Location) -> Self {
        Self { topic: topic.clone(), partition: *partition, offset: *offset }
    }
}

impl From<Place> for Location {
    fn from(Place { topic, partition, offset }: Place) -> Self {
        (topic, partition, offset)
    }
}

mod location {
    use super::{Deserialize, Location, Place, Serialize};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(place: &Location, to: S) -> Result<S::Ok, S::Error> {
        Place::from(place).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Location, D::Error> {
        Ok(Place::deserialize(from)?.into())
    }
}

mod optional_location {
    use super::{Deserialize, Location, Place, Serialize};
    use serde::{Deserializer, Serializer};

    #[allow(clippy::ref_option, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(place: &Option<Location>, to: S) -> Result<S::Ok, S::Error> {
        place.as_ref().map(Place::from).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Location>, D::Error> {
        Ok(Option::<Place>::deserialize(from)?.map(Location::from))
    }
}

/// `[{"name": ..., "value": ...}]`, in order.
mod headers {
    use super::{Bytes, Deserialize, Serialize, field};
    use serde::{Deserializer, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Header {
        name: String,
        #[serde(with = "field::base64")]
        value: Option<Bytes>,
    }

    pub(super) fn serialize<S: Serializer>(
        headers: &[(String, Option<Bytes>)],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(
            headers.iter().map(|(name, value)| Header { name: name.clone(), value: value.clone() }),
        )
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<(String, Option<Bytes>)>, D::Error> {
        let headers = Vec::<Header>::deserialize(from)?;
        Ok(headers.into_iter().map(|Header { name, value }| (name, value)).collect())
    }
}
