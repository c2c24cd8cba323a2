//! Any of the six production machines.

use kbnt_application::audit::AuditMachine;
use kbnt_application::inventory::InventoryMachine;
use kbnt_application::notification::NotificationMachine;
use kbnt_application::order::OrderMachine;
use kbnt_application::payment::PaymentMachine;
use kbnt_application::user::UserMachine;
use kbnt_application::{Auditor, Delivered, EffectOutcome, Follows, Machine, Outbox, Service, Topic};
use kbnt_domain::{OrderId, Timestamp};

/// A production machine.
pub(crate) enum Node {
    Order(Box<OrderMachine>),
    User(Box<UserMachine>),
    Inventory(Box<InventoryMachine>),
    Payment(Box<PaymentMachine>),
    Notification(Box<NotificationMachine>),
    Audit(Box<AuditMachine>),
}

/// Methods that are those of whichever machine it is.
macro_rules! forwarded {
    ($(fn $name:ident($self:ident: $of:ty $(, $argument:ident: $type:ty)*) $(-> $result:ty)?;)*) => {$(
        fn $name($self: $of $(, $argument: $type)*) $(-> $result)? {
            match $self {
                Self::Order(machine) => machine.$name($($argument),*),
                Self::User(machine) => machine.$name($($argument),*),
                Self::Inventory(machine) => machine.$name($($argument),*),
                Self::Payment(machine) => machine.$name($($argument),*),
                Self::Notification(machine) => machine.$name($($argument),*),
                Self::Audit(machine) => machine.$name($($argument),*),
            }
        }
    )*};
}

impl Machine for Node {
    type Sole = InventoryMachine;
    type Imaged = Self;

    forwarded! {
        fn service(self: &Self) -> Service;
        fn set_clock(self: &mut Self, now: Timestamp);
        fn decides_by_time(self: &Self) -> bool;
        fn looks_back(self: &Self) -> Option<u64>;
        fn assigned(self: &mut Self, partition: u32);
        fn revoked(self: &mut Self, partition: u32);
        fn fold(self: &mut Self, record: &Delivered);
        fn recovered(self: &mut Self, partition: u32, outbox: &mut Outbox);
        fn handle(self: &mut Self, record: &Delivered, outbox: &mut Outbox);
        fn completed(self: &mut Self, order: OrderId, outcome: EffectOutcome, outbox: &mut Outbox);
        fn tick(self: &mut Self, outbox: &mut Outbox);
        fn next_tick(self: &Self) -> Option<Timestamp>;
        fn in_hand(self: &Self) -> usize;
        fn stuck(self: &Self) -> usize;
        fn hold(self: &Self, topic: Topic, partition: u32) -> Option<u64>;
        fn follows(self: &Self) -> Follows;
        fn follow(self: &mut Self, record: &Delivered);
        fn auditor(self: &mut Self) -> Option<&mut dyn Auditor>;
    }

    fn sole_writer(&mut self) -> Option<&mut InventoryMachine> {
        match self {
            Self::Inventory(machine) => Some(machine),
            _ => None,
        }
    }

    fn imaged(&mut self) -> Option<&mut Self> {
        matches!(self, Self::Inventory(_) | Self::User(_) | Self::Audit(_)).then_some(self)
    }
}
