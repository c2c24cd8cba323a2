//! Buyers and a storekeeper, over HTTP.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use crate::check::Id;

/// Buyers at a time.
const BUYERS: u64 = 48;

/// Products; the last three are scarce.
pub(crate) const PRODUCTS: u64 = 10;

/// Where and how much is bought.
#[derive(Clone, Debug)]
pub(crate) struct Shop {
    /// HTTP.
    pub(crate) client: reqwest::Client,
    /// Where order-service answers.
    pub(crate) orders: String,
    /// Where inventory-service answers.
    pub(crate) inventory: String,
    /// Orders of the whole run.
    pub(crate) count: u64,
    /// Orders a second, at most.
    pub(crate) rate: u64,
}

/// Orders under way, and what was said of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sales {
    next: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    /// Orders that were acknowledged, and how those ended that were said to have ended.
    pub(crate) acknowledged: Arc<Mutex<HashMap<Id, Option<String>>>>,
}

impl Sales {
    /// No more stock comes in.
    pub(crate) fn close(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Buys until all orders are acknowledged.
    pub(crate) async fn buy(&self, shop: &Shop) {
        let (start, mut buyers) = (Instant::now(), JoinSet::new());
        for _ in 0..BUYERS {
            let (sales, shop) = (self.clone(), shop.clone());
            buyers.spawn(async move {
                loop {
                    let number = sales.next.fetch_add(1, Ordering::Relaxed);
                    if number >= shop.count {
                        return;
                    }
                    tokio::time::sleep_until(start + Duration::from_micros(number * 1_000_000 / shop.rate))
                        .await;
                    sales.order(&shop, number).await;
                }
            });
        }
        buyers.join_all().await;
    }

    /// Orders until it is acknowledged; some are cancelled then.
    async fn order(&self, shop: &Shop, number: u64) {
        let waits = number.is_multiple_of(4);
        let path = if waits { "/v1/orders?wait=5s" } else { "/v1/orders" };
        let body = basket(number);
        loop {
            let request = shop.client.post(format!("{}{path}", shop.orders)).json(&body);
            let request =
                request.header("idempotency-key", format!("k-{number}")).timeout(Duration::from_secs(15));
            if let Some(answer) = successful(request).await
                && let Some(id) = answer["orderId"].as_str().and_then(|id| id.parse::<Uuid>().ok()).map(Id)
            {
                let ended =
                    answer["status"].as_str().filter(|status| *status != "PENDING").map(str::to_owned);
                self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).insert(id, ended);
                if number.is_multiple_of(29) {
                    let request = shop.client.delete(format!("{}/v1/orders/{id}", shop.orders));
                    // Whether it comes in time is open anyhow.
                    drop(request.timeout(Duration::from_secs(5)).send().await);
                }
                return;
            }
            tokio::time::sleep(Duration::from_millis(50 + fastrand::u64(..200))).await;
        }
    }

    /// Declares the stock, and more of the scarce products from time to time.
    pub(crate) async fn keep_store(&self, shop: &Shop) {
        for round in 1.. {
            for product in 0..PRODUCTS {
                let scarce = product >= PRODUCTS - 3;
                if scarce || round == 1 {
                    let received = if scarce { round * 20 } else { shop.count * 4 };
                    declare(shop, product, received).await;
                }
            }
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }
}

/// Declares until it is acknowledged.
async fn declare(shop: &Shop, product: u64, received: u64) {
    let body = json!({"name": format!("Product {product}"), "unitPrice": "9.99", "received": received});
    loop {
        let request = shop.client.put(format!("{}/v1/stock/P-{product}", shop.inventory)).json(&body);
        if successful(request.timeout(Duration::from_secs(10))).await.is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What is answered, if that is well.
async fn successful(request: reqwest::RequestBuilder) -> Option<Value> {
    request.send().await.ok()?.error_for_status().ok()?.json().await.ok()
}

/// What is ordered: one or two products, of which nobody knows some.
fn basket(number: u64) -> Value {
    let line = |product: u64| json!({"productId": format!("P-{product}"), "quantity": 1 + number % 3});
    let mut items = vec![line(number % PRODUCTS)];
    if number.is_multiple_of(7) {
        items.push(line((number + 3) % PRODUCTS));
    }
    if number.is_multiple_of(101) {
        items.push(line(999));
    }
    json!({"userId": format!("USER-{}", number % 997), "items": items, "payment": {"method": "credit_card"}})
}
