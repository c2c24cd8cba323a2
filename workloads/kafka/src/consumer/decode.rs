//! Decodes the records that a consumer polls.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use kbnt_application::ports::{Fetched, RawRecord};
use kbnt_application::{Delivered, Position};
use kbnt_domain::Timestamp;
use kbnt_wire::{self as wire, Bytes, RecordView};
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Header, Headers};

use super::record_cache::CacheReader;
use crate::client::config::KafkaConfig;

/// Decodes `message`, or takes it from the cache. Returns `None` if its topic is not one of ours.
pub(crate) fn decode(
    config: &KafkaConfig,
    cache: &CacheReader,
    message: &BorrowedMessage<'_>,
) -> Option<Fetched> {
    let at = Position {
        topic: config.topic_of(message.topic())?,
        partition: u32::try_from(message.partition()).ok()?,
        offset: u64::try_from(message.offset()).ok()?,
    };
    let time = Timestamp::from_millis(message.timestamp().to_millis().unwrap_or(0));
    let record = |delivered: Delivered| {
        let raw = (cache.bytes == Bytes::Kept).then(|| Arc::new(raw_record(message, time)));
        Fetched::Record(Delivered { raw, ..delivered })
    };
    if let Some(cached) = message.payload().and_then(|value| cache.take(at, value)) {
        return Some(record(cached));
    }
    let mut view = RecordView::new(message.payload(), time);
    for header in headers(message) {
        view.header(header.key, header.value);
    }
    Some(match wire::read(at, &view) {
        Ok(delivered) => {
            message.payload().inspect(|value| cache.share(&delivered, value));
            record(delivered)
        }
        Err(error) => wire::unreadable(at, &error, raw_record(message, time)),
    })
}

/// The headers of a record, without those whose name is not UTF-8.
fn headers<'a>(message: &'a BorrowedMessage<'_>) -> impl Iterator<Item = Header<'a, &'a [u8]>> {
    let headers = message.headers();
    let count = headers.map_or(0, Headers::count);
    // rdkafka panics at such a name, and one record must not end the thread that reads all of them.
    let one = move |index| catch_unwind(AssertUnwindSafe(|| headers?.try_get(index))).ok().flatten();
    (0..count).filter_map(one)
}

fn raw_record(message: &BorrowedMessage<'_>, at: Timestamp) -> RawRecord {
    RawRecord {
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers(message).map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect(),
        at,
    }
}
