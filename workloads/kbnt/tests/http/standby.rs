//! A standby process of inventory-service forwards requests to the active one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kbnt_adapters::metrics::Metrics;
use kbnt_adapters::outbound::streaming_client;
use kbnt_application::inventory::{InventoryConfig, InventoryMachine};
use kbnt_application::ports::Active;
use kbnt_application::ports::Leadership;
use kbnt_http::{Apis, Forward, Health, Limits, router, serve};
use kbnt_runtime::{Runner, RunnerParts};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::app::{App, Outside};

/// Knows the active process, and begins a turn when the test permits it.
struct Shift {
    active: Mutex<Option<SocketAddr>>,
    turn: Semaphore,
}

#[async_trait]
impl Active for Shift {
    async fn address(&self) -> Option<SocketAddr> {
        *self.active.lock().unwrap()
    }
}

#[async_trait]
impl Leadership for Shift {
    async fn acquired(&self) -> Result<(), String> {
        self.turn.acquire().await.unwrap().forget();
        Ok(())
    }

    async fn release(&self) {}
}

/// Another process on the log of `app`.
fn standby(app: &App, shift: &Arc<Shift>) -> App {
    let metrics = Arc::new(Metrics::new().unwrap());
    let parts = RunnerParts {
        log: Arc::new(app.log.clone()),
        clock: app.clock.clone(),
        effects: Arc::new(Outside::default()),
        observer: metrics.clone(),
    };
    let (runner, handle) = Runner::new(InventoryMachine::new(InventoryConfig::new("standby")), parts);
    let handle = Arc::new(handle);
    tokio::spawn(runner.led_by(shift.clone()).run(app.shutdown.clone()));
    let forward = Forward::new(handle.clone(), shift.clone(), streaming_client().unwrap());
    let apis = Apis { inventory: Some(handle), standby: Some(forward), ..Apis::default() };
    let health = Health {
        parts: Vec::new().into(),
        metrics,
        integrity: Arc::default(),
        shutdown: app.shutdown.clone(),
    };
    App {
        router: router(apis, health).0,
        log: app.log.clone(),
        clock: app.clock.clone(),
        shutdown: app.shutdown.clone(),
    }
}

#[tokio::test]
async fn it_hands_requests_on_until_it_is_its_turn() {
    let active = App::open().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, active.router.clone(), Limits::default(), active.shutdown.clone()));
    let shift = Arc::new(Shift { active: Mutex::new(Some(address)), turn: Semaphore::new(0) });
    let standby = standby(&active, &shift);
    standby.until("stands by", async || standby.get("/v1/stock/PROD-001").await.status == 200).await;

    let body = json!({"name": "Laptop Pro", "unitPrice": "1299.99", "received": 7});
    let declared = standby.put("/v1/stock/PROD-002", &body).await;
    assert_eq!((declared.status.as_u16(), &declared.body["real"]), (200, &json!(7)), "{declared:?}");
    let refused = standby.put("/v1/stock/PROD-002", &json!({"received": -1})).await;
    assert_eq!((refused.status.as_u16(), refused.text("code")), (400, "invalid_request"));
    let missing = standby.get("/v1/stock/PROD-404?").await;
    assert_eq!(missing.header("content-type"), Some("application/problem+json"));
    let summary = standby.get("/v1/stock/summary").await;
    assert_eq!(summary.body["writerTerm"], json!(1), "{summary:?}");

    *shift.active.lock().unwrap() = None;
    let nobody = standby.get("/v1/stock").await;
    assert_eq!((nobody.status.as_u16(), nobody.text("code")), (503, "not_ready"));
    // As if the lease still named this very process, or another standby.
    let round =
        standby.call(axum::http::Method::GET, "/v1/stock", &[("x-kbnt-forwarded", "1")], &json!(null)).await;
    assert_eq!((round.status.as_u16(), round.text("code")), (503, "not_ready"));

    // The active process is gone, and requests wait for the next one.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    *shift.active.lock().unwrap() = Some(gone);
    let body = json!({"name": "Laptop Pro", "unitPrice": "1299.99", "received": 8});
    let (level, declared, ()) =
        tokio::join!(standby.get("/v1/stock/PROD-002"), standby.put("/v1/stock/PROD-002", &body), async {
            shift.turn.add_permits(1);
        },);
    assert_eq!((level.status.as_u16(), declared.status.as_u16()), (200, 200), "{level:?} {declared:?}");
    standby.until("at work", async || standby.get("/v1/stock/PROD-002").await.status == 200).await;
    let level = standby.get("/v1/stock/PROD-002").await;
    assert_eq!(level.body["available"], json!(8), "what both wrote is known");
}
