//! Customers and the warehouse: what they ask for, what they were promised.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;

use kbnt_application::driver::Event;
use kbnt_application::{Outbox, Service};
use kbnt_domain::event::{Basket, UserStatus};
use kbnt_domain::stock::Declaration;
use kbnt_domain::user::Registration;
use kbnt_domain::{OrderId, ProductId, SourceId, UserId};

use super::rng::Rng;
use super::{Plan, price};
use crate::faults::readers::Most;
use crate::node::Node;
use crate::process::Process;
use crate::world::World;

/// What a service is asked over HTTP.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Place {
        order: OrderId,
        basket: Basket,
        /// The order's number in the plan.
        number: usize,
    },
    Cancel {
        order: OrderId,
    },
    /// Who holds what, and the reservation of this order.
    Look {
        order: OrderId,
    },
    Register {
        registration: Registration,
    },
    Status {
        user: UserId,
        status: UserStatus,
    },
    Declare {
        declaration: Declaration,
        /// Which of the values that were tried for this product and source it is.
        number: usize,
    },
}

/// Names a call; whether it was to have any effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    pub(crate) number: u64,
    pub(crate) effective: bool,
}

/// What a caller has in mind; it becomes a call when somebody is there to take it.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Place(usize),
    /// Another body under the same id.
    Conflict(usize),
    Cancel(usize),
    Look(usize),
    Register(usize),
    Block(usize),
    Unblock(usize),
    Receive(usize, usize),
    WriteOff(usize, usize),
}

/// The values that a source has tried for a product.
#[derive(Clone, Debug, Default)]
pub(crate) struct Receipts {
    pub(crate) tried: Vec<u64>,
    /// The newest one that was confirmed to it.
    pub(crate) sure: Option<usize>,
}

#[derive(Debug, Default)]
pub(crate) struct Clients {
    wishes: VecDeque<Wish>,
    pub(crate) receipts: BTreeMap<(ProductId, SourceId), Receipts>,
    /// Orders whose placing was confirmed to a customer.
    pub(crate) promised: BTreeSet<OrderId>,
    /// Calls that were made.
    tickets: u64,
}

impl Clients {
    pub(crate) fn draw(plan: &Plan, rng: &mut Rng) -> Self {
        let mut wishes = Vec::new();
        for number in 0..plan.orders.len() {
            wishes.push(Wish::Place(number));
            for (wish, per_mille) in [
                (Wish::Place(number), 250),
                (Wish::Conflict(number), 120),
                (Wish::Cancel(number), 250),
                (Wish::Cancel(number), 80),
            ] {
                if rng.chance(per_mille) {
                    wishes.push(wish);
                }
            }
        }
        for user in 0..plan.users.len() {
            if rng.chance(300) {
                wishes.push(Wish::Block(user));
                wishes.push(Wish::Unblock(user));
            }
        }
        for _ in 0..rng.below(5) {
            let (product, source) = (rng.index(plan.products.len()), rng.index(plan.sources.len()));
            wishes.push(Wish::Receive(product, source));
            if rng.chance(600) {
                wishes.push(Wish::WriteOff(product, source));
            }
        }
        shuffle(&mut wishes, rng);
        if plan.archive.is_some() {
            Self::come_back(&mut wishes, 0, plan, rng);
        }
        // Most runs begin with some users and stock. Of the users that are declared, not all are registered, too.
        let registered: Vec<usize> =
            (0..plan.users.len()).filter(|user| *user >= plan.declared().len() || rng.chance(300)).collect();
        let first = registered
            .into_iter()
            .map(Wish::Register)
            .chain((0..plan.products.len()).map(|product| Wish::Receive(product, 0)));
        for wish in first {
            let at = if rng.chance(150) { rng.index(wishes.len()) } else { 0 };
            wishes.insert(at, wish);
        }
        Self { wishes: wishes.into(), ..Self::default() }
    }

    /// Customers ask again for orders from this one on, most of which have ended by then.
    fn come_back(wishes: &mut Vec<Wish>, from: usize, plan: &Plan, rng: &mut Rng) {
        for number in from..plan.orders.len() {
            for (wish, per_mille) in [
                (Wish::Place(number), 500),
                (Wish::Look(number), 300),
                (Wish::Place(number), 300),
                (Wish::Conflict(number), 120),
                // What has ended on another day is not cancelled.
                (Wish::Cancel(number), if number < plan.today { 0 } else { 120 }),
            ] {
                if rng.chance(per_mille) {
                    let at = wishes.len() - rng.index(wishes.len() / 2 + 1);
                    wishes.insert(at, wish);
                }
            }
        }
    }

    /// The service that the next wish needs.
    pub(crate) fn next_service(&self) -> Option<Service> {
        self.wishes.front().map(|wish| match wish {
            Wish::Place(_) | Wish::Conflict(_) | Wish::Cancel(_) => Service::Order,
            Wish::Register(_) | Wish::Block(_) | Wish::Unblock(_) => Service::User,
            Wish::Look(_) | Wish::Receive(..) | Wish::WriteOff(..) => Service::Inventory,
        })
    }

    /// Whether anything is left to be asked.
    pub(crate) fn is_done(&self) -> bool {
        self.wishes.is_empty()
    }

    /// The next wish as a call. `received` tells what a source has declared of a product so far, by the service itself.
    pub(crate) fn next(
        &mut self,
        plan: &Plan,
        rng: &mut Rng,
        received: impl Fn(&ProductId, &SourceId) -> u64,
    ) -> Option<Call> {
        let wish = self.wishes.pop_front()?;
        Some(match wish {
            Wish::Place(number) => {
                let planned = plan.orders.get(number)?;
                Call::Place { order: planned.id, basket: planned.basket.clone(), number }
            }
            Wish::Conflict(number) => {
                let planned = plan.orders.get(number)?;
                Call::Place { order: planned.id, basket: planned.other.clone(), number }
            }
            Wish::Cancel(number) => Call::Cancel { order: plan.orders.get(number)?.id },
            Wish::Look(number) => Call::Look { order: plan.orders.get(number)?.id },
            Wish::Register(user) => {
                let name = format!("User {}", rng.below(3));
                let email = "user@example.com".to_owned();
                Call::Register {
                    registration: Registration::new(plan.users.get(user)?.clone(), name, email).ok()?,
                }
            }
            Wish::Block(user) => {
                Call::Status { user: plan.users.get(user)?.clone(), status: UserStatus::Blocked }
            }
            Wish::Unblock(user) => {
                Call::Status { user: plan.users.get(user)?.clone(), status: UserStatus::Active }
            }
            Wish::Receive(product, source) => {
                let before = received(plan.products.get(product)?, plan.sources.get(source)?);
                let more = if before == 0 { plan.stock } else { rng.between(1, 8) };
                self.declare(plan, product, source, before + more)?
            }
            Wish::WriteOff(product, source) => {
                let before = received(plan.products.get(product)?, plan.sources.get(source)?);
                let less = rng.between(1, 4);
                self.declare(plan, product, source, before.saturating_sub(less))?
            }
        })
    }

    fn declare(&mut self, plan: &Plan, product: usize, source: usize, received: u64) -> Option<Call> {
        let (id, source) = (plan.products.get(product)?.clone(), plan.sources.get(source)?.clone());
        let receipts = self.receipts.entry((id.clone(), source.clone())).or_default();
        receipts.tried.push(received);
        let declaration = Declaration {
            product: id,
            name: format!("Product {product}"),
            unit_price: price(product),
            received,
            low_stock_threshold: None,
            source,
        };
        Some(Call::Declare { declaration, number: receipts.tried.len() - 1 })
    }

    /// A call was answered: what it asked for must last.
    pub(crate) fn confirmed(&mut self, call: &Call) {
        match call {
            Call::Place { order, .. } => {
                self.promised.insert(*order);
            }
            Call::Declare { declaration, number } => {
                let key = (declaration.product.clone(), declaration.source.clone());
                let receipts = self.receipts.entry(key).or_default();
                receipts.sure = receipts.sure.max(Some(*number));
            }
            _ => {}
        }
    }

    /// A call was not answered, or refused. A customer who does not know tries again.
    pub(crate) fn unanswered(&mut self, call: &Call, rng: &mut Rng) {
        if let Call::Place { number, .. } = call
            && rng.chance(700)
        {
            let at = rng.index(self.wishes.len() + 1);
            self.wishes.insert(at, Wish::Place(*number));
        }
    }
}

impl World {
    /// Some hours later there are new orders, and customers come back to those of the day before, but not to older ones, which may be
    /// forgotten.
    pub(crate) fn next_day(&mut self) {
        let hours = self.rng.between(6, 18);
        self.now.fetch_add(i64::try_from(hours * 3_600_000).unwrap_or(0), Ordering::Relaxed);
        self.say(|| format!("{hours} hours later"));
        self.resting = false;
        let Self { plan, rng, clients, .. } = self;
        let before = plan.today;
        plan.today = plan.orders.len();
        for _ in 0..rng.between(2, 6) {
            plan.add_order(rng);
        }
        let mut wishes: Vec<Wish> = (plan.today..plan.orders.len()).map(Wish::Place).collect();
        Clients::come_back(&mut wishes, before, plan, rng);
        clients.wishes = wishes.into();
    }

    /// Customers and the warehouse ask for something.
    pub(crate) fn ask(&mut self) -> Result<(), String> {
        let Some(service) = self.clients.next_service() else { return Ok(()) };
        let is_free = |process: &&Process| {
            let ready = process.driver.status().ready && !process.readers.inputs.is_empty();
            process.service == service && process.is_idle() && ready
        };
        let takers = self.processes.iter().filter(is_free);
        let Some(&Process { id, ref driver, .. }) = self.rng.pick_of(takers) else { return Ok(()) };
        let node = driver.machine();
        let received = |product: &_, source: &_| match node {
            Node::Inventory(machine) => machine.level(product).map_or(0, |level| {
                level.received.iter().find(|(name, _)| name == source).map_or(0, |(_, received)| *received)
            }),
            _ => 0,
        };
        let Some(call): Option<Call> = self.clients.next(&self.plan, &mut self.rng, received) else {
            return Ok(());
        };
        self.say(|| format!("{} is asked {call:?}", self.processes[id].name()));
        let most = Most { follow: self.rng.below(30), inputs: 2 };
        self.work(id, most, Some(call)).map(|_| ())
    }

    /// Hands over a call. One that the driver does not take any more is not answered.
    pub(crate) fn call(&mut self, id: usize, asked: Call) {
        self.clients.tickets += 1;
        let (number, process) = (self.clients.tickets, &mut self.processes[id]);
        process.calls.insert(number, asked.clone());
        if process.driver.wants().calls > 0 {
            process.tell(Event::Call(Box::new(move |node: &mut Node, outbox: &mut Outbox| Ticket {
                number,
                effective: call(node, &asked, outbox),
            })));
        }
    }

    /// A driver has answered a call, or refused it.
    pub(crate) fn answered(&mut self, id: usize, ticket: Ticket, confirmed: bool) {
        let Some(call) = self.processes[id].calls.remove(&ticket.number) else { return };
        match (confirmed, ticket.effective) {
            (true, true) => self.clients.confirmed(&call),
            (true, false) => {}
            (false, _) => self.clients.unanswered(&call, &mut self.rng),
        }
    }
}

/// The step of a caller; false if it has no effect.
pub(crate) fn call(node: &mut Node, call: &Call, outbox: &mut Outbox) -> bool {
    match (node, call) {
        (Node::Order(_), Call::Place { order, basket, .. }) => {
            kbnt_application::order::place_order(*order, basket.clone(), outbox);
            true
        }
        (Node::Order(_), Call::Cancel { order }) => {
            kbnt_application::order::request_cancel(*order, outbox);
            true
        }
        (Node::User(machine), Call::Register { registration }) => {
            machine.register(registration.clone(), outbox);
            true
        }
        (Node::User(machine), Call::Status { user, status }) => {
            machine.change_status(user, *status, outbox).is_ok()
        }
        (Node::Inventory(machine), Call::Declare { declaration, .. }) => {
            machine.declare(declaration, outbox).is_ok()
        }
        (Node::Inventory(machine), Call::Look { order }) => {
            crate::checks::memory::look(machine, *order);
            false
        }
        _ => false,
    }
}

fn shuffle<T>(list: &mut [T], rng: &mut Rng) {
    for at in (1..list.len()).rev() {
        list.swap(at, rng.index(at + 1));
    }
}
