//! The world outside: a payment gateway and customers' mailboxes. It keeps its word; the way to it does not.

use std::collections::BTreeMap;

use kbnt_application::{
    Effect, EffectOutcome, NotificationOutcome, NotificationRequest, PaymentOutcome, PaymentRequest,
};
use kbnt_domain::{Money, OrderId, TransactionId};

use crate::plan::Plan;

/// What the gateway knows of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Account {
    Charged { transaction: TransactionId, amount: Money, refunds: u32 },
    Declined,
    Closed,
}

#[derive(Debug, Default)]
pub(crate) struct Outside {
    pub(crate) accounts: BTreeMap<OrderId, Account>,
    /// What each customer was told, in order.
    pub(crate) mail: BTreeMap<OrderId, Vec<&'static str>>,
    /// Amounts above it are declined.
    pub(crate) decline_above: i64,
    /// Of a thousand charges, those that are given a name that cannot be used.
    pub(crate) unnamed: u64,
    /// Attempts do not get through for now.
    pub(crate) away: bool,
}

impl Outside {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self { decline_above: plan.decline_above, unnamed: plan.faults.unnamed, ..Self::default() }
    }

    /// Does what is asked, exactly once per order whatever is repeated.
    pub(crate) fn perform(&mut self, effect: &Effect) -> Result<EffectOutcome, String> {
        match effect {
            Effect::Payment(request) => self.pay(request).map(EffectOutcome::Payment),
            Effect::Notification(NotificationRequest { order, template, .. }) => {
                self.mail.entry(*order).or_default().push(template);
                Ok(NotificationOutcome::Notified { channel: "log" }.into())
            }
        }
    }

    fn pay(&mut self, request: &PaymentRequest) -> Result<PaymentOutcome, String> {
        Ok(match request {
            PaymentRequest::Charge { order, amount, .. } => self.charge(*order, *amount),
            PaymentRequest::Query { order } => {
                self.known(order).unwrap_or_else(|| not_charged("no such charge"))
            }
            PaymentRequest::Close { order } => self.known(order).unwrap_or_else(|| {
                self.accounts.insert(*order, Account::Closed);
                PaymentOutcome::Closed
            }),
            PaymentRequest::Refund { order, transaction, amount } => {
                return self.refund(*order, transaction.as_ref(), *amount);
            }
        })
    }

    /// How an attempt ends whose answer makes no sense.
    pub(crate) fn senseless(effect: &Effect) -> EffectOutcome {
        match effect {
            Effect::Payment(PaymentRequest::Refund { .. }) | Effect::Notification(_) => Self::unknown(effect),
            Effect::Payment(_) => PaymentOutcome::Senseless { detail: "<html>".to_owned() }.into(),
        }
    }

    /// Whether the charge of this order has a name that cannot be used.
    fn is_unnamed(&self, order: &OrderId) -> bool {
        order.as_uuid().as_u64_pair().0 % 1_000 < self.unnamed
    }

    /// How an attempt ends that does not get through.
    pub(crate) fn unreachable(effect: &Effect) -> EffectOutcome {
        match effect {
            Effect::Payment(PaymentRequest::Charge { .. }) => not_charged("unreachable").into(),
            _ => Self::unknown(effect),
        }
    }

    /// How an attempt ends whose answer does not come.
    pub(crate) fn unknown(effect: &Effect) -> EffectOutcome {
        let detail = "no answer".to_owned();
        match effect {
            Effect::Payment(PaymentRequest::Refund { .. }) => PaymentOutcome::NotRefunded { detail }.into(),
            Effect::Payment(_) => PaymentOutcome::Unknown { detail }.into(),
            Effect::Notification(_) => {
                NotificationOutcome::NotNotified { channel: "log", detail, retry: true }.into()
            }
        }
    }

    fn known(&self, order: &OrderId) -> Option<PaymentOutcome> {
        Some(match self.accounts.get(order)? {
            Account::Charged { refunds: 1.., .. } => PaymentOutcome::Refunded,
            Account::Charged { .. } if self.is_unnamed(order) => {
                PaymentOutcome::ChargedUnnamed { detail: "4711".to_owned() }
            }
            Account::Charged { transaction, .. } => {
                PaymentOutcome::Charged { transaction: transaction.clone() }
            }
            Account::Declined => PaymentOutcome::Declined,
            Account::Closed => PaymentOutcome::Closed,
        })
    }

    fn charge(&mut self, order: OrderId, amount: Money) -> PaymentOutcome {
        match self.known(&order) {
            Some(PaymentOutcome::Closed) => PaymentOutcome::Declined,
            Some(outcome) => outcome,
            None if amount.minor() > self.decline_above => {
                self.accounts.insert(order, Account::Declined);
                PaymentOutcome::Declined
            }
            None => {
                let Ok(transaction) = format!("tx-{order}").parse::<TransactionId>() else {
                    return not_charged("no transaction id");
                };
                let account = Account::Charged { transaction: transaction.clone(), amount, refunds: 0 };
                self.accounts.insert(order, account);
                self.known(&order).unwrap_or(PaymentOutcome::Charged { transaction })
            }
        }
    }

    fn refund(
        &mut self,
        order: OrderId,
        asked: Option<&TransactionId>,
        value: Money,
    ) -> Result<PaymentOutcome, String> {
        // A charge without a usable name is refunded by its order, and any other by its name. Of one that it has refunded the gateway
        // says no name, so whoever makes sure of that names the order, too.
        let by_name = !self.is_unnamed(&order);
        match self.accounts.get_mut(&order) {
            Some(Account::Charged { transaction, amount, refunds })
                if *amount == value
                    && (asked == by_name.then_some(&*transaction) || (asked.is_none() && *refunds > 0)) =>
            {
                *refunds = 1;
                Ok(PaymentOutcome::Refunded)
            }
            account => {
                Err(format!("refund of {value} of {asked:?} for order {order}, where there is {account:?}"))
            }
        }
    }
}

fn not_charged(detail: &str) -> PaymentOutcome {
    PaymentOutcome::NotCharged { detail: detail.to_owned() }
}
