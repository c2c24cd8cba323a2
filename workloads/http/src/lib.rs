//! The HTTP API of the services; docs/http-api.md describes it.

mod api;
mod body;
mod calls;
mod dto;
mod events;
mod forward;
mod health;
mod log;
mod orders;
mod params;
mod problem;
mod responses;
mod server;
mod shares;
mod simulator;
mod stock;
mod trace;
mod users;

pub use api::{Apis, Description, REQUESTS, probes, router};
pub use body::BODY_MOST;
pub use forward::Forward;
pub use health::{Health, Part};
pub use orders::{InHand, ORDERS_IN_HAND, OrderApi, OrderViews};
pub use problem::{Code, FieldError, Problem};
pub use server::{Limits, Peer, serve};
pub use shares::{Share, Shares};
pub use simulator::simulator;
