//! The read models tell the same, whatever order they read the topics in.

use std::collections::BTreeMap;

use kbnt_application::message::Classification;
use kbnt_application::projections::{BookLimits, Counts, OrderBook, UserDirectory};
use kbnt_application::{Delivered, Projection, Service, Topic};
use kbnt_domain::event::Event;
use kbnt_domain::order::OrderStatus;
use kbnt_domain::{OrderId, Span};

use super::Story;
use crate::node::Node;
use crate::world::World;

/// A book that forgets nothing: a run may take days.
const ALL: BookLimits = BookLimits { window: Span::from_minutes(365 * 24 * 60), most: 200_000 };

impl World {
    pub(super) fn check_queries(
        &mut self,
        records: &[Delivered],
        stories: &BTreeMap<OrderId, Story<'_>>,
    ) -> Result<(), String> {
        let records: Vec<&Delivered> =
            records.iter().filter(|record| record.at.topic != Topic::AuditLogs).collect();
        let mut straight = OrderBook::new(ALL);
        for record in &records {
            straight.apply(record);
        }
        let mut mixed = OrderBook::new(ALL);
        for record in self.mixed(&records) {
            mixed.apply(record);
        }
        let mut counts = Counts::default();
        for (order, story) in stories.iter().filter(|(_, story)| story.basket.is_some()) {
            let view = straight.get(order).ok_or("an order is not shown")?;
            if Some(view.status) != story.status() {
                return Err(format!("order {order} is shown as {:?}", view.status));
            }
            if mixed.get(order).as_ref() != Some(&view) {
                return Err(format!("order {order} is shown in two ways: {view:#?} {:#?}", mixed.get(order)));
            }
            match view.status {
                OrderStatus::Pending => counts.pending += 1,
                OrderStatus::Confirmed => counts.confirmed += 1,
                OrderStatus::Rejected => counts.rejected += 1,
                OrderStatus::Cancelled => counts.cancelled += 1,
            }
        }
        if straight.counts() != counts || mixed.counts() != counts {
            return Err(format!("the counts are {counts}, {} and {}", straight.counts(), mixed.counts()));
        }
        self.check_forgetful(&records, stories)?;
        self.check_users(&records)
    }

    /// A read model that remembers one ended order shows no order as pending that was asked for again after its end. That is told
    /// from time, so it is looked at only where clocks agree, and not of orders whose commands carry any time but the present.
    fn check_forgetful(
        &self,
        records: &[&Delivered],
        stories: &BTreeMap<OrderId, Story<'_>>,
    ) -> Result<(), String> {
        if self.plan.skew != 0 {
            return Ok(());
        }
        let mut book = OrderBook::new(BookLimits { most: 1, ..ALL });
        for record in records {
            book.apply(record);
        }
        let mut by_order: BTreeMap<OrderId, Vec<&Delivered>> = BTreeMap::new();
        for record in records {
            if let Some(order) = record.message.order() {
                by_order.entry(order).or_default().push(record);
            }
        }
        let timely = |order: &OrderId| !self.strays.timeless.contains(order);
        for (order, story) in stories.iter().filter(|(order, story)| story.basket.is_some() && timely(order))
        {
            let latest = |matching: &dyn Fn(&Event) -> bool| {
                let of = by_order.get(order).into_iter().flatten();
                of.filter(|record| record.message.event.business().is_some_and(matching))
                    .map(|record| record.message.at)
                    .max()
            };
            let asked = latest(&|event| matches!(event, Event::PlaceOrder(_)));
            let ended = latest(&|event| match event {
                Event::OrderRepeated(_) => false,
                Event::UserRejected(rejected) => !rejected.repeated,
                Event::ReservationReleased(released) => released.reservation.is_some(),
                event => Classification::of_kind(event.kind()).owner == Service::Inventory,
            });
            // Of one that has expired inventory-service knows the end only once it has read that of the payment.
            let expired = latest(&|event| matches!(event, Event::ReservationExpired(_)));
            match book.status(order) {
                Some(OrderStatus::Pending) if expired.is_none() && ended.is_some() && asked > ended => {
                    return Err(format!("order {order} came again, and is shown as pending for ever"));
                }
                Some(status) if status != OrderStatus::Pending && Some(status) != story.status() => {
                    return Err(format!("order {order} came again, and is shown as {status:?}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The same records, each partition in its order, the partitions in any.
    fn mixed<'a>(&mut self, records: &[&'a Delivered]) -> Vec<&'a Delivered> {
        let mut queues: BTreeMap<(Topic, u32), Vec<&'a Delivered>> = BTreeMap::new();
        for record in records.iter().rev() {
            queues.entry((record.at.topic, record.at.partition)).or_default().push(record);
        }
        let mut mixed = Vec::with_capacity(records.len());
        while !queues.is_empty() {
            let places: Vec<_> = queues.keys().copied().collect();
            let Some(place) = self.rng.pick(&places) else { break };
            for _ in 0..self.rng.between(1, 8) {
                mixed.extend(queues.get_mut(place).and_then(Vec::pop));
            }
            if queues.get(place).is_some_and(Vec::is_empty) {
                queues.remove(place);
            }
        }
        mixed
    }

    /// Every process of user-service knows the same users as the directory.
    fn check_users(&self, records: &[&Delivered]) -> Result<(), String> {
        let mut directory = UserDirectory::new();
        for record in records.iter().filter(|record| record.at.topic == Topic::UserEvents) {
            directory.apply(record);
        }
        for process in self.processes.iter().filter(|process| !process.dead) {
            let Node::User(machine) = process.driver.machine() else { continue };
            if let Some(unknown) = self.plan.declared().iter().find(|user| machine.user(user).is_none()) {
                return Err(format!("{} does not know {unknown}, which is declared", process.name()));
            }
            for user in &self.plan.users {
                let (here, there) = (machine.user(user), directory.get(user));
                let same =
                    here.map(|user| (&user.name, user.status)) == there.map(|user| (&user.name, user.status));
                if !same {
                    return Err(format!("{} knows {here:?}, the directory {there:?}", process.name()));
                }
            }
        }
        Ok(())
    }
}
