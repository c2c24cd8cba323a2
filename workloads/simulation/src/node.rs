//! Any of the six production machines.

use std::sync::Arc;

use kbnt_application::audit::AuditMachine;
use kbnt_application::inventory::{InventoryConfig, InventoryMachine};
use kbnt_application::notification::NotificationMachine;
use kbnt_application::order::OrderMachine;
use kbnt_application::payment::PaymentMachine;
use kbnt_application::user::{UserConfig, UserMachine};
use kbnt_application::{Auditor, Delivered, EffectOutcome, Machine, Outbox, Service, Topic};
use kbnt_domain::user::Registration;
use kbnt_domain::{OrderId, Timestamp};

use crate::faults::archive::DiskArchive;
use crate::plan::Plan;

/// A production machine.
pub(crate) enum Node {
    Order(Box<OrderMachine>),
    User(Box<UserMachine>),
    Inventory(Box<InventoryMachine>),
    Payment(Box<PaymentMachine>),
    Notification(Box<NotificationMachine>),
    Audit(Box<AuditMachine>),
}

impl Node {
    /// A fresh machine of this service; the inventory's may have an archive.
    pub(crate) fn new(service: Service, id: usize, plan: &Plan, archive: Option<Arc<DiskArchive>>) -> Self {
        match service {
            Service::Order => Self::Order(Box::default()),
            Service::User => {
                let declared = plan.declared().iter().filter_map(|user| {
                    Registration::new(user.clone(), "Declared".into(), "declared@example.com".into()).ok()
                });
                let config = UserConfig { declared: declared.collect(), ..UserConfig::default() };
                Self::User(Box::new(UserMachine::new(config)))
            }
            Service::Inventory => {
                let config = InventoryConfig {
                    ttl: plan.ttl,
                    low_stock_threshold: plan.low_stock_threshold,
                    ..InventoryConfig::new(format!("writer-{id}"))
                };
                let machine = InventoryMachine::new(config);
                Self::Inventory(Box::new(match (archive, plan.archive) {
                    (Some(archive), Some(limits)) => machine.archiving(archive, limits),
                    _ => machine,
                }))
            }
            Service::Payment => Self::Payment(Box::default()),
            Service::Notification => Self::Notification(Box::default()),
            Service::Audit => Self::Audit(Box::default()),
        }
    }
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

    forwarded! {
        fn service(self: &Self) -> Service;
        fn set_clock(self: &mut Self, now: Timestamp);
        fn decides_by_time(self: &Self) -> bool;
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
        fn follows(self: &Self) -> bool;
        fn follow(self: &mut Self, record: &Delivered);
    }

    fn auditor(&mut self) -> Option<&mut dyn Auditor> {
        match self {
            Self::Audit(machine) => Some(machine.as_mut()),
            _ => None,
        }
    }

    fn sole_writer(&mut self) -> Option<&mut InventoryMachine> {
        match self {
            Self::Inventory(machine) => Some(machine),
            _ => None,
        }
    }
}
