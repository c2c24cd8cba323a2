//! How the operator talks to the services that it runs.

mod client;
mod observer;
mod stock;
mod wire;

pub use client::{Address, CallError, ServiceClient};
pub use observer::{Observed, Observers};
pub use stock::{Declaration, OrderSummary, ProductSummary, SOURCE, StockSummary, declare};
