//! Logs findings about the log, each once.

use kbnt_application::intact::Damage;
use kbnt_application::{Position, Service, Topic};

/// A topic is damaged.
pub(super) fn damaged(damage: Damage) {
    let (wanted, found) = damage.fault.offsets().unzip();
    let (known_id, id) = damage.fault.ids().unzip();
    tracing::error!(
        operation = "log-damaged",
        service = damage.service.name(),
        topic = damage.topic.name(),
        partition = damage.fault.partition(),
        kind = damage.fault.kind(),
        wanted,
        found,
        known_topic_id = known_id.map(|id| id.to_string()),
        topic_id = id.map(|id| id.to_string()),
        "{damage}"
    );
}

/// A topic has disappeared, or is there again.
pub(super) fn presence(topic: Topic, present: bool) {
    let topic = topic.name();
    if present {
        tracing::info!(operation = "topic-back", topic, "the topic is there again");
    } else {
        tracing::error!(
            operation = "topic-gone",
            topic,
            "the topic was there and is not: nothing is written to it"
        );
    }
}

/// Records expired before `service` had read them.
pub(super) fn expired(service: Service, from: Position, records: u64) {
    tracing::warn!(
        operation = "records-expired",
        service = service.name(),
        topic = from.topic.name(),
        partition = from.partition,
        offset = from.offset,
        records,
        "records expired before they were read"
    );
}
