//! The checkpoints of the services, as far as they belong to a log: what lies before them may be cut.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use kbnt_adapters::checkpoints::{CheckpointError, Checkpoints, Verified, Whole};
use kbnt_adapters::objects::{Address, Place};
use kbnt_application::audit::AuditImage;
use kbnt_application::cut::{Cut, Need, Reader};
use kbnt_application::inventory::Image;
use kbnt_application::ports::{EventLog, Mark};
use kbnt_application::user::UserImage;
use kbnt_application::{Position, Service, Topic};
use kbnt_domain::Span;

use crate::cli::CutOptions;
use crate::failure::Failure;
use crate::wiring;

/// The services that know more than the newest records of a log say, beside order-service if it has a history.
const SERVICES: [Service; 3] = [Service::Inventory, Service::User, Service::Audit];

/// How long to wait for a record that is there.
const WAIT: Span = Span::from_millis(500);

/// Reads without a record after which there is none to come.
const PATIENCE: usize = 10;

/// Where cut partitions begin.
pub(crate) type Cuts = BTreeMap<(Topic, u32), u64>;

/// Records of checkpoints before that are looked for: there are others only if their log was another one.
const TRIES: usize = 8;

/// What the checkpoints in a place come to for a log.
#[derive(Debug, Default)]
pub(crate) struct Checkpointed {
    /// What a start with any of them reads.
    pub(crate) needs: Vec<Need>,
    /// Records of inventory-events that count: those up to which its checkpoints know all, and those of its checkpoints before.
    pub(crate) counting: Vec<Mark>,
    /// Services without one that is of use.
    pub(crate) lacking: Vec<Service>,
    /// What is wrong with those that are of no use.
    pub(crate) refused: Vec<String>,
}

impl Checkpointed {
    /// What is in the place at `address`, compared with the log.
    pub(crate) async fn of(address: &Address, log: &dyn EventLog) -> Result<Self, Failure> {
        let place = wiring::place_to_read(address)?;
        let mut checkpointed = Self::default();
        for service in SERVICES.into_iter().chain([Service::Order]) {
            let Verified { whole, refused } = verified(place.clone(), service).await?;
            let of = |reason: &dyn std::fmt::Display| format!("a checkpoint of {}: {reason}", service.name());
            checkpointed.refused.extend(refused.iter().map(|error| of(error)));
            let before = checkpointed.needs.len();
            for Whole { manifest, marks } in whole {
                if let Some(mark) = missing(log, &marks).await? {
                    let at = mark.at;
                    checkpointed
                        .refused
                        .push(of(&format!("{}: its record is not in the log at {at}", manifest.number())));
                    continue;
                }
                let reader = Reader::Checkpoint(service, manifest.number());
                if service.output() == Topic::InventoryEvents {
                    checkpointed.counting.extend(manifest.counting());
                }
                checkpointed.needs.extend(manifest.reads().map(|at| Need { reader, at }));
            }
            if checkpointed.needs.len() == before {
                checkpointed.lacking.push(service);
            }
        }
        Ok(checkpointed)
    }

    /// Those of the records that count at which these cuts end and that are in the log. Of checkpoints before, nobody has compared them.
    pub(super) async fn counting_at(
        &self,
        log: &dyn EventLog,
        cuts: &[Cut],
    ) -> Result<Vec<Position>, Failure> {
        let mut found = Vec::new();
        for cut in cuts.iter().filter(|cut| cut.to.topic == Topic::InventoryEvents) {
            let here = |at: &Position| at.partition == cut.to.partition && at.offset <= cut.to.offset;
            let mut counting: Vec<&Mark> = self.counting.iter().filter(|mark| here(&mark.at)).collect();
            counting.sort_unstable_by_key(|mark| Reverse(mark.at));
            for mark in counting.into_iter().take(TRIES) {
                if has(log, mark).await? {
                    found.push(mark.at);
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Where those partitions of event stores begin that are cut, and only so far that each service can begin with a checkpoint.
    async fn cuts(&self, log: &dyn EventLog) -> Result<Cuts, Failure> {
        let mut cuts = Cuts::new();
        for (topic, partition) in Topic::event_partitions().filter(|(topic, _)| topic.is_event_store()) {
            let first = log.bounds(topic, partition).await?.first;
            if first > 0 && self.covers(topic, partition, first) {
                cuts.insert((topic, partition), first);
            }
        }
        Ok(cuts)
    }

    /// Whether each service can begin with a checkpoint that reads nothing before `first`.
    fn covers(&self, topic: Topic, partition: u32, first: u64) -> bool {
        let begins = |need: &Need| {
            let here = (need.at.topic, need.at.partition) == (topic, partition);
            here && need.at.offset >= first
        };
        let can = |service: Service| {
            let is_its = |need: &&Need| matches!(need.reader, Reader::Checkpoint(of, _) if of == service);
            !reads(service, topic) || self.needs.iter().filter(is_its).any(begins)
        };
        SERVICES.into_iter().all(|service| !self.lacking.contains(&service) && can(service))
    }
}

/// Whether a start with a checkpoint of a service reads a topic from where the checkpoint says. The inputs of user-service are read
/// from where its group has stopped.
fn reads(service: Service, topic: Topic) -> bool {
    service.output() == topic || (service != Service::User && service.inputs().contains(&topic))
}

/// Where a log is cut that may be, by the checkpoints that the options name.
pub(crate) async fn cuts(options: &CutOptions, log: &dyn EventLog) -> Result<Cuts, Failure> {
    let Some(address) = &options.checkpoints else { return Ok(Cuts::new()) };
    Checkpointed::of(address, log).await?.cuts(log).await
}

async fn verified(place: Place, service: Service) -> Result<Verified, CheckpointError> {
    let checkpoints = Checkpoints::new(place, service);
    match service {
        Service::Inventory => checkpoints.verify::<Image>().await,
        Service::User => checkpoints.verify::<UserImage>().await,
        Service::Order => checkpoints.verify_histories().await,
        _ => checkpoints.verify::<AuditImage>().await,
    }
}

/// The first of these records that is not in the log.
async fn missing<'a>(log: &dyn EventLog, marks: &'a [Mark]) -> Result<Option<&'a Mark>, Failure> {
    for mark in marks {
        if !has(log, mark).await? {
            return Ok(Some(mark));
        }
    }
    Ok(None)
}

async fn has(log: &dyn EventLog, mark: &Mark) -> Result<bool, Failure> {
    let Position { topic, partition, offset } = mark.at;
    let kept = log.bounds(topic, partition).await?;
    if !(kept.first..kept.end).contains(&offset) {
        return Ok(false);
    }
    let mut reader = log.read(vec![mark.at]).await?;
    for _ in 0..PATIENCE {
        if let Some(first) = reader.next(1, WAIT).await?.first() {
            return Ok(first
                .record()
                .is_some_and(|record| record.at == mark.at && record.message.id == mark.id));
        }
    }
    Ok(false)
}
