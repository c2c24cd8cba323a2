//! A ledger on a log of three partitions, of which a crash may take the unsafe tails.

use std::collections::{BTreeMap, BTreeSet};

use kbnt_domain::event::{Basket, Event, PaymentFailed, PaymentProcessed};
use kbnt_domain::stock::image::LedgerImage;
use kbnt_domain::stock::{
    CreditId, Declaration, DeclareError, EmittedEvent, Ledger, Outcome, Request, StockTerms,
};
use kbnt_domain::{OrderId, ProductId, Timestamp};

use crate::books::Books;
use crate::outside::Outside;
use crate::shop::{SKEW, TTL, WINDOW};

/// A record of the log.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Timestamp,
    pub(crate) event: Event,
    frees: Option<CreditId>,
}

/// What the ledger is asked, as it stands in the log of inputs.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Reserve(Basket),
    Pay(PaymentProcessed),
    Fail(PaymentFailed),
    Cancel,
}

/// An input with its order and date.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) order: OrderId,
    /// When the order was placed.
    pub(crate) placed_at: Timestamp,
    pub(crate) at: Timestamp,
    pub(crate) input: Input,
}

pub(crate) const PARTITIONS: usize = 3;

/// The ledger and its log.
pub(crate) struct World {
    pub(crate) ledger: Ledger,
    pub(crate) now: Timestamp,
    pub(crate) log: [Vec<Entry>; PARTITIONS],
    /// How much of each partition is safe.
    pub(crate) safe: [usize; PARTITIONS],
    /// Everything that was asked, to be asked again after a crash.
    pub(crate) inputs: Vec<Asked>,
    /// By product: whether low stock was told and available has not risen since.
    low: BTreeMap<ProductId, bool>,
    /// Products with an alert in the log at the last recovery: it may be given again, and need not be.
    alerted: BTreeSet<ProductId>,
    /// Orders that were dated too far ahead when they were first asked for.
    pub(crate) from_ahead: BTreeSet<OrderId>,
    /// When each order ended or was refused.
    ended: BTreeMap<OrderId, Timestamp>,
    image: Option<Kept>,
    /// Where older ends lie, if not in memory.
    outside: Option<Outside>,
}

/// An image of the ledger: of so much of the log, and of so many inputs.
struct Kept {
    ledger: LedgerImage,
    log: [usize; PARTITIONS],
    inputs: usize,
}

pub(crate) const TERMS: StockTerms = StockTerms { ttl: TTL, low_stock_threshold: 4, window: WINDOW };

impl World {
    pub(crate) fn new(now: Timestamp, outside: Option<Outside>) -> Self {
        let mut world = Self {
            ledger: Ledger::new(TERMS),
            now,
            log: Default::default(),
            safe: [0; PARTITIONS],
            inputs: Vec::new(),
            low: BTreeMap::new(),
            alerted: BTreeSet::new(),
            from_ahead: BTreeSet::new(),
            ended: BTreeMap::new(),
            image: None,
            outside,
        };
        world.step(Ledger::open);
        world
    }

    /// The order or the product that an event is about.
    fn subject(event: &Event) -> Result<OrderId, &ProductId> {
        Ok(match event {
            Event::StockDeclared(e) => return Err(&e.product),
            Event::LowStock(e) => return Err(&e.product),
            Event::VirtualStockReserved(e) => e.order,
            Event::InsufficientStock(e) => e.order,
            Event::ProductNotFound(e) => e.order,
            Event::ReservationRefused(e) => e.order,
            Event::ReservationConfirmed(e) => e.order,
            Event::ReservationReleased(e) => e.order,
            Event::ReservationExpired(e) => e.order,
            Event::ReservationLost(e) => e.order,
            other => panic!("not the ledger's: {other:?}"),
        })
    }

    fn partition(event: &Event) -> usize {
        let place = match Self::subject(event) {
            Ok(order) => usize::try_from(order.as_uuid().as_u128() >> 96).unwrap(),
            Err(product) => usize::from(product.as_str().as_bytes()[0]),
        };
        place % PARTITIONS
    }

    /// Takes a step and compares the ledger with the naive books. The answer, and what was told.
    pub(crate) fn step<R>(
        &mut self,
        decide: impl FnOnce(&mut Ledger, Timestamp, &mut Vec<EmittedEvent>) -> R,
    ) -> (R, Vec<Event>) {
        let mut emitted = Vec::new();
        let answer = decide(&mut self.ledger, self.now, &mut emitted);
        let events = emitted.iter().map(|emitted| emitted.event.clone()).collect();
        for EmittedEvent { event, frees } in emitted {
            self.note(&event);
            self.log[Self::partition(&event)].push(Entry { at: self.now, event, frees });
        }
        self.take_out();
        self.compare();
        (answer, events)
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::LowStock(e) => {
                assert!(e.level.available() < e.threshold, "{e:?}");
                assert_ne!(self.low.insert(e.product.clone(), true), Some(true), "emitted twice: {e:?}");
            }
            Event::InsufficientStock(e) => self.remember(e.order),
            Event::ProductNotFound(e) => self.remember(e.order),
            Event::ReservationRefused(e) => self.remember(e.order),
            Event::ReservationConfirmed(e) => self.remember(e.order),
            Event::ReservationReleased(e) => self.remember(e.order),
            Event::ReservationExpired(e) => self.remember(e.order),
            _ => {}
        }
    }

    fn remember(&mut self, order: OrderId) {
        self.ended.insert(order, self.now);
    }

    /// All that was written.
    pub(crate) fn written(&self) -> Vec<(Timestamp, Event)> {
        self.log.iter().flatten().map(|entry| (entry.at, entry.event.clone())).collect()
    }

    /// The books of all that was written.
    pub(crate) fn books(&self) -> Books {
        Books::of(self.log.iter().flatten().map(|entry| (entry.at, &entry.event)))
    }

    /// The books of what a crash would leave that keeps so much of each partition's unsafe tail.
    pub(crate) fn books_after(&self, kept: [usize; PARTITIONS]) -> Books {
        let left = (0..PARTITIONS).flat_map(|p| &self.log[p][..self.kept(p, kept)]);
        Books::of(left.map(|entry| (entry.at, &entry.event)))
    }

    fn kept(&self, p: usize, kept: [usize; PARTITIONS]) -> usize {
        self.safe[p] + kept[p] % (self.log[p].len() - self.safe[p] + 1)
    }

    /// Units of a product that unsafe records free. A product's receipts stand in one partition and an order's records in
    /// one, so each partition stands for itself.
    pub(crate) fn unsettled(&self, product: &str) -> i64 {
        let mut freed = 0;
        for (entries, &safe) in self.log.iter().zip(&self.safe) {
            let mut books = Books::default();
            for (number, entry) in entries.iter().enumerate() {
                let before = books.available(product);
                books.enter(entry.at, &entry.event);
                if number >= safe {
                    freed += (books.available(product) - before).max(0);
                }
            }
        }
        freed
    }

    /// Brings back what lies outside of an order.
    pub(crate) fn recall(&mut self, order: OrderId) {
        if let Some(outside) = &self.outside {
            outside.recall(&mut self.ledger, order);
        }
    }

    fn take_out(&mut self) {
        if let Some(outside) = &mut self.outside {
            outside.take_in(&mut self.ledger);
        }
    }

    fn compare(&mut self) {
        assert!(self.ledger.verify(), "{:?}", self.ledger.violations());
        let books = self.books();
        books.check();
        let levels = self.ledger.levels();
        assert_eq!(levels.len(), books.thresholds.len());
        for shown in levels {
            let product = shown.product.as_str();
            assert_eq!(i64::try_from(shown.level.real).unwrap(), books.real(product), "{product}");
            assert_eq!(i64::try_from(shown.level.reserved).unwrap(), books.reserved(product), "{product}");
            let low = books.available(product) < i64::try_from(books.thresholds[product]).unwrap();
            assert_eq!(shown.low_stock, low);
            let alerted = self.alerted.remove(&shown.product);
            let emitted = self.low.entry(shown.product.clone()).or_insert(alerted);
            assert!(!low || *emitted, "low stock of {product} was not emitted");
            *emitted &= low;
        }
        let due = books.holds.values().filter(|hold| hold.end.is_none()).map(|hold| hold.deadline).min();
        assert_eq!(self.ledger.next_deadline(), due);
        for (order, at) in self.ended.clone() {
            self.recall(order);
            assert!(
                at < self.now - WINDOW - SKEW || self.ledger.knows(order),
                "{order} is forgotten too early"
            );
        }
    }

    /// The next `records` of a partition are safe.
    pub(crate) fn settle(&mut self, p: usize, records: usize) {
        let until = self.log[p].len().min(self.safe[p] + records);
        for entry in &self.log[p][self.safe[p]..until] {
            if let Some(credit) = entry.frees {
                self.ledger.settle(credit);
            }
        }
        self.safe[p] = until;
    }

    pub(crate) fn settle_all(&mut self) {
        for p in 0..PARTITIONS {
            self.settle(p, usize::MAX - self.safe[p]);
        }
    }

    /// Takes an image.
    pub(crate) fn take_image(&mut self) {
        let log = std::array::from_fn(|p| self.log[p].len());
        self.image = Some(Kept { ledger: self.ledger.image(), log, inputs: self.inputs.len() });
    }

    /// Whether what lies outside is what the image goes with.
    pub(crate) fn can_go_back(&self) -> bool {
        let fits =
            |image: &Kept| self.outside.clone().is_none_or(|mut outside| outside.go_back_to(&image.ledger));
        self.image.as_ref().is_none_or(fits)
    }

    /// A crash that keeps so much of each partition's unsafe tail, and a recovery, partition by partition in `order`: from the
    /// image, if it is wanted and its records are safe. Which inputs are to be delivered again, from which on.
    pub(crate) fn crash(
        &mut self,
        kept: [usize; PARTITIONS],
        order: [usize; PARTITIONS],
        from_image: bool,
    ) -> usize {
        let is_safe = |image: &Kept| (0..PARTITIONS).all(|p| image.log[p] <= self.safe[p]);
        self.image = self.image.take().filter(is_safe);
        for p in 0..PARTITIONS {
            let left = self.kept(p, kept);
            self.log[p].truncate(left);
            self.safe[p] = left;
        }
        let fits = match (&mut self.outside, &self.image) {
            (Some(outside), Some(image)) => from_image && outside.go_back_to(&image.ledger),
            _ => from_image,
        };
        let (ledger, folded, inputs) = match &self.image {
            Some(image) if fits => {
                (Ledger::restore(TERMS, image.ledger.clone()).unwrap(), image.log, image.inputs)
            }
            _ => (Ledger::new(TERMS), [0; PARTITIONS], 0),
        };
        self.ledger = ledger;
        if let Some(outside) = self.outside.as_mut().filter(|_| folded == [0; PARTITIONS]) {
            outside.clear();
        }
        for p in order {
            let again = self.log[p][folded[p]..].to_vec();
            for Entry { at, event, .. } in again {
                if let Ok(order) = Self::subject(&event) {
                    self.recall(order);
                }
                self.ledger.recover(&event, at);
                self.take_out();
            }
        }
        self.ended.clear();
        self.low.clear();
        let alert = |entry: &Entry| match &entry.event {
            Event::LowStock(e) => Some(e.product.clone()),
            _ => None,
        };
        self.alerted = self.log.iter().flatten().filter_map(alert).collect();
        self.step(Ledger::open);
        inputs
    }

    /// When an order was placed: when it was first heard of, if it is not asked for yet.
    pub(crate) fn placed_at(&self, order: OrderId) -> Timestamp {
        self.inputs.iter().find(|asked| asked.order == order).map_or(self.now, |asked| asked.placed_at)
    }

    /// Asks, noting it for replays.
    pub(crate) fn ask(&mut self, asked: Asked) -> (Outcome, Vec<Event>) {
        let answer = self.replay(&asked);
        self.inputs.push(asked);
        answer
    }

    pub(crate) fn replay(&mut self, asked: &Asked) -> (Outcome, Vec<Event>) {
        let (order, at) = (asked.order, asked.at);
        self.recall(order);
        self.step(|ledger, now, emitted| match &asked.input {
            Input::Reserve(basket) => ledger.reserve(&Request { order, basket, placed_at: at }, now, emitted),
            Input::Pay(payment) => ledger.pay(payment, now, emitted),
            Input::Fail(failure) => ledger.fail(failure, at, now, emitted),
            Input::Cancel => ledger.cancel(order, at, now, emitted),
        })
    }

    pub(crate) fn declare(&mut self, declaration: &Declaration) -> (Result<(), DeclareError>, Vec<Event>) {
        let (answer, events) = self.step(|ledger, now, emitted| ledger.declare(declaration, now, emitted));
        (answer.map(drop), events)
    }
}
