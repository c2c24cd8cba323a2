//! Payloads of audit-logs.

use kbnt_domain::EventId;
use kbnt_domain::event::AuditLogCreated;
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
    location: (String, u32, u64),
    #[serde(with = "field::sha256")]
    content_hash: [u8; 32],
    #[serde(with = "field::sha256")]
    previous_hash: [u8; 32],
    #[serde(with = "field::sha256")]
    hash: [u8; 32],
}

/// Where the audited record lies.
mod location {
    use super::{Deserialize, Serialize};
    use serde::{Deserializer, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Wire {
        topic: String,
        partition: u32,
        offset: u64,
    }

    pub(super) fn serialize<S: Serializer>(place: &(String, u32, u64), to: S) -> Result<S::Ok, S::Error> {
        Wire { topic: place.0.clone(), partition: place.1, offset: place.2 }.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<(String, u32, u64), D::Error> {
        let Wire { topic, partition, offset } = Wire::deserialize(from)?;
        Ok((topic, partition, offset))
    }
}
