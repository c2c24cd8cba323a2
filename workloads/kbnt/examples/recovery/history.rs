//! A log as a busy shop leaves it: every order placed, validated, reserved, paid, confirmed and created.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use kbnt_application::RecordedEvent;
use kbnt_application::inventory::{InventoryConfig, InventoryMachine};
use kbnt_application::message::Subject;
use kbnt_application::ports::{ErrorClass, EventLog, Fetched, LogReader};
use kbnt_application::{
    Append, Delivered, Machine, Message, Outbox, Position, Route, Service, SoleWriter, Topic, Trace,
};
use kbnt_domain::event::{
    Basket, Event, Line, OrderCreated, PaymentMethod, PaymentProcessed, PlaceOrder, UserValidated,
};
use kbnt_domain::stock::Declaration;
use kbnt_domain::{Currency, EventId, Money, OrderId, Quantity, Span, Timestamp};
use kbnt_kafka::KafkaLog;

use super::Failure;

/// Orders per batch.
const CHUNK: u32 = 2_000;

const PRODUCTS: u32 = 100;

/// The log, and how many orders are in it.
pub(super) struct History {
    pub(super) log: KafkaLog,
    pub(super) orders: u32,
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn order(number: u32) -> Result<OrderId, Failure> {
    Ok(OrderId::derive(&format!("USER-{}", number % 10_000).parse()?, &number.to_string()))
}

fn basket(number: u32) -> Result<Basket, Failure> {
    let product = format!("PROD-{:03}", number % PRODUCTS).parse()?;
    let lines = vec![Line { product, quantity: Quantity::new(u64::from(number % 3) + 1)? }];
    let payment = PaymentMethod { method: "credit_card".into(), token: None };
    Ok(Basket { user: format!("USER-{}", number % 10_000).parse()?, lines, payment })
}

/// A record that `service` writes.
fn record(service: Service, kind: &str, order: OrderId, event: impl Into<RecordedEvent>) -> Append {
    let (id, event) = (EventId::named(&format!("{kind}/{order}")), event.into());
    let route = Subject::of(&event).key().map_or(Route::Partition(0), Route::Key);
    let trace = Trace::root(&EventId::named(&order.to_string()));
    let message = Message { id, at: now(), service, cause: None, trace, writer: None, event };
    Append { message: Arc::new(message), route, source: None }
}

async fn append(log: &KafkaLog, batch: Vec<Append>) -> Result<Vec<Delivered>, Failure> {
    let positions = log.append(batch.clone()).await?;
    let delivered = |(append, at): (Append, Position)| Delivered {
        at,
        message: append.message,
        source: append.source,
        raw: None,
    };
    Ok(batch.into_iter().zip(positions).map(delivered).collect())
}

/// The inventory, which writes its decisions to the log.
struct Stock {
    machine: InventoryMachine,
    log: KafkaLog,
}

impl Stock {
    async fn step(
        &mut self,
        step: impl FnOnce(&mut InventoryMachine, &mut Outbox),
    ) -> Result<Vec<Delivered>, Failure> {
        let mut outbox = Outbox::new(Service::Inventory, now());
        step(&mut self.machine, &mut outbox);
        append(&self.log, outbox.take().0).await
    }

    async fn open(log: KafkaLog) -> Result<Self, Failure> {
        let config = InventoryConfig { ttl: Span::from_minutes(24 * 60), ..InventoryConfig::new("history") };
        let mut stock = Self { machine: InventoryMachine::new(config), log };
        let elections = stock.step(InventoryMachine::elect).await?;
        for election in &elections {
            stock.machine.fold(election);
        }
        let recovered = |machine: &mut InventoryMachine, outbox: &mut Outbox| {
            (0..3).for_each(|partition| machine.recovered(partition, outbox));
        };
        stock.step(recovered).await?;
        for number in 0..PRODUCTS {
            let declaration = Declaration {
                product: format!("PROD-{number:03}").parse()?,
                name: format!("Product {number}"),
                unit_price: Money::parse("599.99", Currency::BRL)?,
                received: 1_000_000_000,
                low_stock_threshold: None,
                source: "history".parse()?,
            };
            let mut answer = None;
            let declare = |machine: &mut InventoryMachine, outbox: &mut Outbox| {
                answer = Some(machine.declare(&declaration, outbox));
            };
            let declared = stock.step(declare).await?;
            answer.ok_or("not declared")??;
            for record in &declared {
                stock.machine.follow(record);
            }
        }
        Ok(stock)
    }

    async fn handle(&mut self, inputs: &[Delivered]) -> Result<Vec<Delivered>, Failure> {
        self.step(|machine, outbox| inputs.iter().for_each(|input| machine.handle(input, outbox))).await
    }
}

/// The records of a chunk of orders.
async fn chunk(stock: &mut Stock, numbers: std::ops::Range<u32>) -> Result<(), Failure> {
    let log = stock.log.clone();
    let (mut placed, mut validated) = (Vec::new(), Vec::new());
    for number in numbers {
        let (order, basket) = (order(number)?, basket(number)?);
        let place = PlaceOrder { order, basket: basket.clone() };
        placed.push(record(Service::Order, "placed", order, place));
        let validate = UserValidated { order, basket, placed_at: now() };
        validated.push(record(Service::User, "validated", order, validate));
    }
    append(&log, placed).await?;
    let reserved = stock.handle(&append(&log, validated).await?).await?;
    let (mut paid, mut created) = (Vec::new(), Vec::new());
    for record_of in &reserved {
        let Some(Event::VirtualStockReserved(reserved)) = record_of.message.event.business() else {
            continue;
        };
        let (order, reservation, amount) = (reserved.order, reserved.reservation, reserved.amount);
        let transaction: kbnt_domain::TransactionId = format!("tx-{}", order.as_uuid().simple()).parse()?;
        let payment = PaymentProcessed { order, reservation, amount, transaction: transaction.clone() };
        paid.push(record(Service::Payment, "paid", order, payment));
        let end = OrderCreated { order, user: reserved.user.clone(), reservation, amount, transaction };
        created.push(record(Service::Order, "created", order, end));
    }
    stock.handle(&append(&log, paid).await?).await?;
    append(&log, created).await?;
    Ok(())
}

impl History {
    /// Writes the history.
    pub(super) async fn write(log: KafkaLog, orders: u32) -> Result<Self, Failure> {
        let mut stock = Stock::open(log.clone()).await?;
        let mut next = 0;
        while next < orders {
            let until = orders.min(next + CHUNK);
            chunk(&mut stock, next..until).await?;
            next = until;
        }
        Ok(Self { log, orders })
    }

    /// The length of each topic.
    pub(super) async fn lengths(&self) -> Result<String, Failure> {
        let mut shown = Vec::new();
        for topic in [Topic::OrderEvents, Topic::UserEvents, Topic::InventoryEvents, Topic::PaymentEvents] {
            let mut records = 0;
            for partition in 0..topic.partitions() {
                records += self.log.bounds(topic, partition).await?.end;
            }
            shown.push(format!("{} {records}", topic.name()));
        }
        Ok(format!("records written: {}", shown.join(", ")))
    }

    /// Validates the user of one more order.
    pub(super) async fn validate(&self, number: u32) -> Result<(), Failure> {
        let order = order(number)?;
        let event = UserValidated { order, basket: basket(number)?, placed_at: now() };
        append(&self.log, vec![record(Service::User, "validated", order, event)]).await?;
        Ok(())
    }

    pub(super) async fn read_from_end(&self, topic: Topic) -> Result<Box<dyn LogReader>, Failure> {
        let mut from = Vec::new();
        for partition in 0..topic.partitions() {
            from.push(Position { topic, partition, offset: self.log.bounds(topic, partition).await?.end });
        }
        Ok(self.log.read(from).await?)
    }
}

/// Waits for the inventory's answer to an order.
pub(super) async fn expect_answer(reader: &mut dyn LogReader, number: u32) -> Result<Instant, Failure> {
    let expected = order(number)?;
    loop {
        let records = match reader.next(1_000, Span::from_millis(100)).await {
            Err(error) if error.class() == ErrorClass::Transient => continue,
            records => records?,
        };
        for fetched in records {
            if let Fetched::Record(record) = fetched
                && let Some(Event::VirtualStockReserved(reserved)) = record.message.event.business()
                && reserved.order == expected
            {
                return Ok(Instant::now());
            }
        }
    }
}
