//! Every order has one end, and the end is what the facts say.

use kbnt_application::Topic;
use kbnt_domain::event::{CancelKind, Event};
use kbnt_domain::{OrderId, Reason};

use super::Story;
use super::invariants::units_of;
use super::model::State;
use crate::world::World;

impl World {
    pub(super) fn check_story(&self, order: OrderId, story: &Story<'_>) -> Result<(), String> {
        let Some(basket) = story.basket else {
            // Only a cancellation of something that was never placed.
            return if story.end.is_none() { Ok(()) } else { Err("it ended and was never placed".into()) };
        };
        let end = story.end.ok_or_else(|| format!("it never ends: {:?}", names(story)))?;
        one_of_a_kind(story)?;
        for reservation in self.books.of_order(order) {
            if reservation.state == State::Reserved {
                return Err("a reservation is not resolved".into());
            }
            if reservation.units != units_of(basket) {
                return Err(format!(
                    "{:?} is reserved for the basket {:?}",
                    reservation.units,
                    units_of(basket)
                ));
            }
        }
        let confirmed =
            self.books.of_order(order).filter(|reservation| reservation.state == State::Confirmed);
        match (end, confirmed.count()) {
            (Event::OrderCreated(_), 1) | (Event::OrderCancelled(_), 0) => {}
            (end, count) => {
                return Err(format!("{count} reservations are confirmed, and the end is {end:?}"));
            }
        }
        if let Event::OrderCancelled(e) = end {
            if e.user != basket.user {
                return Err("it is another user's".into());
            }
            let timeless = self.strays.timeless.contains(&order);
            justified(story, e.kind, e.reason, timeless)?;
        }
        Ok(())
    }
}

fn names(story: &Story<'_>) -> Vec<String> {
    story.all().map(|event| format!("{event:?}").chars().take(60).collect()).collect()
}

fn count(story: &Story<'_>, matching: impl Fn(&Event) -> bool) -> usize {
    story.all().filter(|event| matching(event)).count()
}

/// Each question has one answer; whoever else answered did so under the same id, after it.
fn one_of_a_kind(story: &Story<'_>) -> Result<(), String> {
    for (what, count) in [
        (
            "answer about the user",
            count(story, |e| match e {
                Event::UserRejected(e) => !e.repeated,
                e => matches!(e, Event::UserValidated(_)),
            }),
        ),
        (
            "outcome of the payment",
            count(story, |e| matches!(e, Event::PaymentProcessed(_) | Event::PaymentFailed(_))),
        ),
        ("refund", count(story, |e| matches!(e, Event::PaymentRefunded(_)))),
        ("lost reservation", count(story, |e| matches!(e, Event::ReservationLost(_)))),
        ("confirmation", count(story, |e| matches!(e, Event::ReservationConfirmed(_)))),
        ("end", count(story, |e| matches!(e, Event::OrderCreated(_) | Event::OrderCancelled(_)))),
    ] {
        if count > 1 {
            return Err(format!("more than one {what}"));
        }
    }
    let told = |e: &Event| matches!(e, Event::NotificationSent(_) | Event::NotificationFailed(_));
    if count(story, told) != 1 {
        return Err("the customer was not told exactly once".into());
    }
    Ok(())
}

/// The reason of an end that is no confirmation, from the facts; `timeless` if it was not placed now.
fn justified(story: &Story<'_>, kind: CancelKind, reason: Reason, timeless: bool) -> Result<(), String> {
    let has = |matching: &dyn Fn(&Event) -> bool| story.all().any(matching);
    let user_answers = story.events.get(&Topic::UserEvents).and_then(|records| records.first());
    let validated = user_answers
        .is_some_and(|first| matches!(first.message.event.business(), Some(Event::UserValidated(_))));
    let reserved = has(&|e| matches!(e, Event::VirtualStockReserved(_)));
    let paid = has(&|e| matches!(e, Event::PaymentProcessed(_)));
    let just = match (kind, reason) {
        (CancelKind::Rejected, Reason::UserNotFound | Reason::UserBlocked) => !validated && !reserved,
        (CancelKind::Rejected, Reason::ProductNotFound) => {
            has(&|e| matches!(e, Event::ProductNotFound(_))) && !reserved
        }
        (CancelKind::Rejected, Reason::InsufficientStock) => {
            has(&|e| matches!(e, Event::InsufficientStock(e) if e.available < e.requested)) && !reserved
        }
        (CancelKind::Rejected, Reason::StaleCommand) => timeless && !reserved,
        (CancelKind::Cancelled, Reason::PaymentDeclined) => {
            has(&|e| matches!(e, Event::PaymentFailed(e) if e.reason == Reason::PaymentDeclined))
        }
        (CancelKind::Cancelled, Reason::ReservationExpired) => {
            has(&|e| matches!(e, Event::ReservationExpired(_)))
        }
        (CancelKind::Cancelled, Reason::PaymentUnavailable) => {
            let failed =
                |e: &Event| matches!(e, Event::PaymentFailed(e) if e.reason == Reason::PaymentUnavailable);
            (has(&|e| matches!(e, Event::ReservationExpired(_))) || has(&failed)) && !paid
        }
        (CancelKind::Cancelled, Reason::CancelledByClient) => {
            has(&|e| matches!(e, Event::OrderCancelRequested(_)))
        }
        _ => false,
    };
    if just { Ok(()) } else { Err(format!("{kind:?} for {reason}, but {:?}", names(story))) }
}
