//! Answers each order's question whether its user may order, from a registry folded from the log.

use std::collections::BTreeMap;
use std::convert::Infallible;

use kbnt_domain::event::{PlaceOrder, UserRejected, UserStatus, UserValidated};
use kbnt_domain::stock::StockTerms;
use kbnt_domain::user::{Registration, UnknownUser, User, UserRegistry};
use kbnt_domain::{Event, OrderId, Span, Timestamp, UserId};

use super::answered::{Answer, Answered, Turn};
use crate::event::Writer;
use crate::machine::{Delivered, Follows, Imaged, Machine, Outbox, Position};
use crate::message::{Service, Topic};
use crate::partition_state::{Inputs, Limits};

/// How user-service behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserConfig {
    /// Whether users that nobody registered may order.
    pub allow_unknown: bool,
    /// Users to be registered at the start.
    pub declared: Vec<Registration>,
    /// How much is remembered of the orders that were answered: that many, however old.
    pub limits: Limits,
    /// How long inventory-service remembers an ended order. Were it less there, an order that comes again might get no answer.
    pub window: Span,
}

impl Default for UserConfig {
    /// Known users only, none of them declared; 300,000 orders, 24 hours.
    fn default() -> Self {
        let StockTerms { window, .. } = StockTerms::default();
        Self { allow_unknown: false, declared: Vec::new(), limits: Limits::default(), window }
    }
}

/// What a registration changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The user is new.
    Created,
    /// The user was known under another name or address.
    Updated,
    /// Nothing.
    Unchanged,
}

/// Validates and manages users.
#[derive(Debug)]
pub struct UserMachine {
    config: UserConfig,
    registry: UserRegistry,
    /// How far user-events were taken in.
    followed: Inputs,
    /// By partition of order-events.
    partitions: BTreeMap<u32, Answered>,
    declared: bool,
}

impl UserMachine {
    /// A machine that has seen nothing yet.
    pub fn new(config: UserConfig) -> Self {
        Self {
            config,
            registry: UserRegistry::default(),
            followed: Inputs::default(),
            partitions: BTreeMap::new(),
            declared: false,
        }
    }

    /// One user.
    pub fn user(&self, user: &UserId) -> Option<&User> {
        self.registry.get(user)
    }

    /// Makes the user known as described.
    pub fn register(&mut self, registration: Registration, outbox: &mut Outbox) -> Change {
        let known = self.registry.get(&registration.user).is_some();
        let Some(event) = self.registry.register(registration) else { return Change::Unchanged };
        let user = event.user.clone();
        self.write(&user, event.into(), outbox);
        if known { Change::Updated } else { Change::Created }
    }

    /// Lets the user order, or no more. True if that changed anything.
    pub fn change_status(
        &mut self,
        user: &UserId,
        status: UserStatus,
        outbox: &mut Outbox,
    ) -> Result<bool, UnknownUser> {
        let Some(event) = self.registry.change_status(user, status)? else { return Ok(false) };
        self.write(user, event.into(), outbox);
        Ok(true)
    }

    /// Counts from now on; the log's order of all changes counts as soon as they are read back.
    fn write(&mut self, user: &UserId, event: Event, outbox: &mut Outbox) {
        let revision = self.registry.get(user).map_or(0, |user| user.revision);
        self.registry.apply(&event);
        outbox.unprompted();
        outbox.emit_named(&format!("user/{user}/{revision}/{}", outbox.now().as_millis()), event);
    }

    /// A record of user-events, of any partition and any writer.
    fn learn(&mut self, record: &Delivered) {
        let Some(event) = record.message.event.business() else { return };
        let (order, rejection, repeated) = match event {
            Event::UserRegistered(_) | Event::UserStatusChanged(_) => {
                if self.followed.advance(record.at) {
                    self.registry.apply(event);
                }
                return;
            }
            Event::UserValidated(e) => (e.order, None, false),
            Event::UserRejected(e) => (e.order, Some(e.reason), e.repeated),
            _ => return,
        };
        if let Some(answered) = self.partitions.get_mut(&record.at.partition) {
            let command = record.answers().map(|command| command.offset);
            answered
                .insert(order, Answer { command, rejection, at: record.message.at, known: true, repeated });
        }
    }

    /// Remembers an answer before it is read back.
    fn learn_answer(&mut self, answer: &Event, order: OrderId, command: Position, now: Timestamp) {
        let (rejection, repeated) = match answer {
            Event::UserRejected(e) => (Some(e.reason), e.repeated),
            _ => (None, false),
        };
        if let Some(answered) = self.partitions.get_mut(&command.partition) {
            let command = Some(command.offset);
            answered.insert(order, Answer { command, rejection, at: now, known: false, repeated });
        }
    }

    /// Answers a command as far as it has an answer to get. The first command of an order is the order. What comes under its id later
    /// gets an answer only where nobody else remembers how the order ended.
    fn take_turn(&mut self, record: &Delivered, command: &PlaceOrder, turn: Turn, outbox: &mut Outbox) {
        let order = command.order;
        outbox.answer(record);
        match turn {
            Turn::None => {}
            Turn::Later => {
                if let Some(answered) = self.partitions.get_mut(&record.at.partition) {
                    answered.wait(order, record.clone());
                }
            }
            Turn::First => {
                let answer = self.answer(command, record.message.at);
                self.learn_answer(&answer, order, record.at, outbox.now());
                outbox.emit(answer);
            }
            Turn::Rejected(reason) => {
                let user = command.basket.user.clone();
                let answer = Event::from(UserRejected { order, user, reason, repeated: true });
                self.learn_answer(&answer, order, record.at, outbox.now());
                // The same command again is the same record, and this is not the answer to the first one.
                outbox.emit_named(&format!("rejected-again/{}", record.at), answer);
            }
        }
    }

    fn answer(&self, command: &PlaceOrder, placed_at: Timestamp) -> Event {
        let PlaceOrder { order, basket } = command.clone();
        match self.registry.objection(&basket.user, self.config.allow_unknown) {
            Some(reason) => UserRejected { order, user: basket.user, reason, repeated: false }.into(),
            None => UserValidated { order, basket, placed_at }.into(),
        }
    }
}

impl Machine for UserMachine {
    type Sole = Infallible;
    type Imaged = Self;

    fn service(&self) -> Service {
        Service::User
    }

    fn assigned(&mut self, partition: u32) {
        self.partitions.insert(partition, Answered::new(self.config.limits, self.config.window));
    }

    fn revoked(&mut self, partition: u32) {
        self.partitions.remove(&partition);
    }

    /// For its answers; the registry is made of all that it follows.
    fn looks_back(&self) -> Option<u64> {
        Some(self.config.limits.looks_back())
    }

    fn fold(&mut self, record: &Delivered) {
        if let Some(answered) = self.partitions.get_mut(&record.at.partition) {
            answered.begin_at(record.at.offset);
        }
        self.learn(record);
    }

    fn recovered(&mut self, _partition: u32, outbox: &mut Outbox) {
        if !std::mem::replace(&mut self.declared, true) {
            for registration in self.config.declared.clone() {
                self.register(registration, outbox);
            }
        }
    }

    fn handle(&mut self, record: &Delivered, outbox: &mut Outbox) {
        let Some(Event::PlaceOrder(command)) = record.message.event.business() else { return };
        let Some(answered) = self.partitions.get_mut(&record.at.partition) else { return };
        let turn = answered.turn(record.at, &command.order, outbox.now());
        self.take_turn(record, command, turn, outbox);
    }

    fn tick(&mut self, outbox: &mut Outbox) {
        for partition in self.partitions.keys().copied().collect::<Vec<_>>() {
            while let Some((record, turn)) =
                self.partitions.get_mut(&partition).and_then(|answered| answered.next_due(outbox.now()))
            {
                if let Some(Event::PlaceOrder(command)) = record.message.event.business() {
                    self.take_turn(&record, command, turn, outbox);
                }
            }
        }
    }

    fn next_tick(&self) -> Option<Timestamp> {
        self.partitions.values().any(Answered::has_due).then_some(Timestamp::MIN)
    }

    fn in_hand(&self) -> usize {
        self.partitions.values().map(Answered::waits).sum()
    }

    fn hold(&self, topic: Topic, partition: u32) -> Option<u64> {
        self.partitions.get(&partition).filter(|_| topic == Topic::OrderEvents)?.first_open()
    }

    /// Users are spread over all partitions, and other processes may change them.
    fn follows(&self) -> Follows {
        Follows::Everything
    }

    fn follow(&mut self, record: &Delivered) {
        self.learn(record);
    }

    fn imaged(&mut self) -> Option<&mut Self> {
        Some(self)
    }
}

/// All users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserImage {
    /// They, in no order that means anything.
    pub users: Vec<(UserId, User)>,
    /// How far user-events were taken in for them: the next position of each partition that has a record of one.
    pub followed: Vec<Position>,
}

/// The registry alone: the answers of a partition are folded by whoever gets it.
impl Imaged for UserMachine {
    type Image = UserImage;
    type Error = Infallible;

    fn image(&self) -> Option<UserImage> {
        let users = self.registry.iter().map(|(id, user)| (id.clone(), user.clone())).collect();
        Some(UserImage { users, followed: self.followed.positions().collect() })
    }

    fn restore(&mut self, image: UserImage) -> Result<Option<Writer>, Infallible> {
        self.registry = image.users.into_iter().collect();
        self.followed = image.followed.into_iter().collect();
        Ok(None)
    }
}
