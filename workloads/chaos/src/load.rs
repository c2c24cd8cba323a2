//! Buyers and a storekeeper, over HTTP.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use crate::check::{Acknowledged, Id};
use crate::failure::Failure;

/// Products.
pub(crate) const PRODUCTS: u64 = 10;

/// Users that are somebody, in a run where that matters.
pub(crate) const USERS: u64 = 997;

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
    /// Buyers at a time.
    pub(crate) buyers: u64,
    /// How the stock is kept.
    pub(crate) store: Store,
}

/// How much stock comes in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Store {
    /// The last so many products are scarce.
    pub(crate) scarce: u64,
    /// Units of each other product at the beginning.
    pub(crate) first: u64,
    /// Further ones in each round.
    pub(crate) further: u64,
    /// The time between two rounds.
    pub(crate) every: Duration,
}

/// An acknowledgement, and when the order was due: from then on its buyer waited for its end.
#[derive(Clone, Debug)]
pub(crate) struct Sale {
    /// The acknowledgement.
    pub(crate) acknowledged: Acknowledged,
    /// When it was due.
    pub(crate) due: SystemTime,
}

/// Orders under way, and what was said of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sales {
    next: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    made: Arc<Mutex<Vec<Sale>>>,
}

impl Shop {
    /// How many orders have not ended, if order-service says so.
    pub(crate) async fn pending(&self) -> Option<u64> {
        let summary = self.get(&format!("{}/v1/orders/summary", self.orders)).await;
        summary.ok()?["pending"].as_u64()
    }

    /// Real and reserved units of each product.
    pub(crate) async fn levels(&self) -> Result<BTreeMap<String, (u64, u64)>, Failure> {
        let mut levels = BTreeMap::new();
        for product in (0..PRODUCTS).map(|product| format!("P-{product}")) {
            let shown = self.get(&format!("{}/v1/stock/{product}", self.inventory)).await?;
            let units = |kind: &str| shown[kind].as_u64().unwrap_or(u64::MAX);
            levels.insert(product, (units("real"), units("reserved")));
        }
        Ok(levels)
    }

    /// Declares the stock of a round, as far as that is not what it was in the round before.
    pub(crate) async fn declare_all(&self, round: u64) {
        let store = self.store;
        for product in 0..PRODUCTS {
            let scarce = product >= PRODUCTS - store.scarce;
            if scarce || round == 1 || store.further > 0 {
                let plenty = store.first + (round - 1) * store.further;
                declare(self, product, if scarce { round * 20 } else { plenty }).await;
            }
        }
    }

    async fn get(&self, url: &str) -> Result<Value, Failure> {
        let request = self.client.get(url).timeout(Duration::from_secs(10));
        Ok(request.send().await?.error_for_status()?.json().await?)
    }
}

impl Sales {
    /// No more stock comes in.
    pub(crate) fn close(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// The sales since this was last asked.
    pub(crate) fn take(&self) -> Vec<Sale> {
        std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Buys until all orders are acknowledged.
    pub(crate) async fn buy(&self, shop: &Shop) {
        let (start, began, mut buyers) = (Instant::now(), SystemTime::now(), JoinSet::new());
        for _ in 0..shop.buyers {
            let (sales, shop) = (self.clone(), shop.clone());
            buyers.spawn(async move {
                loop {
                    let number = sales.next.fetch_add(1, Ordering::Relaxed);
                    if number >= shop.count {
                        return;
                    }
                    let due = Duration::from_micros(number * 1_000_000 / shop.rate);
                    tokio::time::sleep_until(start + due).await;
                    sales.order(&shop, number, began + due).await;
                }
            });
        }
        buyers.join_all().await;
    }

    /// Buys something before all others do.
    pub(crate) async fn buy_one(&self, shop: &Shop) {
        self.order(shop, self.next.fetch_add(1, Ordering::Relaxed), SystemTime::now()).await;
    }

    /// Orders until it is acknowledged; some are cancelled then.
    async fn order(&self, shop: &Shop, number: u64, due: SystemTime) {
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
                let sale = Sale { acknowledged: Acknowledged { id, ended }, due };
                self.made.lock().unwrap_or_else(PoisonError::into_inner).push(sale);
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

    /// Declares the stock, and more of it from time to time.
    pub(crate) async fn keep_store(&self, shop: &Shop) {
        for round in 1.. {
            shop.declare_all(round).await;
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            tokio::time::sleep(shop.store.every).await;
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

/// What is ordered: one or two products, of which nobody knows some, by a user whom nobody may know.
fn basket(number: u64) -> Value {
    let line = |product: u64| json!({"productId": format!("P-{product}"), "quantity": 1 + number % 3});
    let mut items = vec![line(number % PRODUCTS)];
    if number.is_multiple_of(7) {
        items.push(line((number + 3) % PRODUCTS));
    }
    if number.is_multiple_of(101) {
        items.push(line(999));
    }
    let user =
        if number.is_multiple_of(53) { "NOBODY".to_owned() } else { format!("USER-{}", number % USERS) };
    json!({"userId": user, "items": items, "payment": {"method": "credit_card"}})
}
