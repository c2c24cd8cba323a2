//! The inventory machine: the one active writer over all stock.
//!
//! It puts the stock ledger on the log. What a decision frees is settled when [`Machine::follow`] shows the record that
//! tells it: only then is it certain to lie below any newer election, and so to count for every reader. An input that
//! depends on units whose record is still on its way waits, and all inputs after it wait behind it, so that they stay in
//! order; [`Machine::hold`] covers them.

mod archive;
mod config;
mod declare;
mod emit;
mod image;
mod inputs;
mod show;
mod summary;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use kbnt_domain::stock::{CreditId, EmittedEvent, Ledger};
use kbnt_domain::{EventId, Timestamp};

use self::archive::Archive;
use crate::event::{RecordedEvent, Writer};
use crate::machine::{Delivered, Halt, Imaged, Machine, Outbox, Position, SoleWriter};
use crate::message::{Service, Topic};

pub use archive::{ArchiveLimits, RestoreError};
pub use config::InventoryConfig;
pub use image::Image;
pub use summary::{Counts, Summary, Version};

/// Decides over stock. See the [module](self).
#[derive(Debug)]
pub struct InventoryMachine {
    config: InventoryConfig,
    ledger: Ledger,
    /// Where older closed orders lie, if not in memory.
    archive: Option<Archive>,
    /// This process, once it stands for election.
    writer: Option<Arc<Writer>>,
    /// The newest elected writer that was seen.
    newest: Option<Writer>,
    /// Partitions of which all is folded.
    recovered: BTreeSet<u32>,
    /// The highest input offset that was answered, by topic and partition.
    answered: BTreeMap<(Topic, u32), u64>,
    /// What must be settled when these records are read back.
    credits: HashMap<EventId, CreditId>,
    /// Inputs that wait, in order.
    waiting: VecDeque<Delivered>,
    /// Something was settled since the first of them was tried.
    retry: bool,
    /// Events that were named by number.
    named: u64,
    counts: Counts,
    halted: Option<Halt>,
    /// Scratch space of a step.
    emitted: Vec<EmittedEvent>,
}

impl InventoryMachine {
    /// A machine that has seen nothing yet.
    pub fn new(config: InventoryConfig) -> Self {
        Self {
            ledger: Ledger::new(config.terms()),
            config,
            archive: None,
            writer: None,
            newest: None,
            recovered: BTreeSet::new(),
            answered: BTreeMap::new(),
            credits: HashMap::new(),
            waiting: VecDeque::new(),
            retry: false,
            named: 0,
            counts: Counts::default(),
            halted: None,
            emitted: Vec::new(),
        }
    }

    /// Whether it decides.
    fn active(&self) -> bool {
        self.halted.is_none() && self.partitions().all(|partition| self.recovered.contains(&partition))
    }

    fn partitions(&self) -> std::ops::Range<u32> {
        0..self.service().output().partitions()
    }

    /// Takes note of a writer; one that is newer than this one fences it.
    fn meet(&mut self, writer: &Writer) {
        if self.newest.as_ref().is_none_or(|newest| writer > newest) {
            self.newest = Some(writer.clone());
        }
    }
}

impl Machine for InventoryMachine {
    type Sole = Self;
    type Imaged = Self;

    fn service(&self) -> Service {
        Service::Inventory
    }

    fn set_clock(&mut self, now: Timestamp) {
        self.ledger.set_clock(now);
    }

    fn decides_by_time(&self) -> bool {
        true
    }

    fn assigned(&mut self, _partition: u32) {}

    /// One partition is not enough to decide over: all is forgotten.
    fn revoked(&mut self, _partition: u32) {
        let archive = self.archive.as_ref().map(Archive::anew);
        *self = Self { archive, ..Self::new(self.config.clone()) };
    }

    fn fold(&mut self, record: &Delivered) {
        match &record.message.event {
            RecordedEvent::WriterElected(elected) => self.meet(&elected.writer),
            RecordedEvent::Business(event) => {
                if let Some(order) = record.message.order() {
                    self.recall(order);
                }
                self.ledger.recover(event, record.message.at);
                self.archive_surplus();
            }
            _ => {}
        }
        // An answer lies in the partition of its order, as its input does. What else an input leads to (low stock of a
        // product) may lie in another one and outlive the answer, so it says nothing about it.
        if let Some(source) = record.answers() {
            self.note_answered(source);
        }
    }

    fn recovered(&mut self, partition: u32, outbox: &mut Outbox) {
        self.recovered.insert(partition);
        if self.active() {
            self.ledger.open(outbox.now(), &mut self.emitted);
            self.emit_events(None, outbox);
        }
    }

    fn handle(&mut self, record: &Delivered, outbox: &mut Outbox) {
        if !self.active() {
            return;
        }
        self.go_on(outbox);
        if !self.waiting.is_empty() || !self.step(record, outbox) {
            self.waiting.push_back(record.clone());
        }
    }

    fn tick(&mut self, outbox: &mut Outbox) {
        if !self.active() {
            return;
        }
        self.go_on(outbox);
        self.ledger.expire(outbox.now(), &mut self.emitted);
        self.emit_events(None, outbox);
        self.archive_surplus();
    }

    fn next_tick(&self) -> Option<Timestamp> {
        if !self.active() {
            return None;
        }
        if self.retry && !self.waiting.is_empty() {
            return Some(Timestamp::MIN);
        }
        self.ledger.next_deadline()
    }

    fn hold(&self, topic: Topic, partition: u32) -> Option<u64> {
        let of = |record: &&Delivered| (record.at.topic, record.at.partition) == (topic, partition);
        self.waiting.iter().find(of).map(|record| record.at.offset)
    }

    fn sole_writer(&mut self) -> Option<&mut Self> {
        Some(self)
    }

    fn imaged(&mut self) -> Option<&mut Self> {
        Some(self)
    }

    fn follow(&mut self, record: &Delivered) {
        let elected = match &record.message.event {
            RecordedEvent::WriterElected(elected) => Some(&elected.writer),
            _ => record.message.writer.as_deref(),
        };
        let (Some(by), Some(writer)) = (elected, self.writer.clone()) else { return };
        let (by, writer) = (by, &*writer);
        if by > writer {
            self.meet(by);
            self.halted.get_or_insert(Halt::Fenced(by.clone()));
        } else if by == writer
            && let Some(credit) = self.credits.remove(&record.message.id)
        {
            self.ledger.settle(credit);
            self.retry = true;
        }
    }
}

impl SoleWriter for InventoryMachine {
    fn elect(&mut self, outbox: &mut Outbox) {
        let term = self.newest.as_ref().map_or(0, |newest| newest.term).saturating_add(1);
        let writer = Arc::new(Writer { term, name: self.config.writer_name.clone() });
        self.writer = Some(Arc::clone(&writer));
        self.emit_election(&writer, outbox);
    }

    /// The last answered ones themselves, not those after them: an answer may be two records, and a crash may have kept
    /// only the first. Users and payments are read again as far as the own records were: the first answer about an order
    /// stands, and not every first answer (a rejected user, a failed payment after the expiry) left a record here.
    fn resume(&self) -> Vec<Position> {
        self.answered().filter(|at| at.topic == Topic::OrderEvents).collect()
    }

    fn prefetch(&self, coming: &mut dyn Iterator<Item = &Delivered>) {
        self.ledger.prefetch(coming.filter_map(|record| inputs::asking_order(&record.message)));
    }

    fn halted(&self) -> Option<Halt> {
        self.halted.clone()
    }
}

impl Imaged for InventoryMachine {
    type Image = Image;
    type Error = RestoreError;

    fn image(&self) -> Option<Image> {
        self.take_image()
    }

    fn restore(&mut self, image: Image) -> Result<Option<Writer>, RestoreError> {
        self.restore_image(image).map(Some)
    }
}
