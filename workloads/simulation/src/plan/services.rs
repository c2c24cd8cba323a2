//! How the processes of a run are configured.

use std::sync::Arc;
use std::time::Duration;

use kbnt_application::Service;
use kbnt_application::driver::Setup;
use kbnt_application::inventory::{InventoryConfig, InventoryMachine};
use kbnt_application::ports::NoObserver;
use kbnt_application::user::{UserConfig, UserMachine};
use kbnt_domain::user::Registration;

use super::Plan;
use crate::faults::archive::DiskArchive;
use crate::faults::clocks::ProcessClock;
use crate::node::Node;

impl Plan {
    /// A fresh machine of this service; the inventory's may have an archive.
    pub(crate) fn machine(&self, service: Service, id: usize, archive: Option<Arc<DiskArchive>>) -> Node {
        match service {
            Service::Order => Node::Order(Box::default()),
            Service::User => {
                let declared = self.declared().iter().filter_map(|user| {
                    Registration::new(user.clone(), "Declared".into(), "declared@example.com".into()).ok()
                });
                let config = UserConfig { declared: declared.collect(), ..UserConfig::default() };
                Node::User(Box::new(UserMachine::new(config)))
            }
            Service::Inventory => {
                let config = InventoryConfig {
                    ttl: self.ttl,
                    low_stock_threshold: self.low_stock_threshold,
                    ..InventoryConfig::new(format!("writer-{id}"))
                };
                let machine = InventoryMachine::new(config);
                Node::Inventory(Box::new(match (archive, self.archive) {
                    (Some(archive), Some(limits)) => machine.archiving(archive, limits),
                    _ => machine,
                }))
            }
            Service::Payment => Node::Payment(Box::default()),
            Service::Notification => Node::Notification(Box::default()),
            Service::Audit => Node::Audit(Box::default()),
        }
    }

    /// What the driver of a process with this clock works with.
    pub(crate) fn setup(&self, clock: Arc<ProcessClock>) -> Setup {
        Setup {
            stopwatch: clock.stopwatch(),
            clock,
            observer: Arc::new(NoObserver),
            limits: self.limits,
            takes_place: Box::new(|_| true),
            snapshots: self.snapshots.map(|every| Duration::from_millis(every.as_millis())),
            led: self.led,
        }
    }
}
