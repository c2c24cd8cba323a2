//! LogIntact: whether the log is still the one that the services know.
//!
//! Two sources report it. Strimzi writes the id of each topic into the status of its KafkaTopic, and a topic
//! that was deleted and recreated has another id. And each service reports at `GET /v1/log` what is wrong
//! with the topics that it reads and writes.

mod finding;
mod identity;
mod report;
mod watch;

pub use finding::{before, find, unplanned};
pub use identity::{ADOPT, Adopted, Identity, Question, Replaced, identify, variable};
pub use report::{Damage, LogReport};
pub use watch::{Answer, Answers, LogWatches, PodAddress, Service};

use kbnt_crds::Condition;
use kbnt_crds::common::TopicState;

use crate::conditions::Finding;
use crate::error::Error;
use crate::kafka_cluster::Kafka;
use crate::owned::Cluster;
use crate::ownership::Owner;
use crate::readiness::View;
use crate::status::Announcement;
use crate::topics::{self, Topic};
use crate::workloads::Role;

/// Type of the condition.
pub const TYPE: &str = "LogIntact";

/// The part of a resource in the log.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// The topics that it owns.
    pub topics: &'a [Topic],
    /// The services that it runs.
    pub roles: &'a [Role],
    /// What its status has recorded of the topics.
    pub recorded: &'a [TopicState],
    /// Whether it is paused.
    pub paused: bool,
}

/// Which topics a resource knows. `wish` is the value of its annotation.
pub fn know(
    cluster: &Cluster,
    logs: &LogWatches,
    owner: &Owner,
    kafka: &Kafka,
    part: Part<'_>,
    wish: Option<&str>,
) -> Identity {
    let topics: Vec<&str> = part.topics.iter().map(|topic| topic.name).collect();
    let reports = logs.last(&owner.uid);
    let reports = reports.into_values().filter_map(|answer| answer.report);
    identify(&Question {
        prefix: &kafka.prefix,
        topics: &topics,
        recorded: part.recorded,
        present: topics::ids(cluster, owner, kafka, part.topics),
        damage: reports.flat_map(|report| report.damage).collect(),
        wish,
        paused: part.paused,
    })
}

/// LogIntact of a resource. `known` is an error if the resource cannot be carried out. From now on its
/// services are asked, and `wake` is called whenever their answers change.
pub fn judge(
    logs: &LogWatches,
    owner: &Owner,
    part: Part<'_>,
    known: Result<&Identity, &Error>,
    conditions: &[Condition],
    wake: impl Fn() + Send + Sync + 'static,
) -> Finding {
    let service = |role: &Role| Service { name: role.object_name(&owner.name), component: role.component() };
    let services: Vec<_> = part.roles.iter().map(service).collect();
    let names: Vec<_> = services.iter().map(|service| service.name.clone()).collect();
    let answers = logs.answers(owner, services, wake);
    let before = before(conditions);
    match known {
        Ok(identity) => find(identity, &names, &answers, before),
        Err(error) => unplanned(before, error.reason(), error.to_string()),
    }
}

/// The topics as the status records them. If the resource cannot be carried out, the record stays as it was.
pub fn record(
    views: &[View],
    prefix: &str,
    known: Option<&Identity>,
    before: Vec<TopicState>,
) -> Vec<TopicState> {
    let Some(known) = known else { return before };
    let state = |view: &View| {
        let (topic_id, replaces) = known.record(view.name.strip_prefix(prefix).unwrap_or(&view.name));
        TopicState { name: view.name.clone(), ready: view.state.is_usable(), topic_id, replaces }
    };
    views.iter().map(state).collect()
}

/// The events about adopted topics, published once the status has recorded them.
pub fn announcements(owner: &Owner, known: Option<&Identity>) -> Vec<Announcement> {
    let adopted = known.into_iter().flat_map(|known| &known.adopted);
    let announcement = |Adopted { topic, from, to }: &Adopted| Announcement {
        bad: true,
        reason: "TopicAdopted",
        text: format!(
            "topic {topic} with id {to} is adopted instead of {from}, as annotation {ADOPT} of {} {}/{} asks",
            owner.kind, owner.namespace, owner.name
        ),
    };
    adopted.map(announcement).collect()
}
