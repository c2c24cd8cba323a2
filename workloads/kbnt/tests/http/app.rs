//! A shop under test, and its HTTP client.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use kbnt_adapters::clock::ForwardClock;
use kbnt_adapters::history::SqliteHistory;
use kbnt_adapters::metrics::Metrics;
use kbnt_adapters::notification::LogNotifier;
use kbnt_adapters::payment::{SimulatedGateway, SimulatedRules};
use kbnt_application::audit::AuditMachine;
use kbnt_application::inventory::{InventoryConfig, InventoryMachine};
use kbnt_application::notification::NotificationMachine;
use kbnt_application::order::OrderMachine;
use kbnt_application::partition_state::Limits;
use kbnt_application::payment::PaymentMachine;
use kbnt_application::ports::{EventLog, History, Notifier, PaymentGateway};
use kbnt_application::projections::BookLimits;
use kbnt_application::user::{UserConfig, UserMachine};
use kbnt_application::{Effect, EffectOutcome, Machine, Topic};
use kbnt_domain::Span;
use kbnt_embedded::EmbeddedLog;
use kbnt_http::{Apis, Health, InHand, ORDERS_IN_HAND, OrderApi, OrderViews, Part, Share, Shares, router};
use kbnt_runtime::{
    EffectPerformer, Handle, HistoryPlan, HistoryRunner, ProjectionRunner, Runner, RunnerParts,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long any step may take.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub struct Outside {
    gateway: SimulatedGateway,
    notifier: LogNotifier,
}

impl Default for Outside {
    fn default() -> Self {
        let rules = SimulatedRules { test_tokens: true, ..SimulatedRules::default() };
        Self { gateway: SimulatedGateway::new(rules), notifier: LogNotifier }
    }
}

#[async_trait]
impl EffectPerformer for Outside {
    async fn perform(&self, effect: &Effect) -> EffectOutcome {
        match effect {
            Effect::Notification(request) => self.notifier.notify(request).await.into(),
            Effect::Payment(request) => self.gateway.perform(request).await.into(),
        }
    }
}

struct Ready<M>(&'static str, Handle<M>);

#[async_trait]
impl<M: Send + 'static> Part for Ready<M> {
    fn name(&self) -> &'static str {
        self.0
    }

    fn is_ready(&self) -> bool {
        self.1.is_ready()
    }

    async fn refresh(&self) {}
}

/// Which service has forgotten an order that comes again.
#[derive(Clone, Copy, Debug)]
pub enum Forgets {
    ReadModel,
    AllButInventory,
}

pub struct App {
    pub router: Router,
    pub log: EmbeddedLog,
    pub clock: Arc<ForwardClock>,
    pub shutdown: CancellationToken,
}

/// A response: status, headers, body.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_else(|| panic!("{field} of {}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

fn start<M: Machine + Sync>(machine: M, parts: &RunnerParts, shutdown: &CancellationToken) -> Handle<M> {
    let (runner, handle) = Runner::new(machine, parts.clone());
    tokio::spawn(runner.run(shutdown.clone()));
    handle
}

impl App {
    /// A shop with 100 PROD-001 and the user USER-1.
    pub async fn open() -> Self {
        let app = Self::empty().await;
        app.stock_up().await;
        app
    }

    /// 100 PROD-001 and the user USER-1.
    pub async fn stock_up(&self) {
        self.declare("PROD-001", 100).await;
        let user = json!({"userId": "USER-1", "name": "Ana", "email": "ana@example.com"});
        assert_eq!(self.post("/v1/users", &user).await.status, 201);
    }

    /// As [`App::open`], but its services remember only the last two orders.
    pub async fn forgetful(forgets: Forgets) -> Self {
        let window = Span::from_secs(86_400);
        let limits = match forgets {
            Forgets::ReadModel => Limits::default(),
            Forgets::AllButInventory => Limits { window, most: 2 },
        };
        let app = Self::remembering(BookLimits { window, most: 2 }, limits).await;
        app.stock_up().await;
        app
    }

    /// An empty shop.
    pub async fn empty() -> Self {
        Self::of(EmbeddedLog::in_memory(), ORDERS_IN_HAND).await
    }

    /// A shop on this log with at most this many open orders.
    pub async fn of(log: EmbeddedLog, orders: u64) -> Self {
        Self::with(log, orders, BookLimits::default(), Limits::default(), None).await
    }

    /// An empty shop whose order-service shows, and whose services remember, only this much.
    pub async fn remembering(shown: BookLimits, limits: Limits) -> Self {
        Self::with(EmbeddedLog::in_memory(), ORDERS_IN_HAND, shown, limits, None).await
    }

    /// A shop on this log whose read model forgets an order as soon as another one has ended, and with a history in this directory.
    pub async fn remembering_on_disk(log: EmbeddedLog, history: &Path) -> Self {
        let shown = BookLimits { window: Span::default(), ..BookLimits::default() };
        Self::with(log, ORDERS_IN_HAND, shown, Limits::default(), Some(history)).await
    }

    async fn with(
        log: EmbeddedLog,
        orders: u64,
        shown: BookLimits,
        limits: Limits,
        history: Option<&Path>,
    ) -> Self {
        let (clock, shutdown) = (Arc::new(ForwardClock::default()), CancellationToken::new());
        let metrics = Arc::new(Metrics::new().unwrap());
        let parts = RunnerParts {
            log: Arc::new(log.clone()),
            clock: clock.clone(),
            effects: Arc::new(Outside::default()),
            observer: metrics.clone(),
        };
        let (runner, views) = ProjectionRunner::new(OrderViews::new(shown), Arc::new(log.clone()));
        tokio::spawn(runner.run(shutdown.clone()));
        let config = InventoryConfig { ttl: Span::from_secs(900), ..InventoryConfig::new("test") };
        let inventory = start(InventoryMachine::new(config), &parts, &shutdown);
        let users =
            start(UserMachine::new(UserConfig { limits, ..UserConfig::default() }), &parts, &shutdown);
        let watched: Vec<Box<dyn Part>> = vec![
            Box::new(Ready("inventory", inventory.clone())),
            Box::new(Ready("user", users.clone())),
            Box::new(Ready("order", start(OrderMachine::new().remembering(limits), &parts, &shutdown))),
            Box::new(Ready("payment", start(PaymentMachine::new().remembering(limits), &parts, &shutdown))),
            Box::new(Ready("notification", start(NotificationMachine::new(), &parts, &shutdown))),
            Box::new(Ready("audit", start(AuditMachine::new(), &parts, &shutdown))),
        ];
        let history = history.map(|directory| -> Arc<dyn History> {
            let store = Arc::new(SqliteHistory::new(directory.to_owned()));
            let plan = HistoryPlan { store, retention: None };
            let (runner, view) =
                HistoryRunner::new(plan, Arc::new(log.clone()), clock.clone(), metrics.clone());
            tokio::spawn(runner.run(shutdown.clone()));
            Arc::new(view)
        });
        let orders = OrderApi {
            log: Arc::new(log.clone()),
            history,
            events: Arc::new(log.clone()),
            views: Arc::new(views),
            clock: clock.clone(),
            shutdown: shutdown.clone(),
            streams: Shares::new(Share { all: 4, each: 4 }),
            in_hand: InHand::new(orders),
        };
        let apis = Apis {
            orders: Some(orders),
            inventory: Some(Arc::new(inventory)),
            users: Some(Arc::new(users)),
            ..Apis::default()
        };
        let health =
            Health { parts: watched.into(), metrics, integrity: Arc::default(), shutdown: shutdown.clone() };
        let (router, _) = router(apis, health);
        let app = Self { router, log, clock, shutdown };
        app.until("ready", async || app.get("/readyz").await.status == 200).await;
        app
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: head.status, headers: head.headers, body }
    }

    pub async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut request =
            Request::builder().method(method).uri(path).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], &Value::Null).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, &[], body).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PUT, path, &[], body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, &[], &Value::Null).await
    }

    pub async fn declare(&self, product: &str, received: u64) {
        let body = json!({"name": "Smartphone X", "unitPrice": "599.99", "received": received});
        let answer = self.put(&format!("/v1/stock/{product}"), &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// USER-1 orders under `key` and waits for the end.
    pub async fn order(&self, key: &str, quantity: u64, token: &str) -> Answer {
        let headers = [("idempotency-key", key)];
        self.call(Method::POST, "/v1/orders?wait=10s", &headers, &basket(quantity, token)).await
    }

    /// Waits until `holds` returns true, with a deadline.
    pub async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let waited = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        assert!(tokio::time::timeout(DEADLINE, waited).await.is_ok(), "never: {what}");
    }

    /// The end of every partition, which shows any effect.
    pub async fn ends(&self) -> Vec<u64> {
        let mut ends = Vec::new();
        for topic in Topic::ALL {
            for partition in 0..topic.partitions() {
                ends.push(self.log.bounds(topic, partition).await.unwrap().end);
            }
        }
        ends
    }

    /// Waits until the customer of each ended order was notified and every event is audited, so that nothing
    /// more happens by itself.
    pub async fn settled(&self) {
        self.until("settled", async || {
            let orders = self.get("/v1/orders/summary").await;
            let count = |status: &str| orders.body[status].as_u64().unwrap();
            let ends = self.ends().await;
            let (notified, audited, lines) =
                (ends[12..15].iter().sum::<u64>(), ends[15], ends[16] + ends[17]);
            count("confirmed") + count("rejected") + count("cancelled") == notified
                && ends.iter().sum::<u64>() == 2 * audited + lines
        })
        .await;
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// What `open` opens, as soon as the process before has let go of it.
pub async fn reopened(open: impl AsyncFn() -> Option<App>) -> App {
    let opened = async {
        loop {
            if let Some(app) = open().await {
                return app;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, opened).await.unwrap()
}

pub fn basket(quantity: u64, token: &str) -> Value {
    json!({
        "userId": "USER-1",
        "items": [{"productId": "PROD-001", "quantity": quantity}],
        "payment": {"method": "credit_card", "token": token},
    })
}
