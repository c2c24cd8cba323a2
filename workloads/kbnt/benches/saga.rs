//! The whole saga in one process: all six machines on one log, orders written straight to it.
//!
//! `cargo bench -p kbnt --bench saga -- [memory|durable|kafka] [ORDERS] [RATE]`; RATE is orders a second, 0 for
//! as fast as it goes. Kafka is that of `KBNT_TEST_BOOTSTRAP`; its topics must exist under the prefix `KBNT_BENCH_PREFIX`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kbnt_adapters::clock::SystemClock;
use kbnt_application::audit::AuditMachine;
use kbnt_application::inventory::{InventoryConfig, InventoryMachine};
use kbnt_application::notification::NotificationMachine;
use kbnt_application::order::{OrderMachine, place_order};
use kbnt_application::payment::PaymentMachine;
use kbnt_application::ports::NoObserver;
use kbnt_application::ports::{Clock as _, EventLog, Fetched};
use kbnt_application::user::{UserConfig, UserMachine};
use kbnt_application::{
    Append, Effect, EffectOutcome, Machine, NotificationOutcome, Outbox, PaymentOutcome, PaymentRequest,
    Position, Service, Topic,
};
use kbnt_domain::event::{Basket, Line, PaymentMethod};
use kbnt_domain::stock::Declaration;
use kbnt_domain::{Currency, Event, Money, OrderId, Quantity, Span};
use kbnt_embedded::EmbeddedLog;
use kbnt_kafka::{KafkaConfig, KafkaLog};
use kbnt_runtime::{EffectPerformer, Handle, Runner, RunnerParts};
use tokio_util::sync::CancellationToken;

/// Charges and notifies at once.
struct Willing;

#[async_trait]
impl EffectPerformer for Willing {
    async fn perform(&self, effect: &Effect) -> EffectOutcome {
        match effect {
            Effect::Notification(_) => NotificationOutcome::Notified { channel: "log" }.into(),
            Effect::Payment(PaymentRequest::Charge { order, .. }) => {
                PaymentOutcome::Charged { transaction: order.to_string().parse().unwrap() }.into()
            }
            Effect::Payment(_) => PaymentOutcome::Refunded.into(),
        }
    }
}

fn start<M: Machine>(machine: M, log: &Arc<dyn EventLog>, stop: &CancellationToken) -> Handle<M> {
    let parts = RunnerParts {
        log: Arc::clone(log),
        clock: Arc::new(SystemClock),
        effects: Arc::new(Willing),
        observer: Arc::new(NoObserver),
    };
    let (runner, handle) = Runner::new(machine, parts);
    tokio::spawn(runner.run(stop.clone()));
    handle
}

async fn ready<M: 'static>(handle: &Handle<M>) {
    handle.progress().wait_for(|progress| progress.ready).await.unwrap();
}

/// The command of the `n`-th order.
fn command(run: u128, n: usize) -> (OrderId, Append) {
    let user: kbnt_domain::UserId = format!("USER-{}", n % 1_000).parse().unwrap();
    let order = OrderId::derive(&user, &format!("{run}/{n}"));
    let line =
        Line { product: format!("PROD-{}", n % 100).parse().unwrap(), quantity: Quantity::new(1).unwrap() };
    let payment = PaymentMethod { method: "credit_card".into(), token: None };
    let mut outbox = Outbox::new(Service::Order, SystemClock.now());
    place_order(order, Basket { user, lines: vec![line], payment }, &mut outbox);
    (order, outbox.take().0.remove(0))
}

/// The time at which each order was seen to end.
async fn watch(log: Arc<dyn EventLog>, from: Vec<Position>, orders: usize) -> HashMap<OrderId, Instant> {
    let mut reader = log.read(from).await.unwrap();
    let mut ended = HashMap::with_capacity(orders);
    while ended.len() < orders {
        for fetched in reader.next(1_000, Span::from_secs(1)).await.unwrap() {
            let Fetched::Record(record) = fetched else { continue };
            match record.message.event.business() {
                Some(Event::OrderCreated(event)) => drop(ended.insert(event.order, Instant::now())),
                Some(Event::OrderCancelled(event)) => panic!("{event:?}"),
                _ => {}
            }
        }
    }
    ended
}

async fn ends(log: &dyn EventLog) -> u64 {
    let mut sum = 0;
    for topic in Topic::ALL {
        for partition in 0..topic.partitions() {
            sum += log.bounds(topic, partition).await.unwrap().end;
        }
    }
    sum
}

/// Declares more stock than can be ordered.
async fn declare(inventory: &Handle<InventoryMachine>) {
    for n in 0..100 {
        let declaration = Declaration {
            product: format!("PROD-{n}").parse().unwrap(),
            name: "Thing".into(),
            unit_price: Money::parse("1.00", Currency::BRL).unwrap(),
            received: 1_000_000_000,
            low_stock_threshold: None,
            source: "bench".parse().unwrap(),
        };
        inventory.call(move |m, outbox| m.declare(&declaration, outbox).unwrap()).await.unwrap();
    }
}

/// Writes the commands. Returns when each was written.
async fn place(log: &Arc<dyn EventLog>, run: u128, orders: usize, rate: usize) -> HashMap<OrderId, Instant> {
    let mut placed = HashMap::with_capacity(orders);
    let started = Instant::now();
    let portion = if rate == 0 { 500 } else { (rate / 200).max(1) };
    for first in (0..orders).step_by(portion) {
        if rate > 0 {
            let due = started + Duration::from_micros(first as u64 * 1_000_000 / rate as u64);
            tokio::time::sleep_until(due.into()).await;
        }
        let (ids, batch): (Vec<_>, Vec<_>) =
            (first..orders.min(first + portion)).map(|n| command(run, n)).unzip();
        let now = Instant::now();
        placed.extend(ids.into_iter().map(|id| (id, now)));
        let log = Arc::clone(log);
        let append = async move { log.append(batch).await.unwrap() };
        if rate == 0 {
            append.await;
        } else {
            tokio::spawn(append);
        }
    }
    placed
}

async fn run(log: Arc<dyn EventLog>, orders: usize, rate: usize) {
    let stop = CancellationToken::new();
    let run = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
    let inventory = start(InventoryMachine::new(InventoryConfig::new(format!("bench-{run}"))), &log, &stop);
    let user =
        start(UserMachine::new(UserConfig { allow_unknown: true, ..UserConfig::default() }), &log, &stop);
    let payment = start(PaymentMachine::new(), &log, &stop);
    let order = start(OrderMachine::new(), &log, &stop);
    let notification = start(NotificationMachine::new(), &log, &stop);
    let audit = start(AuditMachine::new(), &log, &stop);
    tokio::join!(
        ready(&inventory),
        ready(&user),
        ready(&payment),
        ready(&order),
        ready(&notification),
        ready(&audit)
    );
    declare(&inventory).await;
    let mut from = Vec::new();
    for partition in 0..3 {
        let offset = log.bounds(Topic::OrderEvents, partition).await.unwrap().end;
        from.push(Position { topic: Topic::OrderEvents, partition, offset });
    }
    let before = ends(log.as_ref()).await;
    let watching = tokio::spawn(watch(Arc::clone(&log), from, orders));
    let started = Instant::now();
    let placed = place(&log, run, orders, rate).await;
    let ended = watching.await.unwrap();
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap();
    let records = ends(log.as_ref()).await - before;
    let mut latencies: Vec<_> = ended.iter().map(|(order, at)| *at - placed[order]).collect();
    latencies.sort_unstable();
    let at = |permille: usize| latencies[(latencies.len() - 1) * permille / 1_000];
    println!(
        "{orders} orders in {millis} ms: {} orders/s, {} records/s until the last order ended; from command to end p50 {:?} p99 {:?} max {:?}",
        orders as u64 * 1_000 / millis,
        records * 1_000 / millis,
        at(500),
        at(990),
        at(1_000)
    );
    stop.cancel();
}

/// Further properties of librdkafka, for experiments: `KBNT_BENCH_PROPERTIES="linger.ms=5 batch.size=65536"`.
fn properties() -> std::collections::BTreeMap<String, String> {
    let text = std::env::var("KBNT_BENCH_PROPERTIES").unwrap_or_default();
    let pair = |word: &str| word.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    text.split_whitespace().filter_map(pair).collect()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |index: usize, default| arguments.get(index).map_or(default, |text| text.parse().unwrap());
    let (orders, rate) = (number(1, 20_000), number(2, 0));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        match arguments.first().map_or("memory", String::as_str) {
            "durable" => {
                let directory = tempfile::tempdir_in(".").unwrap();
                run(Arc::new(EmbeddedLog::open(directory.path()).unwrap()), orders, rate).await;
            }
            "kafka" => {
                let config = KafkaConfig {
                    bootstrap_servers: std::env::var("KBNT_TEST_BOOTSTRAP").unwrap(),
                    prefix: std::env::var("KBNT_BENCH_PREFIX").unwrap_or_default(),
                    instance: "bench".into(),
                    properties: properties(),
                    ..KafkaConfig::default()
                };
                run(Arc::new(KafkaLog::new(config).unwrap()), orders, rate).await;
            }
            _ => run(Arc::new(EmbeddedLog::in_memory()), orders, rate).await,
        }
    });
}
