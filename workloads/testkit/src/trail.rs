//! What an audit trail says about records that nobody understands.

use std::collections::{BTreeMap, BTreeSet};

use kbnt_application::event::{DeadLetterStored, RecordedEvent};
use kbnt_application::ports::{EventLog, RawRecord};
use kbnt_application::{Position, Topic};
use kbnt_domain::audit::{Hash, Head, verify};

use super::contents;

/// Records of every kind that nobody understands, by what is wrong with them. The largest is `largest` bytes long.
pub fn poisons(largest: usize) -> Vec<(&'static str, RawRecord)> {
    let event = |json: &str| Some(json.as_bytes().to_vec());
    let order = r#""orderId":"67e55044-10b1-426f-9247-bb680e5fe0c8""#;
    // Nothing that a broker could compress.
    let mixed = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let noise: Vec<u8> =
        (0..largest as u64).map(|n| mixed(mixed(n) ^ (mixed(n) >> 32)).to_le_bytes()[7]).collect();
    let values = [
        ("not JSON", event("hello")),
        ("cut off", event(r#"{"eventName":"PlaceOrderCommand","payload":{"#)),
        ("empty", Some(Vec::new())),
        ("a tombstone", None),
        ("not UTF-8", Some(b"{\"eventName\":\"\xff\xfe\"}".to_vec())),
        ("not an object", event("[1, 2]")),
        ("deep", Some(vec![b'['; 100_000])),
        ("without a payload", event(r#"{"eventName":"OrderCancelRequestedCommand"}"#)),
        (
            "an unknown version",
            event(&format!(
                r#"{{"eventName":"OrderCancelRequestedCommand","eventVersion":9,"payload":{{{order}}}}}"#
            )),
        ),
        ("an unknown event", event(&format!(r#"{{"eventName":"OrderShippedEvent","payload":{{{order}}}}}"#))),
        ("wrong types", event(r#"{"eventName":"OrderCancelRequestedCommand","payload":{"orderId":7}}"#)),
        ("an event of another topic", event(r#"{"eventName":"AuditLogCreated","payload":{}}"#)),
        ("large", Some(noise)),
    ];
    let headers = || {
        vec![
            ("x".to_owned(), None),
            ("y".to_owned(), Some(b"1".to_vec())),
            ("x".to_owned(), Some(b"\xff".to_vec())),
        ]
    };
    let record = |(what, value)| {
        (what, RawRecord { key: Some(b"k".to_vec()), value, headers: headers(), ..RawRecord::default() })
    };
    let mut all: Vec<_> = values.into_iter().map(record).collect();
    let odd = |key: Option<&[u8]>| RawRecord {
        key: key.map(<[u8]>::to_vec),
        value: Some(b"odd".to_vec()),
        ..RawRecord::default()
    };
    all.push(("a key that is not UTF-8", odd(Some(b"\xff\x00\xfe"))));
    all.push(("an empty key", odd(Some(b""))));
    all.push(("no key", odd(None)));
    all
}

/// What the trail holds.
#[derive(Debug, Default)]
pub struct Trail {
    /// What is in the chain, by place, and what the chain vouches for.
    pub linked: BTreeMap<Position, Hash>,
    /// The dead letters, each event id once.
    pub letters: BTreeMap<Position, DeadLetterStored>,
}

/// Reads the trail, whose chain must be whole and hold each record once.
pub async fn trail(log: &dyn EventLog) -> Trail {
    let mut trail = Trail::default();
    let (mut head, mut links, mut ids) = (Head::default(), Vec::new(), BTreeSet::new());
    for record in contents(log, Topic::AuditLogs).await.remove(&0).unwrap() {
        match &record.message.event {
            RecordedEvent::AuditLogCreated(link) => {
                links.push((record.message.at, link.clone()));
                if head.precedes(link) {
                    head = Head::after(link);
                    let before =
                        trail.linked.insert(Position::of(&link.location).unwrap(), link.content_hash);
                    assert_eq!(before, None, "{:?} is in the chain twice", link.location);
                }
            }
            RecordedEvent::DeadLetterStored(letter) if ids.insert(record.message.id) => {
                let before = trail.letters.insert(Position::of(&letter.location).unwrap(), letter.clone());
                assert!(before.is_none(), "{:?} is kept under two ids", letter.location);
            }
            _ => {}
        }
    }
    assert_eq!(verify(Head::default(), links).unwrap().head, head);
    trail
}

/// `letter` is all of `record`.
pub fn assert_whole(what: &str, letter: &DeadLetterStored, record: &RawRecord) {
    assert!(letter.whole, "{what}");
    assert_eq!(letter.key.as_deref(), record.key.as_deref(), "{what}");
    assert!(letter.value.as_deref() == record.value.as_deref(), "{what}");
    let headers =
        letter.headers.iter().map(|(name, value)| (name.clone(), value.as_deref().map(<[u8]>::to_vec)));
    assert_eq!(headers.collect::<Vec<_>>(), record.headers, "{what}");
}
