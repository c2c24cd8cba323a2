//! The inventory machine: the one active writer over all stock.

mod summary;

use kbnt_domain::event::Writer;
use kbnt_domain::stock::{Declaration, DeclareError, ProductLevel, ReservationFilter, ReservationView};
use kbnt_domain::{OrderId, ProductId, ReservationId, Span, Timestamp};

use crate::machine::{Delivered, EffectOutcome, Halt, Machine, Outbox, Position};
use crate::message::{Service, Topic};

pub use summary::{Summary, Version};

/// How the inventory behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryConfig {
    /// Who this process is. It must be another one at each start of a process, or two of them could hold one term.
    pub writer_name: String,
    /// How long a reservation holds.
    pub ttl: Span,
    /// For products that name no threshold of their own.
    pub low_stock_threshold: u64,
    /// How long an ended order is remembered; commands that are older are refused.
    pub window: Span,
}

impl InventoryConfig {
    /// 15 minutes, 10 units, 24 hours.
    pub fn new(writer_name: impl Into<String>) -> Self {
        Self {
            writer_name: writer_name.into(),
            ttl: Span::from_minutes(15),
            low_stock_threshold: 10,
            window: Span::from_minutes(24 * 60),
        }
    }
}

/// Decides over stock.
#[derive(Debug)]
pub struct InventoryMachine {
    writer: Writer,
}

impl InventoryMachine {
    /// A machine that has seen nothing yet.
    pub fn new(config: InventoryConfig) -> Self {
        Self { writer: Writer { term: 0, name: config.writer_name } }
    }

    /// Takes in what a source says about a product; the answer counts once it is durable.
    pub fn declare(
        &mut self,
        _declaration: Declaration,
        _outbox: &mut Outbox,
    ) -> Result<ProductLevel, DeclareError> {
        Err(DeclareError::NotOpen)
    }

    /// All products, by id.
    pub fn levels(&self) -> Vec<ProductLevel> {
        Vec::new()
    }

    /// One product.
    pub fn level(&self, _product: &ProductId) -> Option<ProductLevel> {
        None
    }

    /// One reservation, if it is active or remembered.
    pub fn reservation(&self, _id: ReservationId) -> Option<ReservationView> {
        None
    }

    /// At most `most` reservations that pass the filter.
    pub fn reservations(&self, _filter: &ReservationFilter, _most: usize) -> Vec<ReservationView> {
        Vec::new()
    }

    /// Changes whenever anything does that [`InventoryMachine::summary`] shows.
    pub fn version(&self) -> Version {
        Version { term: self.writer.term, changes: 0 }
    }

    /// Everything at a glance.
    pub fn summary(&self) -> Summary {
        Summary {
            version: self.version(),
            writer: self.writer.clone(),
            totals: kbnt_domain::stock::Totals::default(),
            violations: Vec::new(),
            products: Vec::new(),
        }
    }
}

impl Machine for InventoryMachine {
    fn service(&self) -> Service {
        Service::Inventory
    }

    fn assigned(&mut self, _partition: u32) {}

    fn revoked(&mut self, _partition: u32) {}

    fn fold(&mut self, _record: &Delivered) {}

    fn recovered(&mut self, _partition: u32, _outbox: &mut Outbox) {}

    fn handle(&mut self, _record: &Delivered, _outbox: &mut Outbox) {}

    fn completed(&mut self, _order: OrderId, _outcome: EffectOutcome, _outbox: &mut Outbox) {}

    fn tick(&mut self, _outbox: &mut Outbox) {}

    fn next_tick(&self) -> Option<Timestamp> {
        None
    }

    fn durable(&mut self) {}

    fn hold(&self, _topic: Topic, _partition: u32) -> Option<u64> {
        None
    }

    fn sole_writer(&self) -> bool {
        true
    }

    fn elect(&mut self, _outbox: &mut Outbox) {}

    fn resume(&self) -> Vec<Position> {
        Vec::new()
    }

    fn follow(&mut self, _record: &Delivered) {}

    fn halted(&self) -> Option<Halt> {
        None
    }
}
