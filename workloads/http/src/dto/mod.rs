//! The JSON types of the HTTP API.

mod object;
mod order;
mod reservation;
mod stock;
mod text;
mod user;

pub(super) use object::object;
pub(super) use order::{
    OrderAccepted, OrderBody, OrderPage, OrderStatusText, OrderSummary, PlaceOrderBody, TimelineEntry,
};
pub(super) use reservation::{
    ReservationBody, ReservationCursor, ReservationPage, ReservationStateText, parse_state,
};
pub(super) use stock::{StockBody, StockCursor, StockPage, StockPut, StockSummary};
pub(super) use text::PriceObject;
pub(super) use user::{UserBody, UserPost, UserStatusPut};
