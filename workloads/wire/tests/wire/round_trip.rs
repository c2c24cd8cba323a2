//! What is written is read as it was.

use std::sync::Arc;

use kbnt_application::message::{Classification, Subject, Topic, home_of};
use kbnt_application::{Append, Position, Route};
use kbnt_wire::{self as wire, RecordView};
use proptest::prelude::*;
use serde_json::Value;

use crate::events::message;

fn source() -> impl Strategy<Value = Option<Position>> {
    let position = (prop::sample::select(Topic::ALL.to_vec()), any::<u32>(), 0..i64::MAX.cast_unsigned())
        .prop_map(|(topic, partition, offset)| Position { topic, partition, offset });
    prop::option::of(position)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_message_survives(message in message(), source in source()) {
        let class = Classification::of(&message.event);
        let append = Append { message: Arc::new(message), route: Route::Partition(0), source };
        let record = wire::encode(&append).unwrap();
        let at = Position { topic: class.topic(), partition: 2, offset: 7 };
        let read = wire::decode(at, &RecordView::of(&record)).unwrap();
        prop_assert_eq!(&read.message, &append.message);
        prop_assert_eq!((read.source, read.at), (source, at));
        for partition in 0..class.topic().partitions() {
            let counts = wire::read(Position { partition, ..at }, &RecordView::of(&record)).is_ok();
            let home = home_of(&append.message.event);
            prop_assert_eq!(counts, home.is_none_or(|home| home == partition), "{} {:?}", partition, home);
        }

        let value: Value = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
        let message = &append.message;
        prop_assert_eq!(&value["eventName"], class.name);
        prop_assert_eq!(&value["eventType"], class.event_type.name());
        prop_assert_eq!(&value["hexagonal_layer"], message.service.layer().name());
        let key = Subject::of(&message.event).key();
        prop_assert_eq!(value["correlationId"].as_str(), key.as_deref());
        prop_assert_eq!(record.key, key.map(String::into_bytes));
        let header = |name: &str| {
            let found = record.headers.iter().find(|(key, _)| key == name);
            found.and_then(|(_, value)| value.clone()).map_or(String::new(), |value| String::from_utf8(value).unwrap())
        };
        prop_assert_eq!(header("ce_id"), message.id.to_string());
        prop_assert_eq!(header("ce_type"), class.name);
        prop_assert_eq!(header("ce_time"), value["timestamp"].as_str().unwrap());
        prop_assert_eq!(header("content-type"), "application/json");
        prop_assert_eq!(header("kbnt_source").is_empty(), source.is_none());
    }

    #[test]
    fn bytes_never_panic(bytes in any::<Vec<u8>>(), topic in prop::sample::select(Topic::ALL.to_vec())) {
        let at = Position { topic, partition: 0, offset: 0 };
        let view = RecordView::new(Some(&bytes), kbnt_domain::Timestamp::from_millis(0));
        prop_assert!(wire::decode(at, &view).is_err());
    }

    #[test]
    fn a_damaged_record_is_understood_otherwise_or_not_at_all_but_never_panics(
        message in message(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let topic = Classification::of(&message.event).topic();
        let append = Append { message: Arc::new(message), route: Route::Partition(0), source: None };
        let mut record = wire::encode(&append).unwrap();
        let value = record.value.as_mut().unwrap();
        let index = at.index(value.len());
        value[index] = byte;
        let _ = wire::decode(Position { topic, partition: 0, offset: 0 }, &RecordView::of(&record));
    }
}
