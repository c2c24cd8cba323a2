//! Money that was taken belongs to a confirmed order, or went back exactly once; every customer was told the truth, or the log says
//! that nobody could tell them.

use kbnt_domain::OrderId;
use kbnt_domain::event::Event;
use kbnt_domain::order::OrderStatus;

use super::Story;
use super::invariants::cost_of;
use crate::faults::gateway::Account;
use crate::world::World;

impl World {
    pub(super) fn check_outside(&self, order: OrderId, story: &Story<'_>) -> Result<(), String> {
        let status = story.status();
        let told_refunded = story.all().any(|event| matches!(event, Event::PaymentRefunded(_)));
        match (self.outside.accounts.get(&order), status) {
            (Some(Account::Charged { refunds: 0, amount, .. }), Some(OrderStatus::Confirmed)) => {
                let cost = story.basket.map(|basket| cost_of(basket, &self.plan));
                if cost != Some(amount.minor()) {
                    return Err(format!("{amount} was charged for a basket of {cost:?}"));
                }
            }
            (Some(Account::Charged { refunds: 1, .. }), Some(OrderStatus::Cancelled)) if told_refunded => {}
            (Some(Account::Charged { refunds, .. }), status) => {
                let told = if told_refunded { "" } else { "not " };
                return Err(format!(
                    "it was charged, refunded {refunds} times, {told}told so, and is {status:?}"
                ));
            }
            (account, Some(OrderStatus::Confirmed)) => {
                return Err(format!("it is confirmed, and the gateway says {account:?}"));
            }
            (_, _) if told_refunded => {
                return Err("the log says that it was refunded, and it was not charged".into());
            }
            _ => {}
        }
        let expected = match status {
            Some(OrderStatus::Confirmed) => "order-confirmed",
            Some(OrderStatus::Rejected) => "order-rejected",
            Some(OrderStatus::Cancelled) => "order-cancelled",
            _ => return Ok(()),
        };
        let gave_up = story.all().any(|event| matches!(event, Event::NotificationFailed(_)));
        match self.outside.mail.get(&order) {
            // Of an attempt without an answer nobody knows whether it got through.
            None if gave_up => Ok(()),
            Some(mail) if mail.iter().all(|template| *template == expected) => Ok(()),
            mail => Err(format!("the customer was told {mail:?}, and it is {status:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use kbnt_application::{Outbox, Service};
    use kbnt_domain::event::{CancelKind, NotificationFailed, NotificationSent, OrderCancelled};
    use kbnt_domain::{Reason, Timestamp, UserId};

    use super::*;
    use crate::log::Log;

    /// What the check says of a rejected order whose customer heard `mail`, and of whom the log has `record`.
    fn checked(mail: &[&'static str], record: impl Into<Event>) -> Result<(), String> {
        let mut world = World::new(0, false);
        let (order, user) = (world.plan.orders[0].id, world.plan.users[0].clone());
        if !mail.is_empty() {
            world.outside.mail.insert(order, mail.to_vec());
        }
        let (kind, reason) = (CancelKind::Rejected, Reason::UserNotFound);
        let end = Event::from(OrderCancelled { order, user, kind, reason });
        let (mut log, mut outbox) = (Log::default(), Outbox::new(Service::Notification, Timestamp::FIRST));
        outbox.emit_named("by hand", record.into());
        let record = log.append(&outbox.take().0[0]);
        let mut story = Story { end: Some(&end), ..Story::default() };
        story.take(&record);
        world.check_outside(order, &story)
    }

    #[test]
    fn a_customer_hears_the_truth_or_is_given_up_in_the_log() {
        let user: UserId = "USER-0".parse().unwrap();
        let order = OrderId::derive(&user, "key");
        let channel = "log".to_owned();
        let sent = NotificationSent { order, user, channel, template: "order-rejected".to_owned() };
        let NotificationSent { user, channel, .. } = sent.clone();
        let failed = NotificationFailed { order, user, channel, detail: "no answer".to_owned() };
        assert_eq!(checked(&["order-rejected"; 2], sent.clone()), Ok(()));
        assert_eq!(checked(&["order-rejected"], failed.clone()), Ok(()), "its answer was lost");
        assert_eq!(checked(&[], failed.clone()), Ok(()));
        checked(&[], sent.clone()).unwrap_err();
        checked(&["order-rejected", "order-confirmed"], sent).unwrap_err();
        checked(&["order-confirmed"], failed).unwrap_err();
    }
}
