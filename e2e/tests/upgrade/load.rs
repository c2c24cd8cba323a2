//! Buyers who order one after the other, each order with an idempotency key, and retry with the same key
//! until it is acknowledged.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kbnt_e2e::harness::{Failure, Http};
use serde_json::json;

/// Number of buyers.
const BUYERS: usize = 4;
/// Between two orders of a buyer, and between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// An acknowledged order.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    /// The id that order-service gave it.
    pub id: String,
    /// The product of which one unit is ordered.
    pub product: &'static str,
}

/// The result of the load.
#[derive(Debug)]
pub(crate) struct Done {
    /// The orders.
    pub acknowledged: Vec<Acknowledged>,
    /// Tries without an acknowledgement; the same key was used again.
    pub failed: usize,
    /// The longest time without an acknowledgement.
    pub pause: Duration,
}

#[derive(Default)]
struct State {
    stop: AtomicBool,
    failed: AtomicUsize,
    orders: Mutex<Vec<(Instant, Acknowledged)>>,
}

/// Running buyers.
pub(crate) struct Load {
    state: Arc<State>,
    buyers: Vec<JoinHandle<Result<(), Failure>>>,
}

impl Load {
    /// Starts them.
    pub(crate) fn start(orders: &Http, products: &'static [&'static str]) -> Self {
        let state = Arc::<State>::default();
        let buyer = |number| {
            let (state, orders) = (Arc::clone(&state), orders.clone());
            std::thread::spawn(move || buy(&state, &orders, number, products))
        };
        let buyers = (0..BUYERS).map(buyer).collect();
        Self { state, buyers }
    }

    /// Orders acknowledged so far.
    pub(crate) fn acknowledged(&self) -> usize {
        self.state.orders.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Lets each buyer finish his present order.
    pub(crate) fn stop(self) -> Result<Done, Failure> {
        self.state.stop.store(true, Ordering::Relaxed);
        for buyer in self.buyers {
            buyer.join().map_err(|_| Failure("a buyer gave up".into()))??;
        }
        let mut orders =
            std::mem::take(&mut *self.state.orders.lock().unwrap_or_else(PoisonError::into_inner));
        orders.sort_by_key(|(at, _)| *at);
        let pauses = orders.windows(2).map(|pair| pair[1].0.duration_since(pair[0].0));
        Ok(Done {
            failed: self.state.failed.load(Ordering::Relaxed),
            pause: pauses.max().unwrap_or_default(),
            acknowledged: orders.into_iter().map(|(_, order)| order).collect(),
        })
    }
}

fn buy(state: &State, orders: &Http, buyer: usize, products: &[&'static str]) -> Result<(), Failure> {
    for (number, product) in products.iter().copied().cycle().enumerate() {
        if state.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let key = format!("upgrade-{buyer}-{number}");
        let id = place(state, orders, &key, product)?;
        let mut all = state.orders.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((Instant::now(), Acknowledged { id, product }));
        drop(all);
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Places an order until it is acknowledged. A response that the order is invalid ends the load.
fn place(state: &State, orders: &Http, key: &str, product: &str) -> Result<String, Failure> {
    let items = [json!({"productId": product, "quantity": 1})];
    let body = json!({"userId": "USER-12345", "items": items, "payment": {"method": "credit_card"}});
    loop {
        match orders.post("/v1/orders", key, &body) {
            Ok(answer) if answer.status == 200 || answer.status == 202 => {
                let id = answer.body["orderId"].as_str();
                return id.map(str::to_owned).ok_or_else(|| Failure(format!("{key}: {answer:?}")));
            }
            Ok(answer) if answer.status < 500 && answer.status != 429 => {
                return Err(Failure(format!("{key}: {answer:?}")));
            }
            // No service, or none that could take it.
            Ok(_) | Err(_) => {
                state.failed.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(PAUSE);
            }
        }
    }
}
