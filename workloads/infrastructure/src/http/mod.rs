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
mod simulator;
mod stock;
mod trace;
mod users;

pub use api::{Apis, Description, router};
pub use body::BODY_MOST;
pub use forward::{Active, Forward};
pub use health::{Health, Part};
pub use orders::{OrderApi, OrderViews};
pub use problem::{Code, FieldError, Problem};
pub use server::{Limits, serve};
pub use simulator::simulator;
