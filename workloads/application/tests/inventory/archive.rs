//! Closed orders that the machine leaves to an archive.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use kbnt_application::event::Writer;
use kbnt_application::inventory::{ArchiveLimits, Image, InventoryConfig, InventoryMachine, RestoreError};
use kbnt_application::ports::{ArchiveError, ClosedOrderArchive};
use kbnt_application::{Delivered, Imaged, Machine, Message, Position, Service, SoleWriter, Topic, Trace};
use kbnt_domain::event::ProductNotFound;
use kbnt_domain::stock::image::{Chunk, ClosedOrder, LedgerImage};
use kbnt_domain::{EventId, OrderId, Span, Timestamp};

use crate::steps::order;

/// One that takes no chunk which does not follow on the newest one, as the one on disk.
#[derive(Debug, Default)]
struct Strict(Mutex<Vec<(Chunk, Rows)>>);

/// Closed orders and their places.
type Rows = Vec<(u64, ClosedOrder)>;

impl ClosedOrderArchive for Strict {
    fn reset(&self) -> Result<(), ArchiveError> {
        self.0.lock().unwrap().clear();
        Ok(())
    }

    fn go_back_to(&self, _: &[Chunk]) -> Result<bool, ArchiveError> {
        Ok(false)
    }

    fn add(&self, chunk: &Chunk, orders: &[(u64, &ClosedOrder)]) -> Result<u32, ArchiveError> {
        let mut chunks = self.0.lock().unwrap();
        if chunks.last().is_some_and(|(last, _)| last.first + u64::from(last.orders) != chunk.first) {
            return Err(ArchiveError::Damaged("a gap".to_owned()));
        }
        let orders = orders.iter().map(|(place, closed)| (*place, ClosedOrder::clone(closed)));
        chunks.push((*chunk, orders.collect()));
        Ok(0)
    }

    fn find(&self, order: OrderId) -> Result<Option<(u64, ClosedOrder)>, ArchiveError> {
        let chunks = self.0.lock().unwrap();
        let rows = chunks.iter().flat_map(|(_, rows)| rows);
        Ok(rows.rev().find(|(_, closed)| closed.order == order).cloned())
    }

    fn range(&self, _: Range<u64>) -> Result<Vec<(u64, ClosedOrder)>, ArchiveError> {
        Ok(Vec::new())
    }

    fn forget(&self, _: u64) -> Result<(), ArchiveError> {
        Ok(())
    }
}

/// An order that was refused.
fn refused(n: u64, at: Timestamp) -> Delivered {
    let event = ProductNotFound {
        order: order(n.into()),
        user: "USER".parse().unwrap(),
        product: "A".parse().unwrap(),
        fingerprint: n,
    };
    let id = EventId::named(&n.to_string());
    let (service, trace) = (Service::Inventory, Trace::root(&id));
    let message = Message { id, at, service, cause: None, trace, writer: None, event: event.into() };
    let at = Position { topic: Topic::InventoryEvents, partition: 0, offset: n };
    Delivered { at, message: Arc::new(message), source: None, raw: None }
}

#[test]
fn a_shop_that_was_idle_for_longer_than_the_window_goes_on_archiving() {
    let archive = Arc::new(Strict::default());
    let machine = InventoryMachine::new(InventoryConfig::new("writer"));
    let limits = ArchiveLimits { in_memory: 2, chunk: 1 };
    let mut machine = machine.archiving(Arc::<Strict>::clone(&archive), limits);
    let before = Timestamp::from_millis(1_000_000_000_000);
    for n in 0..4 {
        machine.fold(&refused(n, before));
    }
    assert!(archive.find(order(0)).unwrap().is_some() && archive.find(order(3)).unwrap().is_none());
    // All of them are forgotten: those in the archive, and then those in memory, which never get there.
    let after = before + Span::from_minutes(26 * 60);
    for n in 4..8 {
        machine.fold(&refused(n, after));
    }
    assert_eq!(machine.halted(), None);
    assert!(archive.find(order(4)).unwrap().is_some() && archive.find(order(0)).unwrap().is_none());
}

#[test]
fn a_machine_without_an_archive_does_not_begin_with_an_image_that_needs_one() {
    let config = InventoryConfig::new("writer");
    let chunk = Chunk { first: 0, orders: 1, newest: Timestamp::from_millis(0), checksum: 0 };
    let image = |archived: Vec<Chunk>| Image {
        writer: Writer { term: 1, name: "before".to_owned() },
        answered: Vec::new(),
        ledger: LedgerImage {
            clock: Timestamp::from_millis(0),
            window: config.window,
            confirmed: 0,
            products: Vec::new(),
            active: Vec::new(),
            archived,
            ended: Vec::new(),
        },
    };
    let restored = InventoryMachine::new(config.clone()).restore(image(vec![chunk]));
    assert_eq!(restored, Err(RestoreError::NoArchive));
    assert!(InventoryMachine::new(config.clone()).restore(image(Vec::new())).is_ok());
}
