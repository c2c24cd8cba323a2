//! Any of the six production machines.

use kbnt_application::audit::AuditMachine;
use kbnt_application::inventory::{InventoryConfig, InventoryMachine};
use kbnt_application::notification::NotificationMachine;
use kbnt_application::order::OrderMachine;
use kbnt_application::payment::PaymentMachine;
use kbnt_application::user::{UserConfig, UserMachine};
use kbnt_application::{Auditor, Delivered, EffectOutcome, Machine, Outbox, Service, Topic};
use kbnt_domain::user::Registration;
use kbnt_domain::{OrderId, Timestamp};

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
    /// A fresh machine of this service.
    pub(crate) fn new(service: Service, id: usize, plan: &Plan) -> Self {
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
                Self::Inventory(Box::new(InventoryMachine::new(config)))
            }
            Service::Payment => Self::Payment(Box::default()),
            Service::Notification => Self::Notification(Box::default()),
            Service::Audit => Self::Audit(Box::default()),
        }
    }
}

/// Does the same with whichever machine it is.
macro_rules! whichever {
    ($node:expr, $machine:ident => $does:expr) => {
        match $node {
            Self::Order($machine) => $does,
            Self::User($machine) => $does,
            Self::Inventory($machine) => $does,
            Self::Payment($machine) => $does,
            Self::Notification($machine) => $does,
            Self::Audit($machine) => $does,
        }
    };
}

impl Machine for Node {
    type Sole = InventoryMachine;

    fn service(&self) -> Service {
        whichever!(self, machine => machine.service())
    }

    fn set_clock(&mut self, now: Timestamp) {
        whichever!(self, machine => machine.set_clock(now));
    }

    fn decides_by_time(&self) -> bool {
        whichever!(self, machine => machine.decides_by_time())
    }

    fn assigned(&mut self, partition: u32) {
        whichever!(self, machine => machine.assigned(partition));
    }

    fn revoked(&mut self, partition: u32) {
        whichever!(self, machine => machine.revoked(partition));
    }

    fn fold(&mut self, record: &Delivered) {
        whichever!(self, machine => machine.fold(record));
    }

    fn recovered(&mut self, partition: u32, outbox: &mut Outbox) {
        whichever!(self, machine => machine.recovered(partition, outbox));
    }

    fn handle(&mut self, record: &Delivered, outbox: &mut Outbox) {
        whichever!(self, machine => machine.handle(record, outbox));
    }

    fn completed(&mut self, order: OrderId, outcome: EffectOutcome, outbox: &mut Outbox) {
        whichever!(self, machine => machine.completed(order, outcome, outbox));
    }

    fn tick(&mut self, outbox: &mut Outbox) {
        whichever!(self, machine => machine.tick(outbox));
    }

    fn next_tick(&self) -> Option<Timestamp> {
        whichever!(self, machine => machine.next_tick())
    }

    fn in_hand(&self) -> usize {
        whichever!(self, machine => machine.in_hand())
    }

    fn stuck(&self) -> usize {
        whichever!(self, machine => machine.stuck())
    }

    fn hold(&self, topic: Topic, partition: u32) -> Option<u64> {
        whichever!(self, machine => machine.hold(topic, partition))
    }

    fn follows(&self) -> bool {
        whichever!(self, machine => machine.follows())
    }

    fn follow(&mut self, record: &Delivered) {
        whichever!(self, machine => machine.follow(record));
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
