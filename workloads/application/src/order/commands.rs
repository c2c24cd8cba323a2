//! What a customer asks for, as records.

use kbnt_domain::event::{Basket, OrderCancelRequested, PlaceOrder};
use kbnt_domain::{EventId, OrderId};

use crate::machine::Outbox;

/// Writes the command that places `order`. The same basket again is the same record again; another basket under the
/// same id is another record, and the first one in the log is the order.
pub fn place_order(order: OrderId, basket: Basket, outbox: &mut Outbox) -> EventId {
    outbox.unprompted();
    let name = format!("place-order/{order}/{:016x}", basket.fingerprint());
    outbox.emit_named(&name, PlaceOrder { order, basket })
}

/// Writes the command that asks to undo `order`.
pub fn request_cancel(order: OrderId, outbox: &mut Outbox) -> EventId {
    outbox.unprompted();
    outbox.emit_named(&format!("cancel-order/{order}"), OrderCancelRequested { order })
}
