//! A snapshot is read exactly as it was written, or not at all.

use kbnt_application::event::Writer;
use kbnt_application::inventory::Image;
use kbnt_application::ports::{Mark, Snapshot, SnapshotError, SnapshotStore as _};
use kbnt_application::{Position, Topic};
use kbnt_domain::stock::image::{Active, Chunk, Claim, ClosedOrder, End, LedgerImage, Line, ProductImage};
use kbnt_domain::{Currency, EventId, OrderId, Reason, Span, Timestamp};
use uuid::Uuid;

use super::{EXTENSION, SnapshotDirectory, UNFINISHED, files};

fn at(topic: Topic, partition: u32, offset: u64) -> Position {
    Position { topic, partition, offset }
}

fn claim(fingerprint: u64) -> Claim {
    Claim {
        fingerprint,
        user: "USER-1".parse().unwrap(),
        lines: [Line { product: 1, units: 3, unit_price: 59_999 }].into_iter().collect(),
        amount: 179_997,
        deadline: Timestamp::from_millis(1_767_225_600_000),
        attempt: 1,
        currency: Currency::BRL,
    }
}

fn order(n: u32) -> OrderId {
    OrderId::derive(&"USER-1".parse().unwrap(), &n.to_string())
}

/// Rows of every kind.
fn snapshot(term: u64) -> Snapshot<Image> {
    let product = |id: &str, declared| ProductImage {
        id: id.parse().unwrap(),
        declared,
        name: "Smartphone \u{d7}".into(),
        unit_price: 59_999,
        currency: "USD".parse().unwrap(),
        threshold: 10,
        low: declared,
        real: -3,
        sources: vec![("api".parse().unwrap(), u64::MAX), ("git".parse().unwrap(), 0)],
    };
    let ended = |n, end, claim: Option<Claim>| ClosedOrder {
        order: order(n),
        fingerprint: claim.as_ref().map(|claim| claim.fingerprint),
        at: Timestamp::from_millis(-5),
        end,
        lost: n == 1,
        barred: (n == 2).then_some(Reason::PaymentDeclined),
        attempts: n,
        claim: claim.map(Box::new),
    };
    let ledger = LedgerImage {
        clock: Timestamp::from_millis(1_767_225_600_123),
        window: Span::from_minutes(60),
        confirmed: 7,
        products: vec![product("A", true), product("B", false)],
        archived: vec![Chunk { first: 7, orders: 3, newest: Timestamp::from_millis(-6), checksum: u32::MAX }],
        active: vec![Active { order: order(9), claim: claim(u64::MAX) }],
        ended: vec![
            ended(1, End::Confirmed, None),
            ended(2, End::Expired, Some(claim(1))),
            ended(3, End::Released(Reason::CancelledByClient), None),
            ended(4, End::Refused(Reason::InsufficientStock), None),
        ],
    };
    Snapshot {
        taken: Timestamp::from_millis(1_767_225_600_124),
        folded: vec![Mark {
            at: at(Topic::InventoryEvents, 2, 17),
            id: EventId::from_uuid(Uuid::from_u128(5)),
        }],
        inputs: vec![at(Topic::UserEvents, 0, 4)],
        image: Image {
            writer: Writer { term, name: "writer".into() },
            answered: vec![at(Topic::PaymentEvents, 1, 9), at(Topic::UserEvents, 0, 3)],
            ledger,
        },
    }
}

#[test]
fn a_snapshot_is_read_as_it_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let store = SnapshotDirectory::open(directory.path()).unwrap();
    assert!(store.load(0).is_none());
    let bytes = store.keep(&snapshot(1)).unwrap();
    assert_eq!(store.load(0).unwrap().unwrap(), snapshot(1));
    let file = directory.path().join("0.snapshot");
    assert_eq!(bytes, std::fs::metadata(file).unwrap().len());
}

#[test]
fn two_are_kept_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let store = SnapshotDirectory::open(directory.path()).unwrap();
    std::fs::write(directory.path().join(format!("7-abc.{UNFINISHED}")), "cut").unwrap();
    for term in 1..=12 {
        store.keep(&snapshot(term)).unwrap();
    }
    assert_eq!(files(directory.path(), EXTENSION).unwrap().len(), 2);
    let again = SnapshotDirectory::open(directory.path()).unwrap();
    assert_eq!(files(directory.path(), UNFINISHED).unwrap().len(), 0);
    assert_eq!(again.load(0).unwrap().unwrap(), snapshot(12));
    assert_eq!(again.load(1).unwrap().unwrap(), snapshot(11));
    assert!(again.load(2).is_none());
}

#[test]
fn whatever_byte_is_altered_or_missing_it_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = SnapshotDirectory::open(directory.path()).unwrap();
    store.keep(&snapshot(1)).unwrap();
    let file = directory.path().join("0.snapshot");
    let sound = std::fs::read(&file).unwrap();
    for place in 0..sound.len() {
        let mut altered = sound.clone();
        altered[place] ^= 1;
        std::fs::write(&file, altered).unwrap();
        assert!(store.load(0).unwrap().is_err(), "altered at {place}");
        std::fs::write(&file, &sound[..place]).unwrap();
        let cut = store.load(0).unwrap();
        assert!(matches!(cut, Err(SnapshotError::Damaged(_))), "cut at {place}: {cut:?}");
    }
    let mut longer = sound.clone();
    longer.push(0);
    std::fs::write(&file, longer).unwrap();
    assert!(store.load(0).unwrap().is_err());
}

#[test]
fn another_format_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let store = SnapshotDirectory::open(directory.path()).unwrap();
    store.keep(&snapshot(1)).unwrap();
    let file = directory.path().join("0.snapshot");
    let mut other = std::fs::read(&file).unwrap();
    other[8] = 4;
    std::fs::write(&file, other).unwrap();
    assert!(matches!(store.load(0), Some(Err(SnapshotError::Format(4)))));
}
