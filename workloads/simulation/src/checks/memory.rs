//! What the inventory remembers, in memory, in an archive and by a snapshot, is what its records come to.

use std::collections::BTreeMap;

use kbnt_application::driver::Reader;
use kbnt_application::fence::TermFence;
use kbnt_application::inventory::InventoryMachine;
use kbnt_application::order::place_order;
use kbnt_application::ports::{Clock as _, Fetched};
use kbnt_application::{Machine as _, Outbox, Position, Service, SoleWriter as _};
use kbnt_domain::event::{Basket, Event, OrderRepeated};
use kbnt_domain::stock::{Portion, ReservationFilter, ReservationPlace, ReservationState, ReservationView};
use kbnt_domain::{OrderId, ReservationId, Span, Timestamp};

use super::Story;
use super::model::State;
use crate::faults::archive::DiskArchive;
use crate::log::{Log, delivered};
use crate::node::Node;
use crate::plan::Plan;
use crate::process::Process;
use crate::world::World;

/// How long a closed order is remembered at least, whatever the clock of a process is off.
const REMEMBERED: Span = Span::from_minutes(23 * 60);

/// Later than any clock, so that all has ended before it.
const LATER: Span = Span::from_minutes(1);

/// So little is looked at in a time that it matters.
const PORTION: Portion = Portion { most: 2, looks: 3 };

/// Pages of a list after which it never ends.
const PAGES: usize = 10_000;

/// Somebody looks at who holds what, and at one order.
pub(crate) fn look(machine: &mut InventoryMachine, order: OrderId) {
    machine.find_reservation(ReservationId::derive(&order, 0));
    let first =
        machine.list_reservations(&ReservationFilter::default(), ReservationPlace::default(), PORTION);
    if let Some(next) = first.next {
        machine.list_reservations(&ReservationFilter::default(), next, PORTION);
    }
}

/// All reservations that the inventory shows, by order.
fn listed(machine: &mut InventoryMachine) -> Result<BTreeMap<OrderId, ReservationView>, String> {
    let (mut found, mut next) = (BTreeMap::new(), Some(ReservationPlace::default()));
    for _ in 0..PAGES {
        let Some(from) = next else { return Ok(found) };
        let page = machine.list_reservations(&ReservationFilter::default(), from, PORTION);
        next = page.next;
        for view in page.found {
            if let Some(before) = found.insert(view.order, view) {
                return Err(format!("a reservation is listed twice: {before:?}"));
            }
        }
    }
    Err("a list of reservations never ends".to_owned())
}

/// What is known of a reservation: of an active one all, of others what the log alone tells.
type Known = (ReservationId, ReservationState, Option<ReservationView>);

fn known(view: &ReservationView) -> Known {
    let is_active = view.state == ReservationState::Reserved;
    (view.reservation, view.state, is_active.then(|| view.clone()))
}

/// A writer that has begun with a snapshot or has an archive, and has folded what there is, knows the stock and the orders as one that has
/// folded all and keeps all in memory.
fn agree(process: &mut Process, log: &Log, plan: &Plan) -> Result<(), String> {
    let mut straight = plan.machine(process.service, process.id, None);
    straight.set_clock(process.clock.now());
    let mut fence = TermFence::default();
    for at in &process.readers.output {
        let records = log.slice((at.topic, at.partition), 0, at.offset).iter().filter_map(Fetched::record);
        for record in records {
            if fence.admits(record) {
                straight.fold(record);
            }
        }
    }
    let (Node::Inventory(here), Node::Inventory(straight)) = (process.driver.machine_mut(), &mut straight)
    else {
        return Ok(());
    };
    let (levels, wanted) = (straight.levels(), listed(straight)?);
    if here.levels() != levels {
        return Err(format!(
            "the stock is not what its records come to: {:?}, and not {levels:?}",
            here.levels()
        ));
    }
    let found = listed(here)?;
    // What the archive did not tell is not to be seen.
    if here.halted().is_some() {
        return Ok(());
    }
    // The two forget at different times.
    let is_meant = |view: &&ReservationView| plan.days == 0 || view.state == ReservationState::Reserved;
    for view in found.values().chain(wanted.values()).filter(is_meant) {
        let (found, wanted) = (found.get(&view.order).map(known), wanted.get(&view.order).map(known));
        if found != wanted {
            return Err(format!(
                "a reservation is not what its records come to: {found:?}, and not {wanted:?}"
            ));
        }
    }
    Ok(())
}

impl Process {
    /// A reader is opened. When it is that of the inputs, a writer has folded all there is, and what it began with is checked.
    pub(crate) fn check_beginning(&mut self, reader: Reader, log: &Log, plan: &Plan) -> Result<(), String> {
        let now = reader == Reader::Input && std::mem::take(&mut self.mount.unchecked);
        if now { agree(self, log, plan) } else { Ok(()) }
    }

    /// A writer does not go on when its archive is damaged or cannot be read: an order of which it was not told would be taken for new.
    pub(super) fn heeds_its_archive(&self) -> Result<(), String> {
        if self.mount.archive.as_ref().is_some_and(|archive| archive.has_failed()) {
            return Err(format!("{} writes although its archive has failed", self.name()));
        }
        Ok(())
    }
}

impl World {
    /// The inventory knows each order of the window that has ended: it shows its reservation, and answers it when it is asked for again.
    pub(super) fn check_memory(&mut self, stories: &BTreeMap<OrderId, Story<'_>>) -> Result<(), String> {
        if let Some(broken) = self.volumes.archives().find_map(DiskArchive::broken) {
            return Err(broken);
        }
        let now = Timestamp::from_millis(self.now());
        let is_recent = |story: &Story<'_>| story.earliest().is_some_and(|at| now.since(at) < REMEMBERED);
        // A writer that starts with a clock hours ahead forgets what is nearly a day old.
        let may_forget = !self.plan.timely && self.plan.days > 0;
        let is_timely = |order: &OrderId| !may_forget && !self.strays.timeless.contains(order);
        let recent: Vec<_> = stories
            .iter()
            .filter(|(order, story)| is_timely(order) && is_recent(story) && story.is_decided())
            .filter_map(|(order, story)| Some((*order, story, story.basket?)))
            .collect();
        let Self { processes, log, plan, books, .. } = self;
        let Some(process) =
            processes.iter_mut().find(|process| process.service == Service::Inventory && process.is_idle())
        else {
            return Ok(());
        };
        if plan.timely {
            agree(process, log, plan)?;
        }
        let Node::Inventory(machine) = process.driver.machine_mut() else { return Ok(()) };
        for (nth, (order, story, basket)) in (0..).zip(recent) {
            let last = books.last_of(order).map(|(id, reservation)| (id, shown(reservation.state)));
            let found = last.and_then(|(id, _)| machine.find_reservation(id));
            let answer = ask_again(machine, log, order, basket, nth, now + LATER);
            // What its archive did not tell it does not say.
            if machine.halted().is_some() {
                return Ok(());
            }
            if found.as_ref().map(|view| (view.reservation, view.state)) != last {
                return Err(format!("order {order} has {last:?}, and the inventory shows {found:?}"));
            }
            let Some(answer) = answer else {
                return Err(format!("order {order} has ended, and the inventory does not know how"));
            };
            let told = (Some(answer.status), answer.fingerprint, answer.reservation);
            if told != (story.status(), basket.fingerprint(), last.map(|(id, _)| id)) {
                return Err(format!(
                    "order {order} is {:?}, and the inventory says {answer:?}",
                    story.status()
                ));
            }
        }
        Ok(())
    }
}

const fn shown(state: State) -> ReservationState {
    match state {
        State::Reserved => ReservationState::Reserved,
        State::Confirmed => ReservationState::Confirmed,
        State::Released => ReservationState::Released,
        State::Expired => ReservationState::Expired,
    }
}

/// What the inventory says of an order that is asked for again, as the `nth` record behind the end of the log.
fn ask_again(
    machine: &mut InventoryMachine,
    log: &Log,
    order: OrderId,
    basket: &Basket,
    nth: u64,
    now: Timestamp,
) -> Option<OrderRepeated> {
    let mut asked = Outbox::new(Service::Order, now);
    place_order(order, basket.clone(), &mut asked);
    let command = asked.take().0.pop()?;
    let end = log.next(command.place());
    let at = Position { offset: end.offset + nth, ..end };
    let mut outbox = Outbox::new(Service::Inventory, now);
    machine.handle(&delivered(at, &command), &mut outbox);
    outbox.take().0.iter().find_map(|append| match append.message.event.business()? {
        Event::OrderRepeated(repeated) if repeated.order == order => Some(repeated.clone()),
        _ => None,
    })
}
