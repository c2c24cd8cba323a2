//! Somebody cuts inventory-events, by the rules of `kbnt log cut`. Whoever comes up later begins with a checkpoint, or goes on where it has
//! stopped: nobody may miss what is gone. The other event stores are never so long that anything of them could go.

use kbnt_application::cut::{self, Cut, Kept, Need, Reader};
use kbnt_application::ports::Snapshot;
use kbnt_application::{Position, Service, Topic};

use super::archive::Contents;
use super::images::NodeImage;
use crate::world::World;

/// Services without whose checkpoints nothing is cut.
const SERVICES: [Service; 3] = [Service::Inventory, Service::User, Service::Audit];

/// A snapshot in a place that outlives all volumes, with the closed orders that it goes with.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    pub(crate) snapshot: Snapshot<NodeImage>,
    pub(crate) closed_orders: Option<Contents>,
}

impl Checkpoint {
    fn reads(&self) -> Vec<Position> {
        let mut reads: Vec<Position> = self.snapshot.reads().collect();
        if let NodeImage::Audit(image) = &self.snapshot.image {
            reads.extend(image.reads());
        }
        reads
    }
}

impl World {
    /// Perhaps there is something to cut.
    pub(super) fn cut(&mut self) {
        let topic = Topic::InventoryEvents;
        let kept: Kept = (0..topic.partitions())
            .map(|partition| ((topic, partition), self.log.kept((topic, partition))))
            .collect();
        let mut needs = Vec::new();
        for service in SERVICES {
            let checkpoints = self.volumes.checkpoints_of(service);
            if checkpoints.is_empty() {
                return;
            }
            for (number, checkpoint) in (1..).zip(checkpoints) {
                let reader = Reader::Checkpoint(service, number);
                needs.extend(checkpoint.reads().into_iter().map(|at| Need { reader, at }));
            }
        }
        for service in Service::ALL.into_iter().filter(|service| *service != Service::Inventory) {
            if service.inputs().contains(&topic) {
                let committed = (0..topic.partitions()).map(|partition| {
                    let committed = self.groups.committed(service, (topic, partition));
                    committed.map_or(Position { topic, partition, offset: 0 }, |commit| commit.next)
                });
                needs.extend(committed.map(|next| Need::committed(service, next)));
            }
        }
        let cuts = cut::to_records_that_count(cut::wanted(&kept, &needs), &self.volumes.counting);
        for Cut { to, records, .. } in cuts {
            if records > 0 {
                self.report.faults += 1;
                self.log.first.insert((to.topic, to.partition), to.offset);
                self.say(|| format!("inventory-events/{} is cut: it begins at {}", to.partition, to.offset));
            }
        }
    }
}
