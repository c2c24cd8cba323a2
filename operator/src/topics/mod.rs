//! The seven topics: their settings, who makes them, and whether they are ready.

mod apply;
mod build;
mod direct;
mod job;
mod state;
mod topic_conflict;

use std::collections::BTreeMap;

pub use apply::{Applied, TopicContext, apply, ids, look};
pub use build::{Asked, Topics, build, ignored};
pub use direct::Direct;
pub use job::JobReports;
pub use state::finding;

/// Reason of the event about topic settings that somebody had changed and that were put back.
pub const PUT_BACK: &str = "TopicSettingsPutBack";

/// Ids of topics by name without the prefix.
pub type TopicIds = BTreeMap<String, String>;

/// How long records are kept by default.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retention {
    /// For ever: the topic is an event store.
    Unlimited,
    /// This many days.
    Days(i64),
}

impl Retention {
    /// The value of Kafka's `retention.ms`.
    pub fn millis(self) -> i64 {
        match self {
            Self::Unlimited => -1,
            Self::Days(days) => days * 24 * 60 * 60 * 1000,
        }
    }
}

/// A documented topic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Topic {
    /// Name without prefix.
    pub name: &'static str,
    /// Fixed: the same key must map to the same partition for ever.
    pub partitions: i32,
    /// Default retention.
    pub retention: Retention,
    /// The largest record in bytes, if it differs from the broker's default.
    pub largest: Option<i64>,
}

impl Topic {
    /// Whether services fold their state from it, so that no record of it may ever be deleted.
    pub fn is_event_store(&self) -> bool {
        self.retention == Retention::Unlimited
    }
}

const fn topic(name: &'static str, partitions: i32, retention: Retention) -> Topic {
    Topic { name, partitions, retention, largest: None }
}

/// It also stores records of other topics that no service can read, as text: those grow by a third.
const AUDIT_LOGS: Topic = Topic { largest: Some(4_194_304), ..topic("audit-logs", 1, Retention::Days(365)) };

/// The topic of a VirtualStock.
pub const OF_STOCK: [Topic; 1] = [topic("inventory-events", 3, Retention::Unlimited)];

/// The topics of an OrderWorkflow.
pub const OF_WORKFLOW: [Topic; 6] = [
    topic("user-events", 3, Retention::Unlimited),
    topic("order-events", 3, Retention::Unlimited),
    topic("payment-events", 3, Retention::Unlimited),
    topic("notification-events", 3, Retention::Days(7)),
    AUDIT_LOGS,
    topic("application-logs", 2, Retention::Days(7)),
];
