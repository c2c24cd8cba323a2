//! Money that was taken belongs to a confirmed order, or went back exactly once; every customer was told the truth.

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
        let mail = self.outside.mail.get(&order);
        if mail.is_none_or(|mail| mail.iter().any(|template| *template != expected)) {
            return Err(format!("the customer was told {mail:?}, and it is {status:?}"));
        }
        Ok(())
    }
}
