//! Payment gateways.

mod http;
mod simulated;

pub use http::{HttpGateway, HttpGatewayConfig};
pub use simulated::{InvalidRate, Rate, SimulatedGateway, SimulatedRules};
