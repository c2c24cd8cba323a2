//! A shop in this process, on a log in memory, and questions about it. Everything goes through its HTTP API
//! or is read from its log.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt;
use kbnt_adapters::clock::ForwardClock;
use kbnt_adapters::logging::Logging;
use kbnt_adapters::metrics::Metrics;
use kbnt_adapters::payment::SimulatedRules;
use kbnt_application::intact::TopicIds;
use kbnt_application::inventory::{InventoryConfig, InventoryMachine};
use kbnt_application::ports::{EventLog, Fetched};
use kbnt_application::projections::OrderView;
use kbnt_application::user::UserConfig;
use kbnt_application::{Delivered, Position, Projection, RecordedEvent, Topic};
use kbnt_domain::user::Registration;
use kbnt_domain::{Event, OrderId, Span, UserId, audit};
use kbnt_embedded::EmbeddedLog;
use kbnt_http::OrderViews;
use kbnt_runtime::View;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::report::{Levels, Report};
use super::scenario::{Buyer, Plot, Scenario};
use crate::failure::Failure;
use crate::wiring::{Effects, Grants, Process, ProcessParts};

/// How long any step may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often to check whether it has happened.
const LOOK: Duration = Duration::from_millis(2);

/// The payment of an order that holds units is delayed until the scenario is over.
const HOLDER_TOKEN: &str = "tok_delay_60000ms";

/// A shop at work.
pub(super) struct Shop {
    pub(super) clock: Arc<ForwardClock>,
    log: Arc<EmbeddedLog>,
    process: Process,
    router: Router,
    orders: View<OrderViews>,
    /// Orders that do not end before the scenario does.
    held: u64,
}

/// The API's answer about an order.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) id: String,
    status: String,
    reason: Option<String>,
}

impl Order {
    pub(super) fn end(&self) -> (String, Option<String>) {
        (self.status.clone(), self.reason.clone())
    }
}

/// An order and all its records, each cause before its effects.
pub(super) struct Story {
    pub(super) order: OrderView,
    pub(super) steps: Vec<Delivered>,
    /// Links of the audit chain about it.
    pub(super) audited: usize,
}

impl Shop {
    /// Opens a shop for `scenario`.
    pub(super) async fn open(
        scenario: &Scenario,
        logging: &Arc<Logging>,
        ttl: Span,
    ) -> Result<Self, Failure> {
        let log = Arc::new(EmbeddedLog::in_memory());
        logging.ship_to(log.clone());
        let clock = Arc::new(ForwardClock::default());
        let mut process = Process::new(ProcessParts {
            log: log.clone(),
            clock: clock.clone(),
            effects: Arc::new(Effects::simulated(SimulatedRules {
                test_tokens: true,
                ..SimulatedRules::default()
            })),
            metrics: Arc::new(Metrics::new()?),
            spans: None,
            topic_ids: TopicIds::default(),
            grants: Grants::to_itself(),
            stop: CancellationToken::new(),
        });
        let orders = process.order(None);
        process.user(UserConfig { declared: users(scenario)?, ..UserConfig::default() }, None);
        let config = InventoryConfig { ttl, ..InventoryConfig::new("demo") };
        process.inventory(InventoryMachine::new(config), None);
        if !matches!(scenario.plot, Plot::Expiry { .. }) {
            process.payment();
        }
        process.notification();
        process.audit(None);
        let (router, _) = process.router();
        let mut shop = Self { clock, log, process, router, orders, held: 0 };
        shop.until_ready().await?;
        for (product, name, price, received) in scenario.stock {
            let body =
                json!({"name": name, "unitPrice": price, "received": received, "lowStockThreshold": 0});
            shop.call(Method::PUT, &format!("/v1/stock/{product}"), &body).await?;
        }
        for (product, quantity) in scenario.held {
            let order = shop.request("HOLDER", product, *quantity, HOLDER_TOKEN, false).await?;
            shop.happened(&order.id, "VirtualStockReservedEvent").await?;
            shop.held += 1;
        }
        Ok(shop)
    }

    /// Starts payment-service.
    pub(super) fn start_payment(&mut self) {
        self.process.payment();
    }

    /// Places the order of `buyer`; with `wait` the answer comes when the order has ended.
    pub(super) async fn order(&self, buyer: &Buyer, wait: bool) -> Result<Order, Failure> {
        self.request(buyer.user, buyer.product, buyer.quantity, buyer.token, wait).await
    }

    /// Sends the order.
    pub(super) fn request(
        &self,
        user: &str,
        product: &str,
        quantity: u32,
        token: &str,
        wait: bool,
    ) -> impl Future<Output = Result<Order, Failure>> + Send + 'static {
        let body = json!({
            "userId": user,
            "items": [{"productId": product, "quantity": quantity}],
            "payment": {"method": "credit_card", "token": token},
        });
        let router = self.router.clone();
        async move {
            let path = if wait { "/v1/orders?wait=20s" } else { "/v1/orders" };
            let answer = call(router, Method::POST, path, &body).await?;
            let text = |field: &str| answer[field].as_str().map(str::to_owned);
            let unreadable = || Failure::Options(format!("the shop answered {answer}"));
            Ok(Order {
                id: text("orderId").ok_or_else(unreadable)?,
                status: text("status").ok_or_else(unreadable)?,
                reason: text("reason"),
            })
        }
    }

    /// Levels by product: real, reserved, available.
    pub(super) async fn levels(&self) -> Result<Levels, Failure> {
        let answer = self.call(Method::GET, "/v1/stock", &Value::Null).await?;
        let items = answer["items"].as_array().cloned().unwrap_or_default();
        let number = |item: &Value, field: &str| item[field].as_u64().unwrap_or(u64::MAX);
        Ok(items
            .iter()
            .map(|item| {
                let id = item["productId"].as_str().unwrap_or_default().to_owned();
                (id, (number(item, "real"), number(item, "reserved"), number(item, "available")))
            })
            .collect())
    }

    /// Waits until nothing is in progress: every order has ended, except those that hold units, its customer
    /// was notified, and every event is audited.
    pub(super) async fn settle(&self, report: &mut Report) -> Result<(), Failure> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let counts = self.orders.read(|views| views.book().counts());
            let ended = counts.confirmed + counts.rejected + counts.cancelled;
            let messages = self.messages().await?;
            let count = |topic: Topic| messages.get(topic.name()).copied().unwrap_or(0);
            let (notified, audited) = (count(Topic::NotificationEvents), count(Topic::AuditLogs));
            let events = messages.values().sum::<u64>() - audited - count(Topic::ApplicationLogs);
            if counts.pending == self.held && notified == ended && events == audited {
                return self.until_shown().await;
            }
            if Instant::now() > give_up {
                report.check("orders that have not ended", self.held, counts.pending);
                report.check("customers who were told", ended, notified);
                report.check("events that are audited", events, audited);
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the list of orders reflects everything in the log about them.
    async fn until_shown(&self) -> Result<(), Failure> {
        for topic in self.orders.read(Projection::topics).iter().copied() {
            for partition in 0..topic.partitions() {
                if let Some(offset) = self.log.bounds(topic, partition).await?.end.checked_sub(1) {
                    self.orders.wait_for(Position { topic, partition, offset }).await;
                }
            }
        }
        Ok(())
    }

    /// Waits until an event of this name has happened to the order.
    pub(super) async fn until_happened(
        &self,
        order: &str,
        event: &'static str,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let happened = self.happened(order, event).await?;
        report.check(event, "happened", if happened { "happened" } else { "did not happen" });
        Ok(())
    }

    async fn happened(&self, order: &str, event: &str) -> Result<bool, Failure> {
        let id = order_id(order)?;
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            let view = self.orders.read(|views| views.book().get(&id));
            if view.is_some_and(|view| view.timeline.iter().any(|entry| entry.event_name == event)) {
                return Ok(true);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(false)
    }

    /// The order, with all its records.
    pub(super) async fn look(&self, order: &str) -> Result<Story, Failure> {
        let id = order_id(order)?;
        let unknown = || Failure::Options(format!("the shop knows no order {order}"));
        let view = self.orders.read(|views| views.book().get(&id)).ok_or_else(unknown)?;
        let records: HashMap<Position, Delivered> =
            self.records().await?.into_iter().map(|record| (record.at, record)).collect();
        let steps = view.timeline.iter().filter_map(|entry| records.get(&entry.at).cloned()).collect();
        let about = |record: &&Delivered| matches!(&record.message.event, RecordedEvent::AuditLogCreated(link) if link.subject == order);
        let audited = records.values().filter(about).count();
        Ok(Story { order: view, steps, audited })
    }

    /// Checks what must hold in every scenario.
    pub(super) async fn check_books(&self, report: &mut Report) -> Result<(), Failure> {
        let summary = self.call(Method::GET, "/v1/stock/summary", &Value::Null).await?;
        report.check("the stock ledger balances", true, summary["invariants"]["balanced"] == json!(true));
        let records = self.records().await?;
        let mut open = BTreeMap::new();
        for record in &records {
            match record.message.event.business() {
                Some(Event::PaymentProcessed(event)) => *open.entry(event.order).or_insert(0) += 1,
                Some(Event::ReservationConfirmed(event)) => *open.entry(event.order).or_insert(0) -= 1,
                Some(Event::PaymentRefunded(event)) => *open.entry(event.order).or_insert(0) -= 1,
                _ => {}
            }
        }
        let unbalanced = open.values().filter(|balance| **balance != 0).count();
        report.check("charges without an order or a refund", 0, unbalanced);
        let links = records.iter().filter_map(|record| match &record.message.event {
            RecordedEvent::AuditLogCreated(link) => Some((record.message.at, link.clone())),
            _ => None,
        });
        let chain = audit::verify(audit::Head::default(), links);
        report.check(
            "the audit chain",
            "whole",
            chain.map_or_else(|broken| broken.to_string(), |_| "whole".to_owned()),
        );
        Ok(())
    }

    /// How many messages each topic holds.
    pub(super) async fn messages(&self) -> Result<BTreeMap<&'static str, u64>, Failure> {
        let mut messages = BTreeMap::new();
        for topic in Topic::ALL {
            for partition in 0..topic.partitions() {
                *messages.entry(topic.name()).or_insert(0) += self.log.bounds(topic, partition).await?.end;
            }
        }
        Ok(messages)
    }

    /// Closes the shop without waiting for the orders that hold units.
    pub(super) async fn close(self) {
        self.process.abandon().await;
    }

    /// All records of all topics but application-logs.
    async fn records(&self) -> Result<Vec<Delivered>, Failure> {
        let mut start = Vec::new();
        let mut left = 0;
        for topic in Topic::EVENTS {
            for partition in 0..topic.partitions() {
                start.push(Position { topic, partition, offset: 0 });
                left += self.log.bounds(topic, partition).await?.end;
            }
        }
        let mut reader = self.log.read(start).await?;
        let mut records = Vec::new();
        while left > 0 {
            for fetched in reader.next(1000, Span::from_secs(1)).await? {
                left = left.saturating_sub(1);
                if let Fetched::Record(record) = fetched {
                    records.push(record);
                }
            }
        }
        Ok(records)
    }

    async fn until_ready(&self) -> Result<(), Failure> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let answer = self.call(Method::GET, "/readyz", &Value::Null).await?;
            if answer["ready"] == json!(true) {
                return Ok(());
            }
            if Instant::now() > give_up {
                return Err(Failure::Options(format!("the shop does not open: {answer}")));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
        call(self.router.clone(), method, path, body).await
    }
}

async fn call(router: Router, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
    let broken = |error: &dyn std::fmt::Display| Failure::Options(format!("{path}: {error}"));
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = request.body(Body::from(body.to_string())).map_err(|error| broken(&error))?;
    let response = router.oneshot(request).await.map_err(|error| broken(&error))?;
    let body = response.into_body().collect().await.map_err(|error| broken(&error))?.to_bytes();
    serde_json::from_slice(&body).map_err(|error| broken(&error))
}

fn order_id(text: &str) -> Result<OrderId, Failure> {
    text.parse().map_err(|_| Failure::Options(format!("{text} is no order id")))
}

/// All users who order in `scenario`.
fn users(scenario: &Scenario) -> Result<Vec<Registration>, Failure> {
    let mut names = vec!["HOLDER".to_owned()];
    match scenario.plot {
        Plot::OneByOne(buyers) => names.extend(buyers.iter().map(|buyer| buyer.user.to_owned())),
        Plot::AtOnce { buyers, .. } => names.extend((0..buyers).map(|number| format!("BUYER-{number:04}"))),
        Plot::Expiry { first, second } => names.extend([first.user.to_owned(), second.user.to_owned()]),
    }
    let refused = |error: &dyn std::fmt::Display| Failure::Options(error.to_string());
    names
        .into_iter()
        .map(|name| {
            let user: UserId = name.parse().map_err(|error| refused(&error))?;
            let email = format!("{}@example.com", name.to_lowercase());
            Registration::new(user, name, email).map_err(|error| refused(&error))
        })
        .collect()
}
