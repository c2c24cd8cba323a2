//! Records as Kafka's client hands them over.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use kbnt_application::ports::{Fetched, RawRecord};
use kbnt_application::{Delivered, Position};
use kbnt_domain::Timestamp;
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Header, Headers};

use super::record_cache::Reading;
use crate::client::config::KafkaConfig;
use kbnt_wire::{self as wire, Bytes, RecordView};

/// What `message` says; `None` if it is of a topic that we did not ask for.
pub(crate) fn fetched(
    config: &KafkaConfig,
    reading: &Reading,
    message: &BorrowedMessage<'_>,
) -> Option<Fetched> {
    let at = Position {
        topic: config.topic_of(message.topic())?,
        partition: u32::try_from(message.partition()).ok()?,
        offset: u64::try_from(message.offset()).ok()?,
    };
    let time = Timestamp::from_millis(message.timestamp().to_millis().unwrap_or(0));
    let record = |delivered: Delivered| {
        let raw = (reading.bytes == Bytes::Kept).then(|| Arc::new(whole(message, time)));
        Fetched::Record(Delivered { raw, ..delivered })
    };
    if let Some(known) = message.payload().and_then(|value| reading.known(at, value)) {
        return Some(record(known));
    }
    let mut view = RecordView::new(message.payload(), time);
    for header in headers(message) {
        view.header(header.key, header.value);
    }
    Some(match wire::read(at, &view) {
        Ok(delivered) => {
            message.payload().inspect(|value| reading.read(&delivered, value));
            record(delivered)
        }
        Err(error) => wire::unreadable(at, &error, whole(message, time)),
    })
}

/// The headers of a record, without those that have a name in no UTF-8.
fn headers<'a>(message: &'a BorrowedMessage<'_>) -> impl Iterator<Item = Header<'a, &'a [u8]>> {
    let headers = message.headers();
    let count = headers.map_or(0, Headers::count);
    // At such a name the client's own code panics: the record must not end the thread that reads for all.
    let one = move |index| catch_unwind(AssertUnwindSafe(|| headers?.try_get(index))).ok().flatten();
    (0..count).filter_map(one)
}

fn whole(message: &BorrowedMessage<'_>, at: Timestamp) -> RawRecord {
    RawRecord {
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers(message).map(|h| (h.key.to_owned(), h.value.map(<[u8]>::to_vec))).collect(),
        at,
    }
}
