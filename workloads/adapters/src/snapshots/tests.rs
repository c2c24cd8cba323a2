//! A snapshot is read exactly as it was written, or not at all.

use std::fmt::Debug;

use kbnt_application::audit::{AuditImage, Linked};
use kbnt_application::event::Writer;
use kbnt_application::inventory::Image;
use kbnt_application::ports::{Mark, Snapshot, SnapshotError, SnapshotStore as _};
use kbnt_application::user::UserImage;
use kbnt_application::{Position, Topic};
use kbnt_domain::audit::Head;
use kbnt_domain::event::UserStatus;
use kbnt_domain::stock::image::{Active, Chunk, Claim, ClosedOrder, End, LedgerImage, Line, ProductImage};
use kbnt_domain::user::User;
use kbnt_domain::{Currency, EventId, OrderId, Reason, Span, Timestamp};
use uuid::Uuid;

use super::{EXTENSION, Rows, SnapshotDirectory, UNFINISHED, files};

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

fn of_users() -> Snapshot<UserImage> {
    let user = |id: &str, status, revision| {
        let (name, email) = ("Ana \u{d7}".to_owned(), format!("{id}@example.com"));
        (id.parse().unwrap(), User { name, email, status, revision })
    };
    Snapshot {
        taken: Timestamp::from_millis(-1),
        folded: vec![Mark { at: at(Topic::UserEvents, 1, 9), id: EventId::from_uuid(Uuid::from_u128(6)) }],
        inputs: Vec::new(),
        image: UserImage {
            users: vec![user("ana", UserStatus::Active, 1), user("bob", UserStatus::Blocked, u64::MAX)],
            followed: vec![at(Topic::UserEvents, 0, 3), at(Topic::UserEvents, 1, 8)],
        },
    }
}

fn of_trail() -> Snapshot<AuditImage> {
    Snapshot {
        taken: Timestamp::from_millis(1_767_225_600_124),
        folded: vec![Mark { at: at(Topic::AuditLogs, 0, 70), id: EventId::from_uuid(Uuid::from_u128(7)) }],
        inputs: Vec::new(),
        image: AuditImage {
            begins: Some(2),
            head: Head { length: 68, hash: [0xa5; 32] },
            linked: vec![
                Linked { next: at(Topic::OrderEvents, 2, 40), gaps: vec![3..4, 7..u64::from(u32::MAX)] },
                Linked { next: at(Topic::PaymentEvents, 0, 1), gaps: Vec::new() },
            ],
        },
    }
}

fn is_read_as_it_was_written<I: Rows + Clone + Debug + PartialEq>(snapshot: &Snapshot<I>) {
    let directory = tempfile::tempdir().unwrap();
    let store = SnapshotDirectory::open(directory.path()).unwrap();
    assert!(store.load(0).is_none());
    let bytes = store.keep(snapshot).unwrap();
    assert_eq!(&store.load(0).unwrap().unwrap(), snapshot);
    let file = directory.path().join("0.snapshot");
    assert_eq!(bytes, std::fs::metadata(file).unwrap().len());
}

#[test]
fn a_snapshot_is_read_as_it_was_written() {
    is_read_as_it_was_written(&snapshot(1));
    is_read_as_it_was_written(&of_users());
    is_read_as_it_was_written(&of_trail());
}

#[test]
fn a_snapshot_of_another_service_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    SnapshotDirectory::open(directory.path()).unwrap().keep(&of_users()).unwrap();
    let store = SnapshotDirectory::<AuditImage>::open(directory.path()).unwrap();
    assert!(matches!(store.load(0), Some(Err(SnapshotError::Damaged(_)))));
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
    no_byte_may_be_altered_or_missing(&snapshot(1));
    no_byte_may_be_altered_or_missing(&of_users());
    no_byte_may_be_altered_or_missing(&of_trail());
}

fn no_byte_may_be_altered_or_missing<I: Rows + Debug>(snapshot: &Snapshot<I>) {
    let directory = tempfile::tempdir().unwrap();
    let store = SnapshotDirectory::open(directory.path()).unwrap();
    store.keep(snapshot).unwrap();
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
    let store = SnapshotDirectory::<Image>::open(directory.path()).unwrap();
    store.keep(&snapshot(1)).unwrap();
    let file = directory.path().join("0.snapshot");
    let mut other = std::fs::read(&file).unwrap();
    other[8] = 4;
    std::fs::write(&file, other).unwrap();
    assert!(matches!(store.load(0), Some(Err(SnapshotError::Format(4)))));
}
