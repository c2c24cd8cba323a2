//! Clients of the services that the operator runs.

mod client;
mod connection;
mod observer;
mod summaries;

pub use client::{Address, CallError, ServiceClient};
pub use observer::{Observed, Observers};
pub use summaries::{Declaration, OrderSummary, ProductSummary, SOURCE, StockSummary, declare};
