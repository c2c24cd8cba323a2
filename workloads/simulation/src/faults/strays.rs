//! A program that is none of the six services writes into their topics, and gets it wrong: in partitions that are not the key's, at
//! times out of this world, with notes of what it answers that are not true.

use std::collections::BTreeSet;
use std::sync::Arc;

use kbnt_application::RecordedEvent;
use kbnt_application::message::{Classification, Message, Service, Trace, home_of, in_place};
use kbnt_application::ports::{Fetched, RawRecord, Unreadable};
use kbnt_application::{Append, Delivered, Position, Route, Topic};
use kbnt_domain::event::{Event, OrderCancelRequested, PlaceOrder};
use kbnt_domain::{EventId, OrderId, Timestamp};

use crate::log::{Log, Place, delivered};
use crate::world::World;

/// The topics whose records count whoever wrote them.
const OPEN: [Topic; 4] =
    [Topic::OrderEvents, Topic::UserEvents, Topic::PaymentEvents, Topic::NotificationEvents];

/// For so many milliseconds nothing is forgotten, whatever the clock of a process is off.
const DAY: u64 = 22 * 3_600_000;

/// What such a program has written.
#[derive(Debug, Default)]
pub(crate) struct Strays {
    /// Records in partitions that are not theirs.
    pub(crate) misplaced: BTreeSet<EventId>,
    /// Orders that were placed, or placed again, at times out of this world.
    pub(crate) timeless: BTreeSet<OrderId>,
}

impl World {
    /// It writes something.
    pub(crate) fn stray(&mut self) -> Result<(), String> {
        match self.rng.below(5) {
            0 => self.misplace_order(),
            1 => self.misplace_copy(),
            2 => return self.place_at_any_time(),
            3 => return self.repeat_with_another_source(),
            _ => return self.repeat_at_any_time(),
        }
        Ok(())
    }

    /// An order, or the wish to cancel one, lies in another partition than the order's.
    fn misplace_order(&mut self) {
        let event = if self.rng.chance(700) {
            let Some(order) = self.foreign_order() else { return };
            RecordedEvent::from(order)
        } else {
            let Some(order) = self.rng.pick(&self.plan.orders).map(|order| order.id) else { return };
            OrderCancelRequested { order }.into()
        };
        let message = self.foreign(event, Timestamp::from_millis(self.now()));
        self.misplace(message, None);
    }

    /// A copy of what a service has written lies in another partition, as something new.
    fn misplace_copy(&mut self) {
        let topics = [OPEN.as_slice(), &[Topic::InventoryEvents]].concat();
        let topic = self.rng.pick(&topics).copied().unwrap_or(Topic::UserEvents);
        let Some(record) = self.any_of(topic, |record| home_of(&record.message.event).is_some()) else {
            return;
        };
        let id = EventId::named(&format!("stray at step {}", self.step));
        let message = Message { id, ..record.message.as_ref().clone() };
        self.misplace(message, record.source);
    }

    fn misplace(&mut self, message: Message, source: Option<Position>) {
        let topic = Classification::of(&message.event).topic();
        let Some(home) = home_of(&message.event) else { return };
        let away = u32::try_from(self.rng.between(1, 2)).unwrap_or(1);
        let partition = (home + away) % topic.partitions();
        self.strays.misplaced.insert(message.id);
        let append = Append { message: Arc::new(message), route: Route::Partition(partition), source };
        let at = self.log.stray(&append);
        self.say(|| format!("misplaced: {at} {:?}", append.message.event));
    }

    /// An order that was placed in the year 0 or 9999 and not now.
    fn place_at_any_time(&mut self) -> Result<(), String> {
        let Some(order) = self.foreign_order() else { return Ok(()) };
        self.strays.timeless.insert(order.order);
        let at = self.any_time();
        let message = self.foreign(order.into(), at);
        self.write(message, None)
    }

    /// An answer is repeated, and says that it is to another command.
    fn repeat_with_another_source(&mut self) -> Result<(), String> {
        let topic = self.rng.pick(&OPEN).copied().unwrap_or(Topic::UserEvents);
        // Which of two answers to a repeated command is shown follows from their sources.
        let fits = |record: &Delivered| {
            let repeats =
                matches!(record.message.event.business(), Some(Event::UserRejected(e)) if e.repeated);
            record.message.order().is_some() && !repeats
        };
        let Some(record) = self.any_of(topic, fits) else {
            return Ok(());
        };
        let offset = match self.rng.below(3) {
            0 => u64::MAX,
            1 => u64::MAX - 1,
            _ => self.rng.below(500),
        };
        let partition = u32::try_from(self.rng.below(3)).unwrap_or(0);
        let topic = self.rng.pick(&Topic::ALL).copied().unwrap_or(Topic::OrderEvents);
        let topic = if self.rng.chance(700) { Topic::OrderEvents } else { topic };
        self.write(record.message.as_ref().clone(), Some(Position { topic, partition, offset }))
    }

    /// A record is repeated, and says that it was written at another time.
    fn repeat_at_any_time(&mut self) -> Result<(), String> {
        let topic = self.rng.pick(&OPEN).copied().unwrap_or(Topic::UserEvents);
        let Some(record) = self.any_of(topic, |record| record.message.order().is_some()) else {
            return Ok(());
        };
        if let Some(Event::PlaceOrder(placed)) = record.message.event.business() {
            self.strays.timeless.insert(placed.order);
        }
        let at = self.any_time();
        self.write(Message { at, ..record.message.as_ref().clone() }, record.source)
    }

    /// A record gets in where it belongs.
    fn write(&mut self, message: Message, source: Option<Position>) -> Result<(), String> {
        let Some(home) = home_of(&message.event) else { return Ok(()) };
        let append = Append { message: Arc::new(message), route: Route::Partition(home), source };
        let record = self.log.append(&append);
        self.say(|| format!("a stranger wrote {}", crate::world::show(&record)));
        self.record(&record)
    }

    /// One of today: a payment for an order that is forgotten is refunded, and whether it is a copy nobody knows any more.
    fn any_of(&mut self, topic: Topic, fit: impl Fn(&Delivered) -> bool) -> Option<Delivered> {
        let now = self.now();
        let is_of_today = |record: &&Delivered| now.abs_diff(record.message.at.as_millis()) < DAY;
        let records: Vec<&Delivered> =
            self.log.topic(topic).filter(is_of_today).filter(|record| fit(record)).collect();
        self.rng.pick(&records).map(|record| Delivered::clone(record))
    }

    fn any_time(&mut self) -> Timestamp {
        let times =
            [Timestamp::FIRST, Timestamp::from_millis(0), Timestamp::from_millis(-1), Timestamp::LAST];
        self.rng.pick(&times).copied().unwrap_or(Timestamp::LAST)
    }

    /// An order that none of the customers has in mind.
    fn foreign_order(&mut self) -> Option<PlaceOrder> {
        let basket = self.rng.pick(&self.plan.orders)?.basket.clone();
        let order = OrderId::derive(&basket.user, &format!("stray at step {}", self.step));
        Some(PlaceOrder { order, basket })
    }

    fn foreign(&self, event: RecordedEvent, at: Timestamp) -> Message {
        let id = EventId::named(&format!("stray at step {}", self.step));
        let service = Service::Order;
        Message { id, at, service, cause: None, trace: Trace::root(&id), writer: None, event }
    }

    /// What lies in a partition that is not its own is kept as a dead letter, as any other that nobody handles, and nothing ever came
    /// of it.
    pub(crate) fn check_strays(&self, records: &[Delivered]) -> Result<(), String> {
        let is_misplaced = |id: &EventId| self.strays.misplaced.contains(id);
        if let Some(record) = records.iter().find(|record| is_misplaced(&record.message.id)) {
            return Err(format!("{} counts, where it does not belong", record.at));
        }
        let effect = records.iter().find(|record| record.message.cause.as_ref().is_some_and(is_misplaced));
        match effect.filter(|record| record.at.topic != Topic::AuditLogs) {
            Some(effect) => {
                Err(format!("{} came of a record that lies in a partition not its own", effect.at))
            }
            None => Ok(()),
        }
    }
}

impl Log {
    /// A record gets in where its writer wants it. It counts if it belongs there, by the rule of every reader.
    pub(crate) fn stray(&mut self, append: &Append) -> Position {
        let at = self.next(append.place());
        let message = append.message.clone();
        let record = match in_place(&message.event, at) {
            Ok(()) => Fetched::Record(delivered(at, append)),
            Err(misplaced) => {
                let value = Some(format!("{:?}", message.event).into_bytes());
                let raw = Arc::new(RawRecord { value, ..RawRecord::default() });
                Fetched::Unreadable(Unreadable { at, reason: misplaced.to_string(), raw })
            }
        };
        self.push(at, record);
        at
    }

    /// Something gets in that nobody understands.
    pub(crate) fn spoil(&mut self, place: Place, value: Vec<u8>) -> Position {
        let at = self.next(place);
        let raw = Arc::new(RawRecord { value: Some(value), ..RawRecord::default() });
        self.push(at, Fetched::Unreadable(Unreadable { at, reason: "poison".to_owned(), raw }));
        at
    }
}
