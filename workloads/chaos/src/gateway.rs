//! A payment gateway that remembers every charge, and fails now and then; docs/payment-gateway.md is its contract.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::check::{Charge, Id};
use crate::failure::Failure;
use crate::network::HUB;

/// Orders that are forgotten at a time, while nobody can pay.
const FORGOTTEN: usize = 1_000;

/// What became of an order here.
#[derive(Debug, Default)]
struct Account {
    transaction: Option<String>,
    declined: bool,
    closed: bool,
    /// The keys under which money went back.
    refunds: HashSet<String>,
}

/// All orders that were ever asked for.
type Accounts = Arc<Mutex<HashMap<Id, Account>>>;

/// The gateway at work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gateway {
    accounts: Accounts,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    order_id: Id,
}

impl Gateway {
    /// Serves; the address.
    pub(crate) async fn start(&self) -> Result<String, Failure> {
        let listener = TcpListener::bind((HUB, 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/charges", post(charge))
            .route("/charges/{order}", get(query))
            .route("/charges/{order}/close", post(close))
            .route("/charges/{order}/refund", post(refund))
            .with_state(Arc::clone(&self.accounts));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(format!("http://{address}"))
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<Id, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every charge that was made, but for the orders that were forgotten.
    pub(crate) fn charges(&self) -> HashMap<Id, Charge> {
        let charge = |(order, account): (&Id, &Account)| Some((*order, account.charge()?));
        self.accounts().iter().filter_map(charge).collect()
    }

    /// The charge of an order.
    pub(crate) fn charge(&self, order: Id) -> Option<Charge> {
        self.accounts().get(&order)?.charge()
    }

    /// Forgets orders that are over for good.
    pub(crate) fn forget(&self, orders: &[Id]) {
        for some in orders.chunks(FORGOTTEN) {
            let mut accounts = self.accounts();
            for order in some {
                accounts.remove(order);
            }
        }
    }
}

impl Account {
    fn charge(&self) -> Option<Charge> {
        let refunds = u32::try_from(self.refunds.len()).unwrap_or(u32::MAX);
        Some(Charge { transaction: self.transaction.clone()?, refunds })
    }
}

/// Looks at an order's account.
fn with<T>(accounts: &Accounts, order: Id, look: impl FnOnce(&mut Account) -> T) -> T {
    look(accounts.lock().unwrap_or_else(PoisonError::into_inner).entry(order).or_default())
}

/// Whether chance has it that something goes wrong.
fn chance(percent: u32) -> bool {
    fastrand::u32(..100) < percent
}

fn answer(order: Id, account: &Account) -> Response {
    let (code, status) = if !account.refunds.is_empty() {
        (StatusCode::OK, "refunded")
    } else if account.transaction.is_some() {
        (StatusCode::OK, "charged")
    } else if account.closed {
        (StatusCode::OK, "closed")
    } else if account.declined {
        (StatusCode::OK, "declined")
    } else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut body: Value = json!({"orderId": order, "status": status, "transactionId": account.transaction});
    if is_unnamed(order) && account.transaction.is_some() {
        body["transactionId"] = json!(4711);
    }
    (code, Json(body)).into_response()
}

/// Whether a charge of this order is given a name that is none: one of fifty, whoever asks how often.
fn is_unnamed(order: Id) -> bool {
    (order.0.as_u128() / 5).is_multiple_of(50)
}

/// The name of an order's charge, in one of the many forms that gateways give.
fn name(order: Id) -> String {
    match order.0.as_u128() / 5 % 4 {
        0 => format!("tx-{order}"),
        1 => format!("pay/{order}+x=:1"),
        2 => format!("取引 {order}"),
        _ => format!("{order}{}", "x".repeat(200)),
    }
}

/// An answer that makes no sense.
fn nonsense(order: Id) -> Response {
    let other = json!({"orderId": "another", "status": "charged", "transactionId": "x"});
    let odd = json!({"orderId": order, "status": "perhaps"});
    match fastrand::u32(..5) {
        0 => "<html>hello</html>".into_response(),
        1 => Json(other).into_response(),
        2 => Json(odd).into_response(),
        3 => StatusCode::FOUND.into_response(),
        _ => "x".repeat(100_000).into_response(),
    }
}

async fn charge(State(accounts): State<Accounts>, Json(request): Json<Request>) -> Response {
    let order = request.order_id;
    if chance(1) {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    if chance(2) {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..400))).await;
    }
    let response = with(&accounts, order, |account| {
        if account.transaction.is_none() && account.closed {
            return StatusCode::GONE.into_response();
        }
        // The same fifth of all orders is declined, whoever asks how often.
        account.declined = order.0.as_u128() % 5 == 0;
        if account.declined {
            return StatusCode::PAYMENT_REQUIRED.into_response();
        }
        account.transaction.get_or_insert_with(|| name(order));
        answer(order, account)
    });
    // It is done, and nobody is told.
    if chance(1) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    if chance(2) { nonsense(order) } else { response }
}

async fn query(State(accounts): State<Accounts>, Path(order): Path<Id>) -> Response {
    if chance(2) {
        return nonsense(order);
    }
    with(&accounts, order, |account| answer(order, account))
}

async fn close(State(accounts): State<Accounts>, Path(order): Path<Id>) -> Response {
    if chance(1) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    if chance(2) {
        return nonsense(order);
    }
    with(&accounts, order, |account| {
        account.closed = true;
        answer(order, account)
    })
}

async fn refund(State(accounts): State<Accounts>, Path(order): Path<Id>, headers: HeaderMap) -> Response {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned();
    let response = with(&accounts, order, |account| {
        if account.transaction.is_none() {
            return StatusCode::NOT_FOUND.into_response();
        }
        account.refunds.insert(key);
        answer(order, account)
    });
    if chance(1) { StatusCode::INTERNAL_SERVER_ERROR.into_response() } else { response }
}
