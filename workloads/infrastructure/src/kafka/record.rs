//! Records as Kafka's client hands them over.

use std::sync::Arc;

use kbnt_application::Position;
use kbnt_application::ports::{Fetched, RawRecord, Unreadable};
use kbnt_domain::Timestamp;
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Headers as _};

use super::config::KafkaConfig;
use crate::wire::{self, RecordView};

/// What `message` says; `None` if it is of a topic that we did not ask for.
pub(super) fn fetched(config: &KafkaConfig, message: &BorrowedMessage<'_>) -> Option<Fetched> {
    let at = Position {
        topic: config.topic_of(message.topic())?,
        partition: u32::try_from(message.partition()).ok()?,
        offset: u64::try_from(message.offset()).ok()?,
    };
    let time = Timestamp::from_millis(message.timestamp().to_millis().unwrap_or(0));
    let mut view = RecordView::new(message.payload(), time);
    for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
        view.header(header.key, header.value);
    }
    Some(match wire::decode(at, &view) {
        Ok(delivered) => Fetched::Record(delivered),
        Err(error) => {
            let raw = Arc::new(whole(message, time));
            Fetched::Unreadable(Unreadable { at, reason: error.to_string(), raw })
        }
    })
}

fn whole(message: &BorrowedMessage<'_>, at: Timestamp) -> RawRecord {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    RawRecord {
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect(),
        at,
    }
}
