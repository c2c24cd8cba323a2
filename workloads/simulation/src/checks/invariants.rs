//! What must hold at every single step.

use std::collections::{BTreeMap, BTreeSet};

use kbnt_application::driver::Failure;
use kbnt_application::intact::{Damage, Fault};
use kbnt_application::ports::{Clock as _, Commit, LogError};
use kbnt_application::{
    Append, Delivered, Effect, EffectOutcome, NotificationOutcome, PaymentOutcome, PaymentRequest, Service,
};
use kbnt_domain::OrderId;
use kbnt_domain::event::Event;

use crate::faults::groups::Groups;
use crate::log::Log;
use crate::plan::Plan;
use crate::process::Process;
use crate::world::World;

/// Attempts to tell a customer after which notification-service may give up, as `docs/saga.md` promises.
const ATTEMPTS: u32 = 9;

/// What a process has done outside since it got its partitions.
#[derive(Debug, Default)]
pub(crate) struct Actions {
    /// Orders that it has charged.
    charging: BTreeSet<OrderId>,
    /// Those of which the outcome is unknown, and no query has answered since.
    unknown: BTreeSet<OrderId>,
    /// Orders of which it wrote the refund.
    refunded: BTreeSet<OrderId>,
    /// How many attempts to tell a customer have failed, since it started.
    failed: BTreeMap<OrderId, u32>,
}

impl Actions {
    /// What it did for orders of partitions that it had before says nothing about what it may do now. Of a customer who is still its
    /// own to tell it goes on to count.
    pub(crate) fn forget(&mut self) {
        *self = Self { failed: std::mem::take(&mut self.failed), ..Self::default() };
    }

    fn writes(&mut self, appends: &[Append]) -> Result<(), String> {
        for append in appends {
            match append.message.event.business() {
                Some(Event::PaymentRefunded(refunded)) => {
                    self.refunded.insert(refunded.order);
                }
                Some(Event::NotificationFailed(e)) => {
                    let failed = self.failed.get(&e.order).copied().unwrap_or(0);
                    if failed < ATTEMPTS {
                        return Err(format!("a customer is given up after {failed} attempts: {e:?}"));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What an attempt outside taught the process.
    pub(crate) fn heard(&mut self, order: OrderId, charge: bool, outcome: &EffectOutcome) {
        match outcome {
            EffectOutcome::Notification(NotificationOutcome::NotNotified { .. }) => {
                *self.failed.entry(order).or_default() += 1;
            }
            EffectOutcome::Payment(PaymentOutcome::Unknown { .. } | PaymentOutcome::Senseless { .. }) => {
                if charge && self.charging.contains(&order) {
                    self.unknown.insert(order);
                }
            }
            _ => {
                self.unknown.remove(&order);
            }
        }
    }
}

impl Process {
    /// It is about to write these.
    pub(crate) fn writes(&mut self, appends: &[Append]) -> Result<(), String> {
        self.heeds_its_archive()?;
        self.actions.writes(appends)
    }

    /// Its driver has come to its end. Whatever the log, an archive or a newer writer has done to it, its books are in order.
    pub(crate) fn may_end(
        &self,
        outcome: Result<(), Failure>,
        log: &Log,
        groups: &Groups,
    ) -> Result<(), String> {
        match outcome {
            Err(Failure::Broken(what)) => Err(format!("{} is broken: {what}", self.name())),
            Err(Failure::Log(LogError::Damaged(damage))) if !log.lost && !self.may_miss(&damage, groups) => {
                Err(format!("{} misses what was cut: {damage}", self.name()))
            }
            Ok(()) | Err(Failure::Fenced(_) | Failure::Log(_) | Failure::Archive(_)) => Ok(()),
        }
    }

    /// Whether what was cut is missing for a reason that is its own: an inventory whose archive cannot be used has no checkpoint; somebody
    /// else has the partition; its reader was put back to where it had committed more long ago; it was just reading from the first record
    /// whose records count, as its commit does not say it. Once it is started again it needs nothing of that.
    fn may_miss(&self, Damage { topic, fault, .. }: &Damage, groups: &Groups) -> bool {
        let Fault::Cut { partition, wanted, .. } = *fault else { return false };
        let place = (*topic, partition);
        let commit = groups.committed(self.service, place).filter(|commit| wanted < commit.next.offset);
        let is_put_back = self.readers.inputs.get(&place) == Some(&wanted);
        let may_miss = |commit: Commit| is_put_back || commit.note.is_empty();
        self.service == Service::Inventory || self.member.has_lost(partition) || commit.is_some_and(may_miss)
    }
}

impl World {
    /// A record got into the log: the books must balance, and deadlines must be kept to the millisecond.
    pub(crate) fn record(&mut self, record: &Delivered) -> Result<(), String> {
        if self.books.counts(record) && self.plan.skew == 0 {
            self.exact(record)?;
        }
        self.books.take(record)
    }

    /// Where all clocks agree, a deadline is exact for every decision.
    fn exact(&self, record: &Delivered) -> Result<(), String> {
        let at = record.message.at;
        let deadline = |id| self.books.reservations.get(&id).map(|reservation| reservation.expires_at);
        let kept = match record.message.event.business() {
            Some(Event::VirtualStockReserved(e)) => e.expires_at == at + self.plan.ttl,
            Some(Event::ReservationExpired(e)) => {
                at >= e.deadline && deadline(e.reservation) == Some(e.deadline)
            }
            Some(Event::ReservationConfirmed(e)) => {
                deadline(e.reservation).is_none_or(|deadline| at < deadline)
            }
            _ => true,
        };
        if kept {
            Ok(())
        } else {
            Err(format!("a deadline is not kept: {:?} at {at:?}", record.message.event))
        }
    }

    /// A process is about to act on the world outside.
    pub(crate) fn allow(&mut self, id: usize, effect: &Effect) -> Result<(), String> {
        self.allowed(&self.processes[id], effect)?;
        if let Effect::Payment(PaymentRequest::Charge { order, .. }) = effect {
            self.processes[id].actions.charging.insert(*order);
        }
        Ok(())
    }

    fn allowed(&self, process: &Process, effect: &Effect) -> Result<(), String> {
        let name = || process.name();
        match effect {
            Effect::Payment(PaymentRequest::Charge { order, reservation, .. }) => {
                let known = self.books.reservations.get(reservation).filter(|known| known.order == *order);
                let Some(known) = known else {
                    return Err(format!("{} charges {order} for no reservation", name()));
                };
                if process.clock.now() >= known.expires_at {
                    return Err(format!("{} charges {order} though its reservation is over", name()));
                }
                if process.actions.unknown.contains(order) {
                    return Err(format!("{} charges {order} again while the outcome is unknown", name()));
                }
            }
            Effect::Payment(PaymentRequest::Refund { order, .. })
                if process.actions.refunded.contains(order) =>
            {
                return Err(format!("{} refunds {order} again", name()));
            }
            _ => {}
        }
        Ok(())
    }
}

/// The units of each product that a basket asks for.
pub(crate) fn units_of(
    basket: &kbnt_domain::event::Basket,
) -> std::collections::BTreeMap<kbnt_domain::ProductId, u64> {
    let mut units = std::collections::BTreeMap::new();
    for line in &basket.lines {
        *units.entry(line.product.clone()).or_default() += line.quantity.units();
    }
    units
}

/// What a basket costs, in minor units.
pub(crate) fn cost_of(basket: &kbnt_domain::event::Basket, plan: &Plan) -> i64 {
    let cost = |(product, units): (kbnt_domain::ProductId, u64)| {
        let price = plan.product(&product).map_or(0, |number| crate::plan::price(number).minor());
        price * i64::try_from(units).unwrap_or(0)
    };
    units_of(basket).into_iter().map(cost).sum()
}
